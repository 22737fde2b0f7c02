//! Requests in words: a line each in a list, and one screen for whoever has to answer.

use std::fmt::Write as _;

use jiff::Timestamp;
use policies::decision::Effect;

use crate::api::advisories::KnownView;
use crate::api::requests::{ClosureView, Outcome, RequestDetail, RequestView, VersionView};
use crate::cli::allow::many::{self, counted};
use crate::cli::talk::painted;
use crate::metadata::records::{AskerRecord, ClosedRecord, Stage};
use crate::registries::closure::Standing;

pub(super) fn list(requests: &[RequestView], state: &str) -> String {
    if requests.is_empty() {
        return format!("No request is {state}.\n");
    }
    let width = requests.iter().map(|view| what(view).len()).max().unwrap_or(0).min(50);
    let mut text = String::new();
    for view in requests {
        let record = &view.record;
        let _ = write!(
            text,
            "{:>6}  {:width$}  refused {}, last {}",
            view.number,
            what(view),
            times(record.refusals),
            day(record.last)
        );
        let who = askers_in_short(view);
        if !who.is_empty() {
            let _ = write!(text, ", {who}");
        }
        if let Some(closed) = &record.closed {
            let _ = write!(text, "; {} by {} on {}", view.state, closed.by, day(closed.at));
        }
        if let Some(reason) = &record.reason {
            let _ = write!(text, " — {reason}");
        }
        text.push('\n');
    }
    let count = requests.len();
    let _ = writeln!(text, "{count} {}", if count == 1 { "request" } else { "requests" });
    text
}

pub(super) fn detail(detail: &RequestDetail, colours: bool) -> String {
    let view = &detail.request;
    let record = &view.record;
    let mut text = format!("request {}: {}, {}\n", view.number, what(view), view.state);
    if let Some(reason) = &record.reason {
        let _ = writeln!(text, "  why: {reason}");
    }
    let _ = writeln!(
        text,
        "  since {:.0}, last {:.0}, refused {}",
        record.since,
        record.last,
        times(record.refusals)
    );
    for asker in &record.askers {
        let _ = writeln!(text, "  {}", asker_in_words(asker));
    }
    if record.by_others > 0 {
        let _ = writeln!(text, "  and others, refused {}", times(record.by_others));
    }
    for comment in &detail.said {
        let word = if comment.asked { "asks too" } else { "says" };
        let _ = write!(text, "  {} {} {word}", day(comment.at), comment.by);
        let _ = writeln!(
            text,
            "{}",
            if comment.text.is_empty() { String::new() } else { format!(": {}", comment.text) }
        );
    }
    text.push_str(&facts(detail, colours));
    match (view.state, &record.closed) {
        (Stage::Open, _) => text.push_str(&what_to_do(detail)),
        (Stage::Answered, Some(closed)) => {
            let ClosedRecord { at, by, rules, .. } = closed;
            let _ = writeln!(
                text,
                "answered on {at:.0}: the rule {} of {by} allows it by now",
                rules.join(", ")
            );
        }
        (state, Some(closed)) => {
            let policy = if closed.automatic { "the policy " } else { "" };
            let _ = write!(text, "{state} by {policy}{} on {:.0}", closed.by, closed.at);
            if let Some(reason) = &closed.reason {
                let _ = write!(text, ": {reason}");
            }
            if !closed.rules.is_empty() {
                let _ = write!(text, " (rule {})", closed.rules.join(", "));
            }
            text.push('\n');
        }
        (_, None) => {}
    }
    text
}

/// What is known of the version that stands for what is asked.
fn facts(detail: &RequestDetail, colours: bool) -> String {
    if detail.request.record.closure.is_some() {
        return versions(detail, colours);
    }
    let mut text = String::new();
    let Some(view) = &detail.decision else {
        return "No version of it was asked for yet, so nothing is known of one.\n".to_owned();
    };
    if let (Some(version), Some(decision)) = (&view.version, &view.decision) {
        let word = painted(decision.effect.participle(), decision.effect, colours);
        let _ = writeln!(text, "{}@{version} is {word}: {}", view.package, decision.reason);
        if let Some(until) = decision.until {
            let _ = writeln!(text, "  until {until}; then it is decided anew");
        }
    }
    for seen in &view.seen {
        let date = |at: Option<Timestamp>| {
            at.map_or_else(|| "unknown".to_owned(), |at| format!("{at:.0}"))
        };
        let _ = writeln!(
            text,
            "  in the registry {}: published {}, first seen here {}",
            seen.registry,
            date(seen.published),
            date(seen.first_seen)
        );
        for observed in &seen.observed {
            let _ = writeln!(text, "    {:.0}  {}", observed.at, observed.what);
        }
    }
    match detail.advisories.as_deref() {
        None => text.push_str("  advisories: none were imported, so nobody knows\n"),
        Some([]) => text.push_str("  advisories: none\n"),
        Some(known) => {
            for one in known {
                let _ = writeln!(text, "  advisory {}", advisory(one));
            }
        }
    }
    for one in &view.considered {
        let mark = if one.matched { "*" } else { " " };
        let effect = painted(&format!("{:5}", one.effect), one.effect, colours);
        let _ = writeln!(text, "  {mark} {effect} {}  {}", one.rule, one.why);
    }
    text
}

fn advisory(one: &KnownView) -> String {
    let score = one.severity.map_or_else(|| "no score".to_owned(), |score| score.to_string());
    let malicious = if one.malicious { ", MALICIOUS" } else { "" };
    let fixed = if one.fixed.is_empty() {
        "no fix".to_owned()
    } else {
        format!("fixed in {}", one.fixed.join(", "))
    };
    format!("{}: {score}{malicious}, {fixed}", one.id)
}

/// All versions that are asked for as one: what stays refused and what is known to be bad of them
/// first, and then each of the others by its name.
fn versions(detail: &RequestDetail, colours: bool) -> String {
    let mut text = String::new();
    if let Some(problem) = &detail.versions_problem {
        let _ = writeln!(text, "how they are decided is not known now: {problem}");
    }
    let of =
        |standing: Standing| detail.versions.iter().filter(move |one| one.standing == standing);
    let refused = of(Standing::Refused).map(|one| (&one.verdict.subject, &one.verdict.decision));
    text.push_str(&many::refusals(refused, colours));
    for one in &detail.versions {
        for known in one.advisories.iter().flatten() {
            let _ = writeln!(text, "advisory of {}: {}", one.verdict.subject, advisory(known));
        }
    }
    if detail.versions.iter().any(|one| one.advisories.is_none()) {
        text.push_str("advisories: of some of them nobody knows\n");
    }
    for one in
        detail.versions.iter().filter_map(|one| one.verdict.unknown.as_ref().map(|why| (one, why)))
    {
        let _ = writeln!(text, "not looked up: {}: {}", one.0.verdict.subject, one.1);
    }
    for (standing, said) in [(Standing::Open, "to allow"), (Standing::Allowed, "allowed meanwhile")]
    {
        let found: Vec<&VersionView> = of(standing).collect();
        if !found.is_empty() {
            let _ = writeln!(text, "{} {said}:", counted(found.len(), "version"));
            text.push_str(&wrapped(found.iter().map(|one| one.verdict.subject.to_string())));
        }
    }
    if let Some(closure) = &detail.request.record.closure
        && closure.allowed > 0
    {
        let others = counted(closure.allowed as usize, "other version");
        let _ = writeln!(text, "{others} of it had been allowed before");
    }
    text
}

/// Names one after the other, in lines that fit a terminal.
fn wrapped(names: impl Iterator<Item = String>) -> String {
    const WIDTH: usize = 100;
    let (mut text, mut line) = (String::new(), String::from(" "));
    for name in names {
        if line.len() + 1 + name.len() > WIDTH && line.len() > 1 {
            let _ = writeln!(text, "{line}");
            line = String::from(" ");
        }
        line.push(' ');
        line.push_str(&name);
    }
    let _ = writeln!(text, "{line}");
    text
}

/// What an approval would do, and the command for it.
fn what_to_do(detail: &RequestDetail) -> String {
    let number = detail.request.number;
    if detail.request.record.closure.is_some() {
        let refused = detail.versions.iter().any(|one| one.standing == Standing::Refused);
        let waive = if refused {
            "What stays refused is lifted by waivers alone: --waive --expires DATE --reason TEXT\n"
        } else {
            ""
        };
        return format!(
            "One rule for all of them: garth requests approve {number}\n{waive}\
             Or answer no: garth requests reject {number} --reason TEXT\n"
        );
    }
    if detail.standing.is_empty() {
        return format!(
            "An allow is all it needs: garth requests approve {number}\n\
             Or answer no: garth requests reject {number} --reason TEXT\n"
        );
    }
    let mut text = String::from("An allow does not open it:\n");
    for one in &detail.standing {
        let lifts = if one.effect == Effect::Hold { "on hold" } else { "denied" };
        let _ = writeln!(text, "  {lifts} by {}: {}", one.rule, one.why);
    }
    let _ = writeln!(
        text,
        "To lift that by a waiver: garth requests approve {number} --waive --expires DATE --reason TEXT\n\
         Or answer no: garth requests reject {number} --reason TEXT"
    );
    text
}

pub(super) fn outcome(outcome: &Outcome) -> String {
    let Some(view) = &outcome.request else { return String::new() };
    let mut text = format!("request {}: {} {}", view.number, what(view), view.state);
    if let Some(closed) = &view.record.closed
        && !closed.rules.is_empty()
    {
        let _ = write!(text, " (rule {})", closed.rules.join(", "));
    }
    text.push('\n');
    let refused = outcome.refused.iter().map(|verdict| (&verdict.subject, &verdict.decision));
    text.push_str(&many::refusals(refused, false));
    if let Some(decision) = &outcome.decision
        && outcome.refused.is_empty()
        && !decision.is_allowed()
    {
        let _ = writeln!(
            text,
            "  but what was asked for is {}: {}",
            decision.effect.participle(),
            decision.reason
        );
    }
    text
}

/// What is asked for.
pub(in crate::cli) fn what(view: &RequestView) -> String {
    let record = &view.record;
    let named = match &record.versions {
        Some(versions) => format!("{} in {versions}", record.package),
        None => record.package.clone(),
    };
    match &record.closure {
        None => named,
        Some(ClosureView { lockfile: Some(lockfile), versions, .. }) => {
            format!("{} of {lockfile}", counted(*versions as usize, "version"))
        }
        Some(ClosureView { versions, .. }) => {
            format!("{named} with all that it needs ({})", counted(*versions as usize, "version"))
        }
    }
}

fn times(count: u64) -> String {
    match count {
        0 => "never".to_owned(),
        1 => "once".to_owned(),
        count => format!("{count} times"),
    }
}

fn day(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}

fn name(asker: &AskerRecord) -> String {
    let mut name = match (&asker.name, &asker.address) {
        (Some(name), _) if asker.verified => name.clone(),
        (Some(name), _) => format!("{name} (unverified)"),
        (None, Some(address)) => format!("somebody at {address}"),
        (None, None) => "somebody".to_owned(),
    };
    if let Some(team) = &asker.team {
        let _ = write!(name, " of {team}");
    }
    name
}

fn asker_in_words(asker: &AskerRecord) -> String {
    let mut text = name(asker);
    if asker.asked {
        let _ = write!(text, " asks since {}", day(asker.since));
    }
    if asker.refusals > 0 {
        let _ = write!(text, ", refused {}, last {:.0}", times(asker.refusals), asker.last);
    }
    if !asker.builds.is_empty() {
        let _ = write!(text, ", in {}", asker.builds.join(", "));
    }
    text
}

fn askers_in_short(view: &RequestView) -> String {
    const MOST: usize = 3;
    let askers = &view.record.askers;
    let mut names: Vec<String> = askers.iter().take(MOST).map(name).collect();
    if askers.len() > MOST {
        names.push(format!("{} more", askers.len() - MOST));
    }
    names.join(", ")
}
