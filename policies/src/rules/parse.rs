//! A policy file → its rules and expectations, or every fault at once with file, line and column.

mod approvals;
mod expectations;
mod places;

use std::collections::HashMap;
use std::ops::Range as Span;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::draft::{nearest, shown};
use super::field::Table;
use super::{Draft, Fault, Field, Origin, Rule};
use crate::approval::Approval;
use crate::expect::Expectation;

pub(crate) use places::places;

/// Longer files are refused unread.
pub const MAX_FILE: usize = 4 * 1024 * 1024;
/// Most rules of one file.
pub const MAX_RULES: usize = 20_000;
/// A file that is wrong all over is told so, not in a million lines.
const MAX_FAULTS: usize = 100;

/// What a policy file holds.
#[derive(Clone, Debug, Default)]
pub struct PolicyFile {
    /// Waivers among them.
    pub rules: Vec<Rule>,
    pub expectations: Vec<Expectation>,
    pub approvals: Vec<Approval>,
}

/// The rules of one file; its expectations must be good, too.
pub fn parse(file: &str, text: &str) -> Result<Vec<Rule>, Vec<Fault>> {
    parse_file(file, text).map(|file| file.rules)
}

/// Reads one file. `file` is its name as a person should see it.
pub fn parse_file(file: &str, text: &str) -> Result<PolicyFile, Vec<Fault>> {
    if text.len() > MAX_FILE {
        let message = format!("the file has {} bytes, more than {MAX_FILE}", text.len());
        return Err(vec![Fault::of_file(file, message, "split it")]);
    }
    let mut reader = Reader { file, text, lines: line_starts(text), faults: Vec::new() };
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let span = error.span().unwrap_or_default();
        reader.fault(&span, format!("this is not TOML: {}", error.message()), "mend the syntax");
    }
    // What was recovered from broken text would only give faults that are not there.
    let read =
        if errors.is_empty() { reader.document(document.get_ref()) } else { PolicyFile::default() };
    if reader.faults.is_empty() {
        return Ok(read);
    }
    reader.faults.sort();
    reader.faults.truncate(MAX_FAULTS);
    Err(reader.faults)
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    lines: Vec<usize>,
    faults: Vec<Fault>,
}

impl Reader<'_> {
    fn document(&mut self, document: &DeTable<'_>) -> PolicyFile {
        let mut read = PolicyFile::default();
        for (key, value) in document {
            let Some(table) = Table::ALL.into_iter().find(|table| table.name() == key.get_ref())
            else {
                self.unknown_table(key.get_ref(), &key.span());
                continue;
            };
            let name = table.name();
            let DeValue::Array(tables) = value.get_ref() else {
                let message = format!("`{name}` is a list of tables");
                self.fault(&key.span(), message, format!("write [[{name}]]"));
                continue;
            };
            if tables.len() > MAX_RULES {
                let message =
                    format!("{} {name}s are more than {MAX_RULES} in one file", tables.len());
                self.fault(&key.span(), message, "join them by patterns, or split the file");
                continue;
            }
            for one in tables {
                let DeValue::Table(fields) = one.get_ref() else {
                    let message = format!("a {name} is a table, this is {}", kind(one.get_ref()));
                    self.fault(&one.span(), message, format!("write [[{name}]]"));
                    continue;
                };
                let span = one.span();
                match table {
                    Table::Rule | Table::Waiver => {
                        read.rules.extend(self.rule(table, fields, &span));
                    }
                    Table::Expect => read.expectations.extend(self.expectation(fields, &span)),
                    Table::Approve => read.approvals.extend(self.approval(fields, &span)),
                }
            }
        }
        read
    }

    fn unknown_table(&mut self, key: &str, span: &Span<usize>) {
        let remedy = match nearest(key, &Table::ALL.map(Table::name)) {
            Some(near) => format!("did you mean [[{near}]]?"),
            None => "a policy file has [[rule]], [[waiver]], [[expect]] and [[approve]] tables"
                .to_owned(),
        };
        self.fault(span, format!("`{}` is no key of a policy file", key.escape_debug()), remedy);
    }

    fn rule(&mut self, table: Table, fields: &DeTable<'_>, span: &Span<usize>) -> Option<Rule> {
        let before = self.faults.len();
        let mut draft = Draft::default();
        let mut places: HashMap<Field, Span<usize>> = HashMap::new();
        let mut mistyped = Vec::new();
        for (key, value) in fields {
            let known = table.keys().find(|(known, _)| *known == key.get_ref());
            let Some((_, field)) = known else {
                mistyped.extend(self.unknown_key(table, key.get_ref(), &key.span()));
                continue;
            };
            places.insert(field, value.span());
            if !self.take(&mut draft, field, value, &mut places) {
                mistyped.push(field);
            }
        }
        if table == Table::Waiver && draft.waives.is_none() && !mistyped.contains(&Field::Waives) {
            self.fault(span, "the waiver lifts nothing", "name a deny, as in waives = \"no-gpl\"");
        }
        if table == Table::Waiver {
            // So that only what it lifts is told to be missing.
            draft.effect = Some("allow".to_owned());
        }
        let (line, column) = self.position(span.start);
        let origin = Origin::File { file: self.file.into(), line, column };
        let checked = draft.check(origin);
        for complaint in checked.as_ref().err().into_iter().flatten() {
            // A value of the wrong type is there; saying that it is missing would mislead.
            if mistyped.contains(&complaint.field) {
                continue;
            }
            let mut place = places.get(&complaint.field).unwrap_or(span).clone();
            if let (Field::When, Some(written)) = (complaint.field, &draft.when) {
                place.start += self.offset_within(&place, written, complaint.at);
            }
            self.fault(&place, complaint.message.clone(), complaint.remedy.clone());
        }
        checked.ok().filter(|_| self.faults.len() == before)
    }

    /// How far behind the start of a value lies the byte `at` of the text that it means. Where the
    /// text was written with escapes, that is its beginning.
    fn offset_within(&self, span: &Span<usize>, text: &str, at: usize) -> usize {
        let written = self.text.get(span.clone()).unwrap_or_default();
        let quotes =
            if written.starts_with("\"\"\"") || written.starts_with("'''") { 3 } else { 1 };
        let mut inside =
            written.get(quotes..written.len().saturating_sub(quotes)).unwrap_or_default();
        let mut before = quotes;
        // A line's end behind the opening quotes does not belong to the text.
        for line_end in ["\r\n", "\n"] {
            if let Some(rest) = inside.strip_prefix(line_end).filter(|_| quotes == 3) {
                inside = rest;
                before += line_end.len();
                break;
            }
        }
        if inside == text { before + at } else { 0 }
    }

    /// The field that was probably meant; to call it missing as well would say one thing twice.
    fn unknown_key(&mut self, table: Table, key: &str, span: &Span<usize>) -> Option<Field> {
        let keys: Vec<&str> = table.keys().map(|(key, _)| key).collect();
        let near = nearest(key, &keys);
        let name = table.name();
        let remedy = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None if key == "waives" => "write it into a [[waiver]]".to_owned(),
            None => format!("a {name} has {}", keys.join(", ")),
        };
        self.fault(span, format!("`{}` is no key of a {name}", key.escape_debug()), remedy);
        table.keys().find(|(key, _)| near == Some(key)).map(|(_, field)| field)
    }

    /// Puts one value into the draft; false, with a fault, when it has the wrong type.
    fn take(
        &mut self,
        draft: &mut Draft,
        field: Field,
        value: &Spanned<DeValue<'_>>,
        places: &mut HashMap<Field, Span<usize>>,
    ) -> bool {
        let text = |text: &str| Some(text.to_owned());
        match (field, value.get_ref()) {
            (Field::Packages, DeValue::Array(entries)) => {
                return self.list(&mut draft.packages, entries, Field::Package, places);
            }
            (Field::Teams, DeValue::Array(entries)) => {
                let list = draft.teams.insert(Vec::new());
                return self.list(list, entries, Field::Team, places);
            }
            (Field::Environments, DeValue::Array(entries)) => {
                let list = draft.environments.insert(Vec::new());
                return self.list(list, entries, Field::Environment, places);
            }
            (Field::Name, DeValue::String(name)) => draft.name = text(name),
            (Field::Effect, DeValue::String(effect)) => draft.effect = text(effect),
            (Field::Versions, DeValue::String(versions)) => draft.versions = text(versions),
            (Field::When, DeValue::String(when)) => draft.when = text(when),
            (Field::Reason, DeValue::String(reason)) => draft.reason = text(reason),
            (Field::Owner, DeValue::String(owner)) => draft.owner = text(owner),
            (Field::Link, DeValue::String(link)) => draft.link = text(link),
            (Field::Waives, DeValue::String(waives)) => draft.waives = text(waives),
            (Field::Starts, DeValue::String(moment)) => draft.starts = text(moment),
            (Field::Expires, DeValue::String(moment)) => draft.expires = text(moment),
            (Field::Starts, DeValue::Datetime(moment)) => draft.starts = Some(moment.to_string()),
            (Field::Expires, DeValue::Datetime(moment)) => draft.expires = Some(moment.to_string()),
            (Field::Observe, DeValue::Boolean(observe)) => draft.observe = Some(*observe),
            (_, other) => {
                let (expected, example) = match field {
                    Field::Packages => ("a list of strings", "[\"npm:react\"]"),
                    Field::Teams => ("a list of strings", "[\"web/*\"]"),
                    Field::Environments => ("a list of strings", "[\"prod\"]"),
                    Field::Starts | Field::Expires => ("a date", "2027-01-01"),
                    Field::Observe => ("true or false", "true"),
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

    fn list(
        &mut self,
        list: &mut Vec<String>,
        entries: &[Spanned<DeValue<'_>>],
        part: fn(usize) -> Field,
        places: &mut HashMap<Field, Span<usize>>,
    ) -> bool {
        let before = self.faults.len();
        for entry in entries {
            if let DeValue::String(text) = entry.get_ref() {
                places.insert(part(list.len()), entry.span());
                list.push(text.to_string());
            } else {
                let (what, example) = match part(0) {
                    Field::Package(_) => ("a package", "npm:react"),
                    Field::Team(_) => ("a team", "web/shop"),
                    _ => ("an environment", "prod"),
                };
                let message = format!("{what} is a string, this is {}", kind(entry.get_ref()));
                self.fault(&entry.span(), message, format!("write {example:?}"));
            }
        }
        self.faults.len() == before
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
