//! Text → a tree in which everything knows the line that it stands on.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use url::Url;

use super::faults::{ConfigFault, Place};
use super::format::{Format, usual_hosts};

/// One value as written, and where.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub place: Place,
    pub value: Value,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Flag(bool),
    List(Vec<Node>),
    Table(Table),
    /// A type that no setting takes, by its name.
    Other(&'static str),
}

/// Entries by key; the place is the key's own.
pub(super) type Table = BTreeMap<String, (Place, Node)>;

impl Value {
    /// What it is, as it reads after "found ".
    pub fn described(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Integer(_) => "a number",
            Self::Flag(_) => "true or false",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other(name) => name,
        }
    }
}

/// What could be read of `text`, and a fault for each place that is not TOML.
pub(super) fn parse(file: &str, text: &str) -> (Table, Vec<ConfigFault>) {
    let lines = Lines { file, text };
    let (table, errors) = DeTable::parse_recoverable(text);
    let faults = errors
        .iter()
        .map(|error| {
            let place = error
                .span()
                .map_or_else(|| Place::File(file.to_owned()), |span| lines.place(&span));
            ConfigFault::new(&place, format!("not valid TOML: {}", error.message()))
        })
        .collect();
    (lines.table(table.get_ref()), faults)
}

/// The table that a file with one registry for each of `upstreams` would have, each called like its format.
pub(super) fn of_upstreams(upstreams: &[(Format, Url)]) -> Table {
    let node = |value| Node { place: Place::Default, value };
    let registries: Table = upstreams
        .iter()
        .map(|(format, upstream)| {
            let hosts = usual_hosts(*format, upstream).into_iter();
            let hosts: Vec<Node> = hosts.map(|host| node(Value::Text(host))).collect();
            let upstream = node(Value::Text(upstream.to_string()));
            let mut registry = Table::from([("upstream".to_owned(), (Place::Default, upstream))]);
            if !hosts.is_empty() {
                let hosts = node(Value::List(hosts));
                registry.insert("allow_hosts".to_owned(), (Place::Default, hosts));
            }
            (format.name().to_owned(), (Place::Default, node(Value::Table(registry))))
        })
        .collect();
    Table::from([("registry".to_owned(), (Place::Default, node(Value::Table(registries))))])
}

struct Lines<'a> {
    file: &'a str,
    text: &'a str,
}

impl Lines<'_> {
    fn place(&self, span: &Range<usize>) -> Place {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Place::Line {
            file: self.file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    fn table(&self, table: &DeTable<'_>) -> Table {
        table
            .iter()
            .map(|(key, value)| {
                (key.get_ref().to_string(), (self.place(&key.span()), self.node(value)))
            })
            .collect()
    }

    fn node(&self, value: &Spanned<DeValue<'_>>) -> Node {
        let place = self.place(&value.span());
        let value = match value.get_ref() {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Integer(digits) => i64::from_str_radix(digits.as_str(), digits.radix())
                .map_or(Value::Other("a number out of range"), Value::Integer),
            DeValue::Array(items) => {
                Value::List(items.iter().map(|item| self.node(item)).collect())
            }
            DeValue::Table(table) => Value::Table(self.table(table)),
            DeValue::Float(_) => Value::Other("a number with a fraction"),
            DeValue::Boolean(flag) => Value::Flag(*flag),
            DeValue::Datetime(_) => Value::Other("a date"),
        };
        Node { place, value }
    }
}
