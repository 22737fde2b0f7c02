//! An .npmrc, which npm, pnpm, yarn 1 and bun read: an ini file of which the lines before the first
//! section matter. Every text is one; of two lines with one key the later wins. Pure.

use super::edits::Edit;
use super::{Named, Unreadable, Wanted, same_address};

/// What else is written where there is a token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Npm,
    /// Yarn 1 sends a token with a package without scope only where it is told to.
    Yarn,
}

struct Entry<'a> {
    line: usize,
    key: &'a str,
    value: &'a str,
    /// Where the value begins in its line.
    begin: usize,
}

/// The lines to change so that `registry` is the wanted one; none where it is already.
pub fn set_registry(text: &str, wanted: &Wanted<'_>) -> Vec<Edit> {
    let old = entries(text).filter(|entry| entry.key == "registry").last();
    match old {
        Some(old) if old.value == wanted.registry.as_str() => Vec::new(),
        Some(old) => {
            let line = text.lines().nth(old.line).unwrap_or_default();
            // A comment behind it goes too, until it is taken back: pnpm takes it for a part of the value.
            let new = format!("{}{}", &line[..old.begin], wanted.registry);
            vec![Edit::replace(old.line, line, new)]
        }
        None => vec![added(text, format!("registry={}", wanted.registry))],
    }
}

/// The lines to add so that the token comes from a variable. A token that is written there is somebody's
/// own: it is neither replaced nor shown.
pub fn set_token(
    text: &str,
    wanted: &Wanted<'_>,
    dialect: Dialect,
) -> Result<Vec<Edit>, Unreadable> {
    let Some(variable) = wanted.token_env else { return Ok(Vec::new()) };
    let of_registry = wanted.without_scheme();
    let mut lines = vec![(format!("{of_registry}:_authToken"), format!("${{{variable}}}"))];
    if dialect == Dialect::Yarn {
        lines.push((format!("{of_registry}:always-auth"), "true".to_owned()));
    }
    let mut edits = Vec::new();
    for (key, value) in lines {
        match entries(text).filter(|entry| entry.key == key).last() {
            Some(old) if old.value == value => {}
            Some(old) => {
                return Err(Unreadable {
                    line: old.line + 1,
                    why: format!("{key} is set already"),
                    remedy: "remove that line, then run this again".to_owned(),
                });
            }
            None => edits.push(added(text, format!("{key}={value}"))),
        }
    }
    Ok(edits)
}

/// The registry that the file names.
pub fn registry(text: &str) -> Option<Named> {
    let entry = entries(text).filter(|entry| entry.key == "registry").last()?;
    Some(Named { line: entry.line + 1, address: entry.value.to_owned() })
}

/// Scopes with a registry of their own that is not `wanted`, and their lines.
pub fn scopes(text: &str, wanted: &Wanted<'_>) -> Vec<(String, usize)> {
    let scope = |entry: Entry<'_>| {
        let scope = entry.key.strip_suffix(":registry")?;
        let elsewhere = scope.starts_with('@') && !same_address(entry.value, wanted.registry);
        elsewhere.then(|| (scope.to_owned(), entry.line + 1))
    };
    entries(text).filter_map(scope).collect()
}

/// Behind everything, but before the first section: what stands in one is not npm's.
fn added(text: &str, line: String) -> Edit {
    let at = text.lines().position(is_section).unwrap_or(text.lines().count());
    Edit::insert(at, vec![line])
}

fn is_section(line: &str) -> bool {
    let line = line.trim();
    line.starts_with('[') && line.ends_with(']')
}

fn entries(text: &str) -> impl Iterator<Item = Entry<'_>> {
    let lines = text.lines().enumerate().take_while(|(_, line)| !is_section(line));
    lines.filter_map(|(number, line)| {
        let said = line.trim_start_matches('\u{feff}').trim_start();
        if said.starts_with([';', '#']) {
            return None;
        }
        let (key, value) = line.split_once('=')?;
        let begin = line.len() - value.trim_start().len();
        let value = value.trim_start();
        let value = value[..comment(value).unwrap_or(value.len())].trim_end();
        Some(Entry {
            line: number,
            key: unquoted(key.trim_start_matches('\u{feff}').trim()),
            value: unquoted(value),
            begin,
        })
    })
}

/// Where a comment begins behind a value, which nothing but a quoted value can hide.
fn comment(value: &str) -> Option<usize> {
    let quote = value.chars().next().filter(|first| ['"', '\''].contains(first));
    let behind = quote.and_then(|quote| value[1..].find(quote)).map_or(0, |end| end + 2);
    value[behind..].find([';', '#']).map(|at| behind + at)
}

fn unquoted(text: &str) -> &str {
    let inside = |quote| text.strip_prefix(quote)?.strip_suffix(quote);
    inside('"').or_else(|| inside('\'')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::tests::{self, wanted};
    use super::*;

    fn written(before: &str, token_env: Option<&str>, dialect: Dialect) -> String {
        let set = |text: &str, wanted: &Wanted<'_>| {
            let mut edits = set_registry(text, wanted);
            edits.extend(set_token(text, wanted, dialect)?);
            Ok(edits)
        };
        let after = tests::written(set, before, token_env);
        assert_eq!(registry(&after).unwrap().address, "http://garth.example/npm/");
        after
    }

    #[test]
    fn the_registry_is_set_and_all_else_stays() {
        let ours = "registry=http://garth.example/npm/";
        let rows = [
            ("no file", "", format!("{ours}\n")),
            ("no end of line", "fund=false", format!("fund=false\n{ours}")),
            (
                "another registry",
                "a=b\nregistry=https://old.example/\nc=d\n",
                format!("a=b\n{ours}\nc=d\n"),
            ),
            (
                "one in other style",
                " registry = 'https://old.example' ; ours\r\n",
                " registry = http://garth.example/npm/\r\n".to_owned(),
            ),
            ("the later wins", "registry=a\nregistry=b\n", format!("registry=a\n{ours}\n")),
            (
                "a comment is none",
                "; registry=a\n#registry=b\n",
                format!("; registry=a\n#registry=b\n{ours}\n"),
            ),
            (
                "before a section",
                "a=b\n[x]\nregistry=c\n",
                format!("a=b\n{ours}\n[x]\nregistry=c\n"),
            ),
            (
                "scopes stay",
                "@acme:registry=https://acme.example/\n",
                format!("@acme:registry=https://acme.example/\n{ours}\n"),
            ),
            (
                "a quoted key",
                "\"registry\"=\"x;y\"",
                "\"registry\"=http://garth.example/npm/".to_owned(),
            ),
            ("nothing behind the sign", "registry=\n", format!("{ours}\n")),
            ("a mark of byte order", "\u{feff}registry=x\n", format!("\u{feff}{ours}\n")),
        ];
        for (name, before, after) in rows {
            assert_eq!(written(before, None, Dialect::Npm), after, "{name}");
        }
    }

    #[test]
    fn a_token_is_named_by_its_variable() {
        let after = written("", Some("GARTH_READ"), Dialect::Npm);
        assert_eq!(
            after,
            "registry=http://garth.example/npm/\n//garth.example/npm/:_authToken=${GARTH_READ}\n"
        );
        let after = written("[x]", Some("T"), Dialect::Yarn);
        assert!(after.ends_with("//garth.example/npm/:always-auth=true\n[x]"), "{after}");
    }

    #[test]
    fn a_token_that_is_there_is_not_touched_and_not_shown() {
        let text = "a=b\n//garth.example/npm/:_authToken=hush\n";
        let why = set_token(text, &wanted(Some("T")), Dialect::Npm).unwrap_err();
        assert_eq!(why.line, 2);
        assert!(!format!("{why:?}").contains("hush"));
    }

    #[test]
    fn scopes_with_a_registry_elsewhere_are_told() {
        let text =
            "@a:registry=https://a.example/\n@b:registry=http://garth.example/npm\nx:registry=c";
        assert_eq!(scopes(text, &wanted(None)), [("@a".to_owned(), 1)]);
    }
}
