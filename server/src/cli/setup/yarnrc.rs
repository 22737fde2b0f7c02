//! A .yarnrc, which yarn 1 reads: a key and a value in each line, in the notation of its lockfile. Pure.

use std::ops::Range;

use super::edits::Edit;
use super::{Named, Unreadable, Wanted};

const KEY: &str = "registry";

struct Entry<'a> {
    line: usize,
    value: &'a str,
    /// Where the value stands in its line, its quotes included.
    span: Range<usize>,
}

/// The lines to change so that `registry` is the wanted one; none where it is already.
pub fn set_registry(text: &str, wanted: &Wanted<'_>) -> Result<Vec<Edit>, Unreadable> {
    let new = format!("\"{}\"", wanted.registry);
    Ok(match last_entry(text)? {
        Some(old) if old.value == wanted.registry.as_str() => Vec::new(),
        Some(old) => {
            let line = text.lines().nth(old.line).unwrap_or_default();
            let mut changed = line.to_owned();
            changed.replace_range(old.span, &new);
            vec![Edit::replace(old.line, line, changed)]
        }
        None => vec![Edit::insert(text.lines().count(), vec![format!("{KEY} {new}")])],
    })
}

/// The registry that the file names; a file that yarn cannot read names none.
pub fn registry(text: &str) -> Option<Named> {
    let entry = last_entry(text).ok()??;
    Some(Named { line: entry.line + 1, address: entry.value.to_owned() })
}

fn last_entry(text: &str) -> Result<Option<Entry<'_>>, Unreadable> {
    let mut found = None;
    for (number, line) in text.lines().enumerate() {
        let unreadable = |why: &str| Unreadable {
            line: number + 1,
            why: why.to_owned(),
            remedy: "mend that line, or remove it".to_owned(),
        };
        let said = line.trim_start_matches('\u{feff}');
        // What is indented belongs to the key above it.
        if said.trim().is_empty() || said.starts_with(['#', ' ', '\t']) {
            continue;
        }
        let key_end = match said.strip_prefix('"') {
            Some(quoted) => quoted.find('"').map(|end| end + 2),
            None => Some(said.find([' ', ':', '\t', ',']).unwrap_or(said.len())),
        };
        let Some(key_end) = key_end else { return Err(unreadable("a quote is not closed")) };
        let behind = said[key_end..].trim_start_matches([' ', ':', '\t']);
        let begin = line.len() - behind.len();
        let value = match behind.strip_prefix('"') {
            Some(quoted) => match quoted.find('"') {
                Some(end) => &behind[..end + 2],
                None => return Err(unreadable("a quote is not closed")),
            },
            None => behind.split_whitespace().next().unwrap_or(""),
        };
        if said[..key_end].trim_matches('"') == KEY {
            let span = begin..begin + value.len();
            found = Some(Entry { line: number, value: value.trim_matches('"'), span });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::tests::{wanted, written};
    use super::*;

    #[test]
    fn the_registry_is_set_and_all_else_stays() {
        let ours = "registry \"http://garth.example/npm/\"";
        let rows = [
            ("no file", "", format!("{ours}\n")),
            ("no end of line", "# mine", format!("# mine\n{ours}")),
            (
                "a bare value",
                "a b\r\nregistry https://old.example/ \r\n",
                format!("a b\r\n{ours} \r\n"),
            ),
            (
                "a quoted one",
                "registry: \"https://old.example/\"\n",
                "registry: \"http://garth.example/npm/\"\n".to_owned(),
            ),
            (
                "a quoted key",
                "\"registry\" x",
                "\"registry\" \"http://garth.example/npm/\"".to_owned(),
            ),
            ("the later wins", "registry a\nregistry b\n", format!("registry a\n{ours}\n")),
            ("below another key", "x:\n  registry a\n", format!("x:\n  registry a\n{ours}\n")),
            ("a longer key", "registry-x a\n", format!("registry-x a\n{ours}\n")),
        ];
        for (name, before, after) in rows {
            assert_eq!(written(set_registry, before, None), after, "{name}");
            assert_eq!(registry(&after).unwrap().address, "http://garth.example/npm/", "{name}");
        }
    }

    #[test]
    fn a_file_that_yarn_cannot_read_is_refused_with_its_line() {
        let why = set_registry("a b\nregistry \"x\n", &wanted(None)).unwrap_err();
        assert_eq!(why.line, 2);
    }
}
