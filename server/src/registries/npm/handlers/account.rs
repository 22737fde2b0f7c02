//! Who a client is: `npm whoami`, `npm login`, `npm logout`, and the token that changes ask for.
//!
//! A token is what a person has here; the name beside it is free. So the login that asks for a
//! name and a password takes the token as the password and gives it back, and there is no login by
//! a browser, which npm tries first and is told so.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use policies::package::Package;
use serde::Deserialize;
use serde_json::json;

use super::super::names::Endpoint;
use super::super::refusal::Refusal;
use super::NOTICE;
use super::body::{JsonBound, receive};
use crate::access::login::{Admitted, LoginError, Origin, login_failed};
use crate::access::passwords::PasswordError;
use crate::access::{Caller, Person};
use crate::audit::{Action, Entry};
use crate::gate::Asking;
use crate::metadata::Batch;
use crate::pull::PullError;
use crate::registries::Registry;
use crate::registries::callers::{self, Sought};
use crate::registries::own::{self, NotKnown};

/// A name, a password and some fields that nobody reads.
const LOGIN_AT_MOST: usize = 16 * 1024;
const LOGIN: JsonBound = JsonBound { bytes: LOGIN_AT_MOST, brackets: 100 };

const STAYS_VALID: &str = "npm has forgotten the token on this machine. It stays valid at this \
                           garth until it expires or is revoked: garth token revoke";

#[derive(Deserialize)]
struct Login {
    password: String,
}

/// Who asks, as the gate is told.
pub fn admit_caller(
    registry: &Registry,
    req: &HttpRequest,
    endpoint: &Endpoint,
) -> Result<Asking, Refusal> {
    let is_open = matches!(
        endpoint,
        Endpoint::Ping
            | Endpoint::Reason(_)
            | Endpoint::LegacyLogin(_)
            | Endpoint::WebLogin
            | Endpoint::Logout
    );
    // Whoever was just refused is told why by it.
    let is_counted = !matches!(endpoint, Endpoint::Reason(_));
    let sought = Sought { package: endpoint.package(), is_open, is_counted };
    Ok(callers::admit_caller(registry, req, sought)?)
}

/// Whoever changes something here has to be known.
pub fn known_caller(registry: &Registry, req: &HttpRequest) -> Result<Arc<Person>, Refusal> {
    Ok(own::known_caller(registry, req)?)
}

/// Whoever publishes this package, or changes what is published of it.
pub fn known_publisher(
    registry: &Registry,
    req: &HttpRequest,
    package: &Package,
) -> Result<Arc<Person>, Refusal> {
    Ok(own::known_publisher(registry, req, package)?)
}

impl From<NotKnown> for Refusal {
    fn from(fault: NotKnown) -> Self {
        match fault {
            NotKnown::Nobody { sent_credentials } => Self::Unauthorized { sent_credentials },
            NotKnown::Caller(fault) => fault.into(),
        }
    }
}

pub fn whoami(registry: &Registry, req: &HttpRequest) -> Result<HttpResponse, Refusal> {
    let person = known_caller(registry, req)?;
    Ok(HttpResponse::Ok().json(json!({ "username": person.name })))
}

pub async fn login(
    registry: &Registry,
    req: &HttpRequest,
    body: web::Payload,
    name: &str,
) -> Result<HttpResponse, Refusal> {
    let received = receive(req, body, LOGIN_AT_MOST, &registry.garden.login_room).await?;
    let Login { password } = received.read_json(LOGIN)?;
    let garden = registry.garden.as_ref();
    let admitted = garden.access.admit(name, &password, &Origin::of(req)).await;
    let admitted = admitted.inspect_err(|fault| garden.often.note(login_failed(name, fault)))?;
    let (person, token) = match &admitted {
        Admitted::ByToken(person) => {
            let entry = Entry::new(Action::Login).by_person(person).detail("by", &"npm login");
            let told = Batch::default().note(entry, garden.store.clock.now());
            garden
                .store
                .metadata
                .commit(told)
                .await
                .map_err(|fault| Refusal::pull(fault.into()))?;
            (&*person.name, password.trim())
        }
        Admitted::ByPassword(created) => {
            (created.token.record.owner.as_str(), created.secret.reveal())
        }
    };
    Ok(HttpResponse::build(StatusCode::CREATED)
        .insert_header((CACHE_CONTROL, HeaderValue::from_static("no-store")))
        .json(json!({
            "ok": format!("you are logged in as {person}"),
            "id": format!("org.couchdb.user:{name}"),
            "token": token,
        })))
}

/// npm asks for a name and a password then.
pub fn web_login() -> Refusal {
    Refusal::NotOffered(
        "this garth has no login by a browser; log in with your name and password, or with any \
         name and a token of this garth as the password",
    )
}

/// `npm owner` asks for a person first.
pub fn owner() -> Refusal {
    Refusal::NotOffered(
        "this garth keeps no owners of packages: whoever has a token that may publish a package \
         may publish it, as its rights say",
    )
}

/// The client forgets its token by itself. One that came of a login ends here, too.
pub async fn logout(registry: &Registry, req: &HttpRequest) -> Result<HttpResponse, Refusal> {
    let access = &registry.garden.access;
    let mut response = HttpResponse::Ok();
    if let Caller::Known(person) = access.caller(req.headers()) {
        let ended = match person.token.as_deref() {
            Some(token) => access.register().end(&person, token).await.map_err(LoginError::from)?,
            None => None,
        };
        if ended.is_none() {
            response.insert_header((NOTICE, STAYS_VALID));
        }
    }
    Ok(response.json(json!({ "ok": true })))
}

impl From<LoginError> for Refusal {
    fn from(fault: LoginError) -> Self {
        match fault {
            LoginError::Wrong => Self::WrongPassword(None),
            LoginError::Gone(gone) => Self::WrongPassword(Some(gone)),
            LoginError::Wait(wait) => Self::TooManyLogins(wait),
            LoginError::Password(PasswordError::Busy) => {
                Self::Pull { what: "this login".to_owned(), fault: PullError::Busy }
            }
            fault => {
                tracing::error!(%fault, "somebody could not be logged in or out");
                Self::Pull { what: "this login".to_owned(), fault: PullError::Internal }
            }
        }
    }
}

/// `npm token` and `npm profile`.
pub fn own_page() -> Refusal {
    Refusal::NotOffered(
        "this garth has no profiles, and keeps its tokens by its own commands: garth token create, \
         list, rotate, revoke",
    )
}
