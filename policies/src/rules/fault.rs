//! What is wrong with a rule, where, and what to write instead.

use std::fmt;

use super::{Origin, Rule};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    pub file: String,
    /// From 1; 0 where the fault is of the whole file.
    pub line: usize,
    pub column: usize,
    pub message: String,
    pub remedy: String,
}

impl Fault {
    /// A fault of the file as a whole.
    pub fn of_file(file: &str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line: 0,
            column: 0,
            message: message.into(),
            remedy: remedy.into(),
        }
    }

    /// `a.toml:3:1`, or the file alone.
    pub fn place(&self) -> String {
        match self.line {
            0 => self.file.clone(),
            line => format!("{}:{line}:{}", self.file, self.column),
        }
    }

    /// A fault of a rule as a whole.
    pub(crate) fn of_rule(
        rule: &Rule,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let (file, line, column) = match &rule.origin {
            Origin::File { file, line, column } => (file.to_string(), *line, *column),
            Origin::Api { .. } => ("the rules made through the API".to_owned(), 0, 0),
        };
        Self { file, line, column, message: message.into(), remedy: remedy.into() }
    }

    pub(crate) fn duplicate(later: &Rule, earlier: &Rule) -> Self {
        let place = match &earlier.origin {
            Origin::File { file, line, .. } => format!("{file}:{line}"),
            Origin::Api { by, .. } => format!("a rule that {by} made through the API"),
        };
        let message = format!("the name `{}` is taken by {place}", later.name);
        Self::of_rule(later, message, "give each rule a name of its own")
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place(), self.message)?;
        if !self.remedy.is_empty() {
            write!(f, "; {}", self.remedy)?;
        }
        Ok(())
    }
}
