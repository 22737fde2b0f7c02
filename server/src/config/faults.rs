//! What is wrong with a configuration, where, and what to write instead.

use std::fmt;

/// One fault. A load collects all of them, so that a person corrects a file once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFault {
    pub place: Place,
    /// What is wrong and what was expected. Never holds the value of a secret or of a URL.
    pub message: String,
    pub remedy: Option<String>,
}

/// Where a setting was given.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Line {
        file: String,
        line: usize,
        column: usize,
    },
    File(String),
    Variable(String),
    /// An option of the command line, such as `--listen`.
    Argument(&'static str),
    /// Nowhere: built in, or discovered.
    Default,
}

impl ConfigFault {
    pub(super) fn new(place: &Place, message: impl Into<String>) -> Self {
        Self { place: place.clone(), message: message.into(), remedy: None }
    }

    pub(super) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)?;
        match &self.remedy {
            Some(remedy) => write!(f, "; {remedy}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ConfigFault {}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Self::File(file) => f.write_str(file),
            Self::Variable(name) => f.write_str(name),
            Self::Argument(name) => f.write_str(name),
            Self::Default => f.write_str("garth"),
        }
    }
}

/// The candidate that `wrong` was most likely meant to be, if one is near enough to name.
pub(super) fn nearest<'a>(
    wrong: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (likeness(wrong, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.6)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// Slips of the finger (letters swapped, left out, doubled) count more than a common beginning.
fn likeness(a: &str, b: &str) -> f64 {
    let slips = strsim::normalized_damerau_levenshtein(a, b);
    let beginning = strsim::jaro_winkler(a, b);
    if beginning > 0.9 { slips.max(beginning) } else { slips }
}
