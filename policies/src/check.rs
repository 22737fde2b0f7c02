//! Policy files as a pipeline hands them in: everything that is wrong or pointless in them, in the
//! order of the files.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::approval::{self, Approval};
use crate::expect::Expectation;
use crate::package::{Ecosystem, Package};
use crate::rules::{Code, Fault, Field, Finding, Pattern, Rule, RuleSet, Severity};
use crate::rules::{findings, parse_file, places};

/// One policy file.
#[derive(Clone, Debug)]
pub struct Text {
    /// Its name as a person should see it.
    pub file: String,
    pub text: String,
}

/// What came of a check.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// In the order of the files and their lines.
    pub findings: Vec<Finding>,
    pub files: usize,
    /// Waivers among them. Those of a file that has faults are not counted.
    pub rules: usize,
    pub expectations: usize,
    /// Faults kept some rules from being held against each other.
    pub partial: bool,
}

impl Checked {
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity() == severity).count()
    }
}

/// What all files hold together.
#[derive(Clone, Debug, Default)]
struct Read {
    rules: Vec<Rule>,
    expectations: Vec<Expectation>,
    approvals: Vec<Approval>,
    faults: Vec<Fault>,
}

fn read(texts: &[Text]) -> Read {
    let mut all = Read::default();
    for Text { file, text } in texts {
        match parse_file(file, text) {
            Ok(read) => {
                all.rules.extend(read.rules);
                all.expectations.extend(read.expectations);
                all.approvals.extend(read.approvals);
            }
            Err(faults) => all.faults.extend(faults),
        }
    }
    let twice = approval::duplicates(&all.approvals);
    all.faults.extend(twice);
    all
}

/// The rules and expectations of all files together, or every fault in them.
pub fn compile(texts: &[Text]) -> Result<(RuleSet, Vec<Expectation>), Vec<Fault>> {
    let Read { rules, expectations, faults, .. } = read(texts);
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok((RuleSet::compile(rules)?, expectations))
}

/// Everything that is wrong or pointless at this moment. Where there are faults, the rules of the
/// other files are still looked at one by one; what they say beside each other nobody can tell.
pub fn check(texts: &[Text], now: Timestamp) -> Checked {
    let Read { rules, expectations, mut faults, .. } = read(texts);
    let mut checked = Checked {
        files: texts.len(),
        rules: rules.len(),
        expectations: expectations.len(),
        ..Checked::default()
    };
    let mut found: Vec<Finding> = letter_case(&rules, &expectations);
    let whole = if faults.is_empty() {
        RuleSet::compile(rules.clone()).map_err(|more| faults = more).ok()
    } else {
        None
    };
    match whole {
        Some(set) => {
            found.extend(set.findings(now));
            found.extend(nameless(&set, &expectations));
        }
        None => found.extend(rules.iter().flat_map(|rule| findings::of_one(rule, now))),
    }
    checked.partial = !faults.is_empty();
    let invalid = |fault| Finding { code: Code::Invalid, rule: None, field: None, fault };
    found.extend(faults.into_iter().map(invalid));
    locate(texts, &mut found);
    found.sort_by(|a, b| (&a.fault, a.code).cmp(&(&b.fault, b.code)));
    checked.findings = found;
    checked
}

/// Gives each finding the place of the field that it is about, where there is one.
fn locate(texts: &[Text], findings: &mut [Finding]) {
    let mut wanted: HashMap<String, Vec<(usize, usize, Field)>> = HashMap::new();
    for Finding { field, fault, .. } in findings.iter() {
        if let Some(field) = field {
            let of_file = wanted.entry(fault.file.clone()).or_default();
            of_file.push((fault.line, fault.column, *field));
        }
    }
    for Text { file, text } in texts {
        let Some(wanted) = wanted.get(file) else { continue };
        let places = places(text, wanted);
        for finding in findings.iter_mut().filter(|finding| finding.fault.file == *file) {
            let Finding { field: Some(field), fault, .. } = finding else { continue };
            if let Some((line, column)) = places.get(&(fault.line, fault.column, *field)) {
                (fault.line, fault.column) = (*line, *column);
            }
        }
    }
}

/// Names with capital letters where the ecosystem has taken none for years, so that a rule for
/// `npm:React` says nothing of `npm:react`. An expectation of that very name shows that it is meant.
fn letter_case(rules: &[Rule], expectations: &[Expectation]) -> Vec<Finding> {
    let meant = |package: &Package| expectations.iter().any(|of| of.package.package == *package);
    let mut found = Vec::new();
    for rule in rules {
        for (place, pattern) in rule.patterns.iter().enumerate() {
            let (text, odd) = match pattern {
                Pattern::One(package) | Pattern::In(package, _) => {
                    let text = package.to_string();
                    let odd = package.ecosystem() == Ecosystem::Npm && has_capitals(&text);
                    (text, odd && !meant(package))
                }
                Pattern::Like(Ecosystem::Npm, _) => {
                    let text = pattern.to_string();
                    let odd = has_capitals(&text);
                    (text, odd)
                }
                _ => continue,
            };
            if !odd {
                continue;
            }
            let lower = text.to_ascii_lowercase();
            let message = format!(
                "{} names {text}; npm takes no capital letters in new names, and {lower} is another package",
                rule.titled()
            );
            let remedy = match pattern {
                Pattern::One(_) | Pattern::In(..) => {
                    format!("write {lower}, or keep an [[expect]] for {text} if it is meant")
                }
                _ => format!("write {lower}"),
            };
            let fault = Fault::of_rule(rule, message, remedy);
            let (rule, field) = (Some(rule.name.clone()), Some(Field::Package(place)));
            found.push(Finding { code: Code::LetterCase, rule, field, fault });
        }
    }
    found
}

fn has_capitals(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// Expectations that want a decision by a rule that is not there.
fn nameless(set: &RuleSet, expectations: &[Expectation]) -> Vec<Finding> {
    let unknown = |expectation: &Expectation| {
        let named = expectation.rule.as_deref()?;
        if set.rule(named).is_some() {
            return None;
        }
        let names: Vec<&str> = set.rules().iter().map(|rule| &*rule.name).collect();
        let remedy = match crate::rules::nearest(named, &names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "name a rule of these files, or leave `rule` out".to_owned(),
        };
        let Expectation { file, line, column, .. } = expectation;
        let fault = Fault {
            file: file.to_string(),
            line: *line,
            column: *column,
            message: format!("the expectation can not be met: there is no rule {named}"),
            remedy,
        };
        Some(Finding { code: Code::NoSuchRule, rule: None, field: None, fault })
    };
    expectations.iter().filter_map(unknown).collect()
}

#[cfg(test)]
mod tests;
