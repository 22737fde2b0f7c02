//! A document as one asker may see it: decided by the gate, made once, kept as a view. For all
//! formats; what a view is made of is the format's business.

use std::borrow::Cow;
use std::sync::Arc;

use actix_web::http::header::{ACCEPT_ENCODING, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use policies::package::Package;
use policies::rules::{Audience, RuleSet};

use super::Registry;
use super::finding::Served;
use super::respond::{self, Kind, Staleness};
use crate::gate::{Asking, Gate};
use crate::pull::content::Content;
use crate::pull::documents::{Document, Found};
use crate::pull::views::{Answer, Bindery, Bound, Coding, View, ViewKey};
use crate::pull::{CacheOutcome, PullError};

/// Which view of which document.
pub struct Viewing<'a, P> {
    pub package: &'a Package,
    pub asking: &'a Asking,
    pub found: &'a Found<P>,
    pub form: Cow<'static, str>,
    pub with_reasons: bool,
    /// What is written into it of where it is; else the name of the registry.
    pub base: Arc<str>,
}

/// The stored answer, or a new one.
pub struct Viewed {
    pub answer: Answer,
    pub audience: Audience,
    /// By which it was decided.
    pub rules: Arc<RuleSet>,
}

/// Why there is none.
pub enum NoView<E> {
    /// The document could not be had.
    Document(PullError),
    /// The view could not be made.
    View(PullError),
    /// By the format's own word.
    Refused(E),
}

/// The stored view, else a new one: `check` looks at the document before anything is kept, and `make`
/// has the gate decide and binds what it lets through.
pub async fn find<F: Served, E>(
    registry: &Registry,
    req: &HttpRequest,
    viewing: Viewing<'_, F::Parsed>,
    check: impl Fn(&Content<F::Parsed>) -> Result<(), E>,
    make: impl Fn(Bindery, &Content<F::Parsed>, &Gate, &RuleSet) -> Result<Bound, PullError>
    + Send
    + Sync
    + 'static,
) -> Result<Viewed, NoView<E>> {
    let Viewing { package, asking, found, form, with_reasons, base } = viewing;
    let garden = &registry.garden;
    let accepted = req.headers().get_all(ACCEPT_ENCODING).map(HeaderValue::as_bytes);
    // By the rules that are asked for here, though others may be in force by then.
    let rules = garden.gate.rules();
    let audience = garden.gate.audience(&rules, package, asking);
    let mut key = ViewKey {
        content: found.document.content,
        audience,
        form,
        with_reasons,
        base,
        coding: Coding::accepted(accepted),
    };
    if let Some(answer) = garden.views.stored(&key, rules.revision(), garden.store.clock.now()) {
        return Ok(Viewed { answer, audience, rules });
    }
    let (make, mut is_again) = (Arc::new(make), false);
    let answer = loop {
        let (source, documents) = (registry.source_of(package), F::documents(garden));
        let content = documents.content(source, &F::request(package), found).await;
        let content = content.map_err(NoView::Document)?;
        check(&content).map_err(NoView::Refused)?;
        key.content = content.id;
        let (revision, size, gate) = (rules.revision().clone(), content.size, garden.gate.clone());
        let (deciding, make) = (Arc::clone(&rules), Arc::clone(&make));
        let work = move |bindery: Bindery| make(bindery, &content, &gate, &deciding);
        match garden.views.make(key.clone(), revision, size, work).await {
            // Its text went, with a change or by damage, while the rest was in memory.
            Err(PullError::Outdated) if !is_again => {
                documents.forget_content(source, &F::request(package), key.content);
                is_again = true;
            }
            made => break made.map_err(NoView::View)?,
        }
    };
    Ok(Viewed { answer, audience, rules })
}

pub fn respond_view(
    registry: &Registry,
    req: &HttpRequest,
    document: &Document,
    (view, audience): (&View, Audience),
    kind: Kind,
) -> HttpResponse {
    let staleness = (document.outcome == CacheOutcome::Stale)
        .then(|| Staleness { checked: document.checked(), now: registry.garden.store.clock.now() });
    let mut response = respond::view(req, view, kind, staleness);
    if !audience.is_everybody() {
        respond::to_asker_alone(&mut response);
    }
    response
}
