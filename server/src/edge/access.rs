//! The one access line of each request.
//!
//! Handlers tell what they know through [`access`]; the line is written when the answer's body is
//! finished or dropped, whichever comes first, and the metrics with it.

use std::any::Any;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix_http::Request;
use actix_http::error::ParseError;
use actix_web::HttpMessage;
use actix_web::http::header::{HeaderValue, USER_AGENT};
use actix_web::http::{Method, Uri};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::request_id::RequestId;
use crate::observability::escape;
use crate::observability::metrics::RequestSample;
use crate::observability::{AlarmKind, CacheOutcome, DecisionLabel, Metrics};
use crate::person::Person;

/// What a handler knows of its request, for the access line. Cheap to clone, and may be filled
/// from any task that works for the request.
#[derive(Clone)]
pub struct Access(Arc<Inner>);

struct Inner {
    begun: Instant,
    id: RequestId,
    head: bool,
    peer: Option<IpAddr>,
    /// Who sent it, once that is known.
    person: OnceLock<Arc<Person>>,
    fields: Mutex<Fields>,
}

#[derive(Default)]
struct Fields {
    /// What stands for a path that no log may hold.
    path: Option<String>,
    registry: Option<Arc<str>>,
    /// Written out once, in the line.
    package: Option<Box<dyn fmt::Display + Send>>,
    decision: DecisionLabel,
    cache: CacheOutcome,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Access").field(&self.0.id).finish()
    }
}

/// The access record of a request that came through the edge; a request that a unit test made by
/// hand gets one that nobody reads.
pub fn access(req: &impl HttpMessage) -> Access {
    req.extensions()
        .get::<Access>()
        .cloned()
        .unwrap_or_else(|| Access::new(RequestId::from_header(None), false, None))
}

tokio::task_local! {
    static CURRENT: Access;
}

/// Of the request that is being answered; none in work that goes on by itself.
pub fn current() -> Option<Access> {
    CURRENT.try_with(Clone::clone).ok()
}

/// Work for a request, wherever it is done: what it writes into the audit log is of that request.
pub async fn on_behalf_of<F: Future>(access: Option<Access>, work: F) -> F::Output {
    match access {
        Some(access) => CURRENT.scope(access, work).await,
        None => work.await,
    }
}

impl Access {
    pub(super) fn new(id: RequestId, head: bool, peer: Option<SocketAddr>) -> Self {
        let peer = peer.map(|peer| peer.ip().to_canonical());
        let (begun, person, fields) = (Instant::now(), OnceLock::new(), Mutex::default());
        Self(Arc::new(Inner { begun, id, head, peer, person, fields }))
    }

    /// Where it came from.
    pub fn address(&self) -> Option<IpAddr> {
        self.0.peer
    }

    /// Whoever finds out who sent it says so here.
    pub fn set_person(&self, person: &Arc<Person>) {
        self.0.person.get_or_init(|| Arc::clone(person));
    }

    pub fn person(&self) -> Option<&Arc<Person>> {
        self.0.person.get()
    }

    pub fn request_id(&self) -> &RequestId {
        &self.0.id
    }

    /// The client asked by HEAD; the handler sees GET, and its body is never asked for a byte.
    pub fn is_head(&self) -> bool {
        self.0.head
    }

    /// A configured registry's name, and only that: it is a label of metrics.
    pub fn set_registry(&self, registry: impl Into<Arc<str>>) -> &Self {
        self.0.fields.lock().registry = Some(registry.into());
        self
    }

    /// The line shows this in place of the path, where a path holds a secret.
    pub fn show_path(&self, path: String) -> &Self {
        self.0.fields.lock().path = Some(path);
        self
    }

    pub fn set_package(&self, package: impl fmt::Display + Send + 'static) -> &Self {
        self.0.fields.lock().package = Some(Box::new(package));
        self
    }

    pub fn set_decision(&self, decision: impl Into<DecisionLabel>) -> &Self {
        self.0.fields.lock().decision = decision.into();
        self
    }

    pub fn set_cache(&self, cache: CacheOutcome) -> &Self {
        self.0.fields.lock().cache = cache;
        self
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.0.begun.elapsed()
    }
}

/// Writes the line when it is dropped. It borrows the request's own buffers until then.
pub(super) struct Line {
    metrics: Metrics,
    access: Access,
    method: Method,
    uri: Uri,
    peer: Option<SocketAddr>,
    agent: Option<HeaderValue>,
    /// 0 while no answer was made.
    pub(super) status: u16,
    pub(super) bytes: u64,
    pub(super) first_byte: Option<Duration>,
    pub(super) complete: bool,
}

impl Line {
    pub(super) fn new(metrics: Metrics, access: Access, req: &Request) -> Self {
        Self {
            metrics,
            access,
            method: req.method().clone(),
            uri: req.uri().clone(),
            peer: req.peer_addr(),
            agent: req.headers().get(USER_AGENT).cloned(),
            status: 0,
            bytes: 0,
            first_byte: None,
            complete: false,
        }
    }

    pub(super) fn request_id(&self) -> &RequestId {
        &self.access.0.id
    }
}

impl Line {
    /// A panic is a fault of ours: told loudly, with the request that met it.
    pub(super) fn report_panic(&self, panic: &(dyn Any + Send)) {
        let text = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        self.metrics.alarm(AlarmKind::Panic);
        tracing::error!(
            request_id = %self.request_id(),
            panic = %escape::bounded(text, 1000),
            "a handler panicked; the server goes on"
        );
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let total = self.access.elapsed();
        let first_byte = self.first_byte.unwrap_or(total);
        let peer = self.peer.as_ref().map(tracing::field::display);
        let agent = self.agent.as_ref().map(|agent| String::from_utf8_lossy(agent.as_bytes()));
        let fields = self.access.0.fields.lock();
        let registry = fields.registry.as_deref().unwrap_or_default();
        let package = fields.package.as_ref().map(ToString::to_string).unwrap_or_default();
        self.metrics.request(&RequestSample {
            registry,
            decision: fields.decision,
            cache: fields.cache,
            status: self.status,
            bytes: self.bytes,
            first_byte,
            total,
        });
        tracing::info!(
            target: "access",
            request_id = %self.access.0.id,
            method = %escape::bounded(self.method.as_str(), 16),
            path = %escape::bounded(fields.path.as_deref().unwrap_or(self.uri.path()), 512),
            status = self.status,
            bytes = self.bytes,
            registry = %escape::bounded(registry, 64),
            package = %escape::bounded(&package, 256),
            decision = fields.decision.as_str(),
            cache = fields.cache.as_str(),
            first_byte_ms = %Millis(first_byte),
            total_ms = %Millis(total),
            peer,
            agent = %escape::bounded(agent.as_deref().unwrap_or_default(), 128),
            aborted = !self.complete,
        );
    }
}

/// The line of what was so malformed that it never became a request; actix-http answered it.
pub(super) fn refused_by_parser(peer: SocketAddr, error: &ParseError) {
    let status: u16 = if matches!(error, ParseError::TooLarge) { 431 } else { 400 };
    tracing::info!(
        target: "access",
        status,
        %peer,
        malformed = %escape::bounded(&error.to_string(), 128),
    );
}

/// With a tenth, in the text as in JSON.
struct Millis(Duration);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (self.0.as_micros() + 50) / 100;
        write!(f, "{}.{}", tenths / 10, tenths % 10)
    }
}
