//! A paragraph an endpoint: parse, admit, pull, respond.

mod elsewhere;
mod finding;
mod looking;
mod search;

use std::cell::Cell;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, ETAG, HeaderValue, IF_NONE_MATCH, RANGE};
use actix_web::{HttpRequest, HttpResponse};
use policies::decision::Effect;
use policies::package::{Digest, Package, PackageVersion, Version};
use policies::rules::RuleSet;
use serde_json::json;

pub use self::looking::look;
pub use self::search::search;

use self::finding::{find_upstream_config, missing};
use super::documents::{CargoDocuments, IndexFile, IndexText};
use super::names;
use super::refusal::{Refusal, pull_refusal};
use super::upstream::index_request;
use crate::config::{Anonymous, Mode};
use crate::edge;
use crate::facts::Remembered;
use crate::gate::{Asking, Gate, Screened};
use crate::pull::artifacts::Wanted;
use crate::pull::content::Content;
use crate::pull::documents::{Known, Need};
use crate::pull::views::{Answer, Bindery, Bound};
use crate::pull::{PullError, Source};
use crate::registries::Registry;
use crate::registries::finding::{find_document, find_version, remembered};
use crate::registries::respond::{self, Kind};
use crate::registries::viewing::{self, NoView, Viewed, Viewing};
use crate::upstream::{ArtifactTarget, Upstream};

const LINES: Kind = Kind { content_type: "text/plain", varies: "Accept-Encoding" };
const CRATE: &str = "application/gzip";

/// Where cargo finds crates here. `dl` has no markers, as every cargo understands it.
pub fn config(registry: &Registry, req: &HttpRequest) -> Result<HttpResponse, Refusal> {
    let base = registry.base_url(req).map_err(Refusal::Edge)?;
    let mut config = json!({ "dl": format!("{base}/api/v1/crates"), "api": *base });
    if registry.garden.anonymous == Anonymous::Nothing {
        config["auth-required"] = true.into();
    }
    let text = config.to_string();
    let etag = format!("\"{}\"", Digest::sha256_of(text.as_bytes()).hex());
    let named = req.headers().get_all(IF_NONE_MATCH).filter_map(|value| value.to_str().ok());
    let mut response = HttpResponse::Ok();
    response.insert_header((CACHE_CONTROL, HeaderValue::from_static("no-cache")));
    if named.flat_map(|value| value.split(',')).any(|known| known.trim() == etag) {
        response.status(StatusCode::NOT_MODIFIED);
        return Ok(response.insert_header((ETAG, etag)).finish());
    }
    Ok(response.insert_header((ETAG, etag)).content_type("application/json").body(text))
}

/// The lines of the allowed versions; those of all versions where a build could take none of these (see
/// [`super`]).
pub async fn index(
    registry: &Registry,
    req: &HttpRequest,
    package: Package,
    asking: Asking,
) -> Result<HttpResponse, Refusal> {
    let found = find_document::<CargoDocuments>(registry, req, &package, Need::Fresh).await?;
    let viewing = Viewing {
        package: &package,
        asking: &asking,
        found: &found,
        form: "index".into(),
        with_reasons: false,
        base: Arc::clone(&registry.name),
    };
    let lines = Lines::of(registry, asking.clone());
    let make = move |bindery: Bindery, content: &_, gate: &Gate, rules: &RuleSet| {
        lines.bind(bindery, content, gate, rules)
    };
    let viewed =
        viewing::find::<CargoDocuments, PullError>(registry, req, viewing, |_| Ok(()), make);
    let viewed = viewed.await.map_err(|fault| match fault {
        NoView::Document(fault) | NoView::View(fault) | NoView::Refused(fault) => {
            pull_refusal(package.to_string(), registry.source_of(&package), fault)
        }
    })?;
    let Viewed { answer: Answer::View(view), audience, rules } = viewed else {
        return Err(pull_refusal(package.to_string(), &registry.source, PullError::Internal));
    };
    let effect = view.decision();
    edge::access(req).set_decision(effect);
    // What is listed and can not be had is no use of it.
    if effect == Effect::Allow || registry.garden.gate.mode() == Mode::Observe {
        registry.record_view((&package, None), &asking, effect, rules.revision());
    }
    Ok(viewing::respond_view(registry, req, &found.document, (&view, audience), LINES))
}

/// What is shown of an index file to one asker.
pub(super) struct Lines {
    registry: Arc<str>,
    asking: Asking,
}

impl Lines {
    pub(super) fn of(registry: &Registry, asking: Asking) -> Self {
        Self { registry: Arc::clone(&registry.name), asking }
    }

    fn bind(
        &self,
        bindery: Bindery,
        content: &Content<IndexFile>,
        gate: &Gate,
        rules: &RuleSet,
    ) -> Result<Bound, PullError> {
        let screened = self.screen(content, gate, rules);
        let entries = &content.parsed.entries;
        let is_shown = |place: &usize| screened.shows(*place) || screened.is_undecided(*place);
        let mut shown: Vec<usize> = (0..entries.len()).filter(is_shown).collect();
        // Where a build could take none of them, cargo is let choose and told at the download why
        // not: of what is yanked it takes nothing new, and says of it nothing that is ours.
        let may_be_taken = |place: &usize| entries[*place].stated.yanked != Some(true);
        if !shown.iter().any(may_be_taken) {
            shown = (0..entries.len()).collect();
        }
        bindery.bind(&screened, None, &IndexText::new(&content.parsed, shown))
    }

    /// Each version of the index, decided.
    pub(super) fn screen(
        &self,
        content: &Content<IndexFile>,
        gate: &Gate,
        rules: &RuleSet,
    ) -> Screened {
        let index = &content.parsed;
        let asked = index.entries.iter().map(|entry| {
            let (record, stated) = (content.versions.get(&entry.version), Some(&entry.stated));
            (&entry.version, Remembered { registry: Some(&self.registry), record, stated })
        });
        gate.screen(rules, &index.package, &self.asking, asked)
    }
}

pub async fn download(
    registry: &Registry,
    req: &HttpRequest,
    package: Package,
    version: Version,
    asking: Asking,
) -> Result<HttpResponse, Refusal> {
    let (found, known) = find_version::<CargoDocuments>(registry, req, &package, &version).await?;
    let Some(known) = known else {
        return Err(missing(registry, &package, &version, &found).await?);
    };
    let subject = PackageVersion { package: package.clone(), version };
    let access = edge::access(req);
    access.set_package(subject.clone());
    let source = registry.source_of(&package);
    let known = looking::look(registry, source, &subject, known, &asking).await;
    let known = known.map_err(|fault| pull_refusal(subject.to_string(), source, fault))?;
    let remembered = remembered(registry, &known);
    let admitted = registry.admit(subject, &remembered, &asking).map_err(Refusal::of_version)?;
    access.set_decision(admitted.decision().effect);

    let wanted = Wanted {
        partly: req.headers().contains_key(RANGE),
        ..wanted(registry, source, admitted.subject(), &known)
    };
    let artifacts = &registry.garden.artifacts;
    let get =
        async |target: Target<'_>| artifacts.get(&admitted, source, wanted.clone(), target).await;
    let artifact = from_upstream(registry, &known, &admitted.subject().version, get).await;
    let artifact =
        artifact.map_err(|fault| pull_refusal(admitted.subject().to_string(), source, fault))?;
    access.set_cache(artifact.outcome);
    Ok(respond::artifact(req, &admitted, artifact, CRATE))
}

fn wanted(
    registry: &Registry,
    source: &Arc<Source>,
    subject: &PackageVersion,
    known: &Known,
) -> Wanted {
    let PackageVersion { package, version } = subject;
    let documents = &registry.garden.cargo_documents;
    Wanted {
        file: names::crate_file(package, version),
        promised: Arc::clone(&known.promised),
        partly: false,
        when_held: documents.when_held(source, || index_request(package), version, known),
    }
}

type Target<'a> = &'a dyn Fn(&Upstream) -> Option<ArtifactTarget>;

/// Where the upstream keeps its crates is asked only for one that is not held.
async fn from_upstream<T>(
    registry: &Registry,
    known: &Known,
    version: &Version,
    pull: impl AsyncFn(Target<'_>) -> Result<T, PullError>,
) -> Result<T, PullError> {
    let is_unheld = Cell::new(false);
    let nowhere = |_: &Upstream| {
        is_unheld.set(true);
        None
    };
    match pull(&nowhere).await {
        Err(PullError::Absent) if is_unheld.get() => {}
        held => return held,
    }
    let config = find_upstream_config(registry).await?;
    // The name in the index's own spelling.
    let name = &known.promise.source;
    pull(&|_: &Upstream| config.target(name, version, &known.promise.digests)).await
}

/// cargo's login leads here.
pub fn me() -> HttpResponse {
    const TEXT: &str = "A token of this garth is made by whoever runs it, with garth token create. \
                        Give it to cargo with cargo login --registry NAME.\n";
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(TEXT)
}
