//! `/healthz`, `/readyz` and `/metrics`.
//!
//! Readiness is a list of named checks that the composition root registers as closures; each must
//! answer from memory. A degraded check (an upstream's breaker is open, a rules file is broken and
//! the last good set serves) is told and the server stays ready; a failed one makes it not ready.
//! A server that stops is not ready, whatever its checks say.

use std::borrow::Cow;
use std::fmt::Write;
use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::http::header::{ACCEPT, CACHE_CONTROL};
use actix_web::{HttpRequest, HttpResponse, web};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use super::escape::bounded;
use super::metrics::Metrics;

/// Whether the server is on its way out; shared by the edge, which sets it, and `/readyz`.
#[derive(Clone, Debug, Default)]
pub struct Lifecycle(Arc<AtomicBool>);

impl Lifecycle {
    pub fn stopping(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// From here on no new work is begun. There is no way back.
    pub fn set_stopping(&self) {
        self.0.store(true, Ordering::Release);
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckState {
    Ok,
    /// Something is wrong, and requests are still answered well.
    Degraded(String),
    Failed(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub name: Cow<'static, str>,
    pub state: CheckState,
}

impl Check {
    pub fn new(name: impl Into<Cow<'static, str>>, state: CheckState) -> Self {
        Self { name: name.into(), state }
    }
}

type Gather = Box<dyn Fn() -> Vec<Check> + Send + Sync>;

/// The registered checks. Cheap to clone.
#[derive(Clone)]
pub struct Health(Arc<HealthInner>);

struct HealthInner {
    lifecycle: Lifecycle,
    gathers: RwLock<Vec<Gather>>,
}

impl std::fmt::Debug for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Health")
    }
}

/// What the checks come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Readiness {
    Ready,
    /// Ready, with something to look at.
    Degraded,
    NotReady,
    Stopping,
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    status: Readiness,
    checks: Vec<ReportedCheck<'a>>,
}

#[derive(Debug, Serialize)]
struct ReportedCheck<'a> {
    name: &'a str,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

impl Health {
    pub fn new(lifecycle: Lifecycle) -> Self {
        Self(Arc::new(HealthInner { lifecycle, gathers: RwLock::default() }))
    }

    /// One check that is always there.
    pub fn register(
        &self,
        name: &'static str,
        state: impl Fn() -> CheckState + Send + Sync + 'static,
    ) {
        self.register_many(move || vec![Check::new(name, state())]);
    }

    /// Checks whose number may change, one for each upstream for instance.
    pub fn register_many(&self, gather: impl Fn() -> Vec<Check> + Send + Sync + 'static) {
        self.0.gathers.write().push(Box::new(gather));
    }

    pub fn checks(&self) -> Vec<Check> {
        self.0.gathers.read().iter().flat_map(|gather| gather()).collect()
    }

    pub fn readiness(&self, checks: &[Check]) -> Readiness {
        let failed = checks.iter().any(|check| matches!(check.state, CheckState::Failed(_)));
        let degraded = checks.iter().any(|check| matches!(check.state, CheckState::Degraded(_)));
        if self.0.lifecycle.stopping() {
            Readiness::Stopping
        } else if failed {
            Readiness::NotReady
        } else if degraded {
            Readiness::Degraded
        } else {
            Readiness::Ready
        }
    }
}

/// Mounts the three routes; HEAD works on each as on every GET route.
pub fn routes(health: Health, metrics: Metrics) -> impl Fn(&mut web::ServiceConfig) + Clone {
    move |cfg| {
        let (health, metrics) = (health.clone(), metrics.clone());
        cfg.route("/healthz", web::get().to(async || healthz()))
            .route("/readyz", web::get().to(move |req: HttpRequest| ready(readyz(&req, &health))))
            .route("/metrics", web::get().to(move || ready(metrics_page(&metrics))));
    }
}

fn healthz() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .content_type("text/plain; charset=utf-8")
        .body("ok\n")
}

fn readyz(req: &HttpRequest, health: &Health) -> HttpResponse {
    let checks = health.checks();
    let readiness = health.readiness(&checks);
    let mut response = match readiness {
        Readiness::Ready | Readiness::Degraded => HttpResponse::Ok(),
        Readiness::NotReady | Readiness::Stopping => HttpResponse::ServiceUnavailable(),
    };
    response.insert_header((CACHE_CONTROL, "no-store"));
    let report = report(readiness, &checks);
    let accept = req.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
    if accept.is_some_and(|accept| accept.contains("application/json")) {
        response.json(report)
    } else {
        response.content_type("text/plain; charset=utf-8").body(text(&report))
    }
}

fn metrics_page(metrics: &Metrics) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(metrics.render())
}

fn report(status: Readiness, checks: &[Check]) -> Report<'_> {
    let checks = checks
        .iter()
        .map(|check| {
            let (state, detail) = match &check.state {
                CheckState::Ok => ("ok", None),
                CheckState::Degraded(detail) => ("degraded", Some(detail.as_str())),
                CheckState::Failed(detail) => ("failed", Some(detail.as_str())),
            };
            ReportedCheck { name: &check.name, state, detail }
        })
        .collect();
    Report { status, checks }
}

fn text(report: &Report<'_>) -> String {
    let status = match report.status {
        Readiness::Ready => "ready",
        Readiness::Degraded => "ready (degraded)",
        Readiness::NotReady => "not ready",
        Readiness::Stopping => "stopping",
    };
    let mut text = format!("{status}\n");
    for check in &report.checks {
        // Writing to a String does not fail.
        let _ = write!(text, "{}: {}", check.name, check.state);
        if let Some(detail) = check.detail {
            let _ = write!(text, ": {}", bounded(detail, 500));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_worst_check_decides_and_stopping_beats_all() {
        let ok = Check::new("store", CheckState::Ok);
        let degraded = Check::new("upstream npm", CheckState::Degraded("breaker open".into()));
        let failed = Check::new("blobs", CheckState::Failed("disk gone".into()));
        let rows: [(&str, Vec<Check>, Readiness); 4] = [
            ("no checks", vec![], Readiness::Ready),
            ("all well", vec![ok.clone()], Readiness::Ready),
            ("an open breaker", vec![ok, degraded.clone()], Readiness::Degraded),
            ("a failed store", vec![degraded, failed], Readiness::NotReady),
        ];
        for (name, checks, expected) in rows {
            let lifecycle = Lifecycle::default();
            let health = Health::new(lifecycle.clone());
            assert_eq!(health.readiness(&checks), expected, "{name}");
            lifecycle.set_stopping();
            assert_eq!(health.readiness(&checks), Readiness::Stopping, "{name}");
        }
    }

    #[test]
    fn text_names_every_check_with_its_detail() {
        let health = Health::new(Lifecycle::default());
        health.register("store", || CheckState::Ok);
        health.register("rules", || CheckState::Degraded("policies/a.toml:3:1\u{1b}[31m".into()));
        let checks = health.checks();
        let text = text(&report(health.readiness(&checks), &checks));
        assert_eq!(
            text,
            "ready (degraded)\nstore: ok\nrules: degraded: policies/a.toml:3:1\\u{1b}[31m\n"
        );
    }
}
