//! The route table: each endpoint is written down once, with its method, its path, what it takes to
//! be let in, its handler and what it answers.
//!
//! From it come the routes that are mounted, the check of rights before each handler, the sizes of
//! bodies, what is said of an unknown path, and the OpenAPI document. An endpoint that is not in it
//! is not there; one that is in it cannot be reached without its check.

mod describe;
mod mount;

use std::sync::LazyLock;

use actix_web::http::Method;
use actix_web::{FromRequest, Handler, HttpRequest, Responder, Route, web};
use utoipa::openapi::path::Parameter;
use utoipa::openapi::request_body::RequestBody;
use utoipa::openapi::{RefOr, Response, Schema};

use super::form::version::Deprecated;
use super::{
    Api, advisories, closures, decisions, docs, events, exchange, forget, jobs, log, login,
    packages, people, providers, recorded, requests, roles, rules, statistics, status, teams,
    tokens, trials, waivers, webhooks,
};
use crate::access::Person;
use crate::access::rights::{Place, Right};

pub use describe::{SESSION, TOKEN};
pub use mount::mount;

/// Every endpoint, with those of one path beside each other, and fixed paths before patterns that
/// they match.
static TABLE: LazyLock<Vec<Endpoint>> = LazyLock::new(|| {
    let mut all: Vec<Endpoint> = [
        rules::endpoints(),
        decisions::endpoints(),
        closures::endpoints(),
        packages::endpoints(),
        status::endpoints(),
        statistics::endpoints(),
        jobs::endpoints(),
        waivers::endpoints(),
        recorded::endpoints(),
        trials::endpoints(),
        advisories::endpoints(),
        requests::endpoints(),
        tokens::endpoints(),
        exchange::endpoints(),
        roles::endpoints(),
        people::endpoints(),
        login::endpoints(),
        providers::endpoints(),
        teams::endpoints(),
        events::endpoints(),
        webhooks::endpoints(),
        forget::endpoints(),
        log::endpoints(),
        docs::endpoints(),
    ]
    .into_iter()
    .flatten()
    .collect();
    all.sort_by_cached_key(|endpoint| {
        let is_pattern = |part: &str| (part.starts_with('{'), part.to_owned());
        endpoint.path.split('/').map(is_pattern).collect::<Vec<_>>()
    });
    all
});

pub fn table() -> &'static [Endpoint] {
    &TABLE
}

/// What lets somebody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: it tells nothing of this garden, and changes nothing.
    Nothing,
    /// The right to read something; nothing where everybody may read.
    ReadOrNobody,
    /// A token.
    Token,
    /// This right for something: the handler looks whether it is for what is asked.
    Some(Right),
    /// This right, for everything.
    Whole(Right),
}

pub const READ: Needs = Needs::Whole(Right::Read);
pub const ADMINISTER: Needs = Needs::Whole(Right::Administer);

impl Needs {
    /// The right, as the OpenAPI document has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "none",
            Self::Token => "token",
            Self::ReadOrNobody => Right::Read.as_str(),
            Self::Some(right) | Self::Whole(right) => right.as_str(),
        }
    }

    /// What is missing, in words.
    fn check(self, person: &Person) -> Result<(), String> {
        match self {
            Self::Nothing | Self::Token => Ok(()),
            Self::ReadOrNobody => Self::Some(Right::Read).check(person),
            Self::Some(right) if person.may_somewhere(right) => Ok(()),
            Self::Some(right) | Self::Whole(right) => person.check(right, &Place::default()),
        }
    }
}

/// By their names.
type Schemas = Vec<(String, RefOr<Schema>)>;

type Mount = Box<dyn Fn() -> Route + Send + Sync>;

/// One method of one path.
pub struct Endpoint {
    /// `list_rules`: unique, stable, a name for those who make clients of the document.
    pub id: &'static str,
    pub method: Method,
    /// Below the base, with `{name}` for a part that varies.
    pub path: &'static str,
    pub needs: Needs,
    /// One line.
    pub summary: &'static str,
    /// Whatever else there is to know.
    note: &'static str,
    /// Larger than what is taken elsewhere.
    body_limit: Option<u64>,
    parameters: Vec<Parameter>,
    body: Option<RequestBody>,
    answers: Vec<(u16, Response)>,
    /// Codes of problems beside those that every endpoint has.
    problems: Vec<&'static str>,
    /// Made when the document is: they are large.
    schemas: Vec<fn(&mut Schemas)>,
    /// Types of answers besides JSON.
    others: Vec<&'static str>,
    once: Option<Once>,
    tag_of: Option<TagOf>,
    deprecated: Option<Deprecated>,
    mount: Mount,
}

/// A client may give a key under which the change is done once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Once {
    Kept,
    /// The answer has a secret in it, which is shown once.
    Secret,
}

/// The tag of what is at a path now; `None` where nothing is.
type TagOf = fn(&Api, &HttpRequest) -> Option<String>;

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

macro_rules! method {
    ($name:ident, $method:ident) => {
        pub fn $name<H, A>(
            id: &'static str,
            path: &'static str,
            needs: Needs,
            summary: &'static str,
            handler: H,
        ) -> Endpoint
        where
            H: Handler<A> + Send + Sync,
            A: FromRequest + 'static,
            H::Output: Responder + 'static,
        {
            let mount = move || web::$name().to(handler.clone());
            Endpoint::new(Method::$method, id, path, needs, summary, Box::new(mount))
        }
    };
}

method!(get, GET);
method!(post, POST);
method!(put, PUT);
method!(patch, PATCH);
method!(delete, DELETE);

impl Endpoint {
    fn new(
        method: Method,
        id: &'static str,
        path: &'static str,
        needs: Needs,
        summary: &'static str,
        mount: Mount,
    ) -> Self {
        Self {
            id,
            method,
            path,
            needs,
            summary,
            note: "",
            body_limit: None,
            parameters: Vec::new(),
            body: None,
            answers: Vec::new(),
            problems: Vec::new(),
            schemas: Vec::new(),
            others: Vec::new(),
            once: None,
            tag_of: None,
            deprecated: None,
            mount,
        }
    }

    /// Whether this endpoint is meant by a path below its base. A part that varies is never empty.
    fn is_at(&self, path: &str) -> bool {
        let (mut ours, mut theirs) = (self.path.split('/'), path.split('/'));
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) => return true,
                (Some(our), Some(their)) if our == their => {}
                (Some(our), Some(their)) if our.starts_with('{') && !their.is_empty() => {}
                _ => return false,
            }
        }
    }
}

/// How large a body may be at this path, where more is taken than elsewhere.
pub fn body_limit(method: &Method, path: &str) -> Option<u64> {
    let rest = super::BASES.iter().find_map(|base| path.strip_prefix(base))?;
    let mut large = table().iter().filter(|endpoint| endpoint.body_limit.is_some());
    large.find(|endpoint| endpoint.method == *method && endpoint.is_at(rest))?.body_limit
}
