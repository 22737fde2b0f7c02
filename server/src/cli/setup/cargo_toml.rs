//! cargo's config.toml: what stands in for its default registry, and registries beside it. Pure.
//!
//! Three settings: `replace-with` of `[source.crates-io]`, which is cargo's own word for its default and
//! no address; `index` of `[registries.NAME]`; and, for a token, its `credential-provider`. The stand-in
//! is a registry, too, and no `[source]`: so it has one name for logins and for all else.
//!
//! What is inside a table that is there is changed by `toml_edit`; a table that is not comes to the end.

use std::ops::Range;

use similar::{Algorithm, DiffOp, capture_diff_slices};
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike, Value};

use super::edits::{Block, Edit, Lines};
use super::{Named, SPARSE, Source, Unreadable, Wanted, same_address};

/// What cargo calls its default registry.
const DEFAULT: &str = "crates-io";
/// cargo allows a replacement to be replaced; a circle must end.
const REPLACEMENTS: usize = 8;

/// The lines to change so that cargo uses what is wanted; none where it does.
pub fn set(text: &str, wanted: &Wanted<'_>) -> Result<Vec<Edit>, Unreadable> {
    let document = read(text)?;
    let table = document.get_ref();
    let settings: Vec<Setting<'_>> = wanted
        .sources
        .iter()
        .flat_map(|source| settings(table, source, wanted.token_env))
        .collect();
    for source in wanted.sources {
        check_free(text, table, source)?;
    }
    let missing: Vec<&Setting<'_>> =
        settings.iter().filter(|setting| !setting.is_in(table)).collect();
    let taken = missing.iter().find_map(|setting| setting.taken(text, table));
    if let Some(taken) = taken.filter(|_| !wanted.may_replace) {
        return Err(taken);
    }
    let Some(first) = missing.first() else { return Ok(Vec::new()) };
    let after = edited(text, &missing).map_err(|setting| setting.by_hand(text, table))?;
    let edits = differences(text, &after).ok_or_else(|| first.by_hand(text, table))?;
    // TOML has more ways to write a thing than are known here; what cannot be read back is not written.
    let mut lines = Lines::of(text);
    lines.apply(&edits);
    let after = lines.text();
    let after = DeTable::parse(&after).ok();
    let is_in =
        |setting: &Setting<'_>| after.as_ref().is_some_and(|all| setting.is_in(all.get_ref()));
    match settings.iter().find(|setting| !is_in(setting)) {
        None => Ok(edits),
        Some(setting) => Err(setting.by_hand(text, table)),
    }
}

/// What the file puts in place of cargo's default; a file that cannot be read names none.
pub fn registry(text: &str) -> Option<Named> {
    let document = DeTable::parse(text).ok()?;
    let table = document.get_ref();
    let text_at = |path| lookup(table, path).and_then(|value| value.get_ref().as_str());
    let replaced = lookup(table, ["source", DEFAULT, "replace-with"])?;
    let mut name = replaced.get_ref().as_str()?;
    for _ in 0..REPLACEMENTS {
        name = text_at(["source", name, "replace-with"]).unwrap_or(name);
        if name == DEFAULT {
            break;
        }
    }
    let address = text_at(["source", name, "registry"]);
    let address = address.or_else(|| text_at(["registries", name, "index"])).unwrap_or(name);
    Some(Named { line: line_of(text, &replaced.span()), address: address.to_owned() })
}

/// One key, and what it shall say.
struct Setting<'s> {
    /// Its table, and itself.
    path: [&'s str; 3],
    said: Said,
}

#[derive(PartialEq, Eq)]
enum Said {
    Text(String),
    Address(String),
    List(Vec<String>),
}

fn settings<'s>(
    table: &DeTable<'_>,
    source: &'s Source,
    token_env: Option<&str>,
) -> Vec<Setting<'s>> {
    let name = source.name.as_str();
    let mut settings = Vec::new();
    if source.replaces {
        let path = ["source", DEFAULT, "replace-with"];
        settings.push(Setting { path, said: Said::Text(name.to_owned()) });
    }
    let address = Said::Address(format!("{SPARSE}{}", source.index));
    settings.push(Setting { path: ["registries", name, "index"], said: address });
    let path = ["registries", name, "credential-provider"];
    let has_provider = lookup(table, path).is_some()
        || table.get("registry").is_some_and(|registry| {
            let registry = registry.get_ref().as_table();
            registry.is_some_and(|registry| registry.contains_key("global-credential-providers"))
        });
    let provider = match token_env {
        Some(variable) => ["cargo:token-from-stdout", "printenv", variable].to_vec(),
        // cargo reads from nobody who asks for a token before it is told where it has tokens from.
        None if source.asks_for_token && !has_provider => vec!["cargo:token"],
        None => return settings,
    };
    let provider = provider.into_iter().map(str::to_owned).collect();
    settings.push(Setting { path, said: Said::List(provider) });
    settings
}

impl Setting<'_> {
    fn is_in(&self, table: &DeTable<'_>) -> bool {
        let Some(value) = lookup(table, self.path).map(Spanned::get_ref) else { return false };
        match &self.said {
            Said::Text(text) | Said::Address(text) => value.as_str() == Some(text),
            Said::List(wanted) => value.as_array().is_some_and(|list| {
                let list = list.iter().map(|part| part.get_ref().as_str());
                list.eq(wanted.iter().map(|part| Some(part.as_str())))
            }),
        }
    }

    fn value(&self) -> Value {
        match &self.said {
            Said::Text(text) | Said::Address(text) => text.as_str().into(),
            Said::List(list) => list.iter().map(String::as_str).collect::<Array>().into(),
        }
    }

    /// Somebody has set it to something else.
    fn taken(&self, text: &str, table: &DeTable<'_>) -> Option<Unreadable> {
        let old = lookup(table, self.path)?;
        if let (Said::Address(ours), Some(theirs)) = (&self.said, old.get_ref().as_str())
            && theirs.trim_end_matches('/') == ours.trim_end_matches('/')
        {
            return None;
        }
        let [outer, name, key] = self.path;
        let is = match (outer, old.get_ref().as_str()) {
            ("source", Some(theirs)) => {
                format!("cargo's default registry is replaced by {theirs} here")
            }
            _ => format!("{key} of [{outer}.{name}] is another here"),
        };
        Some(Unreadable {
            line: line_of(text, &old.span()),
            why: format!("{is}, so nothing was changed"),
            remedy: "with --replace it becomes garth's, and --undo puts it back".to_owned(),
        })
    }

    fn by_hand(&self, text: &str, table: &DeTable<'_>) -> Unreadable {
        let [outer, name, key] = self.path;
        let at = table.get(outer).map_or(0..0, Spanned::span);
        Unreadable {
            line: line_of(text, &at),
            why: format!("{outer} is written in a way that is not changed by itself"),
            remedy: format!(
                "set {key} in a table [{outer}.{name}] of its own, then run this again"
            ),
        }
    }
}

/// A source of this name comes before a registry of this name.
fn check_free(text: &str, table: &DeTable<'_>, source: &Source) -> Result<(), Unreadable> {
    let name = source.name.as_str();
    let known = table.get("source").and_then(|sources| sources.get_ref().as_table()?.get(name));
    let address = lookup(table, ["source", name, "registry"]);
    let address = address.and_then(|address| address.get_ref().as_str());
    match known {
        Some(known) if !address.is_some_and(|address| same_address(address, &source.index)) => {
            Err(Unreadable {
                line: line_of(text, &known.span()),
                why: format!("there is a source {name} already, which is not this garth"),
                remedy: format!("rename or remove [source.{name}], then run this again"),
            })
        }
        _ => Ok(()),
    }
}

/// The text with these settings, or the one that has no place.
fn edited<'s>(text: &str, settings: &[&'s Setting<'s>]) -> Result<String, &'s Setting<'s>> {
    let mut document = text.parse::<DocumentMut>().map_err(|_| settings[0])?;
    let mut added: Vec<([&str; 2], Vec<String>)> = Vec::new();
    for setting in settings {
        let [outer, name, key] = setting.path;
        match table_in(&mut document, outer, name) {
            Ok(Some(table)) => {
                put(table, key, setting.value()).ok_or(*setting)?;
                continue;
            }
            Ok(None) => {}
            Err(NoTable) => return Err(setting),
        }
        let line = format!("{key} = {}", setting.value());
        match added.iter_mut().find(|(header, _)| *header == [outer, name]) {
            Some((_, lines)) => lines.push(line),
            None => added.push(([outer, name], vec![line])),
        }
    }
    let mut after = document.to_string();
    for ([outer, name], lines) in added {
        if !after.is_empty() && !after.ends_with('\n') {
            after.push('\n');
        }
        let lines = lines.join("\n");
        after.extend(["[", outer, ".", name, "]\n", lines.as_str(), "\n"]);
    }
    Ok(after)
}

/// What stands where a table should is none.
struct NoTable;

/// The table to put a key into; `None` where it has to come to the end.
fn table_in<'d>(
    document: &'d mut DocumentMut,
    outer: &str,
    name: &str,
) -> Result<Option<&'d mut dyn TableLike>, NoTable> {
    let Some(tables) = document.get_mut(outer) else { return Ok(None) };
    // Below one that is written in one line, a table of its own would be another one.
    let is_closed = tables.is_inline_table() || tables.as_table().is_some_and(Table::is_dotted);
    let tables = tables.as_table_like_mut().ok_or(NoTable)?;
    if is_closed && !tables.contains_key(name) {
        tables.insert(name, Item::Value(Value::InlineTable(InlineTable::new())));
    }
    match tables.get_mut(name) {
        // Tables below it alone make no lines that a key could come behind.
        Some(table) if !table.as_table().is_some_and(|it| it.is_implicit() && !it.is_dotted()) => {
            table.as_table_like_mut().map(Some).ok_or(NoTable)
        }
        _ => Ok(None),
    }
}

fn put(table: &mut dyn TableLike, key: &str, mut value: Value) -> Option<()> {
    match table.get_mut(key) {
        Some(old) => {
            let old = old.as_value_mut()?;
            // What stands around it, a comment too.
            *value.decor_mut() = old.decor().clone();
            *old = value;
        }
        None => {
            table.insert(key, Item::Value(value));
        }
    }
    Some(())
}

/// What changed, line by line; `None` where lines are gone.
fn differences(before: &str, after: &str) -> Option<Vec<Edit>> {
    let (before, after): (Vec<&str>, Vec<&str>) =
        (before.lines().collect(), after.lines().collect());
    let mut edits = Vec::new();
    for change in capture_diff_slices(Algorithm::Myers, &before, &after) {
        match change {
            DiffOp::Equal { .. } => {}
            DiffOp::Delete { .. } => return None,
            DiffOp::Insert { old_index, new_index, new_len } => {
                edits.extend(insertions(old_index, &after[new_index..new_index + new_len]));
            }
            DiffOp::Replace { old_index, old_len, new_index, new_len } => {
                let (old_end, new_end) = (old_index + old_len, new_index + old_len.min(new_len));
                edits.push(Edit {
                    at: old_index,
                    old: lines(&before[old_index..old_end]),
                    new: lines(&after[new_index..new_end]),
                    opens: None,
                });
                edits.extend(insertions(old_end, &after[new_end..new_index + new_len]));
            }
        }
    }
    Some(edits)
}

/// A table each, so that each is taken back by itself.
fn insertions(at: usize, new: &[&str]) -> Vec<Edit> {
    let tables = new.chunk_by(|_, next| !next.starts_with('['));
    let insertion = |new: &[&str]| Edit {
        opens: new[0].starts_with('[').then_some(Block::Table),
        ..Edit::insert(at, lines(new))
    };
    tables.map(insertion).collect()
}

fn lines(of: &[&str]) -> Vec<String> {
    of.iter().map(|&line| line.to_owned()).collect()
}

fn lookup<'t, 'a>(table: &'t DeTable<'a>, path: [&str; 3]) -> Option<&'t Spanned<DeValue<'a>>> {
    let [outer, name, key] = path;
    table.get(outer)?.get_ref().as_table()?.get(name)?.get_ref().as_table()?.get(key)
}

fn read(text: &str) -> Result<Spanned<DeTable<'_>>, Unreadable> {
    DeTable::parse(text).map_err(|error| Unreadable {
        line: line_of(text, &error.span().unwrap_or(0..0)),
        why: format!("no valid TOML: {}", error.message().trim_end()),
        remedy: "mend the file, then run this again".to_owned(),
    })
}

/// From 1.
fn line_of(text: &str, at: &Range<usize>) -> usize {
    text.as_bytes().iter().take(at.start).filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests;
