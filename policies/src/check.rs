//! Policy files as a pipeline hands them in: everything that is wrong or pointless in them.

use jiff::Timestamp;

use crate::expect::Expectation;
use crate::rules::{Fault, PolicyFile, RuleSet, parse_file};

/// One policy file.
#[derive(Clone, Debug)]
pub struct Text {
    /// Its name as a person should see it.
    pub file: String,
    pub text: String,
}

/// Whether somebody has to do something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// A server refuses it, or by itself it can never do what it says.
    Error,
    /// It is pointless beside the others, or by now.
    Warning,
}

#[derive(Clone, Debug)]
pub struct Finding {
    pub severity: Severity,
    pub fault: Fault,
}

/// What came of a check.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    pub findings: Vec<Finding>,
}

impl Checked {
    pub fn warnings(&self) -> usize {
        self.findings.iter().filter(|finding| finding.severity == Severity::Warning).count()
    }
}

/// The rules and expectations of all files together, or every fault in them.
pub fn compile(texts: &[Text]) -> Result<(RuleSet, Vec<Expectation>), Vec<Fault>> {
    let mut all = PolicyFile::default();
    let mut faults = Vec::new();
    for Text { file, text } in texts {
        match parse_file(file, text) {
            Ok(read) => {
                all.rules.extend(read.rules);
                all.expectations.extend(read.expectations);
            }
            Err(more) => faults.extend(more),
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok((RuleSet::compile(all.rules)?, all.expectations))
}

/// Everything that is wrong or pointless at this moment.
pub fn check(texts: &[Text], now: Timestamp) -> Checked {
    let found = |severity| move |fault| Finding { severity, fault };
    let findings = match compile(texts) {
        Ok((set, _)) => set.findings(now).into_iter().map(found(Severity::Warning)).collect(),
        Err(faults) => faults.into_iter().map(found(Severity::Error)).collect(),
    };
    Checked { findings }
}
