//! Changes of whole lines: making them, and taking them back after others have changed the file too.
//! Pure.
//!
//! A change is known by its lines and not by the state of the file, because a person, and the client
//! itself, edit the file in between: `npm config set` drops all comments and `yarn config set` sorts the
//! keys. So a change is found again by what its lines say, near the place where they were.

use serde::{Deserialize, Serialize};

/// At line `at` (from 0) of the text before, `old` became `new`. Lines stand without their ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    pub at: usize,
    pub old: Vec<String>,
    /// At least one.
    pub new: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opens: Option<Block>,
}

/// What the first of the new lines opens. It stays when somebody has put more into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Block {
    /// A key of YAML: what is indented, or an item of a list, belongs to it.
    Key,
    /// A table of TOML: everything up to the next one belongs to it.
    Table,
}

impl Edit {
    pub fn replace(at: usize, old: &str, new: String) -> Self {
        Self { at, old: vec![old.to_owned()], new: vec![new], opens: None }
    }

    pub fn insert(at: usize, new: Vec<String>) -> Self {
        Self { at, old: Vec::new(), new, opens: None }
    }

    pub fn open(at: usize, block: Block, new: Vec<String>) -> Self {
        Self { opens: Some(block), ..Self::insert(at, new) }
    }
}

impl Block {
    /// Whether this line, the first behind ours that says something, belongs to the block.
    fn goes_on_with(self, line: &str) -> bool {
        match self {
            Self::Key => line.starts_with([' ', '\t', '-']),
            Self::Table => !line.trim_start().starts_with('['),
        }
    }
}

/// A text as lines that remember how they end; [`Lines::text`] gives back each byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines(Vec<Line>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    text: String,
    /// `\n`, `\r\n`, or nothing where the file ends in the middle of a line.
    end: &'static str,
}

impl Lines {
    pub fn of(text: &str) -> Self {
        let line = |raw: &str| {
            let (text, end) = match (raw.strip_suffix("\r\n"), raw.strip_suffix('\n')) {
                (Some(text), _) => (text, "\r\n"),
                (None, Some(text)) => (text, "\n"),
                (None, None) => (raw, ""),
            };
            Line { text: text.to_owned(), end }
        };
        Self(text.split_inclusive('\n').map(line).collect())
    }

    pub fn text(&self) -> String {
        self.0.iter().flat_map(|line| [line.text.as_str(), line.end]).collect()
    }

    /// Makes all changes. They are in the order of their places and do not overlap.
    pub fn apply(&mut self, edits: &[Edit]) {
        for edit in edits.iter().rev() {
            self.replace(edit.at, edit.old.len(), &edit.new);
        }
    }

    /// Takes back what is still there; gives the changes that were not found.
    pub fn undo<'e>(&mut self, edits: &'e [Edit]) -> Vec<&'e Edit> {
        let mut lost = Vec::new();
        for (index, edit) in edits.iter().enumerate().rev() {
            let before = &edits[..index];
            let shift: usize = before.iter().map(|edit| edit.new.len()).sum();
            let gone: usize = before.iter().map(|edit| edit.old.len()).sum();
            if !self.undo_one(edit, (edit.at + shift).saturating_sub(gone)) {
                lost.push(edit);
            }
        }
        lost.reverse();
        lost
    }

    fn undo_one(&mut self, edit: &Edit, near: usize) -> bool {
        let inside = &edit.new[edit.new.len().min(1)..];
        let (at, count) = match (self.find(&edit.new, near), edit.opens) {
            (Some(at), Some(block)) if self.goes_on(at + edit.new.len(), block) => {
                (at + 1, inside.len())
            }
            (Some(at), _) => (at, edit.new.len()),
            (None, Some(_)) => match self.find(inside, near + 1) {
                Some(at) => (at, inside.len()),
                None => return false,
            },
            (None, None) => return false,
        };
        self.replace(at, count, &edit.old);
        true
    }

    fn goes_on(&self, behind: usize, block: Block) -> bool {
        let rest = self.0.iter().skip(behind).map(|line| line.text.as_str());
        let mut said = rest.filter(|line| !line.trim().is_empty() && !line.trim().starts_with('#'));
        said.next().is_some_and(|line| block.goes_on_with(line))
    }

    /// Where these lines stand, nearest to `near`.
    fn find(&self, wanted: &[String], near: usize) -> Option<usize> {
        let wanted: Vec<String> = wanted.iter().map(|line| essence(line)).collect();
        let all: Vec<String> = self.0.iter().map(|line| essence(&line.text)).collect();
        let places = all.windows(wanted.len().max(1)).enumerate();
        let places = places.filter(|(_, window)| *window == wanted.as_slice());
        places.map(|(at, _)| at).min_by_key(|at| at.abs_diff(near))
    }

    /// The file goes on ending as it did: with a whole line, or in the middle of one.
    fn replace(&mut self, at: usize, count: usize, new: &[String]) {
        let usual = self.0.iter().map(|line| line.end).find(|end| !end.is_empty()).unwrap_or("\n");
        let mut ends: Vec<&'static str> =
            self.0.drain(at..at + count).map(|line| line.end).collect();
        let is_last = at == self.0.len();
        let last_end = match (ends.pop(), at.checked_sub(1)) {
            (Some(end), before) => {
                if let (true, true, "", Some(before)) = (new.is_empty(), is_last, end, before) {
                    self.0[before].end = end;
                }
                end
            }
            (None, Some(before)) if is_last => {
                let end = self.0[before].end;
                if end.is_empty() {
                    self.0[before].end = usual;
                }
                end
            }
            (None, _) => usual,
        };
        let ends = ends.into_iter().chain(std::iter::repeat(usual)).take(new.len().max(1) - 1);
        let ends = ends.chain(std::iter::once(last_end));
        let lines = new.iter().zip(ends).map(|(text, end)| Line { text: text.clone(), end });
        self.0.splice(at..at, lines);
    }
}

/// What a line says, however a client writes it: without quotes, spaces and a comment behind it.
fn essence(line: &str) -> String {
    let comment = [" #", " ;", "\t#", "\t;"].iter().filter_map(|sign| line.find(sign)).min();
    let said = &line[..comment.unwrap_or(line.len())];
    said.chars().filter(|next| !next.is_whitespace() && !['"', '\''].contains(next)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn applied(text: &str, edits: &[Edit]) -> String {
        let mut lines = Lines::of(text);
        lines.apply(edits);
        lines.text()
    }

    fn undone(text: &str, edits: &[Edit]) -> (String, usize) {
        let mut lines = Lines::of(text);
        let lost = lines.undo(edits).len();
        (lines.text(), lost)
    }

    fn added(at: usize, line: &str) -> Edit {
        Edit::insert(at, vec![line.to_owned()])
    }

    #[test]
    fn the_file_goes_on_ending_as_it_did() {
        let rows = [
            ("an empty file", "", 0, "new\n"),
            ("a whole line", "a\n", 1, "a\nnew\n"),
            ("no end at all", "a", 1, "a\nnew"),
            ("no end at the last line", "a\r\nb", 2, "a\r\nb\r\nnew"),
            ("lines of another system", "a\r\n", 1, "a\r\nnew\r\n"),
            ("in front", "a\r\nb", 0, "new\r\na\r\nb"),
            ("ends of two kinds", "a\r\nb\n", 2, "a\r\nb\nnew\n"),
        ];
        for (name, before, at, after) in rows {
            let edits = [added(at, "new")];
            assert_eq!(applied(before, &edits), after, "{name}");
            assert_eq!(undone(after, &edits), (before.to_owned(), 0), "{name}");
        }
    }

    #[test]
    fn what_others_changed_in_between_stays() {
        let edits = [Edit::replace(1, "b = old", "b=new".to_owned()), added(3, "d=new")];
        assert_eq!(applied("a\nb = old\nc", &edits), "a\nb=new\nc\nd=new");
        let rows = [
            ("nothing", "a\nb=new\nc\nd=new", "a\nb = old\nc", 0),
            ("lines behind", "a\nb=new\nc\nd=new\nmine\n", "a\nb = old\nc\nmine\n", 0),
            ("lines before", "1\n2\na\nb=new\nc\nd=new", "1\n2\na\nb = old\nc", 0),
            ("another order", "d=new\nb=new\n", "b = old\n", 0),
            ("another style", "a\nb = \"new\" ; said\nd = 'new'\n", "a\nb = old\n", 0),
            ("one of ours", "a\nb=mine\nc\nd=new\n", "a\nb=mine\nc\n", 1),
            ("everything", "", "", 2),
        ];
        for (name, now, expected, lost) in rows {
            assert_eq!(undone(now, &edits), (expected.to_owned(), lost), "{name}");
        }
    }

    #[test]
    fn of_two_lines_that_say_the_same_the_nearer_one_is_ours() {
        let edits = [Edit::replace(1, "r=old", "r=new".to_owned())];
        let text = applied("r=new\nr=old\nx\n", &edits);
        assert_eq!(undone(&text, &edits).0, "r=new\nr=old\nx\n");
    }

    #[test]
    fn a_block_that_others_use_too_stays() {
        let key = Edit::open(1, Block::Key, vec!["list:".to_owned(), "  - ours".to_owned()]);
        let table = Edit::open(1, Block::Table, vec!["[t]".to_owned(), "k = 1".to_owned()]);
        let rows = [
            (&key, "a: b\nlist:\n  - ours\n", "a: b\n"),
            (&key, "a: b\nlist:\n  - ours\n  - theirs\n", "a: b\nlist:\n  - theirs\n"),
            (&key, "a: b\nlist:\n  - theirs\n  - ours\n", "a: b\nlist:\n  - theirs\n"),
            (&key, "a: b\nlist:\n  - ours\n# c\nc: d", "a: b\n# c\nc: d"),
            (&table, "a = 1\n[t]\nk = 1", "a = 1"),
            (&table, "a = 1\n[t]\nk = 1\n\n[u]\n", "a = 1\n\n[u]\n"),
            (&table, "a = 1\n[t]\nk = 1\n\nm = 2\n", "a = 1\n[t]\n\nm = 2\n"),
        ];
        for (edit, now, expected) in rows {
            assert_eq!(undone(now, std::slice::from_ref(edit)), (expected.to_owned(), 0), "{now}");
        }
    }

    fn texts() -> impl Strategy<Value = String> {
        let line = ("[a-z =#;\"]{0,8}", prop_oneof![Just("\n"), Just("\r\n")]);
        let line = line.prop_map(|(text, end)| format!("{text}{end}"));
        (prop::collection::vec(line, 0..8), "[a-z=]{0,5}")
            .prop_map(|(lines, rest)| lines.concat() + &rest)
    }

    proptest! {
        #[test]
        fn a_text_is_its_lines(text in texts()) {
            prop_assert_eq!(Lines::of(&text).text(), text);
        }

        #[test]
        fn what_was_changed_is_taken_back_to_the_byte(
            text in texts(),
            places in prop::collection::btree_map(0_usize..9, any::<bool>(), 0..4),
            foreign in prop::option::of(Just("Somebody else's\r\n")),
        ) {
            let lines: Vec<Line> = Lines::of(&text).0;
            let mut edits = Vec::new();
            for (at, replaces) in places {
                let new = format!("OURS={at}");
                match lines.get(at) {
                    Some(line) if replaces => edits.push(Edit::replace(at, &line.text, new)),
                    _ if at <= lines.len() => edits.push(added(at, &new)),
                    _ => {}
                }
            }
            let foreign = foreign.unwrap_or_default();
            let now = format!("{foreign}{}", applied(&text, &edits));
            prop_assert_eq!(undone(&now, &edits), (format!("{foreign}{text}"), 0));
        }
    }
}
