//! YAML as a tree that knows the places of its parts, so that lines can be changed and all others stay
//! as they are. Pure.

use saphyr_parser::{Event, Marker, Parser, ScanError, Span};

/// Deeper than any configuration of a package manager, and far from the end of the stack.
const MAX_DEPTH: usize = 64;

/// A place: line from 0, column from 0 in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

#[derive(Debug)]
pub struct Node {
    pub begin: Place,
    pub value: Value,
}

#[derive(Debug)]
pub enum Value {
    Text(String),
    List(Vec<Node>),
    /// In the order of the file.
    Map(Vec<(Key, Node)>),
    /// `*name`: what it stands for is written elsewhere.
    Alias,
}

#[derive(Debug)]
pub struct Key {
    pub text: String,
    pub begin: Place,
}

/// Line from 1, and what is wrong there.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    pub line: usize,
    pub why: String,
}

impl Node {
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value of a key, where this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        let Value::Map(entries) = &self.value else { return None };
        entries.iter().find(|(is, _)| is.text == key).map(|(_, value)| value)
    }
}

/// The one document of the text; `None` where there is nothing but comments.
pub fn parse(text: &str) -> Result<Option<Node>, Fault> {
    let mut events = Events(Parser::new_from_str(text));
    let mut document = None;
    loop {
        match events.next()? {
            (Event::StreamEnd, _) => return Ok(document),
            (Event::DocumentStart(_), span) if document.is_some() => {
                return Err(fault(span.start, "a second document begins"));
            }
            (Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd, _) => {}
            (event, span) => document = Some(events.node(event, span, 0)?),
        }
    }
}

/// Where a text that begins in `line` at `column` ends in it, in characters; `None` where it goes on in
/// the next one. The parser tells only where the next thing begins.
pub fn end_of_text(line: &str, column: usize, is_in_brackets: bool) -> Option<usize> {
    let text: Vec<char> = line.chars().skip(column).collect();
    let length = match text.first()? {
        '|' | '>' => return None,
        '"' => {
            let mut escaped = false;
            let closes = |next: &char| {
                let closes = *next == '"' && !escaped;
                escaped = *next == '\\' && !escaped;
                closes
            };
            text.iter().skip(1).position(closes)? + 2
        }
        // A quote in it is doubled, which no address and no host has.
        '\'' => text.iter().skip(1).position(|next| *next == '\'')? + 2,
        _ => {
            let comment =
                text.windows(2).position(|pair| pair[0].is_whitespace() && pair[1] == '#');
            let bracket =
                text.iter().position(|next| is_in_brackets && [',', ']', '}'].contains(next));
            let end = comment.into_iter().chain(bracket).min().unwrap_or(text.len());
            end - text[..end].iter().rev().take_while(|last| last.is_whitespace()).count()
        }
    };
    Some(column + length)
}

struct Events<'a>(Parser<'a, saphyr_parser::StrInput<'a>>);

impl<'a> Events<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Fault> {
        match self.0.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(scan_fault(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Fault> {
        if depth > MAX_DEPTH {
            return Err(fault(span.start, "it is nested too deeply"));
        }
        let value = match event {
            Event::Scalar(text, ..) => Value::Text(text.into_owned()),
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break Value::List(items),
                        (event, span) => items.push(self.node(event, span, depth + 1)?),
                    }
                }
            }
            Event::MappingStart(..) => {
                let mut entries = Vec::new();
                loop {
                    let (event, span) = match self.next()? {
                        (Event::MappingEnd, _) => break Value::Map(entries),
                        other => other,
                    };
                    let key = self.node(event, span, depth + 1)?;
                    let text = key.text().map(str::to_owned);
                    let text = text.ok_or_else(|| fault(span.start, "a key is no plain text"))?;
                    let (event, span) = self.next()?;
                    let value = self.node(event, span, depth + 1)?;
                    entries.push((Key { text, begin: key.begin }, value));
                }
            }
            Event::Alias(_) => Value::Alias,
            _ => return Err(fault(span.start, "it ends too early")),
        };
        Ok(Node { begin: place(span.start), value })
    }
}

fn place(marker: Marker) -> Place {
    Place { line: marker.line().saturating_sub(1), column: marker.col() }
}

fn fault(at: Marker, why: &str) -> Fault {
    Fault { line: at.line().max(1), why: why.to_owned() }
}

fn scan_fault(error: &ScanError) -> Fault {
    fault(*error.marker(), error.info())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn parts_know_their_places() {
        let document =
            parse("# c\na: \"ä b\" # d\nlist:\n  - x\n  - y\nm: {k: v}\n").unwrap().unwrap();
        let a = document.get("a").unwrap();
        assert_eq!(a.text(), Some("ä b"));
        assert_eq!(a.begin, Place { line: 1, column: 3 });
        let Value::List(items) = &document.get("list").unwrap().value else { panic!() };
        assert_eq!(items[1].begin, Place { line: 4, column: 4 });
        assert_eq!(document.get("m").unwrap().get("k").unwrap().text(), Some("v"));
    }

    #[test]
    fn a_text_ends_where_its_notation_says() {
        let rows = [
            ("a: b # c", 3, false, Some(4)),
            ("a: b#c \r", 3, false, Some(6)),
            ("a: \"ä\\\" #\" # c", 3, false, Some(10)),
            ("a: 'b c', d", 3, true, Some(8)),
            ("a: [b , c]", 4, true, Some(5)),
            ("a: \"b", 3, false, None),
            ("a: |", 3, false, None),
        ];
        for (line, column, is_in_brackets, end) in rows {
            assert_eq!(end_of_text(line, column, is_in_brackets), end, "{line}");
        }
    }

    #[test]
    fn what_is_no_single_document_has_a_line() {
        let rows = [("a: [x\nb: c\n", 2), ("a: b\n---\nc: d\n", 2), ("a: \"x\n", 1)];
        for (text, line) in rows {
            let fault = parse(text).unwrap_err();
            assert!(fault.line >= line, "{text:?}: {fault:?}");
        }
        assert!(parse("# nothing\n").unwrap().is_none());
        let deep = "[".repeat(5000);
        parse(&deep).unwrap_err();
        let deep = format!("a: {}{}", "[".repeat(200), "]".repeat(200));
        assert!(parse(&deep).is_err());
    }
}
