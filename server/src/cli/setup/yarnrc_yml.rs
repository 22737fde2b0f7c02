//! A .yarnrc.yml, which yarn from version 2 on reads. Pure.
//!
//! Three keys: `npmRegistryServer`; `unsafeHttpWhitelist`, without which yarn asks no server by plain
//! http; and, for a token, an entry of `npmRegistries`. The token does not stand at the top, because yarn
//! would send it to the registries of scopes too.

use super::edits::{Block, Edit, Lines};
use super::yaml::{self, Node, Place, Value};
use super::{Named, Unreadable, Wanted, same_address};

const REGISTRY: &str = "npmRegistryServer";
const PLAIN_HTTP: &str = "unsafeHttpWhitelist";
const REGISTRIES: &str = "npmRegistries";
const SCOPES: &str = "npmScopes";

/// The lines to change so that the registry, and the token, are the wanted ones; none where they are.
pub fn set(text: &str, wanted: &Wanted<'_>) -> Result<Vec<Edit>, Unreadable> {
    let document = read(text)?;
    let file = File { text, document: document.as_ref() };
    let mut edits = file.set_registry(wanted);
    if wanted.registry.scheme() == "http" {
        edits.extend(file.allow_plain_http(wanted)?);
    }
    if let Some(variable) = wanted.token_env {
        edits.extend(file.set_token(wanted, variable)?);
    }
    // Lines that are put in front of a line come before a change of that line.
    edits.sort_by_key(|edit| (edit.at, !edit.old.is_empty()));
    // YAML has more ways to write a thing than are known here; what cannot be read back is not written.
    let mut lines = Lines::of(text);
    lines.apply(&edits);
    if has(&lines.text(), wanted) { Ok(edits) } else { Err(by_hand(1, REGISTRY)) }
}

/// The registry that the file names; a file that cannot be read names none.
pub fn registry(text: &str) -> Option<Named> {
    let document = yaml::parse(text).ok()??;
    let node = document.get(REGISTRY)?;
    Some(Named { line: node.begin.line + 1, address: node.text()?.to_owned() })
}

/// Scopes with a registry of their own that is not `wanted`, and their lines.
pub fn scopes(text: &str, wanted: &Wanted<'_>) -> Vec<(String, usize)> {
    let document = yaml::parse(text).ok().flatten();
    let Some(Value::Map(entries)) =
        document.as_ref().and_then(|all| all.get(SCOPES)).map(|node| &node.value)
    else {
        return Vec::new();
    };
    let scope = |(key, node): &(yaml::Key, Node)| {
        let address = node.get(REGISTRY)?.text()?;
        let elsewhere = !same_address(address, wanted.registry);
        elsewhere.then(|| (format!("@{}", key.text), key.begin.line + 1))
    };
    entries.iter().filter_map(scope).collect()
}

struct File<'a> {
    text: &'a str,
    document: Option<&'a Node>,
}

impl File<'_> {
    fn get(&self, key: &str) -> Option<&Node> {
        self.document?.get(key)
    }

    fn line(&self, number: usize) -> &str {
        self.text.lines().nth(number).unwrap_or_default()
    }

    fn added(&self, lines: Vec<String>) -> Edit {
        Edit::insert(self.text.lines().count(), lines)
    }

    fn added_block(&self, lines: Vec<String>) -> Edit {
        Edit::open(self.text.lines().count(), Block::Key, lines)
    }

    fn set_registry(&self, wanted: &Wanted<'_>) -> Vec<Edit> {
        let new = format!("\"{}\"", wanted.registry);
        match self.get(REGISTRY) {
            Some(old) if old.text() == Some(wanted.registry.as_str()) => Vec::new(),
            Some(old) => {
                let line = self.line(old.begin.line);
                // Where it has several lines, or none, what comes of this is found wrong when it is read
                // back: it is for a person to change.
                let Some(end) = yaml::end_of_text(line, old.begin.column, false) else {
                    return Vec::new();
                };
                let before: String = line.chars().take(old.begin.column).collect();
                let behind: String = line.chars().skip(end).collect();
                vec![Edit::replace(old.begin.line, line, format!("{before}{new}{behind}"))]
            }
            None => vec![self.added(vec![format!("{REGISTRY}: {new}")])],
        }
    }

    fn allow_plain_http(&self, wanted: &Wanted<'_>) -> Result<Option<Edit>, Unreadable> {
        let host = wanted.registry.host_str().unwrap_or_default();
        let Some(node) = self.get(PLAIN_HTTP) else {
            let lines = vec![format!("{PLAIN_HTTP}:"), format!("  - \"{host}\"")];
            return Ok(Some(self.added_block(lines)));
        };
        let Value::List(items) = &node.value else {
            return Err(by_hand(node.begin.line + 1, PLAIN_HTTP));
        };
        if allows(items, host) {
            return Ok(None);
        }
        let last = items.last();
        let line = self.line(last.map_or(node.begin, |item| item.begin).line);
        let is_block = line.trim_start().starts_with("- ");
        Ok(Some(match last {
            Some(last) if is_block => {
                let indent = &line[..line.len() - line.trim_start().len()];
                Edit::insert(last.begin.line + 1, vec![format!("{indent}- \"{host}\"")])
            }
            Some(last) => {
                let Some(column) = yaml::end_of_text(line, last.begin.column, true) else {
                    return Err(by_hand(last.begin.line + 1, PLAIN_HTTP));
                };
                self.put_behind(Place { column, ..last.begin }, &format!(", \"{host}\""))
            }
            None => {
                let bracket = Place { column: node.begin.column + 1, ..node.begin };
                self.put_behind(bracket, &format!("\"{host}\""))
            }
        }))
    }

    fn put_behind(&self, place: Place, new: &str) -> Edit {
        let line = self.line(place.line);
        let before: String = line.chars().take(place.column).collect();
        let behind = &line[before.len()..];
        Edit::replace(place.line, line, format!("{before}{new}{behind}"))
    }

    fn set_token(&self, wanted: &Wanted<'_>, variable: &str) -> Result<Option<Edit>, Unreadable> {
        let entry = |indent: &str| {
            vec![
                format!("{indent}\"{}\":", wanted.without_scheme()),
                // Without the minus, yarn would not start at all where the variable is not set.
                format!("{indent}  npmAuthToken: \"${{{variable}-}}\""),
                format!("{indent}  npmAlwaysAuth: true"),
            ]
        };
        let Some(node) = self.get(REGISTRIES) else {
            let mut lines = vec![format!("{REGISTRIES}:")];
            lines.extend(entry("  "));
            return Ok(Some(self.added_block(lines)));
        };
        if let Some(old) = token(node, wanted) {
            let is_ours = old.text() == Some(&format!("${{{variable}-}}"));
            return if is_ours { Ok(None) } else { Err(by_hand(old.begin.line + 1, REGISTRIES)) };
        }
        match &node.value {
            Value::Map(entries) if !self.line(node.begin.line).contains('{') => {
                match entries.first() {
                    Some((first, _)) => {
                        let indent = " ".repeat(first.begin.column);
                        Ok(Some(Edit::insert(first.begin.line, entry(&indent))))
                    }
                    None => Err(by_hand(node.begin.line + 1, REGISTRIES)),
                }
            }
            _ => Err(by_hand(node.begin.line + 1, REGISTRIES)),
        }
    }
}

/// Whether the text says what is wanted.
fn has(text: &str, wanted: &Wanted<'_>) -> bool {
    let Ok(Some(document)) = yaml::parse(text) else { return false };
    let registry = document.get(REGISTRY).and_then(Node::text);
    let host = wanted.registry.host_str().unwrap_or_default();
    let may_ask = wanted.registry.scheme() != "http"
        || matches!(document.get(PLAIN_HTTP).map(|node| &node.value),
            Some(Value::List(items)) if allows(items, host));
    let has_token = wanted.token_env.is_none()
        || document.get(REGISTRIES).is_some_and(|node| token(node, wanted).is_some());
    registry == Some(wanted.registry.as_str()) && may_ask && has_token
}

fn allows(items: &[Node], host: &str) -> bool {
    items.iter().any(|item| item.text().is_some_and(|text| text == host || text == "*"))
}

fn token<'n>(registries: &'n Node, wanted: &Wanted<'_>) -> Option<&'n Node> {
    let key = wanted.without_scheme();
    let entry = registries.get(&key).or_else(|| registries.get(key.trim_end_matches('/')))?;
    entry.get("npmAuthToken").or_else(|| entry.get("npmAuthIdent"))
}

fn read(text: &str) -> Result<Option<Node>, Unreadable> {
    let document = yaml::parse(text).map_err(|fault| Unreadable {
        line: fault.line,
        why: format!("no valid YAML: {}", fault.why),
        remedy: "mend the file, then run this again".to_owned(),
    })?;
    match document {
        Some(node) if !matches!(node.value, Value::Map(_)) => {
            Err(by_hand(node.begin.line + 1, REGISTRY))
        }
        document => Ok(document),
    }
}

fn by_hand(line: usize, key: &str) -> Unreadable {
    Unreadable {
        line,
        why: format!(
            "{key} is written, or would have to be, in a way that is not changed by itself"
        ),
        remedy: format!("write {key} on lines of its own, or take it out, then run this again"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::tests::{self, wanted};
    use super::*;

    const SERVER: &str = "npmRegistryServer: \"http://garth.example/npm/\"";
    const PLAIN: &str = "unsafeHttpWhitelist:\n  - \"garth.example\"";

    fn written(before: &str, token_env: Option<&str>) -> String {
        tests::written(set, before, token_env)
    }

    #[test]
    fn the_registry_is_set_and_all_else_stays() {
        let both = format!("{SERVER}\n{PLAIN}");
        let rows = [
            ("no file", "", format!("{both}\n")),
            (
                "no end of line",
                "# mine\nnodeLinker: pnp",
                format!("# mine\nnodeLinker: pnp\n{both}"),
            ),
            (
                "another registry",
                "npmRegistryServer: https://old.example # ours\na: b\n",
                format!("{SERVER} # ours\na: b\n{PLAIN}\n"),
            ),
            (
                "a list in lines",
                "unsafeHttpWhitelist:\n- x # y\n\nnpmRegistryServer: z\n",
                format!("unsafeHttpWhitelist:\n- x # y\n- \"garth.example\"\n\n{SERVER}\n"),
            ),
            (
                "a list in one line",
                "unsafeHttpWhitelist: [x, \"y\"] # z\n",
                format!("unsafeHttpWhitelist: [x, \"y\", \"garth.example\"] # z\n{SERVER}\n"),
            ),
            (
                "an empty list",
                "unsafeHttpWhitelist: [ ]\n",
                format!("unsafeHttpWhitelist: [\"garth.example\" ]\n{SERVER}\n"),
            ),
            (
                "all hosts are allowed",
                "unsafeHttpWhitelist: ['*']\n",
                format!("unsafeHttpWhitelist: ['*']\n{SERVER}\n"),
            ),
            (
                "lines of another system",
                "a: b\r\n",
                format!("a: b\n{both}\n").replace('\n', "\r\n"),
            ),
            ("a begin", "---\na: b\n", format!("---\na: b\n{both}\n")),
        ];
        for (name, before, after) in rows {
            assert_eq!(written(before, None), after, "{name}");
        }
    }

    #[test]
    fn a_token_goes_to_this_registry_alone() {
        let ours =
            "  \"//garth.example/npm/\":\n    npmAuthToken: \"${T-}\"\n    npmAlwaysAuth: true\n";
        let after = written("", Some("T"));
        assert_eq!(after, format!("{SERVER}\n{PLAIN}\nnpmRegistries:\n{ours}"));
        let theirs = "npmRegistries:\n  \"//other.example\":\n    npmAuthToken: hush\n";
        let after = written(theirs, Some("T"));
        assert!(
            after.starts_with(&format!("npmRegistries:\n{ours}  \"//other.example\"")),
            "{after}"
        );
    }

    #[test]
    fn what_cannot_be_changed_line_by_line_is_left_to_a_person() {
        let rows = [
            ("a: [b\n", "no valid YAML"),
            ("{a: b}\n", "npmRegistryServer"),
            ("- a\n", "npmRegistryServer"),
            ("a: b\n...\n", "npmRegistryServer"),
            ("unsafeHttpWhitelist: x\n", "unsafeHttpWhitelist"),
            ("npmRegistryServer: >-\n  https://old.example\n", "npmRegistryServer"),
            ("npmRegistryServer:\na: b\n", "npmRegistryServer"),
            ("npmRegistries: {}\n", "npmRegistries"),
            ("npmRegistries:\n  //garth.example/npm:\n    npmAuthToken: hush\n", "npmRegistries"),
        ];
        for (text, about) in rows {
            let why = set(text, &wanted(Some("T"))).unwrap_err();
            assert!(
                why.why.contains(about) && !format!("{why:?}").contains("hush"),
                "{text}: {why:?}"
            );
        }
    }

    #[test]
    fn scopes_with_a_registry_elsewhere_are_told() {
        let text = "npmScopes:\n  a:\n    npmRegistryServer: https://a.example\n  b: {}\n";
        assert_eq!(scopes(text, &wanted(None)), [("@a".to_owned(), 2)]);
    }
}
