//! `garth policy check`: is what the policy files say well written, and does all of it count?

use std::fmt::Write as _;

use clap::{Args, ValueEnum};
use policies::check::{self, Checked};
use policies::rules::Severity;

use super::machine;
use super::source::Source;
use crate::cli::Exit;
use crate::cli::talk::{coloured, colours, print, print_json};
use crate::clock::Clock;
use crate::config::EnvSnapshot;

/// Find what is wrong or pointless in policy files
///
/// Reads the files as the server would, and says with file, line and column what it would refuse, and
/// which rules can never count: expired, shadowed by others, of no version, with a condition that can not
/// be true, waivers of nothing. No server and no network is needed. Rules that were made by command are
/// not seen.
///
/// Exit codes: 0 nothing was found, or warnings alone; 1 errors, or with --deny-warnings anything at all;
/// 2 the files could not be read.
#[allow(clippy::doc_markdown, reason = "shown as it stands in the help text")]
#[derive(Args, Debug)]
pub(super) struct Check {
    #[command(flatten)]
    source: Source,
    /// Let warnings fail, too
    #[arg(long)]
    deny_warnings: bool,
    /// How the findings are written
    #[arg(long, value_enum, default_value = "text", conflicts_with = "json")]
    format: Format,
    /// Print JSON: the same as --format json
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line or two for each finding
    Text,
    /// Findings and counts
    Json,
    /// Annotations of GitHub's workflows
    Github,
    /// SARIF 2.1.0, for code scanning
    Sarif,
}

impl Check {
    pub(super) fn run(self, env: &EnvSnapshot, clock: &Clock) -> Exit {
        let texts = match self.source.read(env) {
            Ok(texts) => texts,
            Err(lines) => return super::failed("check", &lines),
        };
        let checked = check::check(&texts, self.source.now(clock));
        match if self.json { Format::Json } else { self.format } {
            Format::Text => print(&told(&checked, colours(env))),
            Format::Json => print_json(&machine::json(&checked)),
            Format::Github => print(&machine::annotations(&checked)),
            Format::Sarif => print_json(&machine::sarif(&checked)),
        }
        let bar = if self.deny_warnings { 0 } else { checked.count(Severity::Warning) };
        if checked.findings.len() > bar { Exit::Findings } else { Exit::Done }
    }
}

pub(super) fn told(checked: &Checked, colours: bool) -> String {
    let mut text = String::new();
    for finding in &checked.findings {
        let severity = finding.severity();
        let code = if severity == Severity::Error { 31 } else { 33 };
        let word = coloured(&severity.to_string(), code, colours);
        let fault = &finding.fault;
        let _ = writeln!(
            text,
            "{}: {word}: {} [{}]",
            fault.place(),
            fault.message,
            finding.code.as_str()
        );
        if !fault.remedy.is_empty() {
            let _ = writeln!(text, "    {}", fault.remedy);
        }
    }
    if checked.partial {
        text.push_str(
            "The rules were not held against each other: mend the errors first, then check again.\n",
        );
    }
    let _ = writeln!(text, "{}: {}", counted(checked), verdict(checked));
    text
}

fn counted(checked: &Checked) -> String {
    let parts = [
        count(checked.files, "file"),
        count(checked.rules, "rule"),
        count(checked.expectations, "expectation"),
    ];
    parts.join(", ")
}

fn verdict(checked: &Checked) -> String {
    let errors = checked.count(Severity::Error);
    let warnings = checked.count(Severity::Warning);
    match (errors, warnings) {
        (0, 0) => "nothing was found".to_owned(),
        (0, warnings) => count(warnings, "warning"),
        (errors, 0) => count(errors, "error"),
        (errors, warnings) => {
            format!("{}, {}", count(errors, "error"), count(warnings, "warning"))
        }
    }
}

pub(super) fn count(count: usize, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}
