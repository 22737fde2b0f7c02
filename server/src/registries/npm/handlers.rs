//! A paragraph an endpoint: parse, admit, pull, respond.

use std::sync::Arc;

use actix_web::http::header::{
    ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, HeaderName, HeaderValue, RANGE,
};
use actix_web::{HttpRequest, HttpResponse};
use policies::package::{Ecosystem, Package, PackageVersion, Version};
use policies::rules::RuleSet;
use policies::versions::is_prerelease;
use serde_json::json;

use super::documents::{
    Entry, Form, NpmDocuments, Offer, Packument, Shown, offered_tags, render_manifest,
    render_packument,
};
use super::names;
use super::refusal::Refusal;
use super::upstream::{packument_request, tarball_target};
use crate::edge;
use crate::gate::{Refused, Screened};
use crate::pull::artifacts::Wanted;
use crate::pull::content::Content;
use crate::pull::documents::{Document, Need};
use crate::pull::format::DocumentFormat;
use crate::pull::observe::promised;
use crate::pull::views::{Encoding, Rendered, View, ViewKey};
use crate::pull::{CacheOutcome, PullError};
use crate::registries::Registry;
use crate::registries::refusal::refused_line;
use crate::registries::respond::{self, Staleness};
use crate::upstream::Upstream;

type Npm = <NpmDocuments as DocumentFormat>::Parsed;

const ABBREVIATED: &str = "application/vnd.npm.install-v1+json";
/// npm prints it.
const NOTICE: HeaderName = HeaderName::from_static("npm-notice");
/// Until teams have tokens, everybody sees the same.
const EVERYBODY: &str = "everybody";

pub fn ping() -> HttpResponse {
    HttpResponse::Ok().json(json!({}))
}

pub async fn packument(
    registry: &Registry,
    req: &HttpRequest,
    package: Package,
) -> Result<HttpResponse, Refusal> {
    let document = find_document(registry, req, &package, Need::Fresh).await?;
    let form = requested_form(req);
    let label = match form {
        Form::Full => "packument",
        Form::Abbreviated => "abbreviated",
    };
    let screening = Screening { document: &document, form: label, only: None };
    let view = find_view(registry, req, screening, move |content, screened, base| {
        show_packument(content, screened, form, base)
    })
    .await?;
    let content_type = match form {
        Form::Full => "application/json",
        Form::Abbreviated => ABBREVIATED,
    };
    Ok(respond_view(registry, req, &document, &view, content_type))
}

pub async fn manifest(
    registry: &Registry,
    req: &HttpRequest,
    package: Package,
    selector: &str,
) -> Result<HttpResponse, Refusal> {
    // What npm does not read as a version is a tag, which only a fresh document knows.
    let is_version = is_prerelease(Ecosystem::Npm, selector).is_some();
    let exact = Version::new(selector).ok().filter(|_| is_version);
    let need = exact.clone().map_or(Need::Fresh, Need::Version);
    let mut document = find_document(registry, req, &package, need).await?;
    let mut entry = exact.and_then(|version| document.content.parsed.entry(&version));
    if entry.is_none() {
        document = find_document(registry, req, &package, Need::Fresh).await?;
        let content = &document.content;
        let screened = screen(registry, &registry.garden.gate.rules(), content, None);
        let tags = offered_tags(&content.parsed, &shown(content, &screened));
        let named = tags.into_iter().find(|(tag, _)| tag == selector).map(|(_, version)| version);
        let theirs = content.parsed.tags.iter().find(|(tag, _)| tag == selector);
        // A tag that points to what is not offered is refused for that version's reason.
        entry = named
            .or_else(|| theirs.map(|(_, version)| version.clone()))
            .and_then(|version| content.parsed.entry(&Version::new(&version).ok()?));
    }
    let entry =
        entry.ok_or_else(|| Refusal::NoSuchVersion { what: format!("{package}@{selector}") })?;
    let version = entry.version.clone();
    let screening = Screening {
        document: &document,
        form: &format!("version {version}"),
        only: Some(&version),
    };
    let shown_version = version.clone();
    let view = find_view(registry, req, screening, move |content, _, base| {
        let packument = &content.parsed;
        let body = packument
            .entry(&shown_version)
            .map(|entry| render_manifest(packument, &show(content, entry), base));
        Rendered { body: body.unwrap_or_default(), notice: None }
    })
    .await?;
    Ok(respond_view(registry, req, &document, &view, "application/json"))
}

pub async fn tarball(
    registry: &Registry,
    req: &HttpRequest,
    package: Package,
    file: &str,
) -> Result<HttpResponse, Refusal> {
    let version = names::version_of_file(&package, file);
    let need = version.clone().map_or(Need::Fresh, Need::Version);
    let document = find_document(registry, req, &package, need).await?;
    let (packument, versions) = (&document.content.parsed, &document.content.versions);
    let no_such = || Refusal::NoSuchVersion { what: format!("{file} of {package}") };
    let entry = version
        .and_then(|version| packument.entry(&version))
        .or_else(|| packument.entry_of_foreign_file(file))
        .ok_or_else(no_such)?;
    let remembered = versions.get(&entry.version);
    let subject = PackageVersion { package: package.clone(), version: entry.version.clone() };
    let access = edge::access(req);
    access.set_package(&subject);
    let admitted = registry.garden.gate.admit(subject, remembered).map_err(Refusal::Refused)?;
    access.set_decision(admitted.decision().effect);

    let source = registry.source_of(&package);
    let base = source.upstream.as_ref().map(Upstream::base);
    let wanted = Wanted {
        file: names::tarball_file(&package, &entry.version),
        target: base.and_then(|base| tarball_target(&entry.source, base)).ok_or_else(no_such)?,
        promised: promised(remembered, &entry.digests),
        partly: req.headers().contains_key(RANGE),
    };
    let artifact = registry
        .garden
        .artifacts
        .get(&admitted, source, wanted)
        .await
        .map_err(|fault| pull_refusal(format!("{}", admitted.subject()), fault))?;
    access.set_cache(artifact.outcome);
    Ok(respond::artifact(req, &admitted, artifact, "application/octet-stream"))
}

/// The abbreviated form is sent to whoever names it; nobody names it without being able to read it.
fn requested_form(req: &HttpRequest) -> Form {
    let names_it = req
        .headers()
        .get_all(ACCEPT)
        .any(|accept| accept.to_str().is_ok_and(|accept| accept.contains(ABBREVIATED)));
    if names_it { Form::Abbreviated } else { Form::Full }
}

async fn find_document(
    registry: &Registry,
    req: &HttpRequest,
    package: &Package,
    need: Need,
) -> Result<Document<Npm>, Refusal> {
    let access = edge::access(req);
    access.set_package(package);
    let source = registry.source_of(package);
    let found = registry.garden.npm_documents.get(source, packument_request(package), need).await;
    let document = found.map_err(|fault| pull_refusal(package.to_string(), fault))?;
    access.set_cache(document.outcome);
    Ok(document)
}

fn pull_refusal(what: String, fault: PullError) -> Refusal {
    Refusal::Pull { what, fault }
}

/// What a view is made of.
struct Screening<'a> {
    document: &'a Document<Npm>,
    form: &'a str,
    /// One version alone.
    only: Option<&'a Version>,
}

async fn find_view(
    registry: &Registry,
    req: &HttpRequest,
    screening: Screening<'_>,
    render: impl FnOnce(&Content<Npm>, &Screened, &str) -> Rendered + Send + 'static,
) -> Result<Arc<View>, Refusal> {
    let garden = &registry.garden;
    let base = edge::base_url(req, garden.public_url.as_ref(), &garden.trusted_proxies)
        .map_err(Refusal::Edge)?;
    let base: Arc<str> = format!("{base}/{}", registry.name).into();
    let rules = garden.gate.rules();
    let content = &screening.document.content;
    let accepted = req.headers().get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    let key = ViewKey {
        content: content.id,
        revision: rules.revision().clone(),
        audience: EVERYBODY.into(),
        form: screening.form.into(),
        base: Arc::clone(&base),
        encoding: Encoding::accepted(accepted),
    };
    let access = edge::access(req);
    if let Some(view) = garden.views.stored(&key, garden.store.clock.now()) {
        access.set_decision(view.decision());
        return Ok(view);
    }
    // By the rules that the key names: others may be in force by now.
    let screened = screen(registry, &rules, content, screening.only);
    if content.parsed.entries.is_empty() {
        let what = format!("any version of {}", content.parsed.package);
        return Err(Refusal::NoSuchVersion { what });
    }
    if let Some(refused) = refusal_of(content, &screened, screening.only) {
        return Err(Refusal::Refused(Box::new(refused)));
    }
    let content = Arc::clone(content);
    let view = garden
        .views
        .make(key, content.size, screened, move |screened| render(&content, screened, &base))
        .await
        .map_err(|fault| pull_refusal("this view".to_owned(), fault))?;
    access.set_decision(view.decision());
    Ok(view)
}

fn screen(
    registry: &Registry,
    rules: &RuleSet,
    content: &Content<Npm>,
    only: Option<&Version>,
) -> Screened {
    let packument = &content.parsed;
    let asked = packument
        .entries
        .iter()
        .filter(|entry| only.is_none_or(|only| *only == entry.version))
        .map(|entry| (&entry.version, content.versions.get(&entry.version)));
    registry.garden.gate.screen(rules, &packument.package, asked)
}

/// Where nothing may be shown: the reason for the newest version, which is what was meant.
fn refusal_of(
    content: &Content<Npm>,
    screened: &Screened,
    only: Option<&Version>,
) -> Option<Refused> {
    let packument = &content.parsed;
    let latest = packument.tags.iter().find(|(tag, _)| tag == "latest");
    let newest = latest.and_then(|(_, version)| Version::new(version).ok());
    screened.refusal(only.or(newest.as_ref()))
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
    let pinned = remembered
        .filter(|record| record.conflict.is_some())
        .map(|record| record.digests.as_slice());
    Shown { entry, pinned }
}

fn show_packument(content: &Content<Npm>, screened: &Screened, form: Form, base: &str) -> Rendered {
    let packument = &content.parsed;
    let shown = shown(content, screened);
    let tags = offered_tags(packument, &shown);
    let notice = moved_latest(packument, screened, &tags);
    let body = render_packument(&Offer { packument, shown, tags }, form, base);
    Rendered { body, notice }
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
    document: &Document<Npm>,
    view: &Arc<View>,
    content_type: &'static str,
) -> HttpResponse {
    let staleness = (document.outcome == CacheOutcome::Stale)
        .then(|| Staleness { checked: document.checked(), now: registry.garden.store.clock.now() });
    let mut response = respond::view(req, view, content_type, staleness);
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
    response
}
