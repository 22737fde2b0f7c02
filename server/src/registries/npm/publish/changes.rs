//! What is changed of an own package after it is published: deprecations, tags, and its end.
//!
//! Clients send a whole packument back for this, made of the view that they were given. It may lack
//! versions that they are not shown, and its tags may be moved ones. So nothing of it is taken over:
//! each change is read out of it, and made on the document as it is stored.

use std::collections::{BTreeMap, HashSet};

use actix_web::{HttpRequest, HttpResponse, web};
use policies::package::{Package, Version};
use serde_json::{Value, json};

use super::super::documents::NpmDocuments;
use super::super::handlers::account::known_publisher;
use super::super::handlers::screening::screened;
use super::super::names::version_of_file;
use super::super::refusal::Refusal;
use super::body::{Sent, SentVersion};
use super::document::{LATEST, OwnPackument};
use super::spelling::{tag_fault, version_fault};
use super::{change_refusal, own_target};
use crate::access::Person;
use crate::audit::Action;
use crate::pull::documents::Need;
use crate::pull::own::{Edit, OwnState, Target, Told};
use crate::registries::Registry;
use crate::registries::bodies::short_json;
use crate::registries::finding::{find_content, find_document};

/// A longer text is no reason; clients print it at each install.
const DEPRECATION_AT_MOST: usize = 4096;
/// A version as JSON.
const TAG_BODY_AT_MOST: usize = 4096;

/// What one change comes to.
#[derive(Default)]
struct Done {
    unpublished: Vec<Version>,
    told: Vec<Told>,
}

impl Done {
    fn of_tag(action: Action, tag: &str, version: Option<&str>) -> Self {
        let versions = vec![version.unwrap_or_default().to_owned()];
        let told = Told { action, versions, text: Some(format!("the tag {tag}")) };
        Self { unpublished: Vec::new(), told: vec![told] }
    }
}

/// Makes one change of an own document that is there.
async fn change(
    registry: &Registry,
    target: Target,
    edit: impl Fn(&mut OwnPackument) -> Result<Done, Refusal> + Send + Sync + 'static,
) -> Result<(), Refusal> {
    let package = target.package.clone();
    let make = move |state: &OwnState| {
        let fault = |fault| change_refusal(&package, "", fault);
        if state.document.is_none() {
            return Err(Refusal::NotPublished(format!("{package} is not published here")));
        }
        let mut document = OwnPackument::parse(state.document.as_ref()).map_err(fault)?;
        let Done { unpublished, told } = edit(&mut document)?;
        document.touch(state.now);
        let document = document.to_bytes(package.name()).map_err(fault)?;
        Ok(Edit { document, published: Vec::new(), unpublished, told })
    };
    let garden = &registry.garden;
    garden.npm_documents.change_own(&garden.artifacts, target, Vec::new(), make).await
}

fn done() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "ok": true }))
}

/// `npm deprecate`: the whole packument comes back, with other texts.
pub async fn deprecate(
    registry: &Registry,
    target: Target,
    sent: Sent,
    person: &Person,
) -> Result<HttpResponse, Refusal> {
    let package = target.package.clone();
    if sent.versions.is_empty() {
        return Err(nothing_to_do(&package, &sent));
    }
    let texts = sent
        .versions
        .into_iter()
        .filter_map(|sent| deprecation(sent).transpose())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|why| Refusal::Malformed(format!("{package} is not deprecated: {why}")))?;
    let (spec, count, revision) = (package.clone(), texts.len(), sent.revision);
    change(registry, target, move |document| {
        // The texts of all versions come back: older ones would undo what others said meanwhile.
        if revision.as_ref().is_some_and(|seen| *seen != document.revision) {
            return Err(changed_meanwhile(&package));
        }
        let mut changed: BTreeMap<Option<&str>, Vec<String>> = BTreeMap::new();
        for (version, text) in &texts {
            let fault = |fault| change_refusal(&package, version, fault);
            if document.deprecation(version).map_err(fault)? != *text {
                document.deprecate(version, text.as_deref()).map_err(fault)?;
                changed.entry(text.as_deref()).or_default().push(version.clone());
            }
        }
        let told = changed.into_iter().map(|(text, versions)| Told {
            action: Action::Deprecated,
            versions,
            text: Some(text.unwrap_or("no longer deprecated").to_owned()),
        });
        Ok(Done { unpublished: Vec::new(), told: told.collect() })
    })
    .await?;
    tracing::info!(registry = %registry.name, package = %spec, versions = count, by = %person.name, "deprecations changed");
    Ok(done())
}

/// Neither a tarball nor a version: what else such a body may be meant for.
fn nothing_to_do(package: &Package, sent: &Sent) -> Refusal {
    if sent.maintainers {
        return Refusal::Forbidden(format!(
            "{package} has no owners of its own: whoever has a token that may publish may publish it"
        ));
    }
    Refusal::Malformed(format!("nothing is published or changed of {package} by this"))
}

/// What is said of a version now; `None` where nothing is said.
fn deprecation(sent: SentVersion) -> Result<Option<(String, Option<String>)>, String> {
    let text = match sent.deprecated {
        None => return Ok(None),
        Some(Value::String(text)) if !text.is_empty() => Some(text),
        // npm takes an empty text for none, and so do others false.
        Some(Value::String(_) | Value::Bool(false) | Value::Null) => None,
        Some(_) => return Err(format!("what is said of {} is no text", sent.version)),
    };
    if let Some(text) = &text {
        if text.len() > DEPRECATION_AT_MOST {
            return Err(format!("a text has at most {DEPRECATION_AT_MOST} bytes"));
        }
        if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
            return Err("the text has control characters in it".to_owned());
        }
    }
    Ok(Some((sent.version, text)))
}

pub async fn set_tag(
    registry: &Registry,
    req: &HttpRequest,
    body: web::Payload,
    package: Package,
    tag: &str,
) -> Result<HttpResponse, Refusal> {
    let person = known_publisher(registry, req, &package)?;
    let target = own_target(registry, req, &package)?;
    if let Some(fault) = tag_fault(tag) {
        return Err(Refusal::Malformed(format!("the tag {tag:?} can not be used: {fault}")));
    }
    let version = read_version(body).await?;
    let (of, name, to) = (package.clone(), tag.to_owned(), version.clone());
    change(registry, target, move |document| {
        document.set_tag(&name, &to).map_err(|fault| change_refusal(&of, &to, fault))?;
        Ok(Done::of_tag(Action::TagMoved, &name, Some(&to)))
    })
    .await?;
    tracing::info!(registry = %registry.name, %package, tag, version, by = %person.name, "tag set");
    Ok(done())
}

async fn read_version(body: web::Payload) -> Result<String, Refusal> {
    let malformed = || Refusal::Malformed("a tag is set to a version, as a JSON text".to_owned());
    let version: String = short_json(body, TAG_BODY_AT_MOST).await.ok_or_else(malformed)?;
    match version_fault(&version) {
        None => Ok(version),
        Some(fault) => {
            Err(Refusal::Malformed(format!("a tag can not be set to {version:?}: {fault}")))
        }
    }
}

pub async fn remove_tag(
    registry: &Registry,
    req: &HttpRequest,
    package: Package,
    tag: &str,
) -> Result<HttpResponse, Refusal> {
    let person = known_publisher(registry, req, &package)?;
    let target = own_target(registry, req, &package)?;
    if tag == LATEST {
        return Err(Refusal::Malformed(format!(
            "{package} keeps its tag latest, by which it is installed: set it to another version instead"
        )));
    }
    let (of, name) = (package.clone(), tag.to_owned());
    change(registry, target, move |document| {
        document.remove_tag(&name).map_err(|fault| change_refusal(&of, &name, fault))?;
        Ok(Done::of_tag(Action::TagRemoved, &name, None))
    })
    .await?;
    tracing::info!(registry = %registry.name, %package, tag, by = %person.name, "tag removed");
    Ok(done())
}

/// `npm unpublish` of one version and `pnpm unpublish` of several, first half: the document comes
/// back without them. Everything of them is taken away here, at once.
pub async fn put_revision(
    registry: &Registry,
    req: &HttpRequest,
    body: web::Payload,
    package: Package,
    revision: String,
) -> Result<HttpResponse, Refusal> {
    let person = known_publisher(registry, req, &package)?;
    let target = own_target(registry, req, &package)?;
    let _turn = registry.garden.uploads.take(&person.name).await.map_err(Refusal::pull)?;
    let sent = super::body::receive(&registry.garden.store.blobs, body).await?;
    if sent.tarball.is_some() {
        return Err(Refusal::Malformed(format!("{package} is not published by this path")));
    }
    // What is missing goes: a body that is no packument of this package must not miss anything.
    if sent.versions.is_empty() {
        return Err(nothing_to_do(&package, &sent));
    }
    if sent.name.as_deref() != Some(package.name()) {
        return Err(Refusal::Malformed(format!("what was sent is no packument of {package}")));
    }
    check_allowed(registry, &package)?;
    let visible = visible_versions(registry, req, &package).await?;
    let gone = left_out(&sent, visible.shown).ok_or_else(|| changed_meanwhile(&package))?;
    let versions: Vec<&str> = gone.iter().map(Version::as_str).collect();
    let versions = versions.join(", ");
    unpublish(registry, target, revision, Some(gone)).await?;
    tracing::info!(registry = %registry.name, %package, versions, by = %person.name, "unpublished");
    Ok(done())
}

/// The versions that its sender has seen and sends no more; `None` where that can not be said.
/// What a rule has come to show since then is not among them.
fn left_out(sent: &Sent, shown: Vec<Version>) -> Option<Vec<Version>> {
    let kept: HashSet<&str> = sent.versions.iter().map(|sent| sent.version.as_str()).collect();
    let count = shown.len();
    let missing = shown.into_iter().filter(|version| !kept.contains(version.as_str()));
    let missing: Vec<Version> = missing.collect();
    if count - missing.len() != kept.len() {
        // It has versions that nobody was shown.
        return None;
    }
    let gone = match &sent.dated {
        Some(seen) => missing.into_iter().filter(|gone| seen.contains(gone.as_str())).collect(),
        // Without dates more than one may just as well have come since.
        None if missing.len() == 1 => missing,
        None => Vec::new(),
    };
    (!gone.is_empty()).then_some(gone)
}

/// `npm unpublish` of one version, second half: its tarball went with it.
pub async fn remove_tarball(
    registry: &Registry,
    req: &HttpRequest,
    package: Package,
    file: &str,
) -> Result<HttpResponse, Refusal> {
    known_publisher(registry, req, &package)?;
    own_target(registry, req, &package)?;
    check_allowed(registry, &package)?;
    // What is left of an unpublish that was cut short goes first: then it is remembered as gone.
    registry.finish_unpublishing(&package).await?;
    let versions = registry
        .garden
        .store
        .read_versions(&registry.name, &package)
        .await
        .map_err(Refusal::pull)?;
    let record =
        version_of_file(&package, file).and_then(|version| versions.get(&version).cloned());
    match record {
        Some(record) if record.vanished.is_some() => Ok(done()),
        Some(_) => Err(Refusal::Conflict(format!(
            "{file} belongs to a version of {package} that is still published: unpublish that"
        ))),
        None => Err(Refusal::NotPublished(format!("{file} of {package} is not published here"))),
    }
}

/// `npm unpublish` of all versions, and of the only one that npm sees.
pub async fn remove_package(
    registry: &Registry,
    req: &HttpRequest,
    package: Package,
    revision: String,
) -> Result<HttpResponse, Refusal> {
    let person = known_publisher(registry, req, &package)?;
    let target = own_target(registry, req, &package)?;
    check_allowed(registry, &package)?;
    let visible = visible_versions(registry, req, &package).await?;
    if let Some(hidden) = visible.hidden {
        // npm asks for this too when one version is all that it sees.
        return Err(Refusal::Conflict(format!(
            "{package} has versions that a rule hides, {hidden} among them, and would lose them too: take that rule back first"
        )));
    }
    unpublish(registry, target, revision, None).await?;
    tracing::info!(registry = %registry.name, %package, by = %person.name, "unpublished in all versions");
    Ok(done())
}

fn check_allowed(registry: &Registry, package: &Package) -> Result<(), Refusal> {
    if registry.may_unpublish {
        return Ok(());
    }
    let name = &registry.name;
    Err(Refusal::Forbidden(format!(
        "{package} stays as it is published: this garth takes nothing back unless its settings say registry.{name}.unpublish = true. npm deprecate warns of a version"
    )))
}

fn changed_meanwhile(package: &Package) -> Refusal {
    Refusal::Conflict(format!("{package} was changed meanwhile: try it again"))
}

/// What a client is shown of a package, and the first version that it is not.
struct Visible {
    shown: Vec<Version>,
    hidden: Option<Version>,
}

async fn visible_versions(
    registry: &Registry,
    req: &HttpRequest,
    package: &Package,
) -> Result<Visible, Refusal> {
    let found = find_document::<NpmDocuments>(registry, req, package, Need::Fresh).await?;
    let content = find_content::<NpmDocuments>(registry, package, &found).await?;
    let asking = registry.garden.access.caller(req.headers()).asking();
    let screened = screened(registry, &content, &asking);
    let entries = &content.parsed.entries;
    let of = |shown: bool| {
        let entries = entries.iter().enumerate();
        entries
            .filter(|(index, _)| screened.shows(*index) == shown)
            .map(|(_, entry)| entry.version.clone())
            .collect::<Vec<_>>()
    };
    Ok(Visible { shown: of(true), hidden: of(false).into_iter().next() })
}

/// Some versions, or all. `revision` is the one that the client has seen.
async fn unpublish(
    registry: &Registry,
    target: Target,
    revision: String,
    only: Option<Vec<Version>>,
) -> Result<(), Refusal> {
    let package = target.package.clone();
    change(registry, target, move |document| {
        if document.revision != revision {
            return Err(changed_meanwhile(&package));
        }
        let gone: Vec<Version> = match &only {
            Some(versions) => versions.clone(),
            None => document.versions().filter_map(|version| Version::new(version).ok()).collect(),
        };
        for version in &gone {
            let fault = |fault| change_refusal(&package, version.as_str(), fault);
            document.unpublish(version.as_str()).map_err(fault)?;
        }
        Ok(Done { unpublished: gone, told: Vec::new() })
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_what_its_sender_has_seen_and_sends_no_more() {
        type Versions = &'static [&'static str];
        type Row = (&'static str, Versions, Option<Versions>, Versions, Option<Versions>);
        let rows: [Row; 9] = [
            ("one", &["1", "2"], Some(&["1", "2"]), &["2"], Some(&["1"])),
            ("several", &["1", "2", "3"], Some(&["1", "2", "3"]), &["2"], Some(&["1", "3"])),
            ("none", &["1", "2"], Some(&["1", "2"]), &["1", "2"], None),
            ("shown since", &["1", "2", "3"], Some(&["1", "2"]), &["2"], Some(&["1"])),
            ("only shown since", &["1", "2"], Some(&["1"]), &["1"], None),
            ("hidden since", &["1", "2"], Some(&["1", "2", "3"]), &["2", "3"], None),
            ("unknown", &["1", "2"], Some(&["1", "2"]), &["9"], None),
            ("one, without dates", &["1", "2"], None, &["2"], Some(&["1"])),
            ("several, without dates", &["1", "2", "3"], None, &["2"], None),
        ];
        for (what, shown, dated, kept, expected) in rows {
            let version = |n: &&str| Version::new(&format!("{n}.0.0")).unwrap();
            let versions = kept
                .iter()
                .map(|n| SentVersion { version: version(n).to_string(), deprecated: None });
            let sent = Sent {
                versions: versions.collect(),
                dated: dated.map(|all| all.iter().map(|n| version(n).to_string()).collect()),
                ..Sent::default()
            };
            let expected = expected.map(|all| all.iter().map(version).collect::<Vec<_>>());
            assert_eq!(left_out(&sent, shown.iter().map(version).collect()), expected, "{what}");
        }
    }
}
