//! Who asks a registry, and whether they may: the same for all formats.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::Method;
use policies::package::Package;

use super::Registry;
use crate::access::login::Origin;
use crate::access::rates::{Doing, TooOften};
use crate::access::rights::{Place, Right};
use crate::access::table::Gone;
use crate::access::{Caller, Person};
use crate::config::Anonymous;
use crate::gate::Asking;

/// Why somebody is not served.
#[derive(Debug)]
pub enum CallerFault {
    /// Nothing is served here without a token.
    TokenNeeded,
    /// What was sent as a token of ours is none, or none any more.
    InvalidToken(Option<Gone>),
    /// Whoever asks does so too often.
    TooOften(TooOften),
    /// The token is known, and may not do this.
    Lacks { right: Right, line: String },
}

/// What is asked for, as far as it matters who asks.
#[derive(Clone, Copy, Debug)]
pub struct Sought<'a> {
    /// The one package that it is about.
    pub package: Option<&'a Package>,
    /// Told to anybody, whatever they sent.
    pub is_open: bool,
    pub is_counted: bool,
}

/// Who asks, as the gate is told. Refused is a token of ours that is not valid, wherever it counts
/// who sent it.
pub fn admit_caller(
    registry: &Registry,
    req: &HttpRequest,
    sought: Sought<'_>,
) -> Result<Asking, CallerFault> {
    let access = &registry.garden.access;
    let caller = access.caller(req.headers());
    if sought.is_counted {
        access.count(&caller, &Origin::of(req), Doing::Asks).map_err(CallerFault::TooOften)?;
    }
    match caller {
        _ if sought.is_open => Ok(caller.asking()),
        Caller::Invalid(gone) => Err(CallerFault::InvalidToken(gone)),
        Caller::Anonymous | Caller::Unknown if registry.garden.anonymous == Anonymous::Nothing => {
            Err(CallerFault::TokenNeeded)
        }
        caller => {
            if req.method() == Method::GET {
                check_reader(registry, &caller, sought.package)?;
            }
            Ok(caller.asking())
        }
    }
}

/// Whoever may read some packages alone is served no others. What is changed asks for more.
fn check_reader(
    registry: &Registry,
    caller: &Caller,
    package: Option<&Package>,
) -> Result<(), CallerFault> {
    match (caller, package) {
        (Caller::Known(person), Some(package)) => check(registry, person, Right::Read, package),
        _ => Ok(()),
    }
}

pub fn check(
    registry: &Registry,
    person: &Person,
    right: Right,
    package: &Package,
) -> Result<(), CallerFault> {
    let place = Place::in_registry(&registry.name, package);
    person.check(right, &place).map_err(|line| CallerFault::Lacks { right, line })
}

/// Of what may be read, for whoever sees more than one package at once.
pub fn readable(
    registry: &Registry,
    req: &HttpRequest,
) -> impl Fn(&Package) -> bool + Send + use<> {
    let caller = registry.garden.access.caller(req.headers());
    let name = Arc::clone(&registry.name);
    move |package| match &caller {
        Caller::Known(person) => person.may_at(Right::Read, &Place::in_registry(&name, package)),
        Caller::Anonymous | Caller::Unknown | Caller::Invalid(_) => true,
    }
}
