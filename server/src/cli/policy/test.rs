//! `garth policy test`: do the rules decide what the expectations beside them say?

use std::fmt::Write as _;

use clap::{Args, ValueEnum};
use policies::check;
use policies::decision::Effect;
use policies::expect::{Outcome, try_all};
use serde_json::{Value, json};

use super::check::count;
use super::junit;
use super::source::Source;
use crate::cli::Exit;
use crate::cli::talk::{coloured, colours, painted, print, print_json};
use crate::clock::Clock;
use crate::config::EnvSnapshot;

/// Try the expectations of policy files
///
/// Decides what each [[expect]] asks by the rules of the same files, and says which are not met: what was
/// expected, what the rules decide, by which rule, and what nobody knew. No server and no network is
/// needed. Rules that were made by command, and imported advisories, are not seen.
///
/// Exit codes: 0 all are met; 1 some are not; 2 there is none, or the files have faults or could not be
/// read.
#[allow(clippy::doc_markdown, reason = "shown as it stands in the help text")]
#[derive(Args, Debug)]
pub(super) struct Test {
    #[command(flatten)]
    source: Source,
    /// How the outcome is written
    #[arg(long, value_enum, default_value = "text", conflicts_with = "json")]
    format: Format,
    /// Print JSON: the same as --format json
    #[arg(long)]
    json: bool,
}

#[allow(clippy::doc_markdown, reason = "shown as it stands in the help text")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Those that are not met, with what was considered, and a count
    Text,
    /// Each of them, met or not
    Json,
    /// The XML of JUnit
    Junit,
}

impl Test {
    pub(super) fn run(self, env: &EnvSnapshot, clock: &Clock) -> Exit {
        let texts = match self.source.read(env) {
            Ok(texts) => texts,
            Err(lines) => return super::failed("test", &lines),
        };
        let (set, expectations) = match check::compile(&texts) {
            Ok(compiled) => compiled,
            Err(faults) => {
                let mut lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
                lines.push("nothing was tried: mend the files first".to_owned());
                return super::failed("test", &lines);
            }
        };
        if expectations.is_empty() {
            let files = count(texts.len(), "file");
            let why = format!("there is nothing to try: no [[expect]] in {files}");
            return super::failed("test", &[why]);
        }
        let outcomes = try_all(&set, &expectations, self.source.now(clock));
        let unmet = outcomes.iter().filter(|outcome| !outcome.met).count();
        match if self.json { Format::Json } else { self.format } {
            Format::Text => print(&told(&outcomes, unmet, colours(env))),
            Format::Json => print_json(&as_json(&outcomes, unmet)),
            Format::Junit => match junit::document(&outcomes) {
                Ok(document) => print(&document),
                Err(error) => return super::failed("test", &[error.to_string()]),
            },
        }
        if unmet == 0 { Exit::Done } else { Exit::Findings }
    }
}

pub(super) fn told(outcomes: &[Outcome<'_>], unmet: usize, colours: bool) -> String {
    let mut text = String::new();
    for outcome in outcomes.iter().filter(|outcome| !outcome.met) {
        let place = outcome.expectation.place();
        let word = coloured("not met", 31, colours);
        let paint = |word: &str, effect: Effect| painted(word, effect, colours);
        let _ = writeln!(text, "{place}: {word}: {}", outcome.told(paint));
    }
    let all = count(outcomes.len(), "expectation");
    let _ = match unmet {
        0 => writeln!(text, "{all}: all met"),
        unmet => writeln!(text, "{all}: {} met, {unmet} not", outcomes.len() - unmet),
    };
    text
}

pub(super) fn as_json(outcomes: &[Outcome<'_>], unmet: usize) -> Value {
    let each: Vec<Value> = outcomes
        .iter()
        .map(|outcome| {
            let asked = outcome.expectation;
            json!({
                "file": &*asked.file,
                "line": asked.line,
                "column": asked.column,
                "package": asked.package.to_string(),
                "team": asked.team,
                "environment": asked.environment,
                "expected": { "effect": asked.effect, "rule": asked.rule },
                "met": outcome.met,
                "decision": outcome.explanation.decision,
                "considered": outcome.explanation.considered,
            })
        })
        .collect();
    json!({ "expectations": each, "met": outcomes.len() - unmet, "unmet": unmet })
}
