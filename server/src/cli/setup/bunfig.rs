//! A bunfig.toml, which bun reads: `registry` of the table `install`. Pure.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::edits::{Block, Edit, Lines};
use super::{Named, Unreadable, Wanted, same_address};

/// The lines to change so that the registry, and the token, are the wanted ones; none where they are.
pub fn set(text: &str, wanted: &Wanted<'_>) -> Result<Vec<Edit>, Unreadable> {
    let document = read(text)?;
    if says(&document, wanted) {
        return Ok(Vec::new());
    }
    let install = document.get_ref().get("install");
    let edit = match install.map(|node| (node, registry_in(node.get_ref()))) {
        Some((_, Some(old))) => replaced(text, &old.span(), &value(wanted))?,
        Some((node, None)) => match header(text) {
            Some(line) => Edit::insert(line + 1, vec![format!("registry = {}", value(wanted))]),
            // Only a table below it has a header; another one may stand behind that.
            None if has_only_tables(node.get_ref()) => table(text, wanted),
            None => return Err(by_hand(line_of(text, node.span().start))),
        },
        None => table(text, wanted),
    };
    // TOML has more ways to write a thing than are known here; what cannot be read back is not written.
    let mut lines = Lines::of(text);
    lines.apply(std::slice::from_ref(&edit));
    match read(&lines.text()) {
        Ok(document) if says(&document, wanted) => Ok(vec![edit]),
        _ => Err(by_hand(edit.at + 1)),
    }
}

/// The registry that the file names; a file that cannot be read names none.
pub fn registry(text: &str) -> Option<Named> {
    let document = DeTable::parse(text).ok()?;
    let value = registry_in(document.get_ref().get("install")?.get_ref())?;
    let address = address(value.get_ref())?.to_owned();
    Some(Named { line: line_of(text, value.span().start), address })
}

/// Scopes with a registry of their own that is not `wanted`, and their lines.
pub fn scopes(text: &str, wanted: &Wanted<'_>) -> Vec<(String, usize)> {
    let Ok(document) = DeTable::parse(text) else { return Vec::new() };
    let install = document.get_ref().get("install").and_then(|node| node.get_ref().as_table());
    let Some(scopes) = install.and_then(|table| table.get("scopes")?.get_ref().as_table()) else {
        return Vec::new();
    };
    let scope = |(name, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
        let elsewhere = !same_address(address(value.get_ref())?, wanted.registry);
        let name: &std::borrow::Cow<'_, str> = name.get_ref();
        let name = format!("@{}", name.trim_start_matches('@'));
        elsewhere.then(|| (name, line_of(text, value.span().start)))
    };
    scopes.iter().filter_map(scope).collect()
}

fn value(wanted: &Wanted<'_>) -> String {
    match wanted.token_env {
        Some(variable) => format!("{{ url = \"{}\", token = \"${variable}\" }}", wanted.registry),
        None => format!("\"{}\"", wanted.registry),
    }
}

fn table(text: &str, wanted: &Wanted<'_>) -> Edit {
    let lines = vec!["[install]".to_owned(), format!("registry = {}", value(wanted))];
    Edit::open(text.lines().count(), Block::Table, lines)
}

/// The value, which may have several lines, becomes one that has one.
fn replaced(text: &str, span: &Range<usize>, new: &str) -> Result<Edit, Unreadable> {
    let at = line_of(text, span.start) - 1;
    let count = text[span.clone()].lines().count().max(1);
    let lines: Vec<&str> = text.lines().skip(at).take(count).collect();
    let begin = text[..span.start].rfind('\n').map_or(0, |end| end + 1);
    let before = &text[begin..span.start];
    let behind = text[span.end..].lines().next().unwrap_or_default();
    if lines.is_empty() {
        return Err(by_hand(at + 1));
    }
    let old = lines.into_iter().map(str::to_owned).collect();
    Ok(Edit { at, old, new: vec![format!("{before}{new}{behind}")], opens: None })
}

/// The line, from 0, of `[install]`.
fn header(text: &str) -> Option<usize> {
    text.lines().position(|line| {
        let inside = line.trim_start_matches('\u{feff}').trim_start().strip_prefix('[');
        let inside = inside.and_then(|rest| rest.trim_start().strip_prefix("install"));
        inside.is_some_and(|rest| rest.trim_start().starts_with(']'))
    })
}

fn registry_in<'t, 'a>(install: &'t DeValue<'a>) -> Option<&'t Spanned<DeValue<'a>>> {
    install.as_table()?.get("registry")
}

fn has_only_tables(install: &DeValue<'_>) -> bool {
    let table = install.as_table();
    table.is_some_and(|table| table.iter().all(|(_, value)| value.get_ref().is_table()))
}

/// A registry is its address, or a table that has one.
fn address<'t>(value: &'t DeValue<'_>) -> Option<&'t str> {
    value.as_str().or_else(|| value.as_table()?.get("url")?.get_ref().as_str())
}

fn says(document: &Spanned<DeTable<'_>>, wanted: &Wanted<'_>) -> bool {
    let install = document.get_ref().get("install").map(Spanned::get_ref);
    let Some(value) = install.and_then(registry_in).map(Spanned::get_ref) else { return false };
    let token = value.as_table().and_then(|table| table.get("token")?.get_ref().as_str());
    let variable = wanted.token_env.map(|variable| format!("${variable}"));
    address(value) == Some(wanted.registry.as_str())
        && (variable.is_none() || token == variable.as_deref())
}

fn read(text: &str) -> Result<Spanned<DeTable<'_>>, Unreadable> {
    DeTable::parse(text).map_err(|error| Unreadable {
        line: line_of(text, error.span().map_or(0, |span| span.start)),
        why: format!("no valid TOML: {}", error.message().trim_end()),
        remedy: "mend the file, then run this again".to_owned(),
    })
}

/// From 1.
fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1
}

fn by_hand(line: usize) -> Unreadable {
    Unreadable {
        line,
        why: "install is written in a way that is not changed by itself".to_owned(),
        remedy: "write it as a table, with [install] on a line of its own, then run this again"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::tests::{self, wanted};
    use super::*;

    const OURS: &str = "registry = \"http://garth.example/npm/\"";

    fn written(before: &str, token_env: Option<&str>) -> String {
        let after = tests::written(set, before, token_env);
        assert_eq!(registry(&after).unwrap().address, "http://garth.example/npm/");
        after
    }

    #[test]
    fn the_registry_is_set_and_all_else_stays() {
        let rows = [
            ("no file", "", format!("[install]\n{OURS}\n")),
            (
                "no end of line",
                "# mine\nsmol = true",
                format!("# mine\nsmol = true\n[install]\n{OURS}"),
            ),
            (
                "a table without it",
                "[install] # x\r\ncache = false\r\n",
                format!("[install] # x\r\n{OURS}\r\ncache = false\r\n"),
            ),
            (
                "another registry",
                "[install]\nregistry='https://old.example' # ours\n",
                "[install]\nregistry=\"http://garth.example/npm/\" # ours\n".to_owned(),
            ),
            (
                "one with a token",
                "[install]\nregistry = { url = \"https://old.example\", token = \"hush\" }\n[x]\n",
                format!("[install]\n{OURS}\n[x]\n"),
            ),
            (
                "in one line",
                "install.registry = \"https://old.example\"\n",
                "install.registry = \"http://garth.example/npm/\"\n".to_owned(),
            ),
            (
                "scopes alone",
                "[install.scopes]\na = \"https://a.example\"\n",
                format!("[install.scopes]\na = \"https://a.example\"\n[install]\n{OURS}\n"),
            ),
            (
                "several lines",
                "[install]\nregistry = { url = \"https://old.example\",\n  token = \"x\" } # y\na = 1\n",
                format!("[install]\n{OURS} # y\na = 1\n"),
            ),
        ];
        for (name, before, after) in rows {
            assert_eq!(written(before, None), after, "{name}");
        }
    }

    #[test]
    fn a_token_is_named_by_its_variable() {
        let after = written("", Some("T"));
        assert_eq!(
            after,
            "[install]\nregistry = { url = \"http://garth.example/npm/\", token = \"$T\" }\n"
        );
    }

    #[test]
    fn what_cannot_be_changed_line_by_line_is_left_to_a_person() {
        let rows = [
            ("a = \n", 1),
            ("a = 1\n\n[install\n", 3),
            ("install = { cache = false }\n", 1),
            ("install.cache = 1\n", 1),
        ];
        for (text, line) in rows {
            let why = set(text, &wanted(None)).unwrap_err();
            assert_eq!(why.line, line, "{text}: {why:?}");
        }
    }

    #[test]
    fn scopes_with_a_registry_elsewhere_are_told() {
        let text = "[install.scopes]\na = \"https://a.example\"\n\"@b\" = { url = \"http://garth.example/npm/\" }\n";
        assert_eq!(scopes(text, &wanted(None)), [("@a".to_owned(), 2)]);
    }
}
