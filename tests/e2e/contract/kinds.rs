//! Every way in which rules may say no, and those in which they must not: a row each.
//!
//! A row has two packages, each with an old version and a new one. Of [`Shape::Whole`] nothing may
//! be shown; of [`Shape::Newest`] the old version is allowed to everybody, and only the new one is
//! refused. Rules name whatever `{PACKAGE}` and its like stand for, so a row speaks of no format.

mod facts;
mod listed;

use std::fmt::Write as _;

use policies::decision::{DecisionCode, Effect};
use policies::facts::Fact;
use serde_json::{Value, json};

use super::{Format, Release, Subject};

pub use listed::{refusing, serving};

/// What is published of both packages of every row.
pub const OLD: &str = "1.0.0";
pub const NEW: &str = "2.7.1";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Whole,
    Newest,
}

/// What is special about the new version. Each format says how its registries tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trait {
    Plain,
    Copyleft,
    NoLicence,
    /// Nobody can read when it was published.
    Undated,
    /// It is never older than a moment, whenever this is run.
    Young,
    Deprecated,
    Scripts,
    Attested,
    /// The publisher is not that of the old version.
    ByAnother,
    ByNobody,
    Dependent,
    /// It says what it is, where its source is, and what compiles it.
    Described,
    /// Its artifact says something else than its document.
    Lying,
}

/// What an advisory says of the new version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    Nothing,
    Critical,
    Unscored,
    /// It mends what was wrong with the old one.
    Fixing,
    Malicious,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    Nobody,
    Shop,
    Till,
    Db,
}

impl Who {
    pub const ALL: [Self; 4] = [Self::Nobody, Self::Shop, Self::Till, Self::Db];

    pub const fn team(self) -> Option<&'static str> {
        match self {
            Self::Nobody => None,
            Self::Shop => Some("web/shop"),
            Self::Till => Some("web/till"),
            Self::Db => Some("ops/db"),
        }
    }
}

/// One rule or waiver of a row, with its fields as they are written.
#[derive(Clone, Debug)]
pub struct Text {
    effect: Option<Effect>,
    packages: &'static str,
    /// `None`: what the shape asks for.
    versions: Option<&'static str>,
    when: Option<String>,
    more: String,
    /// It lifts the rule of this place in the row, or the one of this name.
    waives: Option<String>,
}

fn text(effect: Option<Effect>) -> Text {
    let (more, when, waives) = (String::new(), None, None);
    Text { effect, packages: "{PACKAGE}", versions: None, when, more, waives }
}

/// Of the new version alone, in either shape.
pub fn allow() -> Text {
    text(Some(Effect::Allow)).versions(">=2")
}

pub fn deny() -> Text {
    text(Some(Effect::Deny))
}

pub fn hold() -> Text {
    text(Some(Effect::Hold))
}

/// Of the rule at this place in the row.
pub fn waiver(of: usize) -> Text {
    let waiver = text(None).versions(">=2").field("owner", "ann");
    Text { waives: Some(format!("{{ROW}}-{of}")), ..waiver }
}

pub fn waiver_of_malice() -> Text {
    Text { waives: Some("malicious".to_owned()), ..waiver(0) }
}

impl Text {
    pub fn packages(self, packages: &'static str) -> Self {
        Self { packages, ..self }
    }

    pub fn versions(self, versions: &'static str) -> Self {
        Self { versions: Some(versions), ..self }
    }

    pub fn when(self, when: &str) -> Self {
        Self { when: Some(when.to_owned()), ..self }
    }

    /// A field whose value is a text.
    pub fn field(mut self, name: &str, value: &str) -> Self {
        let _ = writeln!(self.more, "{name} = \"{value}\"");
        self
    }

    /// A field whose value is a list of one text.
    pub fn list(mut self, name: &str, value: &str) -> Self {
        let _ = writeln!(self.more, "{name} = [\"{value}\"]");
        self
    }

    pub fn observe(mut self) -> Self {
        self.more.push_str("observe = true\n");
        self
    }

    fn written(&self, format: &Format, place: usize, shape: Shape) -> String {
        let mut text = match (self.effect, &self.waives) {
            (Some(effect), _) => format!("[[rule]]\neffect = \"{effect}\"\n"),
            (None, waives) => {
                let waives = waives.as_deref().unwrap_or_default();
                let ends =
                    if self.more.contains("expires") { "" } else { "expires = 2900-01-01\n" };
                format!("[[waiver]]\nwaives = \"{waives}\"\n{ends}")
            }
        };
        let _ = writeln!(text, "name = \"{{ROW}}-{place}\"\npackages = [\"{}\"]", self.packages);
        // A pattern may say by itself which versions it means, and `*` is of no one format.
        let says = self.packages.contains("}@") || self.packages == "*";
        let of_shape = (shape == Shape::Newest).then_some(">=2");
        if let Some(versions) = self.versions.or(of_shape).filter(|_| !says) {
            let _ = writeln!(text, "versions = \"{}\"", (format.range)(versions));
        }
        if let Some(when) = &self.when {
            let _ = writeln!(text, "when = \"{when}\"");
        }
        let _ = writeln!(text, "reason = \"because of {{ROW}}-{place}\"");
        text + &self.more + "\n"
    }
}

#[derive(Clone, Debug)]
pub struct Row {
    /// In words, unique, and a part of names.
    pub name: String,
    pub rules: Vec<Text>,
    pub is: Trait,
    pub advice: Advice,
    /// The package's name looks like that of a popular one.
    pub looks_alike: bool,
    pub code: DecisionCode,
    /// The rule that decides, by its place.
    pub by: Option<usize>,
    /// What the refusal has to say beside.
    pub words: &'static str,
    pub refused_to: Vec<Who>,
    /// Of no meaning where a format never states this.
    pub needs: Option<Fact>,
}

/// A row that refuses its new version to everybody, because nothing allows it.
pub fn row(name: &str, rules: Vec<Text>) -> Row {
    Row {
        name: name.to_owned(),
        rules,
        is: Trait::Plain,
        advice: Advice::Nothing,
        looks_alike: false,
        code: DecisionCode::NoRuleAllows,
        by: None,
        words: "not allowed: ",
        refused_to: Who::ALL.to_vec(),
        needs: None,
    }
}

impl Row {
    /// It is the rule of this place that decides.
    pub fn by(mut self, place: usize) -> Self {
        let effect = self.rules[place].effect.expect("a rule that decides");
        (self.code, self.words) = match effect {
            Effect::Allow => (DecisionCode::AllowedByRule, ""),
            Effect::Hold => (DecisionCode::HeldByRule, "on hold by the rule "),
            Effect::Deny => (DecisionCode::DeniedByRule, "denied by the rule "),
        };
        if effect == Effect::Allow {
            self.refused_to.clear();
        }
        self.by = Some(place);
        self
    }

    pub fn malicious(mut self) -> Self {
        (self.code, self.words) = (DecisionCode::Malicious, "says that it is malicious");
        self.advised(Advice::Malicious)
    }

    pub fn says(self, words: &'static str) -> Self {
        Self { words, ..self }
    }

    pub fn is(self, is: Trait) -> Self {
        Self { is, ..self }
    }

    pub fn advised(self, advice: Advice) -> Self {
        Self { advice, ..self }
    }

    pub fn needs(self, fact: Fact) -> Self {
        Self { needs: Some(fact), ..self }
    }

    pub fn looks_alike(self) -> Self {
        Self { looks_alike: true, ..self }
    }

    pub fn only_to(self, who: &[Who]) -> Self {
        Self { refused_to: who.to_vec(), ..self }
    }

    pub fn effect(&self) -> Effect {
        match self.code {
            DecisionCode::HeldByRule => Effect::Hold,
            DecisionCode::AllowedByRule | DecisionCode::OwnPackage => Effect::Allow,
            DecisionCode::DeniedByRule
            | DecisionCode::NoRuleAllows
            | DecisionCode::Malicious
            | DecisionCode::RulesUnavailable => Effect::Deny,
        }
    }
}

/// A row of one format in one shape: a package.
#[derive(Clone, Debug)]
pub struct Case {
    pub row: Row,
    pub shape: Shape,
    /// Begins the names of its rules.
    pub key: String,
    pub package: String,
}

impl Case {
    pub fn older(&self) -> Subject {
        Subject { name: self.package.clone(), version: OLD }
    }

    pub fn newer(&self) -> Subject {
        Subject { name: self.package.clone(), version: NEW }
    }

    /// What stands in all that is published of this version, and nowhere else.
    pub fn marker(&self, version: &str) -> String {
        format!("words of {} in {version}.", self.key)
    }

    pub fn releases(&self) -> Vec<Release> {
        [(OLD, Trait::Plain), (NEW, self.row.is)]
            .map(|(version, is)| Release { version, is, marker: self.marker(version) })
            .into()
    }

    /// The rule that decides, by its name.
    pub fn rule(&self) -> Option<String> {
        self.row.by.map(|place| format!("{}-{place}", self.key))
    }

    pub fn is_refused_to(&self, who: Who) -> bool {
        self.row.refused_to.contains(&who)
    }

    /// As in a policy file.
    pub fn rules(&self, format: &Format) -> String {
        let mut text = String::new();
        for (place, rule) in self.row.rules.iter().enumerate() {
            text += &rule.written(format, place, self.shape);
        }
        if self.shape == Shape::Newest {
            text += "[[rule]]\nname = \"{ROW}-old\"\neffect = \"allow\"\n";
            // A name that is allowed exactly looks like no other one.
            text += if self.row.looks_alike {
                "packages = [\"{GLOB}\"]\nversions = \"<2\"\n\n"
            } else {
                "packages = [\"{PACKAGE}@{OLD}\"]\n\n"
            };
        }
        let (name, ecosystem) = (&self.package, format.name);
        let group = name.split_once('/').map_or("", |(group, _)| group);
        let pattern = if group.is_empty() { format!("{name}*") } else { format!("{group}/*") };
        let package = policies::package::Package::new(
            ecosystem.parse().expect("the name of an ecosystem"),
            name,
        );
        let purl = package.expect("the name of a package").purl();
        [
            ("{PACKAGE}", format!("{ecosystem}:{name}")),
            ("{GROUP}", format!("{ecosystem}:{pattern}")),
            ("{GLOB}", format!("{ecosystem}:{}*", &name[..name.len() - 2])),
            ("{INNER}", format!("{ecosystem}:{}*{}", &name[..2], &name[name.len() / 2..])),
            ("{PURL}", purl),
            ("{FORMAT}", ecosystem.to_owned()),
            ("{NAME}", name.clone()),
            ("{ROW}", self.key.clone()),
            ("{OLD}", OLD.to_owned()),
            ("{NEW}", NEW.to_owned()),
        ]
        .into_iter()
        .fold(text, |text, (place, is)| text.replace(place, &is))
    }

    /// The record of OSV that says it.
    pub fn advisory(&self, place: usize, ecosystem: &str) -> Option<Value> {
        let (events, critical) = match self.row.advice {
            Advice::Nothing => return None,
            Advice::Fixing => (json!([{ "introduced": "0" }, { "fixed": NEW }]), true),
            advice => (json!([{ "introduced": NEW }]), advice == Advice::Critical),
        };
        let kind = if self.row.advice == Advice::Malicious { "MAL" } else { "GHSA" };
        let mut record = json!({
            "schema_version": "1.7.4",
            "id": format!("{kind}-2026-{place}"),
            "modified": "2026-01-01T00:00:00Z",
            "summary": "something is wrong with it",
            "affected": [{
                "package": { "ecosystem": ecosystem, "name": self.package },
                "ranges": [{ "type": "SEMVER", "events": events }],
            }],
        });
        if critical {
            let score = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H";
            record["severity"] = json!([{ "type": "CVSS_V3", "score": score }]);
        }
        Some(record)
    }
}

/// Both packages of each row. Every other row has names in groups, where the format has groups.
pub fn cases(format: &Format, rows: Vec<Row>) -> Vec<Case> {
    let mut look_alikes = format.look_alikes.iter();
    let mut all = Vec::new();
    let is_stated = |row: &Row| row.needs.is_none_or(|fact| !format.never_stated.contains(&fact));
    for (place, row) in rows.into_iter().filter(is_stated).enumerate() {
        for (shape, end) in [(Shape::Whole, "whole"), (Shape::Newest, "newest")] {
            let key = format!("{}-{end}", row.name);
            let package = if row.looks_alike {
                (*look_alikes.next().expect("more names that look alike")).to_owned()
            } else {
                (format.name_of)(&key, place % 2 == 0)
            };
            all.push(Case { row: row.clone(), shape, key, package });
        }
    }
    all
}
