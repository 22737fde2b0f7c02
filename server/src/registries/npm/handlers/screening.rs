//! A document as one asker may see it: screened by the gate, made once, and kept as a view.

use std::borrow::Cow;
use std::sync::Arc;

use actix_web::http::header::{ACCEPT_ENCODING, CACHE_CONTROL, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use policies::package::{Package, Version};
use policies::rules::{Audience, RuleSet};

use super::super::documents::{Entry, Shown, leads_somewhere, version_of_tag};
use super::super::refusal::Refusal;
use super::super::upstream::packument_request;
use super::finding::{find_content, missing, unknown};
use super::{NOTICE, Npm};
use crate::edge;
use crate::facts::Remembered;
use crate::gate::{Asking, Gate, Refused, Screened};
use crate::pull::content::Content;
use crate::pull::documents::{Document, Found};
use crate::pull::views::{Answer, Bindery, Bound, Coding, View, ViewKey};
use crate::pull::{CacheOutcome, PullError};
use crate::registries::Registry;
use crate::registries::respond::{self, Kind, Staleness};

/// What a view is made of.
pub struct Screening<'a> {
    pub package: Package,
    pub asking: Asking,
    pub found: &'a Found<Npm>,
    pub form: Cow<'static, str>,
    pub with_reasons: bool,
    pub part: Part,
}

/// What of a document is looked at.
#[derive(Clone)]
pub enum Part {
    Whole,
    Version(Version),
    /// The version that this tag leads to here.
    Tag(String),
}

pub struct FoundView {
    view: Arc<View>,
    audience: Audience,
}

/// The stored view, else a new one: `bind` is called when the gate has let something through.
pub async fn find_view(
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

pub fn shown<'a>(content: &'a Content<Npm>, screened: &Screened) -> Vec<Shown<'a>> {
    let entries = content.parsed.entries.iter().enumerate();
    entries
        .filter(|(index, _)| screened.shows(*index))
        .map(|(_, entry)| show(content, entry))
        .collect()
}

pub fn show<'a>(content: &'a Content<Npm>, entry: &'a Entry) -> Shown<'a> {
    let remembered = content.versions.get(&entry.version);
    let pinned =
        remembered.filter(|record| record.conflict.is_some()).map(|record| &*record.digests);
    Shown { entry, pinned }
}

pub fn respond_view(
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
