//! `garth why`: the decision on a package version, and each rule that was considered for it.

mod facts;

use std::fmt::Write as _;

use clap::Args;
use policies::decision::{DecisionCode, Effect};
use policies::package::{PackageVersion, Spelling};

use self::facts::known;
use super::Exit;
use super::client::{Client, ServerArgs};
use super::remedy::{fetch_rule, remedy};
use super::talk::{colours, painted, print, print_json, with_server};
use crate::api::decisions::{AtRevision, DecisionView};
use crate::api::rules::RuleView;
use crate::config::EnvSnapshot;
use crate::seen::{Observed, Seen};

/// Show what is decided for a package, and which rules were considered
///
/// Ends with 0 if the version is allowed and with 1 if it is denied or held. Without a version it shows
/// what the rules say of the package, and ends with 0.
#[derive(Args, Debug)]
pub struct Why {
    /// A package, better with a version: npm:left-pad@1.3.0
    #[arg(value_name = "PACKAGE[@VERSION]")]
    package: String,
    /// As a token of this team would be answered, like web/shop [default: as the token that asks]
    #[arg(long, value_name = "TEAM")]
    team: Option<String>,
    /// Of which registry, where several have seen the version [default: of the first]
    #[arg(long, value_name = "NAME")]
    registry: Option<String>,
    /// By the rules of an older revision, as a refusal, the log or an earlier answer names it
    #[arg(long, value_name = "REVISION")]
    at: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

impl Why {
    pub fn run(self, env: &EnvSnapshot) -> Exit {
        // Told at once, without a server.
        if let Err(error) = Spelling::parse(&self.package) {
            eprintln!("garth: {error}");
            return Exit::Failed;
        }
        let colours = colours(env);
        with_server(&self.server, env, async |client: Client| {
            let mut query = vec![("package", self.package.as_str())];
            query.extend(self.team.as_deref().map(|team| ("team", team)));
            query.extend(self.registry.as_deref().map(|registry| ("registry", registry)));
            query.extend(self.at.as_deref().map(|revision| ("at", revision)));
            let view: DecisionView = client.get(&["decisions"], &query).await?;
            if self.json {
                print_json(&view);
            } else {
                let by = match &view.decision {
                    Some(decision) if !decision.is_allowed() => decision.rule.as_deref(),
                    _ => None,
                };
                let deciding = match by {
                    Some(name) if view.at.is_none() => fetch_rule(&client, name).await?,
                    _ => None,
                };
                print(&told(&view, deciding.as_ref(), colours));
            }
            Ok(match &view.decision {
                Some(decision) if !decision.is_allowed() => Exit::Findings,
                _ => Exit::Done,
            })
        })
    }
}

/// `deciding` is the rule that refuses it.
fn told(view: &DecisionView, deciding: Option<&RuleView>, colours: bool) -> String {
    let mut text = String::new();
    for fault in &view.faults {
        let _ = writeln!(text, "! {fault}");
    }
    match view.decision.as_ref().zip(view.version.as_ref()) {
        Some((decision, version)) => {
            let asked = PackageVersion { package: view.package.clone(), version: version.clone() };
            let word = painted(decision.effect.participle(), decision.effect, colours);
            let to = view.team.as_deref().map(|team| format!(" to {team}")).unwrap_or_default();
            let _ = writeln!(text, "{asked} is {word}{to}: {}", decision.reason);
            // A rule without a reason of its own is named in the reason already.
            if let Some(rule) = &decision.rule
                && !decision.reason.contains(&**rule)
            {
                let _ = writeln!(text, "by the rule {rule}");
            }
            if let Some(until) = decision.until {
                let _ = writeln!(text, "until {until}; then it is decided anew");
            }
            if let Some(observed) = &decision.observed {
                let (rule, effect) = (&observed.rule, observed.effect.participle());
                let _ =
                    writeln!(text, "the rule {rule}, which only observes, would have {effect} it");
            }
            if view.observing && decision.effect != Effect::Allow {
                text.push_str(
                    "The server only observes: it is served all the same, and recorded.\n",
                );
            }
        }
        None => {
            let _ = writeln!(text, "{}: what the rules say of it", view.package);
        }
    }
    for seen in &view.seen {
        tell_seen(&mut text, seen);
    }
    tell_others(&mut text, view);
    if let Some(known) = view.facts.as_ref().and_then(known) {
        let _ = writeln!(text, "{known}");
    }
    if view.version.is_some() && view.seen.is_empty() {
        text.push_str("No registry here has seen this version.\n");
    }
    let width = view.considered.iter().map(|one| one.rule.len()).max().unwrap_or(0).min(40);
    for one in &view.considered {
        let mark = if one.matched { "*" } else { " " };
        let effect = painted(&format!("{:5}", one.effect), one.effect, colours);
        let _ = writeln!(text, " {mark} {effect}  {:width$}  {}", one.rule, one.why);
    }
    let decision = view.decision.as_ref();
    let otherwise = if is_own(view) {
        "what is published here needs none"
    } else {
        "what no rule allows is denied"
    };
    match (view.considered.len(), view.others) {
        (0, 0) => {
            let _ = writeln!(text, "There are no rules, and {otherwise}.");
        }
        (0, 1) => {
            let _ = writeln!(text, "The only rule does not name it, and {otherwise}.");
        }
        (0, others) => {
            let _ = writeln!(text, "None of the {others} rules names it, and {otherwise}.");
        }
        (_, 0) => {}
        (_, 1) => text.push_str("One more rule speaks of other packages.\n"),
        (_, others) => {
            let _ = writeln!(text, "{others} more rules speak of other packages.");
        }
    }
    let _ = writeln!(text, "Rules of revision {}", view.revision);
    if let Some(at) = &view.at {
        tell_past(&mut text, at);
        return text;
    }
    let refused =
        decision.is_some_and(|decision| decision.rule.is_none() && !decision.is_allowed());
    if refused {
        let asked = view.version.as_ref().map_or_else(
            || view.package.to_string(),
            |version| {
                PackageVersion { package: view.package.clone(), version: version.clone() }
                    .to_string()
            },
        );
        let there = others(view).next().and(view.registry.as_deref());
        let there = there.map_or_else(String::new, |registry| format!(" --registry {registry}"));
        let _ = writeln!(text, "To allow it: garth allow {asked}{there}");
    }
    if let Some(rule) = deciding {
        let _ = writeln!(text, "To {}", remedy(rule));
    }
    text
}

/// What to do about it now is not said of what was once.
fn tell_past(text: &mut String, at: &AtRevision) {
    let _ = match at.until {
        Some(until) => writeln!(
            text,
            "They were first in force on {:.0}, and last on {until:.0}, which is when this was the answer.",
            at.since
        ),
        None => writeln!(text, "They are in force, since {:.0}.", at.since),
    };
    if at.advisories_of_now {
        text.push_str("The advisories are those of now: those of then are not kept.\n");
    }
}

/// Of a version that was decided on, the decision knows; of others, whether there are own ones.
fn is_own(view: &DecisionView) -> bool {
    match &view.decision {
        Some(decision) => decision.code == DecisionCode::OwnPackage,
        None => view.own,
    }
}

/// Registries beside the one that decides that have offered the version, too.
fn others(view: &DecisionView) -> impl Iterator<Item = &str> {
    let offered = view.seen.iter().filter(|seen| seen.first_seen.is_some());
    let names = offered.map(|seen| seen.registry.as_str());
    names.filter(|name| view.registry.as_deref().is_some_and(|registry| registry != *name))
}

/// Two registries may have two packages of one name, and decide otherwise.
fn tell_others(text: &mut String, view: &DecisionView) {
    if let (Some(registry), Some(other)) = (&view.registry, others(view).next()) {
        let _ = writeln!(
            text,
            "This is decided as of the registry {registry}; another one may have another answer: --registry {other}"
        );
    }
}

/// Both dates, so that one that was forged is seen for what it is.
fn tell_seen(text: &mut String, seen: &Seen) {
    let published = seen.published.map_or_else(
        || "without a date of the upstream".to_owned(),
        |at| format!("published {at:.0} by the upstream's word"),
    );
    let dates = match seen.first_seen {
        None => "never offered by this garth".to_owned(),
        Some(at) if seen.own => {
            let gone = seen.vanished.map(|at| format!(", unpublished {at:.0}"));
            format!("published here {at:.0}{}", gone.unwrap_or_default())
        }
        Some(at) => format!("first seen by this garth {at:.0}, {published}"),
    };
    let _ = writeln!(text, "In the registry {}: {dates}", seen.registry);
    for Observed { at, what } in &seen.observed {
        let _ = writeln!(text, "   {at:.0}  {what}");
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use insta::assert_snapshot;
    use policies::decide::explain;
    use policies::facts::Facts;
    use policies::rules::{RuleSet, parse};

    use crate::gate::NOBODY;

    use super::*;

    fn view(asked: &str, observing: bool) -> (DecisionView, RuleSet) {
        let rules = "
            [[rule]]
            name = 'frontend'
            effect = 'allow'
            packages = ['npm:react', 'npm:@types/*']
            versions = '>=18'
            expires = 2027-01-01
            [[rule]]
            name = 'no-canaries'
            effect = 'deny'
            packages = ['npm:*']
            versions = '>=19.0.0-0'
            reason = 'ADR-12: not before the audit'
            [[rule]]
            name = 'crates'
            effect = 'hold'
            packages = ['cargo:*']
        ";
        let set = RuleSet::compile(parse("a.toml", rules).unwrap()).unwrap();
        let asked: PackageVersion = asked.parse().unwrap();
        let now = "2026-06-01T00:00:00Z".parse().unwrap();
        let explained = explain(&set, &asked, &Facts::at(now), &NOBODY);
        let view = DecisionView {
            purl: asked.purl(),
            package: asked.package,
            version: Some(asked.version),
            team: None,
            registry: Some("npm".to_owned()),
            facts: None,
            decision: Some(explained.decision),
            own: false,
            seen: Vec::new(),
            considered: explained.considered,
            others: explained.others,
            revision: set.revision().clone(),
            observing,
            faults: Vec::new(),
            at: None,
        };
        (view, set)
    }

    fn said(asked: &str, observing: bool) -> String {
        let (view, set) = view(asked, observing);
        told_of(&view, &set)
    }

    fn told_of(view: &DecisionView, set: &RuleSet) -> String {
        let by = view.decision.as_ref().filter(|decision| !decision.is_allowed());
        let by = by.and_then(|decision| decision.rule.as_deref()).and_then(|name| set.rule(name));
        let now = "2026-06-01T00:00:00Z".parse().unwrap();
        told(view, by.map(|rule| RuleView::new(rule, now)).as_ref(), false)
    }

    #[test]
    fn both_dates_are_shown_and_what_was_observed() {
        let (mut view, set) = view("npm:react@18.2.0", false);
        let seen = |registry: &str, first_seen: Option<&str>, published: Option<&str>| Seen {
            registry: registry.to_owned(),
            first_seen: first_seen.map(|at| at.parse().unwrap()),
            published: published.map(|at| at.parse().unwrap()),
            own: false,
            vanished: None,
            other_bytes: None,
            compared: None,
            observed: Vec::new(),
        };
        let at = "2026-05-30T10:00:00.5Z".parse().unwrap();
        let what = "it is left out here: its shasum is no sha1".to_owned();
        view.seen = vec![
            seen("npm", Some("2026-05-01T08:00:00Z"), Some("1999-12-31T23:59:59Z")),
            Seen { observed: vec![Observed { at, what }], ..seen("mirror", None, None) },
        ];
        assert_snapshot!(told_of(&view, &set), @r#"
        npm:react@18.2.0 is allowed: allowed by the rule frontend
        until 2027-01-01T00:00:00Z; then it is decided anew
        In the registry npm: first seen by this garth 2026-05-01T08:00:00Z, published 1999-12-31T23:59:59Z by the upstream's word
        In the registry mirror: never offered by this garth
           2026-05-30T10:00:00Z  it is left out here: its shasum is no sha1
           deny   no-canaries  names it by npm:*, but the version is not in >=19.0.0-0
         * allow  frontend     names it by npm:react, and the version is in >=18
        One more rule speaks of other packages.
        Rules of revision 0246293ea286a329
        "#);
    }

    #[test]
    fn of_what_is_published_here_no_upstream_has_a_say() {
        let (mut view, set) = view("nuget:x@1.0", false);
        view.version = None;
        view.decision = None;
        view.own = true;
        assert_snapshot!(told_of(&view, &set), @r"
        nuget:x: what the rules say of it
        None of the 3 rules names it, and what is published here needs none.
        Rules of revision 0246293ea286a329
        ");
        let (first_seen, vanished) = ("2026-05-01T08:00:00Z", "2026-05-02T08:00:00Z");
        let seen = Seen {
            registry: "npm".to_owned(),
            own: true,
            first_seen: first_seen.parse().ok(),
            published: first_seen.parse().ok(),
            vanished: None,
            other_bytes: None,
            compared: None,
            observed: Vec::new(),
        };
        let mut text = String::new();
        tell_seen(&mut text, &seen);
        tell_seen(&mut text, &Seen { vanished: vanished.parse().ok(), ..seen });
        assert_snapshot!(text, @r"
        In the registry npm: published here 2026-05-01T08:00:00Z
        In the registry npm: published here 2026-05-01T08:00:00Z, unpublished 2026-05-02T08:00:00Z
        ");
    }

    #[test]
    fn the_answer_says_what_why_and_what_to_do() {
        assert_snapshot!(said("npm:react@18.2.0", false), @r#"
        npm:react@18.2.0 is allowed: allowed by the rule frontend
        until 2027-01-01T00:00:00Z; then it is decided anew
        No registry here has seen this version.
           deny   no-canaries  names it by npm:*, but the version is not in >=19.0.0-0
         * allow  frontend     names it by npm:react, and the version is in >=18
        One more rule speaks of other packages.
        Rules of revision 0246293ea286a329
        "#);
        assert_snapshot!(said("npm:react@19.0.0-canary.1", true), @r#"
        npm:react@19.0.0-canary.1 is denied: ADR-12: not before the audit
        by the rule no-canaries
        The server only observes: it is served all the same, and recorded.
        No registry here has seen this version.
         * deny   no-canaries  names it by npm:*, and the version is in >=19.0.0-0
           allow  frontend     names it by npm:react, but the version is not in >=18 (it is a pre-release, which an allow must name)
        One more rule speaks of other packages.
        Rules of revision 0246293ea286a329
        To take it back: remove no-canaries from a.toml, line 8
        "#);
        assert_snapshot!(said("npm:left-pad@1.3.0", false), @r#"
        npm:left-pad@1.3.0 is denied: no rule allows this package yet
        No registry here has seen this version.
           deny   no-canaries  names it by npm:*, but the version is not in >=19.0.0-0
        2 more rules speak of other packages.
        Rules of revision 0246293ea286a329
        To allow it: garth allow npm:left-pad@1.3.0
        "#);
        assert_snapshot!(said("nuget:x@1.0", false), @r#"
        nuget:x@1.0 is denied: no rule allows this package yet
        No registry here has seen this version.
        None of the 3 rules names it, and what no rule allows is denied.
        Rules of revision 0246293ea286a329
        To allow it: garth allow nuget:x@1.0
        "#);
    }
}
