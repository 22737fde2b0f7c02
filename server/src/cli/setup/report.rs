//! What a person reads of what was, or would be, changed. Pure.

use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

use super::Client;
use super::edits::Edit;
use super::machine::Machine;

#[derive(Serialize)]
pub struct Report {
    pub client: Client,
    /// Nothing where it was taken back.
    pub registry: Option<String>,
    pub files: Vec<FileReport>,
    pub notes: Vec<String>,
}

#[derive(Serialize)]
pub struct FileReport {
    pub file: String,
    #[serde(flatten)]
    pub state: State,
    pub changes: Vec<Shown>,
    /// What could not be taken back, because somebody else has changed it since.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<Shown>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case", tag = "state", content = "for")]
pub enum State {
    Unchanged,
    WouldBeMade,
    WouldChange,
    Made,
    Changed,
    TakenBack,
    /// There was none before.
    Removed,
    /// Somebody else has removed it.
    Gone,
    /// Others than the one who asks need what is in it.
    KeptFor(Vec<Client>),
}

/// A change as it may be shown: without passwords. The line is counted from 1.
#[derive(Serialize)]
pub struct Shown {
    pub line: usize,
    pub old: Vec<String>,
    pub new: Vec<String>,
}

pub fn shown(edit: &Edit) -> Shown {
    let lines = |lines: &[String]| lines.iter().map(|line| without_secrets(line)).collect();
    Shown { line: edit.at + 1, old: lines(&edit.old), new: lines(&edit.new) }
}

impl FileReport {
    pub fn new(machine: &Machine, path: &Path, state: State) -> Self {
        Self { file: machine.shown(path), state, changes: Vec::new(), lost: Vec::new() }
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let file = &self.file;
        match &self.state {
            State::Unchanged => writeln!(text, "{file} says so already")?,
            State::WouldBeMade => writeln!(text, "{file} would be made:")?,
            State::WouldChange => writeln!(text, "{file} would change:")?,
            State::Made => writeln!(text, "made {file}:")?,
            State::Changed => writeln!(text, "changed {file}:")?,
            State::TakenBack => writeln!(text, "took back in {file}:")?,
            State::Removed => writeln!(text, "removed {file}, which was not there before:")?,
            State::Gone => writeln!(text, "{file} is not there any more")?,
            State::KeptFor(clients) => {
                let clients: Vec<String> = clients.iter().map(ToString::to_string).collect();
                let again = clients.first().map_or("npm", String::as_str);
                writeln!(
                    text,
                    "{file} stays as it is, for {}: garth setup {again} --undo takes it back",
                    clients.join(" and ")
                )?;
            }
        }
        for change in &self.changes {
            write_change(text, change)?;
        }
        if !self.lost.is_empty() && !matches!(self.state, State::Gone) {
            writeln!(text, "  somebody has changed this since, so it was left as it is now:")?;
            for change in &self.lost {
                let Shown { line, old, new } = change;
                writeln!(text, "    garth wrote    {}", new.join(" "))?;
                if !old.is_empty() {
                    writeln!(text, "    before it was  {}  (line {line})", old.join(" "))?;
                }
            }
        }
        Ok(())
    }
}

fn write_change(text: &mut String, change: &Shown) -> std::fmt::Result {
    for line in &change.old {
        writeln!(text, "  - {line}")?;
    }
    for line in &change.new {
        writeln!(text, "  + {line}")?;
    }
    Ok(())
}

impl Report {
    pub fn text(&self, write: bool, undo: bool) -> String {
        let mut text = String::new();
        self.write(&mut text, write, undo).expect("writing to a String cannot fail");
        text
    }

    fn write(&self, text: &mut String, write: bool, undo: bool) -> std::fmt::Result {
        let client = self.client;
        if undo && self.files.is_empty() {
            return writeln!(
                text,
                "nothing to take back: garth has not written a file of {client} here"
            );
        }
        for file in &self.files {
            file.write(text)?;
        }
        for note in &self.notes {
            writeln!(text, "note: {note}")?;
        }
        let Some(registry) = &self.registry else { return Ok(()) };
        let changes = self.files.iter().any(|file| !matches!(file.state, State::Unchanged));
        match (write, changes) {
            (_, false) => writeln!(text, "{client} uses {registry} already: nothing to change"),
            (true, true) => writeln!(text, "{client} uses {registry} now; --undo takes it back"),
            (false, true) => {
                writeln!(text, "Nothing is written yet: --write does it, and --undo takes it back.")
            }
        }
    }
}

/// A line without the password of an address and without tokens in quotes.
fn without_secrets(line: &str) -> String {
    let mut shown = without_user(line);
    for key in ["token", "password", "npmAuthToken", "npmAuthIdent", "_authToken"] {
        let mut from = 0;
        while let Some(at) = shown[from..].find(key).map(|at| from + at) {
            from = at + key.len();
            let rest = &shown[from..];
            let value = rest.trim_start_matches(['"', '\'', ' ']);
            let Some(value) = value.strip_prefix(['=', ':']) else { continue };
            let value = value.trim_start();
            let quote = value.chars().next().filter(|first| ['"', '\''].contains(first));
            let inside = value.trim_start_matches(['"', '\'']);
            // A variable is no secret.
            if inside.is_empty() || inside.starts_with('$') {
                continue;
            }
            let begin = shown.len() - inside.len();
            let ends = |next: char| quote.map_or(next.is_whitespace(), |quote| next == quote);
            let end = begin + inside.find(ends).unwrap_or(inside.len());
            shown.replace_range(begin..end, "***");
        }
    }
    shown
}

/// `https://name:password@host` without name and password.
fn without_user(line: &str) -> String {
    let Some((before, behind)) = line.split_once("://") else { return line.to_owned() };
    let end = behind.find(|next: char| "/\"' \t".contains(next)).unwrap_or(behind.len());
    match behind[..end].rfind('@') {
        Some(at) => format!("{before}://***{}", &behind[at..]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_shown() {
        let rows = [
            ("registry=https://u:hush@old.example/x@y", "registry=https://***@old.example/x@y"),
            (
                "registry = { url = \"https://a.example\", token = \"hush\" }",
                "registry = { url = \"https://a.example\", token = \"***\" }",
            ),
            (
                "registry = { token='hush', password = \"hush\" }",
                "registry = { token='***', password = \"***\" }",
            ),
            ("  npmAuthToken: hush", "  npmAuthToken: ***"),
            ("  npmAuthToken: \"${T-}\"", "  npmAuthToken: \"${T-}\""),
            ("//a.example/:_authToken=hush", "//a.example/:_authToken=***"),
            ("//a.example/:_authToken=${T}", "//a.example/:_authToken=${T}"),
            ("# about a token", "# about a token"),
        ];
        for (line, shown) in rows {
            assert_eq!(without_secrets(line), shown);
        }
    }
}
