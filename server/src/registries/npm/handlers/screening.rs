//! A document as one asker may see it: screened by the gate, made once, and kept as a view.

use std::borrow::Cow;
use std::sync::Arc;

use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use policies::package::{Package, Version};
use policies::rules::{Audience, RuleSet};

use super::super::documents::{Entry, NpmDocuments, Shown, leads_somewhere, version_of_tag};
use super::super::refusal::Refusal;
use super::finding::{missing, pull_refusal, unknown};
use super::{NOTICE, Npm};
use crate::edge;
use crate::facts::Remembered;
use crate::gate::{Asking, Gate, Refused, Screened};
use crate::pull::PullError;
use crate::pull::content::Content;
use crate::pull::documents::{Document, Found};
use crate::pull::views::{Answer, Bindery, Bound, View};
use crate::registries::Registry;
use crate::registries::respond::Kind;
use crate::registries::viewing::{self, NoView, Viewed, Viewing};

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
    let base = registry.base_url(req).map_err(Refusal::Edge)?;
    let viewing = Viewing {
        package: &package,
        asking: &asking,
        found,
        form,
        with_reasons,
        base: Arc::clone(&base),
    };
    let (name, deciding, of) = (Arc::clone(&registry.name), asking.clone(), part.clone());
    let make = move |bindery: Bindery, content: &Content<Npm>, gate: &Gate, rules: &RuleSet| {
        let screened = screen_part(gate, rules, (&name, content), &deciding, &of);
        match refusal_of(content, &screened) {
            Some(refused) => Ok(bindery.refuse(&screened, refused)),
            None => bind(bindery, content, &screened, &base),
        }
    };
    let check = |content: &Content<Npm>| check(registry, &package, found, content, &part);
    let viewed = viewing::find::<NpmDocuments, _>(registry, req, viewing, check, make).await;
    let Viewed { answer, audience, rules } = viewed.map_err(|fault| match fault {
        NoView::Refused(refusal) => refusal,
        NoView::View(fault) => Refusal::Pull { what: "this view".to_owned(), fault },
        NoView::Document(fault) => {
            pull_refusal(package.to_string(), registry.source_of(&package), fault)
        }
    })?;
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

/// Before anything is kept.
fn check(
    registry: &Registry,
    package: &Package,
    found: &Found<Npm>,
    content: &Content<Npm>,
    part: &Part,
) -> Result<(), Refusal> {
    if content.parsed.entries.is_empty() {
        if found.document.is_own() {
            let text = format!("{package} was unpublished in all its versions");
            return Err(Refusal::NotPublished(text));
        }
        let source = registry.source_of(package);
        return Err(unknown(format!("any version of {package}"), source));
    }
    // There is no end of the tags that do not exist.
    if let Part::Tag(tag) = part
        && !leads_somewhere(&content.parsed, tag)
    {
        let what = format!("{package}@{tag}");
        let unknown = || unknown(what, registry.source_of(package));
        return Err(missing(content, tag, unknown));
    }
    Ok(())
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
    let mut response = viewing::respond_view(registry, req, document, (view, *audience), kind);
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
