//! `--from LOCKFILE`: every version that a lockfile names, in one rule.

mod choosing;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use policies::decision::{Decision, DecisionCode, Effect};
use policies::package::PackageVersion;
use policies::rules::{Draft, Pattern};
use scanner::{Found, MAX_LOCKFILE_BYTES, Outcome, Scan, Source};
use serde::Serialize;

pub(in crate::cli) use self::choosing::Named;
use super::MakeRule;
use super::many::{self, Ranges, counted, entry, is_malicious, listed};
use crate::api::closures::DecisionsRequest;
use crate::api::rules::RuleView;
use crate::cli::Exit;
use crate::cli::client::{Client, ClientError};
use crate::cli::talk::{print, print_json};
use crate::registries::closure::{Decided, Standing, Verdict};

/// Versions that are asked about in one request.
const AT_ONCE: usize = 5000;

/// The one that a lockfile means where it says no other.
const DEFAULT: &str = "the default registry";

/// What a lockfile names.
#[derive(Debug, Default)]
pub(in crate::cli) struct Lockfile {
    name: String,
    /// Of the project that it belongs to.
    project: Option<String>,
    /// By the address of the registry that each is from; the default one may have none.
    by_address: BTreeMap<Option<String>, BTreeSet<PackageVersion>>,
    /// Those of one registry, once it was [chosen](Self::of_registry): a name says nothing of where it
    /// is from.
    versions: BTreeSet<PackageVersion>,
    /// How many others there are, by the registry that they come from.
    of_others: BTreeMap<String, usize>,
    /// Entries that do not come from a registry.
    elsewhere: BTreeSet<String>,
    /// Inside the archives of others.
    bundled: usize,
    /// Entries that could not be read.
    problems: Vec<String>,
}

#[derive(Serialize)]
struct Made {
    /// Why each of these has no part in the rule.
    left_out: LeftOut,
    /// What the rule names, or would name.
    packages: Vec<String>,
    refused: Vec<Verdict>,
    unknown: Vec<Verdict>,
    /// How many are decided at their first download.
    undecided: usize,
    /// Absent where nothing was done.
    rule: Option<RuleView>,
}

#[derive(Serialize)]
struct LeftOut {
    already: usize,
    bundled: usize,
    elsewhere: BTreeSet<String>,
    of_others: BTreeMap<String, usize>,
    malicious: Vec<PackageVersion>,
    problems: Vec<String>,
}

pub(in crate::cli) fn read(path: &Path) -> Result<Lockfile, String> {
    let shown = path.display();
    let cannot = |fault: std::io::Error| format!("{shown} cannot be read: {fault}");
    #[allow(clippy::disallowed_methods, reason = "a command, before it has an executor")]
    let bytes = {
        let size = std::fs::metadata(path).map_err(cannot)?.len();
        if size > MAX_LOCKFILE_BYTES {
            return Err(format!("{shown} is larger than {} MiB", MAX_LOCKFILE_BYTES >> 20));
        }
        std::fs::read(path).map_err(cannot)?
    };
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into());
    let scan = scanner::scan(&name, &bytes);
    if scan.outcome == Outcome::Failed {
        let why = scan.problems.first().map_or("nothing was found in it", |problem| &problem.what);
        return Err(format!("{shown} {why}"));
    }
    Ok(lockfile(scan))
}

impl Lockfile {
    /// What it is called for people, and all that it names out of registries.
    pub(in crate::cli) fn named(self) -> (String, Vec<PackageVersion>) {
        let name = match &self.project {
            Some(project) => format!("{} of {project}", self.name),
            None => self.name,
        };
        (name, self.versions.into_iter().collect())
    }

    /// What is in it and is not asked about, what is wrong first.
    pub(in crate::cli) fn left_out(&self) -> String {
        unread(&self.problems) + &left_aside(&self.elsewhere, &self.of_others, self.bundled)
    }

    /// Leaves out what no rule can name, and says so.
    pub(in crate::cli) fn without_nameless(mut self) -> Self {
        let can_be_named = |of: &PackageVersion| Pattern::parse(&of.to_string()).is_ok();
        let (named, nameless) = self.versions.into_iter().partition(can_be_named);
        let nameless: BTreeSet<PackageVersion> = nameless;
        self.problems.extend(nameless.iter().map(told_nameless));
        Self { versions: named, ..self }
    }
}

fn told_nameless(subject: &PackageVersion) -> String {
    format!("{subject} is no version that a rule can name")
}

fn unread(problems: &[String]) -> String {
    let mut text = String::new();
    for problem in problems.iter().take(many::MAX_LINES) {
        let _ = writeln!(text, "not read: {problem}");
    }
    if problems.len() > many::MAX_LINES {
        let _ = writeln!(text, "and {} more that were not read", problems.len() - many::MAX_LINES);
    }
    text
}

fn left_aside(
    elsewhere: &BTreeSet<String>,
    of_others: &BTreeMap<String, usize>,
    bundled: usize,
) -> String {
    let mut text = String::new();
    for (registry, count) in of_others {
        let versions = counted(*count, "version");
        let then = match last_part(registry).filter(|_| registry != DEFAULT) {
            Some(name) => format!("--registry {name}, if that is a registry of this garth"),
            None => "without --registry".to_owned(),
        };
        let _ = writeln!(text, "left out: {versions} from {registry}; for these: {then}");
    }
    if !elsewhere.is_empty() {
        let named: Vec<String> = elsewhere.iter().cloned().collect();
        let _ = writeln!(text, "left out, since no registry has them: {}", listed(&named));
    }
    if bundled > 0 {
        let inside = counted(bundled, "package");
        let _ = writeln!(text, "left out: {inside} inside the archives of others");
    }
    text
}

/// What the address of a registry of a garth ends with: its name.
fn last_part(address: &str) -> Option<&str> {
    address.trim_end_matches('/').rsplit('/').next().filter(|name| !name.is_empty())
}

fn lockfile(scan: Scan) -> Lockfile {
    let mut lockfile = Lockfile { name: scan.lockfile, ..Lockfile::default() };
    for found in scan.packages {
        match (&found.source, found.package(), &found.version) {
            (Source::Local(folder), ..) if folder.is_empty() => lockfile.project = Some(found.name),
            (Source::Registry(address), Some(package), Some(version)) if !found.bundled => {
                let version = PackageVersion { package, version: version.clone() };
                lockfile.by_address.entry(address.clone()).or_default().insert(version);
            }
            (Source::Registry(_), ..) if found.bundled => lockfile.bundled += 1,
            (Source::Registry(_), ..) => lockfile
                .problems
                .push(format!("{} has no name or version that a rule could have", found.name)),
            _ => {
                lockfile.elsewhere.insert(place(&found));
            }
        }
    }
    let told =
        scan.problems.into_iter().map(|problem| format!("{} {}", problem.place, problem.what));
    lockfile.problems.extend(told.map(|text| text.trim().to_owned()));
    lockfile
}

fn place(found: &Found) -> String {
    let name = &found.name;
    match &found.source {
        Source::Git { repository, .. } => format!("{name} (the repository {repository})"),
        Source::Archive(address) => format!("{name} (the archive {address})"),
        Source::Local(folder) => format!("{name} (the folder {folder})"),
        Source::Registry(_) => name.clone(),
    }
}

pub(super) async fn run(
    command: &MakeRule,
    effect: Effect,
    client: &Client,
    lockfile: &Lockfile,
    colours: bool,
) -> Result<Exit, ClientError> {
    let versions: Vec<PackageVersion> = lockfile.versions.iter().cloned().collect();
    let mut verdicts = Vec::new();
    for versions in versions.chunks(AT_ONCE) {
        let registry = command.many.registry.clone();
        let question = DecisionsRequest {
            versions: versions.to_vec(),
            registry,
            team: command.one_team().map(str::to_owned),
        };
        let decided: Decided = client.ask(&["decisions"], &question).await?;
        verdicts.extend(decided.verdicts);
    }
    let mut made = sorted(effect, lockfile, verdicts);
    if !command.json {
        print(&told(effect, lockfile, &made, colours));
    }
    if !made.packages.is_empty() && !command.many.dry_run {
        let project = lockfile.project.as_deref().unwrap_or(&lockfile.name);
        let base = format!("{effect}-lockfile-of-{}", many::slug(project));
        let draft = Draft { packages: made.packages.clone(), ..command.draft(effect) };
        made.rule = Some(many::make(command, client, draft, &base).await?);
    }
    let is_whole = made.left_out.problems.is_empty() && made.refused.is_empty();
    let exit = if is_whole { Exit::Done } else { Exit::Partial };
    if command.json {
        print_json(&made);
        return Ok(exit);
    }
    let already = effect.participle();
    print(&match (&made.rule, made.packages.is_empty()) {
        (Some(rule), _) => many::made(rule, colours),
        (None, true) => format!("nothing to do: all of it is {already} already, or left out\n"),
        (None, false) => format!(
            "nothing was changed (--dry-run): the rule would name\n  {}\n",
            listed(&made.packages)
        ),
    });
    Ok(exit)
}

fn sorted(effect: Effect, lockfile: &Lockfile, verdicts: Vec<Verdict>) -> Made {
    let mut made = Made {
        left_out: LeftOut {
            already: 0,
            bundled: lockfile.bundled,
            elsewhere: lockfile.elsewhere.clone(),
            of_others: lockfile.of_others.clone(),
            malicious: Vec::new(),
            problems: lockfile.problems.clone(),
        },
        packages: Vec::new(),
        refused: Vec::new(),
        unknown: Vec::new(),
        undecided: 0,
        rule: None,
    };
    for verdict in verdicts {
        // What is denied only until somebody opens it is not denied already.
        if is_already(effect, &verdict.decision) && !verdict.undecided {
            made.left_out.already += 1;
            continue;
        }
        let text = entry(&verdict.subject, Ranges::Exact);
        if Pattern::parse(&text).is_err() {
            made.left_out.problems.push(told_nameless(&verdict.subject));
            continue;
        }
        if effect == Effect::Allow && is_malicious(&verdict.decision) {
            made.left_out.malicious.push(verdict.subject.clone());
        } else {
            made.packages.push(text);
        }
        if verdict.decision.effect > effect && verdict.standing() == Standing::Refused {
            made.refused.push(verdict.clone());
        }
        made.undecided += usize::from(verdict.undecided && effect == Effect::Allow);
        if verdict.unknown.is_some() {
            made.unknown.push(verdict);
        }
    }
    made
}

/// A rule would change nothing. What is refused because nobody allowed it is denied by no rule.
fn is_already(effect: Effect, decision: &Decision) -> bool {
    let by_somebody = decision.code != DecisionCode::NoRuleAllows;
    match effect {
        Effect::Allow => decision.effect == Effect::Allow,
        Effect::Hold => decision.effect == Effect::Hold,
        Effect::Deny => decision.effect == Effect::Deny && by_somebody,
    }
}

/// What is wrong comes first.
fn told(effect: Effect, lockfile: &Lockfile, made: &Made, colours: bool) -> String {
    let LeftOut { already, bundled, elsewhere, of_others, problems, .. } = &made.left_out;
    let mut text = unread(problems);
    if effect == Effect::Allow {
        let refused = made.refused.iter().map(|verdict| (&verdict.subject, &verdict.decision));
        text.push_str(&many::refusals(refused, colours));
    }
    for verdict in made.unknown.iter().take(many::MAX_LINES) {
        let why = verdict.unknown.as_deref().unwrap_or_default();
        let _ = writeln!(text, "not looked up: {}: {why}", verdict.subject);
    }
    if made.unknown.len() > many::MAX_LINES {
        let more = made.unknown.len() - many::MAX_LINES;
        let _ = writeln!(text, "and {more} more that were not looked up");
    }
    text.push_str(&many::undecided(made.undecided));
    text.push_str(&left_aside(elsewhere, of_others, *bundled));
    let _ = writeln!(
        text,
        "{} names {}: {already} {} already, {} to {effect}",
        lockfile.name,
        counted(lockfile.versions.len(), "version"),
        effect.participle(),
        made.packages.len()
    );
    text
}
