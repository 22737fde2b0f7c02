//! A policy file → its rules, or every fault at once with file, line and column.

use std::collections::HashMap;
use std::ops::Range as Span;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::draft::{nearest, shown};
use super::{Draft, Fault, Field, Origin, Rule};

/// Longer files are refused unread.
pub const MAX_FILE: usize = 4 * 1024 * 1024;
/// Most rules of one file.
pub const MAX_RULES: usize = 20_000;
/// A file that is wrong all over is told so, not in a million lines.
const MAX_FAULTS: usize = 100;

/// Reads one file. `file` is its name as a person should see it.
pub fn parse(file: &str, text: &str) -> Result<Vec<Rule>, Vec<Fault>> {
    if text.len() > MAX_FILE {
        let message = format!("the file has {} bytes, more than {MAX_FILE}", text.len());
        return Err(vec![Fault::of_file(file, message, "split it")]);
    }
    let mut reader = Reader { file, lines: line_starts(text), faults: Vec::new() };
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let span = error.span().unwrap_or_default();
        reader.fault(&span, format!("this is not TOML: {}", error.message()), "mend the syntax");
    }
    // What was recovered from broken text would only give faults that are not there.
    let rules = if errors.is_empty() { reader.document(document.get_ref()) } else { Vec::new() };
    if reader.faults.is_empty() {
        return Ok(rules);
    }
    reader.faults.sort();
    reader.faults.truncate(MAX_FAULTS);
    Err(reader.faults)
}

struct Reader<'a> {
    file: &'a str,
    lines: Vec<usize>,
    faults: Vec<Fault>,
}

impl Reader<'_> {
    fn document(&mut self, document: &DeTable<'_>) -> Vec<Rule> {
        let mut rules = Vec::new();
        for (key, value) in document {
            if key.get_ref() != "rule" {
                self.unknown_table(key.get_ref(), &key.span());
                continue;
            }
            let DeValue::Array(tables) = value.get_ref() else {
                self.fault(&key.span(), "`rule` is a list of tables", "write [[rule]]");
                continue;
            };
            if tables.len() > MAX_RULES {
                let message =
                    format!("{} rules are more than {MAX_RULES} in one file", tables.len());
                self.fault(&key.span(), message, "join rules by patterns, or split the file");
                continue;
            }
            for table in tables {
                match table.get_ref() {
                    DeValue::Table(fields) => rules.extend(self.rule(fields, &table.span())),
                    other => {
                        let message = format!("a rule is a table, this is {}", kind(other));
                        self.fault(&table.span(), message, "write [[rule]]");
                    }
                }
            }
        }
        rules
    }

    fn unknown_table(&mut self, key: &str, span: &Span<usize>) {
        let remedy = match (key, nearest(key, &["rule"])) {
            ("expect", _) => {
                "this version of garth reads no expectations yet: keep them in another place"
                    .to_owned()
            }
            (_, Some(near)) => format!("did you mean [[{near}]]?"),
            (_, None) => "a policy file has [[rule]] tables only".to_owned(),
        };
        self.fault(span, format!("`{}` is no key of a policy file", key.escape_debug()), remedy);
    }

    fn rule(&mut self, fields: &DeTable<'_>, span: &Span<usize>) -> Option<Rule> {
        let before = self.faults.len();
        let mut draft = Draft::default();
        let mut places: HashMap<Field, Span<usize>> = HashMap::new();
        let mut mistyped = Vec::new();
        for (key, value) in fields {
            let Some((_, field)) =
                Field::KEYS.into_iter().find(|(known, _)| *known == key.get_ref())
            else {
                mistyped.extend(self.unknown_key(key.get_ref(), &key.span()));
                continue;
            };
            places.insert(field, value.span());
            if !self.take(&mut draft, field, value, &mut places) {
                mistyped.push(field);
            }
        }
        let (line, column) = self.position(span.start);
        let origin = Origin::File { file: self.file.into(), line, column };
        let checked = draft.check(origin);
        for complaint in checked.as_ref().err().into_iter().flatten() {
            // A value of the wrong type is there; saying that it is missing would mislead.
            if !mistyped.contains(&complaint.field) {
                let place = places.get(&complaint.field).unwrap_or(span).clone();
                self.fault(&place, complaint.message.clone(), complaint.remedy.clone());
            }
        }
        checked.ok().filter(|_| self.faults.len() == before)
    }

    /// The field that was probably meant; to call it missing as well would say one thing twice.
    fn unknown_key(&mut self, key: &str, span: &Span<usize>) -> Option<Field> {
        let keys = Field::KEYS.map(|(key, _)| key);
        let near = nearest(key, &keys);
        let remedy = match (key, near) {
            // Leaving them out silently would make the rule wider than it was meant.
            ("when" | "teams", _) => concat!(
                "this version of garth does not decide by it yet, ",
                "and without it the rule would mean more than it says"
            )
            .to_owned(),
            (_, Some(near)) => format!("did you mean `{near}`?"),
            (_, None) => format!("a rule has {}", keys.join(", ")),
        };
        self.fault(span, format!("`{}` is no key of a rule", key.escape_debug()), remedy);
        Field::KEYS.into_iter().find(|(key, _)| near == Some(key)).map(|(_, field)| field)
    }

    /// Puts one value into the draft; false, with a fault, when it has the wrong type.
    fn take(
        &mut self,
        draft: &mut Draft,
        field: Field,
        value: &Spanned<DeValue<'_>>,
        places: &mut HashMap<Field, Span<usize>>,
    ) -> bool {
        match (field, value.get_ref()) {
            (Field::Packages | Field::Package(_), DeValue::Array(entries)) => {
                let before = self.faults.len();
                for entry in entries {
                    if let DeValue::String(text) = entry.get_ref() {
                        places.insert(Field::Package(draft.packages.len()), entry.span());
                        draft.packages.push(text.to_string());
                    } else {
                        let message =
                            format!("a package is a string, this is {}", kind(entry.get_ref()));
                        self.fault(&entry.span(), message, "write \"npm:react\"");
                    }
                }
                return self.faults.len() == before;
            }
            (Field::Name, DeValue::String(text)) => draft.name = Some(text.to_string()),
            (Field::Effect, DeValue::String(text)) => draft.effect = Some(text.to_string()),
            (Field::Versions, DeValue::String(text)) => draft.versions = Some(text.to_string()),
            (Field::Reason, DeValue::String(text)) => draft.reason = Some(text.to_string()),
            (Field::Expires, DeValue::String(text)) => draft.expires = Some(text.to_string()),
            (Field::Expires, DeValue::Datetime(moment)) => draft.expires = Some(moment.to_string()),
            (_, other) => {
                let (expected, example) = match field {
                    Field::Packages | Field::Package(_) => ("a list of strings", "[\"npm:react\"]"),
                    Field::Expires => ("a date", "2027-01-01"),
                    _ => ("a string", "\"…\""),
                };
                let found = match other {
                    DeValue::String(text) => shown(text),
                    other => kind(other).to_owned(),
                };
                let message = format!("`{field}` is {expected}, this is {found}");
                self.fault(&value.span(), message, format!("write {field} = {example}"));
                return false;
            }
        }
        true
    }

    fn fault(&mut self, span: &Span<usize>, message: impl Into<String>, remedy: impl Into<String>) {
        let (line, column) = self.position(span.start);
        self.faults.push(Fault {
            file: self.file.to_owned(),
            line,
            column,
            message: message.into(),
            remedy: remedy.into(),
        });
    }

    /// Line and column, both from 1.
    fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|&start| start <= offset);
        (line, offset - self.lines[line - 1] + 1)
    }
}

fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(place, _)| place + 1)).collect()
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
