//! One right and its limits, as people write it.
//!
//! ```text
//! publish                                  everywhere
//! publish=npm:@acme/*                      for these packages
//! publish=npm:@acme/*,npm:acme-*           for these and those
//! read=npm:@acme/*,registry:npm-own        for these, in this registry
//! promote=environment:prod                 into this environment
//! ```

use std::fmt;
use std::sync::Arc;

use policies::asker::is_word;
use policies::rules::{Pattern, nearest};

use super::{Place, Right};

/// Limits of one grant.
const MAX_LIMITS: usize = 20;
/// A longer text is no right that a person could follow, and a token keeps several.
const LONGEST: usize = 1000;
const REGISTRY: &str = "registry:";
const ENVIRONMENT: &str = "environment:";

/// Of several limits of one kind one has to be met, and of each kind that there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    pub right: Right,
    /// Empty: all of them, and what is no package.
    packages: Vec<Pattern>,
    registries: Vec<Arc<str>>,
    environments: Vec<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrantFault {
    #[error("there is no right {text:?}{}: there are {}", hint(near.as_deref()), names().join(", "))]
    NoSuchRight { text: String, near: Option<String> },
    #[error("{0}")]
    Invalid(String),
}

fn names() -> [&'static str; 5] {
    Right::ALL.map(Right::as_str)
}

fn hint(near: Option<&str>) -> String {
    near.map(|near| format!("; did you mean {near}?")).unwrap_or_default()
}

/// What a limit speaks of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Packages,
    Registry,
    Environment,
}

/// A limit that nothing could ever meet is a mistake of whoever writes it.
const fn takes(right: Right, kind: Kind) -> bool {
    match right {
        Right::Read => true,
        Right::Publish => matches!(kind, Kind::Packages | Kind::Registry),
        Right::Approve => matches!(kind, Kind::Packages | Kind::Environment),
        Right::Promote => matches!(kind, Kind::Environment),
        Right::Administer => matches!(kind, Kind::Packages),
    }
}

impl Grant {
    pub const fn whole(right: Right) -> Self {
        Self { right, packages: Vec::new(), registries: Vec::new(), environments: Vec::new() }
    }

    pub fn parse(text: &str) -> Result<Self, GrantFault> {
        let invalid = |why: String| Err(GrantFault::Invalid(why));
        let (name, limits) = match text.split_once('=') {
            Some((name, limits)) => (name, Some(limits)),
            None => (text, None),
        };
        let Some(right) = Right::parse(name.trim()) else {
            let near = nearest(name, &names()).map(str::to_owned);
            return Err(GrantFault::NoSuchRight { text: name.chars().take(60).collect(), near });
        };
        let mut grant = Self::whole(right);
        let Some(limits) = limits else { return Ok(grant) };
        if text.len() > LONGEST || limits.split(',').count() > MAX_LIMITS {
            return invalid(format!(
                "a right is at most {LONGEST} bytes long and has at most {MAX_LIMITS} limits"
            ));
        }
        let mut is_everything = false;
        for limit in limits.split(',').map(str::trim) {
            let kind = if let Some(name) = limit.strip_prefix(REGISTRY) {
                grant.registries.push(word(limit, name)?);
                Kind::Registry
            } else if let Some(name) = limit.strip_prefix(ENVIRONMENT) {
                grant.environments.push(word(limit, name)?);
                Kind::Environment
            } else {
                let pattern = Pattern::parse(limit)
                    .map_err(|fault| GrantFault::Invalid(fault.to_string()))?;
                if matches!(pattern, Pattern::In(..)) {
                    return invalid(format!("{limit}: a right is for packages, not for versions"));
                }
                is_everything |= pattern == Pattern::Everything;
                grant.packages.push(pattern);
                Kind::Packages
            };
            if !takes(right, kind) {
                return invalid(format!("{limit}: the right {right} has no limit of this kind"));
            }
        }
        if is_everything {
            grant.packages.clear();
        }
        Ok(grant)
    }

    pub const fn is_whole(&self) -> bool {
        self.packages.is_empty() && self.registries.is_empty() && self.environments.is_empty()
    }

    pub fn reaches(&self, place: &Place<'_>) -> bool {
        let package =
            |package| self.packages.iter().any(|pattern: &Pattern| pattern.matches(package));
        (self.packages.is_empty() || place.package.is_some_and(package))
            && names_it(&self.registries, place.registry)
            && names_it(&self.environments, place.environment)
    }

    pub fn reaches_all(&self, pattern: &Pattern) -> bool {
        // The range of some versions is within the package that it is of.
        let within = |ours: &Pattern| match pattern {
            Pattern::In(package, _) => ours.matches(package),
            pattern => ours.covers(pattern),
        };
        let is_anywhere = self.registries.is_empty() && self.environments.is_empty();
        is_anywhere && (self.packages.is_empty() || self.packages.iter().any(within))
    }

    /// Whether it gives all that `other` gives; certain where it says so.
    pub fn covers(&self, other: &Self) -> bool {
        let package = |theirs: &Pattern| self.packages.iter().any(|pattern| pattern.covers(theirs));
        let packages = self.packages.is_empty()
            || !other.packages.is_empty() && other.packages.iter().all(package);
        self.right == other.right
            && packages
            && all_named(&self.registries, &other.registries)
            && all_named(&self.environments, &other.environments)
    }
}

fn names_it(names: &[Arc<str>], name: Option<&str>) -> bool {
    names.is_empty() || name.is_some_and(|name| names.iter().any(|own| **own == *name))
}

fn all_named(ours: &[Arc<str>], theirs: &[Arc<str>]) -> bool {
    ours.is_empty() || !theirs.is_empty() && theirs.iter().all(|name| ours.contains(name))
}

fn word(limit: &str, name: &str) -> Result<Arc<str>, GrantFault> {
    if is_word(name) {
        return Ok(name.into());
    }
    let limit: String = limit.chars().take(60).collect();
    Err(GrantFault::Invalid(format!("{limit:?} names nothing that garth.toml could have")))
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let packages = self.packages.iter().map(ToString::to_string);
        let registries = self.registries.iter().map(|name| format!("{REGISTRY}{name}"));
        let environments = self.environments.iter().map(|name| format!("{ENVIRONMENT}{name}"));
        let limits: Vec<String> = packages.chain(registries).chain(environments).collect();
        f.write_str(self.right.as_str())?;
        if limits.is_empty() { Ok(()) } else { write!(f, "={}", limits.join(",")) }
    }
}
