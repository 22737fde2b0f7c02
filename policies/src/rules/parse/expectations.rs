//! `[[expect]]`: a table → an [`Expectation`], or every fault with its place.

use std::ops::Range as Span;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Reader, kind};
use crate::asker::is_word;
use crate::condition::VARIABLES;
use crate::decision::Effect;
use crate::expect::{Expectation, Given};
use crate::facts::KnownAdvisory;
use crate::licence::Licence;
use crate::package::{Ecosystem, PackageVersion};
use crate::rules::draft::{is_rule_name, nearest, read_moment, shown};

const KEYS: [&str; 7] = ["package", "team", "environment", "at", "facts", "effect", "rule"];
const ADVISORY: [&str; 6] = ["id", "aliases", "severity", "malicious", "withdrawn", "fixed"];
const MAX_ADVISORIES: usize = 1000;

type Value<'v> = Spanned<DeValue<'v>>;

impl Reader<'_> {
    pub(super) fn expectation(
        &mut self,
        fields: &DeTable<'_>,
        span: &Span<usize>,
    ) -> Option<Expectation> {
        let before = self.faults.len();
        let (line, column) = self.position(span.start);
        let get = |name: &str| {
            fields.iter().find(|(key, _)| key.get_ref() == name).map(|(_, value)| value)
        };
        for (key, _) in fields {
            self.known_key("an expectation", &KEYS, key.get_ref(), &key.span());
        }
        let package: Option<PackageVersion> = match get("package") {
            Some(value) => self.read(value, "npm:react@18.3.1", |text| text.parse().ok()),
            None => self.lacking(span, "package", "npm:react@18.3.1"),
        };
        let effect: Option<Effect> = match get("effect") {
            Some(value) => self.read(value, "allow", |text| text.parse().ok()),
            None => self.lacking(span, "effect", "allow"),
        };
        let word = |text: &str| is_word(text).then(|| text.to_owned());
        let team = |text: &str| {
            let (unit, team) = text.split_once('/')?;
            (is_word(unit) && is_word(team)).then(|| text.to_owned())
        };
        let rule = |text: &str| is_rule_name(text).then(|| text.to_owned());
        let team = get("team").and_then(|value| self.read(value, "web/shop", team));
        let environment = get("environment").and_then(|value| self.read(value, "prod", word));
        let rule = get("rule").and_then(|value| self.read(value, "frontend-basics", rule));
        let at = get("at").and_then(|value| self.moment(value));
        let ecosystem = package.as_ref().map(|asked| asked.package.ecosystem());
        let facts = match get("facts").map(|value| (value, value.get_ref())) {
            Some((_, DeValue::Table(facts))) => self.given(facts, ecosystem),
            Some((value, other)) => {
                let message = format!("`facts` is a table, this is {}", kind(other));
                self.fault(&value.span(), message, "write facts = { age = \"10d\" }");
                Given::default()
            }
            None => Given::default(),
        };
        let file = Arc::from(self.file);
        let (package, effect) = (package?, effect?);
        let made =
            Expectation { package, team, environment, at, facts, effect, rule, file, line, column };
        (self.faults.len() == before).then_some(made)
    }

    fn given(&mut self, facts: &DeTable<'_>, ecosystem: Option<Ecosystem>) -> Given {
        let mut given = Given::default();
        let text = |text: &str| Some(text.to_owned());
        for (key, value) in facts {
            match key.get_ref().as_ref() {
                "age" => given.age = self.read(value, "10d", span_of_time),
                "age_here" => given.age_here = self.read(value, "10d", span_of_time),
                "published" => given.sheet.published = self.moment(value),
                "first_seen" => given.sheet.first_seen = self.moment(value),
                "own" => given.sheet.own = self.flag(value).unwrap_or_default(),
                "registry" => given.sheet.registry = self.read(value, "npm", text),
                "licence" => {
                    let ecosystem = ecosystem.unwrap_or(Ecosystem::Npm);
                    let licence = |text: &str| Some(Licence::new(ecosystem, text));
                    given.licence = self.read(value, "MIT", licence);
                }
                "advisories" => given.sheet.advisories = self.advisories(value),
                "fixes_advisory" => given.sheet.fixes_advisory = self.flag(value),
                "deprecated" => given.sheet.deprecated = self.flag(value),
                "yanked" => given.sheet.yanked = self.flag(value),
                "unlisted" => given.sheet.unlisted = self.flag(value),
                "install_scripts" => given.sheet.install_scripts = self.flag(value),
                "provenance" => given.sheet.provenance = self.flag(value),
                "publisher" => given.sheet.publisher = self.read(value, "ann", text),
                "publisher_changed" => given.sheet.publisher_changed = self.flag(value),
                "dependencies" => {
                    // More than a u32 counts are as good as that many.
                    given.sheet.dependencies =
                        self.number(value).map(|number| number.try_into().unwrap_or(u32::MAX));
                }
                "size" => given.sheet.size = self.number(value),
                "similar_to" => given.sheet.similar_to = self.read(value, "react", text),
                "contradicts" => given.sheet.contradicts = self.flag(value),
                "description" => given.sheet.description = self.read(value, "a parser", text),
                "repository" => {
                    given.sheet.repository = self.read(value, "https://git.example.com/x", text);
                }
                "rust_version" => given.sheet.rust_version = self.read(value, "1.85", text),
                unknown => {
                    // The package that is asked for tells the rest.
                    let told = ["name", "version", "ecosystem"];
                    let known: Vec<&str> =
                        VARIABLES.into_iter().filter(|name| !told.contains(name)).collect();
                    self.known_key("a version", &known, unknown, &key.span());
                }
            }
        }
        given
    }

    fn advisories(&mut self, value: &Value<'_>) -> Option<Vec<KnownAdvisory>> {
        let example = "write advisories = [{ id = \"GHSA-1\", severity = 9.8 }]";
        let DeValue::Array(list) = value.get_ref() else {
            let message = format!("advisories are a list, this is {}", kind(value.get_ref()));
            self.fault(&value.span(), message, example);
            return None;
        };
        let mut advisories = Vec::new();
        if list.len() > MAX_ADVISORIES {
            let message = format!("{} advisories are more than {MAX_ADVISORIES}", list.len());
            self.fault(&value.span(), message, "a few of them show the same");
            return None;
        }
        for one in list {
            let DeValue::Table(fields) = one.get_ref() else {
                let message = format!("an advisory is a table, this is {}", kind(one.get_ref()));
                self.fault(&one.span(), message, example);
                continue;
            };
            let mut advisory = KnownAdvisory::default();
            for (key, value) in fields {
                let name = key.get_ref().as_ref();
                match name {
                    "id" => {
                        advisory.id = self
                            .read(value, "GHSA-1", |text| Some(text.into()))
                            .unwrap_or_default();
                    }
                    "aliases" => advisory.aliases = self.texts(value),
                    "fixed" => advisory.fixed = self.texts(value),
                    "severity" => advisory.severity = self.score(value),
                    "malicious" => advisory.malicious = self.flag(value).unwrap_or_default(),
                    "withdrawn" => advisory.withdrawn = self.flag(value).unwrap_or_default(),
                    unknown => self.known_key("an advisory", &ADVISORY, unknown, &key.span()),
                }
            }
            advisories.push(advisory);
        }
        Some(advisories)
    }

    pub(super) fn known_key(&mut self, whose: &str, known: &[&str], key: &str, span: &Span<usize>) {
        if known.contains(&key) {
            return;
        }
        let remedy = match nearest(key, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("it has {}", known.join(", ")),
        };
        self.fault(span, format!("`{}` is no key of {whose}", key.escape_debug()), remedy);
    }

    fn lacking<T>(&mut self, span: &Span<usize>, key: &str, example: &str) -> Option<T> {
        let message = format!("the expectation has no `{key}`");
        self.fault(span, message, format!("write {key} = {example:?}"));
        None
    }

    /// A text that means something.
    pub(super) fn read<T>(
        &mut self,
        value: &Value<'_>,
        example: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let (found, told) = match value.get_ref() {
            DeValue::String(text) => (read(text), shown(text)),
            other => (None, kind(other).to_owned()),
        };
        if found.is_none() {
            let message = format!("{told} can not be used here");
            self.fault(&value.span(), message, format!("write something like {example:?}"));
        }
        found
    }

    fn moment(&mut self, value: &Value<'_>) -> Option<Timestamp> {
        match value.get_ref() {
            DeValue::Datetime(moment) => {
                let read = read_moment(&moment.to_string());
                if read.is_none() {
                    let message = "this is no date and no time with its zone";
                    self.fault(&value.span(), message, "write 2027-01-01 or 2027-01-01T12:00:00Z");
                }
                read
            }
            _ => self.read(value, "2027-01-01", read_moment),
        }
    }

    fn flag(&mut self, value: &Value<'_>) -> Option<bool> {
        let DeValue::Boolean(flag) = value.get_ref() else {
            let message = format!("this is {}", kind(value.get_ref()));
            self.fault(&value.span(), message, "write true or false");
            return None;
        };
        Some(*flag)
    }

    fn number(&mut self, value: &Value<'_>) -> Option<u64> {
        let number = match value.get_ref() {
            DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        if number.is_none() {
            self.fault(&value.span(), "this is no whole number from 0 on", "write 12");
        }
        number
    }

    fn score(&mut self, value: &Value<'_>) -> Option<f64> {
        let number: Option<f64> = match value.get_ref() {
            DeValue::Integer(number) => number.as_str().parse().ok(),
            DeValue::Float(number) => number.as_str().parse().ok(),
            _ => None,
        };
        let score = number.filter(|score| (0.0..=10.0).contains(score));
        if score.is_none() {
            self.fault(&value.span(), "this is no CVSS score", "write a number from 0.0 to 10.0");
        }
        score
    }

    fn texts(&mut self, value: &Value<'_>) -> Vec<Arc<str>> {
        let DeValue::Array(list) = value.get_ref() else {
            let message = format!("this is {}", kind(value.get_ref()));
            self.fault(&value.span(), message, "write a list of strings");
            return Vec::new();
        };
        list.iter().filter_map(|text| self.read(text, "…", |text| Some(text.into()))).collect()
    }
}

/// `10d`, `2w`, or as CEL writes it: `240h`, `1h30m`.
pub(super) fn span_of_time(text: &str) -> Option<SignedDuration> {
    for (unit, hours) in [('d', 24), ('w', 7 * 24)] {
        if let Some(count) = text.strip_suffix(unit) {
            let count: u32 = count.parse().ok()?;
            return Some(SignedDuration::from_hours(i64::from(count) * hours));
        }
    }
    crate::condition::duration(text)
}
