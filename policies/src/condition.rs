//! `when`: a condition over the facts of a version, written in CEL.
//!
//! ```text
//! text → bounds → the cel crate's parser → check: names and types → Node → ask: true, false, unknown
//! ```
//!
//! What is accepted means what CEL's specification says; what this garden does not need is a fault
//! with its place. There is no `now`: `age` and `age_here` are compared with durations alone, so an
//! answer knows when it changes by itself. Asking allocates nothing.

mod ask;
mod bounds;
mod check;
mod constant;
mod literals;
mod names;
mod node;
mod regexes;

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

pub use bounds::MAX_CONDITION;
pub(crate) use constant::Constant;
pub(crate) use literals::duration;
pub use names::VARIABLES;

use crate::facts::{Facts, Missing};
use crate::package::{Ecosystem, Package};
use crate::tri::Tri;
use node::Node;

/// A checked condition. Cheap to clone.
#[derive(Clone)]
pub struct Condition {
    text: Arc<str>,
    root: Arc<Node>,
    facts: Missing,
}

/// What is wrong with a condition, where, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionFault {
    /// Byte of the condition's text.
    pub at: usize,
    pub message: String,
    pub remedy: String,
}

/// What a condition is asked about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub package: &'a Package,
    pub version: &'a str,
    pub facts: &'a Facts<'a>,
}

/// What a condition says of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub tri: Tri,
    /// The answer holds until then, whatever becomes of the time.
    pub until: Timestamp,
    /// Why it is unknown; empty where it is known.
    pub missing: Missing,
}

impl Condition {
    /// The condition, or everything that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Vec<ConditionFault>> {
        bounds::check(text).map_err(|fault| vec![fault])?;
        let root = check::compile(text)?;
        let facts = root.facts();
        Ok(Self { text: text.into(), root: Arc::new(root), facts })
    }

    /// The facts that it asks for; what others are matters nothing to its answer.
    pub fn facts(&self) -> Missing {
        self.facts
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it says whatever the facts are, of packages of these ecosystems; `None` where it may say
    /// both.
    pub(crate) fn constant(&self, ecosystems: &[Ecosystem]) -> Option<Constant> {
        constant::constant(&self.root, ecosystems)
    }

    pub(crate) fn ask(&self, subject: &Subject<'_>) -> Answer {
        ask::ask(&self.root, subject)
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Condition").field(&self.text).finish()
    }
}

#[cfg(test)]
mod tests;
