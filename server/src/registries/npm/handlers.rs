//! A paragraph an endpoint: parse, admit, pull, respond.

pub mod account;
pub mod audit;
mod body;
pub mod finding;
pub mod keys;
pub mod screening;
pub mod search;

use std::sync::Arc;

use actix_web::http::header::{ACCEPT, HeaderName, RANGE, USER_AGENT};
use actix_web::{HttpRequest, HttpResponse};
use policies::package::{Ecosystem, Package, PackageVersion, Version};
use policies::versions::is_prerelease;
use serde_json::{Value, json};

use self::finding::{missing, pull_refusal, unknown};
use self::screening::{Part, Screening, find_view, respond_view, show, shown};
use super::documents::restrictions::{self, Restricted};
use super::documents::{
    Form, NpmDocuments, Offer, Packument, PackumentText, offered_tags, render_manifest,
};
use super::names;
use super::refusal::Refusal;
use super::upstream::{packument_request, tarball_target};
use crate::edge;
use crate::gate::{Asking, Screened};
use crate::pull::artifacts::Wanted;
use crate::pull::documents::Need;
use crate::pull::format::DocumentFormat;
use crate::registries::Registry;
use crate::registries::finding::{find_content, find_document, find_version, remembered};
use crate::registries::refusal::{refused_line, why};
use crate::registries::respond::{self, Kind};
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
    let found = find_document::<NpmDocuments>(registry, req, &package, Need::Fresh).await?;
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
        let (found, is_known) =
            find_version::<NpmDocuments>(registry, req, &package, &version).await?;
        known = is_known.map(|_| (found, version));
    }
    let (found, part, form) = if let Some((found, version)) = known {
        let form = format!("version {version}");
        (found, Part::Version(version), form)
    } else {
        let found = find_document::<NpmDocuments>(registry, req, &package, Need::Fresh).await?;
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
        (found, known) = find_version::<NpmDocuments>(registry, req, &package, version).await?;
        is_own = found.document.is_own();
    }
    if known.is_none() {
        // A name that is not ours: the upstream's own, which a lockfile may carry.
        let found = find_document::<NpmDocuments>(registry, req, &package, Need::Fresh).await?;
        let content = find_content::<NpmDocuments>(registry, &package, &found).await?;
        let ours = version.as_ref().and_then(|version| content.parsed.entry(version));
        let entry = ours.or_else(|| content.parsed.entry_of_foreign_file(file));
        let named = version.as_ref().map_or(file, Version::as_str);
        let entry = entry.ok_or_else(|| missing(&content, named, no_such))?;
        version = Some(entry.version.clone());
        is_own = found.document.is_own();
        (_, known) = find_version::<NpmDocuments>(registry, req, &package, &entry.version).await?;
    }
    let (Some(known), Some(version)) = (known, version) else { return Err(no_such()) };
    let subject = PackageVersion { package: package.clone(), version };
    let access = edge::access(req);
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
    let found = find_document::<NpmDocuments>(registry, req, &package, Need::Fresh).await?;
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
