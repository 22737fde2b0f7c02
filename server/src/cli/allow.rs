//! `garth allow`, `garth deny`, `garth hold`: one rule for some packages, in force at once.
//!
//! A rule for a package with all that it needs is made by [`closure`], one for all that a lockfile
//! names by [`lockfile`].

mod closure;
pub(super) mod lockfile;
pub(super) mod many;

use std::fmt::Write as _;

use clap::Args;
use policies::decision::Effect;
use policies::package::{Ecosystem, InvalidName, Spelling, Version};
use policies::rules::{Draft, Pattern};
use policies::versions::{Parsed, exactly};
use serde::Serialize;

use self::lockfile::Named;
use super::Exit;
use super::client::{Client, ClientError, ServerArgs};
use super::remedy::{fetch_rule, remedy};
use super::talk::{colours, painted, print, print_json, with_server};
use crate::api::decisions::DecisionView;
use crate::api::rules::RuleView;
use crate::api::status::RegistryView;
use crate::config::{EnvSnapshot, Format};
use crate::registries::closure::only_in;

const FORBIDDEN: u16 = 403;
/// The decisions that are shown at the end; for more packages than this they would hide the rest.
const MAX_SHOWN: usize = 10;

#[derive(Args, Debug)]
pub struct MakeRule {
    /// Packages as npm:left-pad, npm:@types/*, npm:left-pad@1.3.0 or pkg:npm/left-pad
    #[arg(required_unless_present = "from", value_name = "PACKAGE")]
    packages: Vec<String>,
    /// A version range as the ecosystem writes it, like "^1.2 || >=3 <4" for npm [default: every version]
    #[arg(long, value_name = "RANGE")]
    versions: Option<String>,
    /// The team that it speaks to, like web/shop, or web/* for a unit; may be given several times [default: everybody]
    #[arg(long = "team", value_name = "TEAM")]
    teams: Vec<String>,
    /// Why, in one line; developers read it when they are refused
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// When the rule ends: 2027-01-01 (as that day begins, UTC) or 2027-01-01T12:00:00Z
    #[arg(long, value_name = "DATE")]
    expires: Option<String>,
    /// A name for the rule [default: made from effect and package]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    many: many::ManyArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// The packages that share one range, which become one rule.
struct Group {
    versions: Option<String>,
    packages: Vec<String>,
}

#[derive(Serialize)]
struct Made {
    rule: RuleView,
    /// False where one that says the same was there.
    created: bool,
    decisions: Vec<DecisionView>,
    /// Rules that refuse, whatever this one says, what it speaks of.
    #[serde(rename = "refused_by")]
    stronger: Vec<RuleView>,
}

impl MakeRule {
    pub fn run(self, effect: Effect, env: &EnvSnapshot) -> Exit {
        match self.start(effect, env) {
            Ok(exit) => exit,
            Err(told) => {
                eprintln!("garth: {told}");
                Exit::Failed
            }
        }
    }

    /// An error is in words, and nothing was asked of a server.
    fn start(&self, effect: Effect, env: &EnvSnapshot) -> Result<Exit, String> {
        let colours = colours(env);
        if let Some(path) = &self.many.from {
            let lockfile = lockfile::read(path)?;
            return Ok(with_server(&self.server, env, async move |client: Client| {
                let named = self.named_registry(&client).await?;
                let lockfile = lockfile.of_registry(named.as_ref());
                lockfile::run(self, effect, &client, &lockfile, colours).await
            }));
        }
        if self.many.with_dependencies {
            closure::check(self, effect)?;
            return Ok(with_server(&self.server, env, async |client: Client| {
                self.named_registry(&client).await?;
                closure::run(self, &client, colours).await
            }));
        }
        if self.many.dry_run {
            return Err("--dry-run is for --with-dependencies and --from".to_owned());
        }
        let groups = self.groups()?;
        Ok(with_server(&self.server, env, async |client: Client| {
            self.named_registry(&client).await?;
            let mut all = Vec::new();
            for group in &groups {
                let made = self.make(&client, effect, group).await?;
                if !self.json {
                    print(&told(&made, colours));
                }
                all.push(made);
            }
            if self.json {
                print_json(&all);
            }
            Ok(Exit::Done)
        }))
    }

    /// A rule for a registry that is not there, or is another format's, would hold nowhere. Whoever may
    /// make rules for some packages alone may not be let see the registries.
    async fn named_registry(&self, client: &Client) -> Result<Option<Named>, ClientError> {
        let Some(name) = &self.many.registry else { return Ok(None) };
        let is_plain = |char: char| char.is_ascii_alphanumeric() || char == '-';
        if name.is_empty() || !name.chars().all(is_plain) {
            return Err(ClientError::Unasked(format!("{name:?} is the name of no registry")));
        }
        let registry: RegistryView = match client.get(&["registries", name], &[]).await {
            Err(ClientError::Refused(problem)) if problem.status == FORBIDDEN => {
                let address = client.address_of(name);
                return Ok(Some(Named { address, has_upstream: true }));
            }
            answer => answer?,
        };
        let of = registry.ecosystem;
        let spellings = self.packages.iter().filter_map(|text| Spelling::parse(text).ok());
        if let Some(asked) = spellings.map(|one| one.ecosystem).find(|asked| *asked != of) {
            return Err(ClientError::Unasked(format!(
                "the registry {name} has packages of {of}, and none of {asked}: name another one, or none"
            )));
        }
        let address = registry.address.unwrap_or_else(|| client.address_of(name));
        Ok(Some(Named { address, has_upstream: registry.upstream.is_some() }))
    }

    /// Packages by the range that is meant for them, in the order in which they were given.
    fn groups(&self) -> Result<Vec<Group>, String> {
        let mut groups: Vec<Group> = Vec::new();
        for text in &self.packages {
            let (package, version) = split(text).map_err(|error| error.to_string())?;
            if version.is_some() && self.versions.is_some() {
                return Err(format!(
                    "{text} names a version and --versions does: give one of them"
                ));
            }
            let versions = version.or_else(|| self.versions.clone());
            match groups.iter_mut().find(|group| group.versions == versions) {
                Some(group) => group.packages.push(package),
                None => groups.push(Group { versions, packages: vec![package] }),
            }
        }
        if groups.len() > 1 && self.name.is_some() {
            return Err(
                "packages of several versions become several rules, and --name names one: \
                        run the command once for each"
                    .to_owned(),
            );
        }
        Ok(groups)
    }

    /// As whom to ask what came of it; a whole unit is nobody in particular.
    fn one_team(&self) -> Option<&str> {
        self.teams
            .iter()
            .map(String::as_str)
            .find(|team| team.split_once('/').is_some_and(|(_, team)| team != "*"))
    }

    /// What every rule of this command says.
    fn draft(&self, effect: Effect) -> Draft {
        // It is a name, and no text that could mean something else.
        let when = self.many.registry.as_deref().map(only_in);
        Draft {
            when,
            name: self.name.clone(),
            effect: Some(effect.to_string()),
            teams: (!self.teams.is_empty()).then(|| self.teams.clone()),
            reason: self.reason.clone(),
            expires: self.expires.clone(),
            ..Draft::default()
        }
    }

    async fn make(
        &self,
        client: &Client,
        effect: Effect,
        group: &Group,
    ) -> Result<Made, ClientError> {
        let draft = Draft {
            packages: group.packages.clone(),
            versions: group.versions.clone(),
            ..self.draft(effect)
        };
        let (rule, created): (RuleView, bool) = client.post(&["rules"], &draft).await?;
        let mut decisions: Vec<DecisionView> = Vec::new();
        for asked in self.packages.iter().filter(|text| in_group(text, group)).take(MAX_SHOWN) {
            if let Some(asked) = exact(asked) {
                let mut query = vec![("package", asked.as_str())];
                query.extend(self.one_team().map(|team| ("team", team)));
                query.extend(self.many.registry.as_deref().map(|name| ("registry", name)));
                decisions.push(client.get(&["decisions"], &query).await?);
            }
        }
        let mut stronger: Vec<RuleView> = Vec::new();
        for view in &decisions {
            for name in names_stronger(&rule, view) {
                if stronger.iter().all(|other| other.name != name) {
                    stronger.extend(fetch_rule(client, &name).await?);
                }
            }
        }
        Ok(Made { rule, created, decisions, stronger })
    }
}

/// The pattern, and the range of what stands behind its name: one version means only that one.
pub(super) fn split(text: &str) -> Result<(String, Option<String>), InvalidName> {
    if text == "*" {
        return Ok((text.to_owned(), None));
    }
    let spelling = Spelling::parse(text)?;
    let pattern = Pattern::parse_in(spelling.ecosystem, &spelling.name)?;
    let range = spelling.version.map(|version| range(spelling.ecosystem, version));
    Ok((pattern.to_string(), range))
}

fn range(ecosystem: Ecosystem, version: String) -> String {
    match Parsed::new(ecosystem, &version) {
        Some(_) => exactly(ecosystem, &version),
        None => version,
    }
}

fn in_group(text: &str, group: &Group) -> bool {
    split(text).is_ok_and(|(package, _)| group.packages.contains(&package))
}

/// What to ask the server for the decision on; `None` for a pattern.
fn exact(text: &str) -> Option<String> {
    let spelling = Spelling::parse(text).ok()?;
    let Ok(Pattern::One(package)) = Pattern::parse_in(spelling.ecosystem, &spelling.name) else {
        return None;
    };
    let version =
        spelling.version.filter(|version| Parsed::new(spelling.ecosystem, version).is_some());
    match version.as_deref().map(Version::new) {
        Some(Ok(version)) => {
            Some(policies::package::PackageVersion { package, version }.to_string())
        }
        _ => Some(package.to_string()),
    }
}

/// The rules that beat the new one for this package.
fn names_stronger(rule: &RuleView, view: &DecisionView) -> Vec<String> {
    match &view.decision {
        Some(decision) if decision.effect > rule.effect => {
            decision.rule.iter().map(ToString::to_string).collect()
        }
        Some(_) => Vec::new(),
        None => view
            .considered
            .iter()
            .filter(|one| one.matched && one.effect > rule.effect)
            .map(|one| one.rule.to_string())
            .collect(),
    }
}

/// What stays refused comes first: a person who reads one line must not take it for allowed.
fn told(made: &Made, colours: bool) -> String {
    let rule = &made.rule;
    let mut text = String::new();
    let still: Vec<&DecisionView> =
        made.decisions.iter().filter(|view| is_still_refused(made, view)).collect();
    for view in &still {
        text.push_str(&refusal(made, view, colours));
    }
    let some_refused = !still.is_empty();
    let word = match (made.created, some_refused) {
        (false, _) => "there already".to_owned(),
        (true, true) => "kept".to_owned(),
        (true, false) => painted(rule.effect.participle(), rule.effect, colours),
    };
    let _ = write!(text, "{word}: ");
    if some_refused || !made.created {
        let _ = write!(text, "{} ", rule.effect);
    }
    text.push_str(&rule.packages.join(", "));
    if let Some(versions) = &rule.versions {
        let _ = write!(text, " in {versions}");
    }
    if !rule.terms.teams.is_empty() {
        let _ = write!(text, " for {}", rule.terms.teams.join(", "));
    }
    if let Some(when) = &rule.terms.when {
        let _ = write!(text, " when {when}");
    }
    if let Some(expires) = &rule.expires {
        let _ = write!(text, " until {expires}");
    }
    let _ = writeln!(text, " (rule {})", rule.name);
    for ecosystem in not_served(rule) {
        let _ = writeln!(text, "  kept; this version of garth does not serve {ecosystem} yet");
    }
    for view in made.decisions.iter().filter(|view| !is_still_refused(made, view)) {
        text.push_str(&consequence(made, view, colours));
    }
    text
}

/// Nothing that the new rule speaks of is reached by it.
fn is_still_refused(made: &Made, view: &DecisionView) -> bool {
    match &view.decision {
        Some(decision) => decision.effect > made.rule.effect,
        None => whole(made, view).is_some(),
    }
}

/// The rule that refuses every version that the new one speaks of.
fn whole<'m>(made: &'m Made, view: &DecisionView) -> Option<&'m RuleView> {
    stronger(made, view)
        .find(|other| other.versions.is_none() || other.versions == made.rule.versions)
}

fn stronger<'m>(made: &'m Made, view: &DecisionView) -> impl Iterator<Item = &'m RuleView> {
    let names = names_stronger(&made.rule, view);
    made.stronger.iter().filter(move |other| names.contains(&other.name))
}

fn refusal(made: &Made, view: &DecisionView, colours: bool) -> String {
    let by = match &view.decision {
        Some(_) => stronger(made, view).next(),
        None => whole(made, view),
    };
    let effect = match (&view.decision, by) {
        (Some(decision), _) => decision.effect,
        (None, Some(by)) => by.effect,
        (None, None) => Effect::Deny,
    };
    let mut text =
        format!("still {}: {}", painted(effect.participle(), effect, colours), asked(view));
    match (by, &view.decision) {
        (Some(by), _) => {
            let _ = write!(text, " by the rule {}", by.name);
            if let Some(reason) = &by.reason {
                let _ = write!(text, ": {reason}");
            }
            let _ = write!(text, "\n  {effect} beats {}; to {}", made.rule.effect, remedy(by));
        }
        (None, Some(decision)) => {
            let _ = write!(text, ": {}", decision.reason);
        }
        (None, None) => {}
    }
    text.push('\n');
    text
}

fn asked(view: &DecisionView) -> String {
    let package = view.package.clone();
    match view.version.clone() {
        Some(version) => policies::package::PackageVersion { package, version }.to_string(),
        None => package.to_string(),
    }
}

/// Where the new rule does not have the only word.
fn consequence(made: &Made, view: &DecisionView, colours: bool) -> String {
    let rule = &made.rule;
    let Some(decision) = &view.decision else {
        return stronger(made, view).fold(String::new(), |mut text, other| {
            let versions = other.versions.as_deref().unwrap_or("every version");
            let _ = writeln!(
                text,
                "  but {versions} stays {} by the rule {}; to {}",
                painted(other.effect.participle(), other.effect, colours),
                other.name,
                remedy(other)
            );
            text
        });
    };
    let word = painted(decision.effect.participle(), decision.effect, colours);
    let mut text = format!("  {} is now {word}", asked(view));
    match &decision.rule {
        Some(other) if **other != *rule.name => {
            let _ = write!(text, " by the rule {other}: {}", decision.reason);
        }
        None => {
            let _ = write!(text, ": {}", decision.reason);
        }
        Some(_) => {}
    }
    text.push('\n');
    text
}

fn not_served(rule: &RuleView) -> Vec<Ecosystem> {
    let is_served =
        |of: &Ecosystem| Format::SERVED.iter().any(|format| format.ecosystem() == Some(*of));
    let mut found: Vec<Ecosystem> = rule
        .packages
        .iter()
        .filter_map(|text| Pattern::parse(text).ok().and_then(|pattern| pattern.ecosystem()))
        .filter(|ecosystem| !is_served(ecosystem))
        .collect();
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_behind_a_name_becomes_a_range() {
        for (text, pattern, range) in [
            ("npm:left-pad", "npm:left-pad", None),
            ("npm:left-pad@1.3.0", "npm:left-pad", Some("1.3.0")),
            ("npm:@a/b@^1", "npm:@a/b", Some("^1")),
            ("cargo:serde@1.0.1", "cargo:serde", Some("=1.0.1")),
            ("nuget:A.B@1.0", "nuget:a.b", Some("[1.0]")),
            ("oci:hub/library/alpine:3", "oci:hub/library/alpine", Some("3")),
            ("pkg:npm/%40a/b@1.0.0", "npm:@a/b", Some("1.0.0")),
            ("npm:@types/*", "npm:@types/*", None),
            ("*", "*", None),
        ] {
            let found = split(text).unwrap();
            assert_eq!((found.0.as_str(), found.1.as_deref()), (pattern, range), "{text}");
        }
        assert!(split("left-pad").unwrap_err().to_string().contains("npm:left-pad"));
    }

    #[test]
    fn only_exact_packages_have_a_decision_to_show() {
        assert_eq!(exact("npm:left-pad@1.3.0").as_deref(), Some("npm:left-pad@1.3.0"));
        assert_eq!(exact("npm:left-pad@^1").as_deref(), Some("npm:left-pad"));
        assert_eq!(exact("npm:@types/*"), None);
        assert_eq!(exact("*"), None);
    }
}
