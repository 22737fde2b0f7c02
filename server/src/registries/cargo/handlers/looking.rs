//! What only a crate itself says, for rules that ask for it.
//!
//! No index says a licence, or whether a crate runs code. Where a rule asks for such a thing and a
//! version is not refused whatever it is, garth fetches the crate, looks into it and decides then;
//! nothing of it is sent before. What was found is kept with the version.

use std::sync::Arc;

use policies::decide::Hope;
use policies::facts::Missing;
use policies::package::{Package, PackageVersion};
use policies::rules::RuleSet;

use super::super::documents::TOLD_BY_CRATES;
use super::super::upstream::index_request;
use super::{Target, from_upstream, wanted};
use crate::gate::Asking;
use crate::metadata::records::VersionRecord;
use crate::pull::artifacts::Wanted;
use crate::pull::documents::Known;
use crate::pull::{PullError, Source};
use crate::registries::finding::remembered;
use crate::registries::{Garden, Registry};

/// Whether any rule of this crate asks for what only the crate says.
fn is_asked_for(rules: &RuleSet, package: &Package) -> bool {
    // Most sets of rules ask for no such thing of anything, which is known without a look.
    TOLD_BY_CRATES.iter().any(|fact| rules.asks_for(*fact))
        && rules.for_package(package).asks().meets(Missing::of(TOLD_BY_CRATES))
}

/// Whether the crate was opened, readable or not.
fn is_opened(record: Option<&VersionRecord>) -> bool {
    record.is_some_and(|record| record.inside.is_some())
}

/// Looks into the crate of a version where a rule asks for what only that says, unless the version is
/// refused whatever that is; what is known of it then.
pub async fn look(
    registry: &Registry,
    source: &Arc<Source>,
    subject: &PackageVersion,
    known: Arc<Known>,
    asking: &Asking,
) -> Result<Arc<Known>, PullError> {
    let Garden { gate, artifacts, cargo_documents: documents, .. } = registry.garden.as_ref();
    if is_opened(known.remembered.as_ref()) || !is_asked_for(&gate.rules(), &subject.package) {
        return Ok(known);
    }
    let remembered = remembered(registry, &known);
    let is_refused = gate.admit(subject.clone(), &remembered, asking).is_err();
    // What is let through now may be let through because nobody knows.
    if is_refused && gate.hope(subject, &remembered, asking) != Hope::Allowed {
        return Ok(known);
    }
    // It is opened at once, and not when there is time.
    let wanted = Wanted { when_held: None, ..wanted(registry, source, subject, &known) };
    let bring =
        async |target: Target<'_>| artifacts.bring(subject, source, wanted.clone(), target).await;
    let record = from_upstream(registry, &known, &subject.version, bring).await?;
    let PackageVersion { package, version } = subject;
    documents.look(source, index_request(package), version, &record).await?;
    let (_, known) = documents.version(source, &index_request(package), version).await?;
    // Else it was damaged and is fetched again, or this garth stops.
    known.filter(|known| is_opened(known.remembered.as_ref())).ok_or(PullError::Busy)
}
