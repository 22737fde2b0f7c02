//! Own packages, whatever the format: who may publish one, and why one is not taken.

use std::sync::Arc;

use actix_web::HttpRequest;
use jiff::Timestamp;
use policies::package::Package;

use super::Registry;
use super::callers::{self, CallerFault};
use crate::access::rights::Right;
use crate::access::{Caller, Person};
use crate::edge;
use crate::pull::PullError;
use crate::pull::own::{OwnError, Target};

/// Whoever changes something here has to be known.
#[derive(Debug)]
pub enum NotKnown {
    Nobody { sent_credentials: bool },
    Caller(CallerFault),
}

pub fn known_caller(registry: &Registry, req: &HttpRequest) -> Result<Arc<Person>, NotKnown> {
    match registry.garden.access.caller(req.headers()) {
        Caller::Known(person) => Ok(person),
        Caller::Anonymous => Err(NotKnown::Nobody { sent_credentials: false }),
        Caller::Unknown => Err(NotKnown::Nobody { sent_credentials: true }),
        Caller::Invalid(gone) => Err(NotKnown::Caller(CallerFault::InvalidToken(gone))),
    }
}

/// Whoever publishes this package, or changes what is published of it.
pub fn known_publisher(
    registry: &Registry,
    req: &HttpRequest,
    package: &Package,
) -> Result<Arc<Person>, NotKnown> {
    let person = known_caller(registry, req)?;
    callers::check(registry, &person, Right::Publish, package).map_err(NotKnown::Caller)?;
    Ok(person)
}

/// Where an own package is changed; refused, in these words, where the settings do not say that it is one.
/// `folded` is what it is told from others by, `spellings` tells its other ones.
pub fn target(
    registry: &Registry,
    req: &HttpRequest,
    package: &Package,
    folded: String,
    spellings: fn(&Package) -> Vec<Package>,
) -> Result<Target, String> {
    edge::access(req).set_package(package.clone());
    if !registry.is_own(package) {
        return Err(not_own(registry, package));
    }
    let source = Arc::clone(&registry.own_source);
    Ok(Target { source, package: package.clone(), folded, spellings })
}

/// Of a name that the settings do not call own.
fn not_own(registry: &Registry, package: &Package) -> String {
    let name = &registry.name;
    let patterns = registry.own_patterns();
    if patterns.is_empty() {
        return format!(
            "{package} can not be published here: this registry takes no own packages. Whoever runs this garth names them in its settings: registry.{name}.own = [\"{}\"]",
            package.name()
        );
    }
    format!(
        "{package} can not be published here: registry.{name}.own in the settings of this garth takes only {}",
        patterns.join(", ")
    )
}

pub fn published_already(what: &str) -> String {
    format!(
        "{what} is published already, and what is published does not change: publish the next version"
    )
}

pub fn published_once(what: &str) -> String {
    format!(
        "{what} was published once, and nothing else is ever published under it: publish the next version"
    )
}

/// Why a change of an own package is not made, by what whoever asked for it is told.
#[derive(Debug)]
pub enum Unmade {
    /// 409, in these words.
    Conflict(String),
    /// What was unpublished earlier has not gone whole.
    Unfinished {
        package: Box<Package>,
        since: Timestamp,
        fault: Box<PullError>,
    },
    Pull(PullError),
}

impl From<OwnError> for Unmade {
    fn from(fault: OwnError) -> Self {
        match fault {
            OwnError::Clash(package) => Self::Conflict(format!(
                "{package} is known here from the upstream, and what was installed under this name must not become something else: choose another name, or have whoever runs this garth drop what it knows of the upstream's with: garth forget {package}"
            )),
            OwnError::Collides { package, other } => Self::Conflict(format!(
                "{package} can not be told from {other}, which is published here: choose another name"
            )),
            OwnError::Unfinished { package, since, fault } => {
                Self::Unfinished { package, since, fault }
            }
            OwnError::Pull(fault) => Self::Pull(fault),
        }
    }
}
