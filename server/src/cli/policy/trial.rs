//! What `diff` and `backtest` have in common: sending files to the server, and showing what changes.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use policies::backtest::{Change, Kind, Said, Totals};
use policies::decision::Effect;
use policies::package::PackageVersion;

use crate::api::trials::Candidate;
use crate::cli::Exit;
use crate::cli::client::{Client, ClientError};
use crate::cli::talk::{painted, print, print_json};
use crate::recorded::trial::TrialReport;
use crate::rules::{self, PolicyText};

/// The policy files of a directory, or a line for each that can not be read.
pub(super) fn texts(directory: &Path) -> Result<Vec<PolicyText>, Vec<String>> {
    let texts = rules::read_texts(&[PathBuf::from(directory)]);
    let texts =
        texts.map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    if texts.is_empty() {
        let directory = directory.display();
        return Err(vec![format!("there is no policy file (*.toml) in {directory}")]);
    }
    Ok(texts.into_iter().map(PolicyText::from).collect())
}

/// Has the server try the candidate and shows what came of it.
pub(super) async fn show(
    client: &Client,
    what: &str,
    query: &[(&str, &str)],
    candidate: &Candidate,
    shown: Shown,
) -> Result<Exit, ClientError> {
    let body = serde_json::to_vec(candidate).unwrap_or_default();
    let report: TrialReport =
        client.upload(&["policy", what], query, "application/json", body.into()).await?;
    if shown.json {
        print_json(&report);
    } else {
        print(&told(&report, shown));
    }
    Ok(if report.report.changed == 0 { Exit::Done } else { Exit::Findings })
}

/// How a report is shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown {
    pub json: bool,
    pub colours: bool,
    /// "recorded requests", "versions": what was tried.
    pub tried: Tried,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tried {
    Requests,
    Versions,
}

fn told(report: &TrialReport, shown: Shown) -> String {
    let mut text = String::new();
    let of = &report.report;
    if report.unreadable > 0 {
        let _ =
            writeln!(text, "! {} records can not be read; the log names them", report.unreadable);
    }
    match shown.tried {
        Tried::Requests => {
            let _ = writeln!(
                text,
                "Of {} requests for versions since {:.0}: {}",
                of.requests,
                report.since,
                in_words(of.totals)
            );
        }
        Tried::Versions => {
            let count = of.changes.len() as u64 + of.more;
            let _ = writeln!(
                text,
                "{count} of what is cached, or was asked for since {:.0}, is decided differently",
                report.since
            );
        }
    }
    let subjects: Vec<String> = of.changes.iter().map(subject).collect();
    let whom: Vec<String> = of.changes.iter().map(|change| change.whom.to_string()).collect();
    let width = |all: &[String], most| all.iter().map(String::len).max().unwrap_or(0).min(most);
    let (subject_width, whom_width) = (width(&subjects, 60), width(&whom, 40));
    for ((change, subject), whom) in of.changes.iter().zip(&subjects).zip(&whom) {
        let word = match change.kind {
            Kind::Refused => "refused",
            Kind::LetIn => "let in ",
            Kind::RefusedOtherwise => "changed",
        };
        let word = painted(word, change.after.effect, shown.colours);
        let use_of = match change.last {
            Some(last) => format!("{:>7} x, last {last:.0}", change.requests),
            None => "not asked for".to_owned(),
        };
        let _ = writeln!(
            text,
            "{word}  {subject:subject_width$}  {whom:whom_width$}  {use_of:35}  {}",
            by(change)
        );
    }
    if of.more > 0 {
        let _ = writeln!(text, "{} more are left out", of.more);
    }
    for (word, all) in [("team", &of.teams), ("rule", &of.rules)] {
        for (name, totals) in all.iter().filter(|(_, totals)| **totals != Totals::default()) {
            let _ = writeln!(text, "{word} {name}: {}", in_words(*totals));
        }
    }
    let _ = writeln!(text, "The rules that were tried are revision {}", report.revision);
    text
}

fn subject(change: &Change) -> String {
    let (package, version) = (change.package.clone(), change.version.clone());
    PackageVersion { package, version }.to_string()
}

/// "3 would be refused and 1 let in".
fn in_words(totals: Totals) -> String {
    let Totals { refused, let_in, refused_otherwise } = totals;
    match (refused, let_in, refused_otherwise) {
        (0, 0, 0) => "all would be decided as they were".to_owned(),
        (_, _, 0) => format!("{refused} would be refused, {let_in} let in"),
        _ => format!(
            "{refused} would be refused, {let_in} let in, {refused_otherwise} refused in another way"
        ),
    }
}

/// "allow by all → deny by no-left-pad: because".
fn by(change: &Change) -> String {
    let reason = change.after.reason.as_deref().filter(|_| change.after.effect != Effect::Allow);
    let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{} → {}{reason}", said(&change.before), said(&change.after))
}

fn said(said: &Said) -> String {
    match &said.rule {
        Some(rule) => format!("{} by {rule}", said.effect),
        None => said.effect.to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use insta::assert_snapshot;
    use policies::backtest::{Report, Whom};
    use policies::decision::Revision;

    use super::*;

    #[test]
    fn a_change_says_what_to_whom_how_often_and_why() {
        let said = |effect: Effect, rule: &str, reason: Option<&str>| Said {
            effect,
            rule: (!rule.is_empty()).then(|| rule.into()),
            reason: reason.map(Into::into),
        };
        let change = |name: &str, kind, whom, before: &Said, after: &Said, requests| {
            let asked: PackageVersion = name.parse().unwrap();
            let last = "2026-05-30T10:00:00Z".parse().unwrap();
            Change {
                kind,
                package: asked.package,
                version: asked.version,
                whom,
                before: before.clone(),
                after: after.clone(),
                requests,
                last: (requests > 0).then_some(last),
            }
        };
        let allowed = said(Effect::Allow, "all", None);
        let denied = said(Effect::Deny, "no-left-pad", Some("use padStart"));
        let nobody = said(Effect::Deny, "", Some("no rule allows this package yet"));
        let shop = Whom::Team("web/shop".into());
        let totals = Totals { refused: 12, let_in: 3, refused_otherwise: 0 };
        let report = Report {
            cases: 20,
            requests: 400,
            changed: 3,
            totals,
            teams: std::iter::once(("web/shop".into(), totals)).collect(),
            rules: std::iter::once(("no-left-pad".into(), totals)).collect(),
            changes: vec![
                change("npm:left-pad@1.3.0", Kind::Refused, shop, &allowed, &denied, 12),
                change("npm:@s/x@1.0.0", Kind::LetIn, Whom::Nobody, &nobody, &allowed, 3),
                change("npm:b@1.0.0", Kind::Refused, Whom::Everybody, &allowed, &nobody, 0),
            ],
            more: 2,
        };
        let report = TrialReport {
            since: "2026-05-01T10:00:00Z".parse().unwrap(),
            until: "2026-05-31T10:00:00Z".parse().unwrap(),
            revision: Revision("0123456789abcdef".into()),
            report,
            unreadable: 0,
        };
        let shown = |tried| Shown { json: false, colours: false, tried };
        assert_snapshot!(told(&report, shown(Tried::Requests)), @r"
        Of 400 requests for versions since 2026-05-01T10:00:00Z: 12 would be refused, 3 let in
        refused  npm:left-pad@1.3.0  web/shop        12 x, last 2026-05-30T10:00:00Z  allow by all → deny by no-left-pad: use padStart
        let in   npm:@s/x@1.0.0      (no team)        3 x, last 2026-05-30T10:00:00Z  deny → allow by all
        refused  npm:b@1.0.0         everybody  not asked for                        allow by all → deny: no rule allows this package yet
        2 more are left out
        team web/shop: 12 would be refused, 3 let in
        rule no-left-pad: 12 would be refused, 3 let in
        The rules that were tried are revision 0123456789abcdef
        ");
        let diff = told(&report, shown(Tried::Versions));
        assert_snapshot!(diff.lines().next().unwrap(), @"5 of what is cached, or was asked for since 2026-05-01T10:00:00Z, is decided differently");
    }
}
