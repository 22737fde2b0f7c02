//! Where a setting's value comes from: the command line, else the environment, else the file, else the
//! default of its row. What is wrong with it is noted and the default stands in, so that reading goes on
//! and the rest is looked at too.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use url::Url;

use super::LoadOptions;
use super::env::EnvSnapshot;
use super::faults::{ConfigFault, Place};
use super::given::{Given, Wrong, wrong_url};
use super::parse;
use super::secret::Secret;
use super::setting::{Kind, SettingDoc, settings, variable};
use super::source::{Node, Table, Value};

pub(super) struct Reader<'a> {
    pub table: Table,
    /// The configuration file's directory: what relative paths in it start from.
    pub base: PathBuf,
    pub env: &'a EnvSnapshot,
    pub arguments: Vec<Argument>,
    /// The registry, identity or provider whose settings are read; stands for the `*` of a key.
    pub registry: Option<String>,
    pub faults: Vec<ConfigFault>,
    /// Parts of the file could not be read, so what seems to be missing may be there.
    pub incomplete: bool,
    /// Variables that hold secrets by a `{ env = "NAME" }`, so they are known.
    pub secret_variables: BTreeSet<String>,
    /// What is set, by its key, as it may be shown.
    pub shown: BTreeMap<String, String>,
}

/// A setting given on the command line.
#[derive(Clone, Debug)]
pub(super) struct Argument {
    pub key: &'static str,
    pub option: &'static str,
    pub value: String,
}

impl<'a> Reader<'a> {
    pub fn new(table: Table, options: &'a LoadOptions, arguments: Vec<Argument>) -> Self {
        Self {
            table,
            base: options.base(),
            env: &options.env,
            arguments,
            registry: None,
            faults: Vec::new(),
            incomplete: false,
            secret_variables: BTreeSet::new(),
            shown: BTreeMap::new(),
        }
    }
}

impl Reader<'_> {
    pub fn fault(&mut self, fault: ConfigFault) {
        self.faults.push(fault);
    }

    /// A fault for something that is not there.
    pub fn missing(&mut self, fault: ConfigFault) {
        if !self.incomplete {
            self.faults.push(fault);
        }
    }

    /// The dotted key with the registry's name in it.
    pub fn path_of(&self, key: &str) -> String {
        key.replacen('*', self.registry.as_deref().unwrap_or("*"), 1)
    }

    /// Where the setting is given; `None` if only its default holds.
    pub fn place(&self, key: &str) -> Option<Place> {
        self.given(key).map(|given| given.node.place)
    }

    pub fn address(&mut self, key: &str) -> SocketAddr {
        self.required(key, |given, _| {
            given.text().and_then(|text| parse::address(text).ok_or(Wrong::Kind))
        })
    }

    pub fn choice<T>(&mut self, key: &str, of_name: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.read(key, |given, _| given.text().and_then(|text| of_name(text).ok_or(Wrong::Kind)))
    }

    pub fn count(&mut self, key: &str) -> u64 {
        self.required(key, |given, kind| {
            let count = match &given.node.value {
                Value::Integer(count) => u64::try_from(*count).ok(),
                Value::Text(text) if !given.typed => text.parse().ok(),
                _ => None,
            };
            match (count, kind) {
                (Some(count), Kind::Count { min, max }) if (min..=max).contains(&count) => {
                    Ok(count)
                }
                _ => Err(Wrong::Kind),
            }
        })
    }

    pub fn size(&mut self, key: &str) -> u64 {
        self.required(key, |given, kind| {
            let size = match &given.node.value {
                Value::Integer(bytes) => u64::try_from(*bytes).ok(),
                Value::Text(text) => parse::size(text),
                _ => None,
            };
            match (size, kind) {
                (Some(size), Kind::Size { min, max }) if (min..=max).contains(&size) => Ok(size),
                _ => Err(Wrong::Kind),
            }
        })
    }

    pub fn duration(&mut self, key: &str) -> Duration {
        self.required(key, |given, kind| {
            if let Value::Integer(number) = given.node.value {
                return Err(Wrong::said(
                    format!("expected {kind}, found a number without a unit"),
                    Some(format!("for seconds write \"{number}s\"")),
                ));
            }
            match (parse::duration(given.text()?), kind) {
                (Some(duration), Kind::Duration { min, max })
                    if (min..=max).contains(&duration) =>
                {
                    Ok(duration)
                }
                _ => Err(Wrong::Kind),
            }
        })
    }

    pub fn flag(&mut self, key: &str) -> bool {
        self.required(key, |given, _| match &given.node.value {
            Value::Flag(flag) => Ok(*flag),
            Value::Text(text) if !given.typed => text.parse().map_err(|_| Wrong::Kind),
            _ => Err(Wrong::Kind),
        })
    }

    pub fn text(&mut self, key: &str) -> Option<String> {
        self.read(key, |given, _| given.text().map(str::to_owned))
    }

    pub fn path(&mut self, key: &str) -> Option<PathBuf> {
        let base = self.base.clone();
        self.read(key, move |given, _| {
            let text = given.text()?;
            if text.is_empty() || text.contains('\0') {
                return Err(Wrong::Kind);
            }
            Ok(given.resolved(&base, text))
        })
    }

    pub fn url(&mut self, key: &str) -> Option<Url> {
        self.read(key, |given, _| {
            parse::base_url(given.text()?).map_err(|wrong| wrong_url(wrong, key))
        })
    }

    pub fn texts(&mut self, key: &str) -> Vec<(Place, String)> {
        self.read(key, |given, _| given.texts()).unwrap_or_default()
    }

    /// Each with one text, or several of which one has to be.
    pub fn claims(&mut self, key: &str) -> Option<BTreeMap<String, Vec<String>>> {
        self.read(key, |given, _| {
            let Value::Table(table) = &given.node.value else { return Err(Wrong::Kind) };
            let texts = |node: &Node| match &node.value {
                Value::Text(text) => Ok(vec![text.clone()]),
                Value::List(items) if !items.is_empty() => items
                    .iter()
                    .map(|item| match &item.value {
                        Value::Text(text) => Ok(text.clone()),
                        _ => Err(Wrong::Kind),
                    })
                    .collect(),
                _ => Err(Wrong::Kind),
            };
            table.iter().map(|(name, (_, node))| Ok((name.clone(), texts(node)?))).collect()
        })
    }

    pub fn networks(&mut self, key: &str) -> Vec<IpNet> {
        let network = |(place, text): &(Place, String)| {
            parse::network(text).ok_or_else(|| {
                Wrong::entry(place, format!("{text:?} is not a network such as \"10.0.0.0/8\""))
            })
        };
        self.read(key, |given, _| given.texts()?.iter().map(network).collect()).unwrap_or_default()
    }

    /// A secret, from the setting's own variable or from where the file says that it is kept.
    pub fn secret(&mut self, key: &str) -> Option<Secret> {
        let given = self.given(key)?;
        let place = given.node.place.clone();
        let found = match (&given.node.value, given.typed) {
            (Value::Text(value), false) => Ok(Secret::new(value.clone())),
            (Value::Text(_), true) => Err(Wrong::said(
                "a secret may not stand in this file",
                Some(format!(
                    "write {{ file = \"path\" }} or {{ env = \"NAME\" }}, or set {}",
                    variable(&self.path_of(key))
                )),
            )),
            (Value::Table(table), _) => self.kept_secret(table),
            _ => Err(Wrong::Kind),
        };
        match found {
            Ok(secret) => {
                self.shown.insert(self.path_of(key), "(a secret)".to_owned());
                Some(secret)
            }
            Err(wrong) => {
                self.faults.push(wrong.at(&place, &given, Kind::Secret));
                None
            }
        }
    }

    fn kept_secret(&mut self, table: &Table) -> Result<Secret, Wrong> {
        let mut entries = table.iter();
        let (Some((place, (_, node))), None) = (entries.next(), entries.next()) else {
            return Err(Wrong::Kind);
        };
        let Value::Text(text) = &node.value else { return Err(Wrong::Kind) };
        match place.as_str() {
            "env" => {
                let name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
                if text.is_empty() || !text.chars().all(name) {
                    // Not repeated: it may be the secret itself, written in the wrong place.
                    return Err(Wrong::said(
                        "expected the name of an environment variable after env, in capitals",
                        None,
                    ));
                }
                self.secret_variables.insert(text.clone());
                let value = self.env.get(text).ok_or_else(|| {
                    Wrong::said(format!("the environment variable {text} is not set"), None)
                })?;
                Ok(Secret::new(value))
            }
            "file" => {
                let path = self.base.join(text);
                let value = super::files::read_text(&path, SECRET_BYTES).map_err(|error| {
                    Wrong::said(format!("cannot read the file {}: {error}", path.display()), None)
                })?;
                let value = value.trim_end_matches(['\r', '\n']);
                if value.is_empty() {
                    return Err(Wrong::said(format!("the file {} is empty", path.display()), None));
                }
                Ok(Secret::new(value))
            }
            _ => Err(Wrong::Kind),
        }
    }

    /// A setting whose row has a default.
    fn required<T>(&mut self, key: &str, take: impl Fn(&Given, Kind) -> Result<T, Wrong>) -> T {
        self.read(key, take).expect("the row of this setting has a default, and it is valid")
    }

    fn read<T>(&mut self, key: &str, take: impl Fn(&Given, Kind) -> Result<T, Wrong>) -> Option<T> {
        let row = row(key);
        if let Some(given) = self.given(key) {
            match take(&given, row.kind) {
                Ok(value) => {
                    self.shown.insert(self.path_of(key), given.shown());
                    return Some(value);
                }
                Err(wrong) => self.faults.push(wrong.at(&given.node.place, &given, row.kind)),
            }
        }
        let default = Given::untyped(Place::Default, row.default?);
        take(&default, row.kind).ok()
    }

    fn given(&self, key: &str) -> Option<Given> {
        let path = self.path_of(key);
        if let Some(argument) = self.arguments.iter().find(|argument| argument.key == path) {
            return Some(Given::untyped(Place::Argument(argument.option), &argument.value));
        }
        let variable = variable(&path);
        if let Some(value) = self.env.get(&variable) {
            return Some(Given::untyped(Place::Variable(variable), value));
        }
        let mut table = &self.table;
        let (sections, last) = path.rsplit_once('.').unwrap_or(("", &path));
        for section in sections.split('.').filter(|section| !section.is_empty()) {
            let Value::Table(inner) = &table.get(section)?.1.value else { return None };
            table = inner;
        }
        Some(Given { node: table.get(last)?.1.clone(), typed: true })
    }
}

const SECRET_BYTES: u64 = 64 << 10;

fn row(key: &str) -> &'static SettingDoc {
    settings().iter().find(|row| row.key == key).expect("a setting that is read has a row")
}
