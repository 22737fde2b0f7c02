//! `garth allow --with-dependencies`: all that a client would install, allowed as one.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use policies::decision::{DecisionCode, Effect};
use policies::package::{PackageVersion, Spelling};
use policies::rules::Draft;
use serde::Serialize;

use super::MakeRule;
use super::many::{self, counted, entry, is_malicious, listed};
use crate::api::closures::ClosureRequest;
use crate::api::rules::RuleView;
use crate::cli::Exit;
use crate::cli::client::{Client, ClientError};
use crate::cli::talk::{print, print_json};
use crate::registries::closure::{Among, Closure, Member, Standing};

#[derive(Serialize)]
struct Allowed {
    closures: Vec<Closure>,
    /// What the rule names, or would name.
    packages: Vec<String>,
    /// Absent where nothing was done.
    rule: Option<RuleView>,
}

/// What is asked for can be done; an error is in words.
pub(super) fn check(command: &MakeRule, effect: Effect) -> Result<(), String> {
    if effect != Effect::Allow {
        const WHY: &str = "--with-dependencies is for garth allow: what a package needs, others \
                           need, too, and would find it refused";
        return Err(WHY.to_owned());
    }
    for text in &command.packages {
        let spelling = Spelling::parse(text).map_err(|error| error.to_string())?;
        if spelling.version.is_some() && command.versions.is_some() {
            return Err(format!("{text} names a version and --versions does: give one of them"));
        }
    }
    Ok(())
}

pub(super) async fn run(
    command: &MakeRule,
    client: &Client,
    colours: bool,
) -> Result<Exit, ClientError> {
    let mut closures = Vec::new();
    for package in &command.packages {
        let question = ClosureRequest {
            package: package.clone(),
            versions: command.versions.clone(),
            registry: command.many.registry.clone(),
            team: command.one_team().map(str::to_owned),
            among: if command.many.prefer_allowed { Among::AllowedFirst } else { Among::Unrefused },
        };
        let closure: Closure = client.ask(&["closures"], &question).await?;
        if !command.json {
            print(&told(&closure, colours));
        }
        closures.push(closure);
    }
    let packages = entries(&closures, command);
    let is_whole = closures.iter().all(|closure| closure.incomplete.is_empty());
    let mut rule = None;
    if is_whole && !packages.is_empty() && !command.many.dry_run {
        let draft = Draft { packages: packages.clone(), ..command.draft(Effect::Allow) };
        rule = Some(many::make(command, client, draft, &name(&closures)).await?);
    }
    let exit = match (is_whole, closures.iter().any(stands_in_the_way)) {
        (false, _) => Exit::Failed,
        (true, true) => Exit::Partial,
        (true, false) => Exit::Done,
    };
    if command.json {
        print_json(&Allowed { closures, packages, rule });
        return Ok(exit);
    }
    if !is_whole {
        eprintln!("garth: nothing was allowed: not all that is needed is known");
        return Ok(exit);
    }
    print(&match (rule, packages.is_empty()) {
        (Some(rule), _) => many::made(&rule, colours),
        (None, true) => "nothing to do: all of it is allowed already\n".to_owned(),
        (None, false) => {
            format!(
                "nothing was changed (--dry-run): the rule would name\n  {}\n",
                listed(&packages)
            )
        }
    });
    Ok(exit)
}

/// A part of it would not be installed, and is needed.
fn stands_in_the_way(closure: &Closure) -> bool {
    let refused = |member: &Member| member.standing == Standing::Refused && !member.optional;
    closure.versions.iter().any(refused) || closure.unmet.iter().any(|unmet| !unmet.optional)
}

/// What is asked for first; what is allowed already needs no rule.
fn entries(closures: &[Closure], command: &MakeRule) -> Vec<String> {
    let mut found: BTreeMap<(bool, PackageVersion), &Member> = BTreeMap::new();
    for closure in closures {
        for member in &closure.versions {
            let subject = subject(member);
            let is_root = subject == closure.root;
            found.insert((!is_root, subject), member);
        }
    }
    let roots: Vec<PackageVersion> =
        found.keys().filter(|(other, _)| !other).map(|(_, subject)| subject.clone()).collect();
    let mut entries: Vec<String> = Vec::new();
    for ((is_other, subject), member) in found {
        let is_again = is_other && roots.contains(&subject);
        if member.standing != Standing::Allowed && !is_malicious(&member.decision) && !is_again {
            entries.push(entry(&subject, command.many.ranges));
        }
    }
    entries
}

fn subject(member: &Member) -> PackageVersion {
    PackageVersion { package: member.package.clone(), version: member.version.clone() }
}

fn name(closures: &[Closure]) -> String {
    let first = closures.first().map(|closure| closure.root.package.name());
    format!("allow-{}-with-dependencies", many::slug(first.unwrap_or("packages")))
}

/// What is wrong comes first.
fn told(closure: &Closure, colours: bool) -> String {
    let Closure { root, registry, versions, unmet, incomplete, counts, .. } = closure;
    let mut text = String::new();
    for why in incomplete {
        let _ = writeln!(text, "incomplete: {why}");
    }
    let refused: Vec<(PackageVersion, &Member)> = versions
        .iter()
        .filter(|member| member.standing == Standing::Refused)
        .map(|member| (subject(member), member))
        .collect();
    let of_refused = refused.iter().map(|(subject, member)| (subject, &member.decision));
    text.push_str(&many::refusals(of_refused, colours));
    text.extend(unmet.iter().take(many::MAX_LINES).map(|unmet| unmet.told() + "\n"));
    if unmet.len() > many::MAX_LINES {
        let _ = writeln!(text, "and {} more that are not to be had", unmet.len() - many::MAX_LINES);
    }
    for member in versions {
        if let Some(passed) = &member.instead_of {
            let (effect, reason) = (passed.decision.effect.participle(), &passed.decision.reason);
            let _ = writeln!(
                text,
                "{} instead of {}, which is {effect}: {reason}",
                subject(member),
                passed.version
            );
        }
    }
    let bundling: Vec<String> = versions
        .iter()
        .filter(|member| !member.bundles.is_empty())
        .map(|member| format!("{} brings {}", subject(member), listed(&member.bundles)))
        .collect();
    for line in bundling.iter().take(many::MAX_LINES) {
        let _ = writeln!(text, "{line} inside its archive, where no rule speaks of it");
    }
    let is_undecided = |member: &&Member| {
        member.standing == Standing::Open && member.decision.code != DecisionCode::NoRuleAllows
    };
    let undecided = versions.iter().filter(is_undecided).count();
    text.push_str(&many::undecided(undecided));
    let others = counted(versions.len().saturating_sub(1), "other version");
    let _ = writeln!(
        text,
        "{root} with {others}, as {} would install it from the registry {registry}: {} allowed \
         already, {} to allow, {} refused",
        root.package.ecosystem(),
        counts.allowed,
        counts.open,
        counts.refused
    );
    text
}
