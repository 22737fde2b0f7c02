//! A paragraph an endpoint: parse, admit, pull, respond.

pub mod account;
pub mod audit;
mod body;
pub mod keys;
pub mod search;

use std::borrow::Cow;
use std::sync::Arc;

use actix_web::http::header::{
    ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, HeaderName, HeaderValue, RANGE, USER_AGENT,
};
use actix_web::{HttpRequest, HttpResponse};
use policies::package::{Ecosystem, Package, PackageVersion, Version};
use policies::rules::{Audience, RuleSet};
use policies::versions::is_prerelease;
use serde_json::{Value, json};

use super::documents::restrictions::{self, Restricted};
use super::documents::{
    Entry, Form, NpmDocuments, Offer, Packument, PackumentText, Shown, leads_somewhere,
    offered_tags, render_manifest, version_of_tag,
};
use super::names;
use super::refusal::Refusal;
use super::upstream::{packument_request, tarball_target};
use crate::edge;
use crate::facts::Remembered;
use crate::gate::{Asking, Gate, Refused, Screened};
use crate::pull::artifacts::Wanted;
use crate::pull::content::Content;
use crate::pull::documents::{Document, Found, Known, Need};
use crate::pull::format::DocumentFormat;
use crate::pull::views::{Answer, Bindery, Bound, Coding, View, ViewKey};
use crate::pull::{CacheOutcome, PullError, Source};
use crate::registries::Registry;
use crate::registries::refusal::{refused_line, why};
use crate::registries::respond::{self, Kind, Staleness};
use crate::upstream::Upstream;

type Npm = <NpmDocuments as DocumentFormat>::Parsed;

const ABBREVIATED: &str = "application/vnd.npm.install-v1+json";
/// npm prints it.
const NOTICE: HeaderName = HeaderName::from_static("npm-notice");
/// By its form, and by whether the client reads [`restrictions`].
const PACKUMENT_VARIES: &str = "Accept, Accept-Encoding, User-Agent";
const JSON: Kind = Kind { content_type: "application/json", varies: "Accept, Accept-Encoding" };

pub fn ping() -> HttpResponse {
    HttpResponse::Ok().json(json!({}))
}

pub async fn packument(
    registry: &Registry,
    req: &HttpRequest,
    package: Package,
    asking: Asking,
) -> Result<HttpResponse, Refusal> {
    let found = find_document(registry, req, &package, Need::Fresh).await?;
    let form = requested_form(req);
    let agent = req.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok());
    let with_reasons = agent.is_some_and(restrictions::are_read_by);
    let (label, content_type) = match form {
        Form::Full => ("packument", "application/json"),
        Form::Abbreviated => ("abbreviated", ABBREVIATED),
    };
    let screening = Screening {
        package,
        asking,
        found: &found,
        form: label.into(),
        with_reasons,
        part: Part::Whole,
    };
    let found_view =
        find_view(registry, req, screening, move |bindery, content, screened, base| {
            let packument = &content.parsed;
            let shown = shown(content, screened);
            let tags = offered_tags(packument, &shown);
            let notice = moved_latest(packument, screened, &tags);
            let restrictions = with_reasons
                .then(|| restrictions::field(&packument.package, &restricted(screened)))
                .flatten();
            let text = PackumentText::new(Offer { packument, shown, tags }, form, base);
            bindery.bind(screened, notice, &text.with_restrictions(restrictions))
        })
        .await?;
    let kind = Kind { content_type, varies: PACKUMENT_VARIES };
    Ok(respond_view(registry, req, &found.document, &found_view, kind))
}

pub async fn manifest(
    registry: &Registry,
    req: &HttpRequest,
    package: Package,
    selector: &str,
    asking: Asking,
) -> Result<HttpResponse, Refusal> {
    // What npm does not read as a version is a tag, which only a fresh document knows.
    let is_version = is_prerelease(Ecosystem::Npm, selector).is_some();
    let exact = Version::new(selector).ok().filter(|_| is_version);
    let mut known = None;
    if let Some(version) = exact {
        let (found, is_known) = find_version(registry, req, &package, &version).await?;
        known = is_known.map(|_| (found, version));
    }
    let (found, part, form) = if let Some((found, version)) = known {
        let form = format!("version {version}");
        (found, Part::Version(version), form)
    } else {
        let found = find_document(registry, req, &package, Need::Fresh).await?;
        (found, Part::Tag(selector.to_owned()), format!("tag {selector}"))
    };
    let form = form.into();
    let screening = Screening { package, asking, found: &found, form, with_reasons: false, part };
    let found_view = find_view(registry, req, screening, |bindery, content, screened, base| {
        let packument = &content.parsed;
        let entry = screened.versions().next().and_then(|version| packument.entry(version));
        let text = entry.map(|entry| render_manifest(packument, &show(content, entry), base));
        let text = text.transpose()?;
        bindery.bind(screened, None, &text.unwrap_or_default())
    })
    .await?;
    Ok(respond_view(registry, req, &found.document, &found_view, JSON))
}

pub async fn tarball(
    registry: &Registry,
    req: &HttpRequest,
    package: Package,
    file: &str,
    asking: Asking,
) -> Result<HttpResponse, Refusal> {
    let no_such = || unknown(format!("{file} of {package}"), registry.source_of(&package));
    let mut version = names::version_of_file(&package, file);
    let (mut known, mut is_own) = (None, false);
    if let Some(version) = &version {
        let found;
        (found, known) = find_version(registry, req, &package, version).await?;
        is_own = found.document.is_own();
    }
    if known.is_none() {
        // A name that is not ours: the upstream's own, which a lockfile may carry.
        let found = find_document(registry, req, &package, Need::Fresh).await?;
        let content = find_content(registry, &package, &found).await?;
        let ours = version.as_ref().and_then(|version| content.parsed.entry(version));
        let entry = ours.or_else(|| content.parsed.entry_of_foreign_file(file));
        let named = version.as_ref().map_or(file, Version::as_str);
        let entry = entry.ok_or_else(|| missing(&content, named, no_such))?;
        version = Some(entry.version.clone());
        is_own = found.document.is_own();
        (_, known) = find_version(registry, req, &package, &entry.version).await?;
    }
    let (Some(known), Some(version)) = (known, version) else { return Err(no_such()) };
    let subject = PackageVersion { package: package.clone(), version };
    let access = edge::access(req);
    access.set_package(subject.clone());
    let file = names::tarball_file(&package, &subject.version);
    let remembered = remembered(registry, &known);
    let admitted = registry.admit(subject, &remembered, &asking).map_err(Refusal::of_version)?;
    access.set_decision(admitted.decision().effect);

    let source = if is_own { &registry.own_source } else { registry.source_of(&package) };
    let wanted = Wanted {
        file,
        promised: Arc::clone(&known.promised),
        partly: req.headers().contains_key(RANGE),
        when_held: registry.garden.npm_documents.when_held(
            source,
            || packument_request(&package),
            &admitted.subject().version,
            &known,
        ),
    };
    let target = |upstream: &Upstream| tarball_target(&known.promise.source, upstream.base());
    let artifact = registry
        .garden
        .artifacts
        .get(&admitted, source, wanted, target)
        .await
        .map_err(|fault| pull_refusal(format!("{}", admitted.subject()), source, fault))?;
    access.set_cache(artifact.outcome);
    Ok(respond::artifact(req, &admitted, artifact, "application/octet-stream"))
}

/// `npm dist-tag ls`: the tags that the packument shows.
pub async fn tags(
    registry: &Registry,
    req: &HttpRequest,
    package: Package,
    asking: Asking,
) -> Result<HttpResponse, Refusal> {
    let found = find_document(registry, req, &package, Need::Fresh).await?;
    let form = "dist-tags".into();
    let part = Part::Whole;
    let screening = Screening { package, asking, found: &found, form, with_reasons: false, part };
    let found_view = find_view(registry, req, screening, |bindery, content, screened, _| {
        let tags = offered_tags(&content.parsed, &shown(content, screened));
        let tags: serde_json::Map<String, Value> =
            tags.into_iter().map(|(tag, version)| (tag, version.into())).collect();
        bindery.bind(screened, None, &Value::Object(tags).to_string().into_bytes())
    })
    .await?;
    Ok(respond_view(registry, req, &found.document, &found_view, JSON))
}

/// The abbreviated form is sent to whoever names it; nobody names it without being able to read it.
fn requested_form(req: &HttpRequest) -> Form {
    let names_it = req
        .headers()
        .get_all(ACCEPT)
        .any(|accept| accept.to_str().is_ok_and(|accept| accept.contains(ABBREVIATED)));
    if names_it { Form::Abbreviated } else { Form::Full }
}

pub async fn find_document(
    registry: &Registry,
    req: &HttpRequest,
    package: &Package,
    need: Need,
) -> Result<Found<Npm>, Refusal> {
    let access = edge::access(req);
    access.set_package(package.clone());
    let source = registry.source_of(package);
    let found = registry.garden.npm_documents.get(source, &packument_request(package), need).await;
    let found = found.map_err(|fault| pull_refusal(package.to_string(), source, fault))?;
    access.set_cache(found.document.outcome);
    Ok(found)
}

/// One version; what is known of it does not need the whole document.
async fn find_version(
    registry: &Registry,
    req: &HttpRequest,
    package: &Package,
    version: &Version,
) -> Result<(Found<Npm>, Option<Arc<Known>>), Refusal> {
    let access = edge::access(req);
    access.set_package(package.clone());
    let (source, request) = (registry.source_of(package), packument_request(package));
    let found = registry.garden.npm_documents.version(source, &request, version).await;
    let (found, known) = found.map_err(|fault| pull_refusal(package.to_string(), source, fault))?;
    access.set_cache(found.document.outcome);
    Ok((found, known))
}

pub async fn find_content(
    registry: &Registry,
    package: &Package,
    found: &Found<Npm>,
) -> Result<Arc<Content<Npm>>, Refusal> {
    let (source, request) = (registry.source_of(package), packument_request(package));
    let content = registry.garden.npm_documents.content(source, &request, found).await;
    content.map_err(|fault| pull_refusal(package.to_string(), source, fault))
}

fn pull_refusal(what: String, source: &Arc<Source>, fault: PullError) -> Refusal {
    match fault {
        PullError::Absent => unknown(what, source),
        fault => Refusal::Pull { what, fault },
    }
}

/// Of a version that is not offered: one that is there all the same is not called unknown.
fn missing(
    content: &Content<Npm>,
    version_or_tag: &str,
    unknown: impl FnOnce() -> Refusal,
) -> Refusal {
    let packument = &content.parsed;
    packument.left_out(version_or_tag).map_or_else(unknown, |left_out| Refusal::LeftOut {
        what: format!("{}@{}", packument.package, left_out.version),
        why: left_out.why.clone(),
    })
}

pub fn unknown(what: String, source: &Arc<Source>) -> Refusal {
    Refusal::Unknown { what, source: Arc::clone(source) }
}

/// What a view is made of.
struct Screening<'a> {
    package: Package,
    asking: Asking,
    found: &'a Found<Npm>,
    form: Cow<'static, str>,
    with_reasons: bool,
    part: Part,
}

/// What of a document is looked at.
#[derive(Clone)]
enum Part {
    Whole,
    Version(Version),
    /// The version that this tag leads to here.
    Tag(String),
}

struct FoundView {
    view: Arc<View>,
    audience: Audience,
}

/// The stored view, else a new one: `bind` is called when the gate has let something through.
async fn find_view(
    registry: &Registry,
    req: &HttpRequest,
    screening: Screening<'_>,
    bind: impl Fn(Bindery, &Content<Npm>, &Screened, &str) -> Result<Bound, PullError>
    + Send
    + Sync
    + 'static,
) -> Result<FoundView, Refusal> {
    let Screening { package, asking, found, form, with_reasons, part } = screening;
    let garden = &registry.garden;
    let base = registry.base_url(req).map_err(Refusal::Edge)?;
    let accepted = req.headers().get_all(ACCEPT_ENCODING).map(HeaderValue::as_bytes);
    // By the rules that are asked for here, though others may be in force by then.
    let rules = garden.gate.rules();
    let audience = garden.gate.audience(&rules, &package, &asking);
    let mut key = ViewKey {
        content: found.document.content,
        audience,
        form,
        with_reasons,
        base: Arc::clone(&base),
        coding: Coding::accepted(accepted),
    };
    let stored = garden.views.stored(&key, rules.revision(), garden.store.clock.now());
    let (bind, mut is_again) = (Arc::new(bind), false);
    let answer = loop {
        if let Some(answer) = stored {
            break answer;
        }
        let content = find_content(registry, &package, found).await?;
        if content.parsed.entries.is_empty() {
            if found.document.is_own() {
                return Err(Refusal::NotPublished(format!(
                    "{package} was unpublished in all its versions"
                )));
            }
            let source = registry.source_of(&package);
            return Err(unknown(format!("any version of {package}"), source));
        }
        // Before anything is kept: there is no end of the tags that do not exist.
        if let Part::Tag(tag) = &part
            && !leads_somewhere(&content.parsed, tag)
        {
            let what = format!("{package}@{tag}");
            let unknown = || unknown(what, registry.source_of(&package));
            return Err(missing(&content, tag, unknown));
        }
        key.content = content.id;
        let (revision, size, gate) = (rules.revision().clone(), content.size, garden.gate.clone());
        let (rules, part, base) = (Arc::clone(&rules), part.clone(), Arc::clone(&base));
        let (bind, asking) = (Arc::clone(&bind), asking.clone());
        let name = Arc::clone(&registry.name);
        let work = move |bindery: Bindery| {
            let screened = screen_part(&gate, &rules, (&name, &content), &asking, &part);
            match refusal_of(&content, &screened) {
                Some(refused) => Ok(bindery.refuse(&screened, refused)),
                None => bind(bindery, &content, &screened, &base),
            }
        };
        match garden.views.make(key.clone(), revision, size, work).await {
            // Its text went, with a change or by damage, while the rest was in memory.
            Err(PullError::Outdated) if !is_again => {
                let (source, request) = (registry.source_of(&package), packument_request(&package));
                garden.npm_documents.forget_content(source, &request, key.content);
                is_again = true;
            }
            made => {
                let what = || "this view".to_owned();
                break made.map_err(|fault| Refusal::Pull { what: what(), fault })?;
            }
        }
    };
    match answer {
        Answer::View(view) => {
            edge::access(req).set_decision(view.decision());
            let version = if let Part::Version(version) = &part { Some(version) } else { None };
            registry.record_view((&package, version), &asking, view.decision(), rules.revision());
            Ok(FoundView { view, audience })
        }
        Answer::Refused(refused) => {
            registry.record_refusal(&refused, &asking);
            let refused = Box::new(Refused::clone(&refused));
            Err(match part {
                Part::Version(_) => Refusal::of_version(refused),
                Part::Whole | Part::Tag(_) => Refusal::of_package(refused),
            })
        }
    }
}

/// What the gate hears of a version whose file is asked for.
fn remembered<'k>(registry: &'k Registry, known: &'k Known) -> Remembered<'k> {
    let (record, stated) = (known.remembered.as_ref(), Some(&known.stated));
    Remembered { registry: Some(&registry.name), record, stated }
}

/// What the gate says of every version of a document, by the rules of now.
pub fn screened(registry: &Registry, content: &Content<Npm>, asking: &Asking) -> Screened {
    let gate = &registry.garden.gate;
    screen(gate, &gate.rules(), (&registry.name, content), asking, None)
}

fn screen_part(
    gate: &Gate,
    rules: &RuleSet,
    of: (&str, &Content<Npm>),
    asking: &Asking,
    part: &Part,
) -> Screened {
    match part {
        Part::Whole => screen(gate, rules, of, asking, None),
        Part::Version(version) => screen(gate, rules, of, asking, Some(version)),
        Part::Tag(tag) => {
            let (content, screened) = (of.1, screen(gate, rules, of, asking, None));
            match version_of_tag(&content.parsed, &shown(content, &screened), tag) {
                Some(version) => screened.chosen(&version),
                None => screened,
            }
        }
    }
}

/// What of a document may be shown, or of one version of it.
pub fn screen(
    gate: &Gate,
    rules: &RuleSet,
    (registry, content): (&str, &Content<Npm>),
    asking: &Asking,
    only: Option<&Version>,
) -> Screened {
    let packument = &content.parsed;
    let asked = packument
        .entries
        .iter()
        .filter(|entry| only.is_none_or(|only| *only == entry.version))
        .map(|entry| {
            let (record, stated) = (content.versions.get(&entry.version), Some(&entry.stated));
            (&entry.version, Remembered { registry: Some(registry), record, stated })
        });
    gate.screen(rules, &packument.package, asking, asked)
}

/// Where nothing may be shown: the reason for the newest version, which is what was meant.
fn refusal_of(content: &Content<Npm>, screened: &Screened) -> Option<Refused> {
    let packument = &content.parsed;
    let latest = packument.tags.iter().find(|(tag, _)| tag == "latest");
    let newest = latest.and_then(|(_, version)| Version::new(version).ok());
    screened.refusal(newest.as_ref())
}

fn shown<'a>(content: &'a Content<Npm>, screened: &Screened) -> Vec<Shown<'a>> {
    let entries = content.parsed.entries.iter().enumerate();
    entries
        .filter(|(index, _)| screened.shows(*index))
        .map(|(_, entry)| show(content, entry))
        .collect()
}

fn show<'a>(content: &'a Content<Npm>, entry: &'a Entry) -> Shown<'a> {
    let remembered = content.versions.get(&entry.version);
    let pinned =
        remembered.filter(|record| record.conflict.is_some()).map(|record| &*record.digests);
    Shown { entry, pinned }
}

fn restricted(screened: &Screened) -> Vec<Restricted<'_>> {
    screened
        .hidden()
        .map(|(version, decision)| Restricted { version: version.as_str(), why: why(decision) })
        .collect()
}

/// No silent downgrade: whoever would have got the newest version is told why it is another one.
fn moved_latest(
    packument: &Packument,
    screened: &Screened,
    tags: &[(String, String)],
) -> Option<String> {
    let latest = |tags: &[(String, String)]| {
        tags.iter().find(|(tag, _)| tag == "latest").map(|(_, version)| version.clone())
    };
    let (meant, offered) = (latest(&packument.tags)?, latest(tags)?);
    if meant == offered {
        return None;
    }
    let refused = screened.refused(&Version::new(&meant).ok()?)?;
    Some(format!("latest of {} is {offered} here: {}", packument.package, refused_line(&refused)))
}

fn respond_view(
    registry: &Registry,
    req: &HttpRequest,
    document: &Document,
    found: &FoundView,
    kind: Kind,
) -> HttpResponse {
    let FoundView { view, audience } = found;
    let staleness = (document.outcome == CacheOutcome::Stale)
        .then(|| Staleness { checked: document.checked(), now: registry.garden.store.clock.now() });
    let mut response = respond::view(req, view, kind, staleness);
    if let Some(notice) = &view.notice {
        // npm prints it only with an answer that it does not put into its own cache.
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // What a header can not hold is not worth an error.
        let plain: String =
            notice.chars().map(|c| if c.is_ascii_graphic() { c } else { ' ' }).collect();
        if let Ok(value) = HeaderValue::from_str(&plain) {
            response.headers_mut().insert(NOTICE, value);
        }
    }
    if !audience.is_everybody() {
        respond::to_asker_alone(&mut response);
    }
    response
}
