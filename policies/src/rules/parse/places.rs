//! Where in its file a field of a rule stands: for findings, which are made of rules alone.

use std::collections::HashMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Reader, Table, line_starts};
use crate::rules::Field;

/// A rule by the line and column where its table begins, and one of its fields.
pub(crate) type Wanted = (usize, usize, Field);

/// Line and column of the values of these fields; those that are not there are left out.
pub(crate) fn places(text: &str, wanted: &[Wanted]) -> HashMap<Wanted, (usize, usize)> {
    let (document, _) = DeTable::parse_recoverable(text);
    let reader = Reader { file: "", text, lines: line_starts(text), faults: Vec::new() };
    let mut of_rule: HashMap<(usize, usize), Vec<Field>> = HashMap::new();
    for (line, column, field) in wanted {
        of_rule.entry((*line, *column)).or_default().push(*field);
    }
    let mut found = HashMap::new();
    let tables = Table::ALL.into_iter().filter_map(|table| {
        let (_, value) =
            document.get_ref().iter().find(|(key, _)| key.get_ref() == table.name())?;
        match value.get_ref() {
            DeValue::Array(tables) => Some((table, tables)),
            _ => None,
        }
    });
    for (table, tables) in tables {
        for one in tables {
            let (line, column) = reader.position(one.span().start);
            let DeValue::Table(fields) = one.get_ref() else { continue };
            for field in of_rule.get(&(line, column)).into_iter().flatten() {
                if let Some(start) = start_of(table, fields, *field) {
                    found.insert((line, column, *field), reader.position(start));
                }
            }
        }
    }
    found
}

fn start_of(table: Table, fields: &DeTable<'_>, field: Field) -> Option<usize> {
    let (whole, entry) = match field {
        Field::Package(entry) => (Field::Packages, Some(entry)),
        Field::Team(entry) => (Field::Teams, Some(entry)),
        Field::Environment(entry) => (Field::Environments, Some(entry)),
        whole => (whole, None),
    };
    let (key, _) = table.keys().find(|(_, of)| *of == whole)?;
    let value = fields.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)?;
    match (entry, value.get_ref()) {
        (Some(entry), DeValue::Array(entries)) => entries.get(entry).map(start),
        _ => Some(start(value)),
    }
}

fn start(value: &Spanned<DeValue<'_>>) -> usize {
    value.span().start
}
