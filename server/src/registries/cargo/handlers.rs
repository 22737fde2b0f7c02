//! A paragraph an endpoint: parse, admit, pull, respond.

mod finding;

use std::cell::Cell;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, ETAG, HeaderValue, IF_NONE_MATCH, RANGE};
use actix_web::{HttpRequest, HttpResponse};
use policies::decision::Effect;
use policies::package::{Digest, Package, PackageVersion, Version};
use policies::rules::RuleSet;
use serde_json::json;

use self::finding::{find_index, find_upstream_config, find_version, missing, remembered};
use super::documents::{CargoDocuments, IndexFile, IndexText};
use super::names;
use super::refusal::{Refusal, pull_refusal};
use super::upstream::index_request;
use crate::config::{Anonymous, Mode};
use crate::edge;
use crate::facts::Remembered;
use crate::gate::{Asking, Gate, Screened};
use crate::pull::artifacts::{Artifact, Wanted};
use crate::pull::content::Content;
use crate::pull::documents::Known;
use crate::pull::views::{Answer, Bindery};
use crate::pull::{PullError, Source};
use crate::registries::Registry;
use crate::registries::respond::{self, Kind};
use crate::registries::viewing::{self, NoView, Viewed, Viewing};
use crate::upstream::Upstream;

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

/// The lines of the allowed versions; those of all versions where none is allowed (see [`super`]).
pub async fn index(
    registry: &Registry,
    req: &HttpRequest,
    package: Package,
    asking: Asking,
) -> Result<HttpResponse, Refusal> {
    let found = find_index(registry, req, &package).await?;
    let viewing = Viewing {
        documents: &registry.garden.cargo_documents,
        package: &package,
        asking: &asking,
        found: &found,
        form: "index".into(),
        with_reasons: false,
        base: Arc::clone(&registry.name),
    };
    let (name, deciding) = (Arc::clone(&registry.name), asking.clone());
    let make =
        move |bindery: Bindery, content: &Content<IndexFile>, gate: &Gate, rules: &RuleSet| {
            let screened = screen(gate, rules, (&name, content), &deciding);
            let all = 0..content.parsed.entries.len();
            let mut shown: Vec<usize> =
                all.clone().filter(|place| screened.shows(*place)).collect();
            if shown.is_empty() {
                shown = all.collect();
            }
            bindery.bind(&screened, None, &IndexText::new(&content.parsed, shown))
        };
    let request = || index_request(&package);
    let viewed = viewing::find::<CargoDocuments, PullError>(
        registry,
        req,
        viewing,
        request,
        |_| Ok(()),
        make,
    );
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

fn screen(
    gate: &Gate,
    rules: &RuleSet,
    (registry, content): (&str, &Content<IndexFile>),
    asking: &Asking,
) -> Screened {
    let asked = content.parsed.entries.iter().map(|entry| {
        let (record, stated) = (content.versions.get(&entry.version), Some(&entry.stated));
        (&entry.version, Remembered { registry: Some(registry), record, stated })
    });
    gate.screen(rules, &content.parsed.package, asking, asked)
}

pub async fn download(
    registry: &Registry,
    req: &HttpRequest,
    package: Package,
    version: Version,
    asking: Asking,
) -> Result<HttpResponse, Refusal> {
    let (found, known) = find_version(registry, req, &package, &version).await?;
    let Some(known) = known else {
        return Err(missing(registry, &package, &version, &found).await?);
    };
    let subject = PackageVersion { package: package.clone(), version };
    let access = edge::access(req);
    access.set_package(subject.clone());
    let remembered = remembered(registry, &known);
    let admitted = registry.admit(subject, &remembered, &asking).map_err(Refusal::of_version)?;
    access.set_decision(admitted.decision().effect);

    let source = registry.source_of(&package);
    let wanted = Wanted {
        file: names::crate_file(&package, &admitted.subject().version),
        promised: Arc::clone(&known.promised),
        partly: req.headers().contains_key(RANGE),
        when_held: registry.garden.cargo_documents.when_held(
            source,
            || index_request(&package),
            &admitted.subject().version,
            &known,
        ),
    };
    let artifact = pull(registry, source, wanted, &known, &admitted).await;
    let artifact =
        artifact.map_err(|fault| pull_refusal(admitted.subject().to_string(), source, fault))?;
    access.set_cache(artifact.outcome);
    Ok(respond::artifact(req, &admitted, artifact, CRATE))
}

/// Where the upstream keeps its crates is asked only for one that is not held.
async fn pull(
    registry: &Registry,
    source: &Arc<Source>,
    wanted: Wanted,
    known: &Known,
    admitted: &crate::gate::Admitted,
) -> Result<Artifact, PullError> {
    let artifacts = &registry.garden.artifacts;
    let version = &admitted.subject().version;
    let is_unheld = Cell::new(false);
    let nowhere = |_: &Upstream| {
        is_unheld.set(true);
        None
    };
    match artifacts.get(admitted, source, wanted.clone(), nowhere).await {
        Err(PullError::Absent) if is_unheld.get() => {}
        held => return held,
    }
    let config = find_upstream_config(registry).await?;
    // The name in the index's own spelling.
    let name = &known.promise.source;
    let target = |_: &Upstream| config.target(name, version, &known.promise.digests);
    artifacts.get(admitted, source, wanted, target).await
}

/// cargo's login leads here.
pub fn me() -> HttpResponse {
    const TEXT: &str = "A token of this garth is made by whoever runs it, with garth token create. \
                        Give it to cargo with cargo login --registry NAME.\n";
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(TEXT)
}
