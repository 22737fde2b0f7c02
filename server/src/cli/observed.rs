//! `garth observed`: what would have been refused, to whom, how often, by which rule.

use std::fmt::Write as _;

use clap::Args;
use policies::package::PackageVersion;

use super::Exit;
use super::client::{Client, ServerArgs};
use super::talk::{colours, painted, print, print_json, with_server};
use crate::config::EnvSnapshot;
use crate::recorded::observed::{ObservedLine, ObservedReport};

/// Show what would have been refused if the server or a rule did not only observe
///
/// From recorded use: in observe mode all that was served though it is denied or held, and what rules with
/// `observe = true` would have refused. Ends with 0.
#[derive(Args, Debug)]
pub struct ObservedCommand {
    /// Since when: a duration such as 7d or 12h, or a time
    #[arg(long, value_name = "SINCE", default_value = "7d")]
    since: String,
    /// Only by this rule
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// Only to this team, as web/shop, or all teams of a unit, as web/*
    #[arg(long, value_name = "TEAM")]
    team: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

impl ObservedCommand {
    pub fn run(self, env: &EnvSnapshot) -> Exit {
        let colours = colours(env);
        with_server(&self.server, env, async |client: Client| {
            let mut query = vec![("since", self.since.as_str())];
            query.extend(self.rule.as_deref().map(|rule| ("rule", rule)));
            query.extend(self.team.as_deref().map(|team| ("team", team)));
            let report: ObservedReport = client.get(&["observed"], &query).await?;
            if self.json {
                print_json(&report);
            } else {
                print(&told(&report, colours));
            }
            Ok(Exit::Done)
        })
    }
}

fn told(report: &ObservedReport, colours: bool) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "Since {:.0}, {} of {} recorded requests for versions would have been refused.",
        report.since, report.would_be_refused, report.requests
    );
    if report.unreadable > 0 {
        let _ =
            writeln!(text, "! {} records can not be read; the log names them", report.unreadable);
    }
    let names: Vec<(String, &str, String)> = report.lines.iter().map(cells).collect();
    let width = |of: fn(&(String, &str, String)) -> usize| names.iter().map(of).max().unwrap_or(0);
    let (package, team) =
        (width(|cells| cells.0.len()).min(60), width(|cells| cells.1.len()).min(40));
    for (line, (subject, asker, by)) in report.lines.iter().zip(&names) {
        let effect = painted(&format!("{:5}", line.effect), line.effect, colours);
        let _ = writeln!(
            text,
            "{:>8} x  {effect}  {subject:package$}  {asker:team$}  {by}, last {:.0}",
            line.requests, line.last
        );
    }
    if report.more > 0 {
        let _ = writeln!(text, "{} more lines are left out; ask for one rule or team", report.more);
    }
    text
}

fn cells(line: &ObservedLine) -> (String, &str, String) {
    let subject =
        PackageVersion { package: line.package.clone(), version: line.version.clone() }.to_string();
    let asker = line.team.as_deref().unwrap_or("(no team)");
    let by = match (&line.rule, line.code.as_deref()) {
        (Some(rule), _) if line.by_rule => format!("the rule {rule}, which only observes"),
        (Some(rule), _) => format!("the rule {rule}"),
        (None, Some("no-rule-allows")) => "no rule allows it".to_owned(),
        (None, Some("malicious")) => "an advisory says that it is malicious".to_owned(),
        (None, Some("rules-unavailable")) => "the rules could not be read".to_owned(),
        (None, _) => "garth itself".to_owned(),
    };
    (subject, asker, by)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use insta::assert_snapshot;
    use policies::decision::Effect;

    use super::*;

    #[test]
    fn a_line_says_how_often_what_to_whom_and_why() {
        let line = |name: &str, team: Option<&str>, rule: Option<&str>, by_rule, requests| {
            let asked: PackageVersion = name.parse().unwrap();
            ObservedLine {
                package: asked.package,
                version: asked.version,
                team: team.map(Into::into),
                effect: if rule == Some("settle") { Effect::Hold } else { Effect::Deny },
                rule: rule.map(Into::into),
                code: rule.is_none().then(|| "no-rule-allows".to_owned()),
                by_rule,
                requests,
                last: "2026-05-30T10:00:00.25Z".parse().unwrap(),
            }
        };
        let report = ObservedReport {
            since: "2026-05-23T10:00:00Z".parse().unwrap(),
            until: "2026-05-30T10:00:01Z".parse().unwrap(),
            requests: 1200,
            would_be_refused: 58,
            lines: vec![
                line("npm:left-pad@1.3.0", Some("web/shop"), Some("settle"), true, 40),
                line("npm:@scope/name@2.0.0", None, Some("no-gpl"), false, 17),
                line("npm:x@1.0.0", Some("ml/a"), None, false, 1),
            ],
            more: 3,
            unreadable: 0,
        };
        assert_snapshot!(told(&report, false), @r"
        Since 2026-05-23T10:00:00Z, 58 of 1200 recorded requests for versions would have been refused.
              40 x  hold   npm:left-pad@1.3.0     web/shop   the rule settle, which only observes, last 2026-05-30T10:00:00Z
              17 x  deny   npm:@scope/name@2.0.0  (no team)  the rule no-gpl, last 2026-05-30T10:00:00Z
               1 x  deny   npm:x@1.0.0            ml/a       no rule allows it, last 2026-05-30T10:00:00Z
        3 more lines are left out; ask for one rule or team
        ");
    }
}
