//! Rules, or names, ⇄ blocks of them. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use policies::package::Digest;
use policies::rules::{Origin, Rule};
use serde::{Deserialize, Serialize};

use super::super::made;
use crate::metadata::records::{RuleRecord, RulesBlock};

/// A block ends behind a rule whose name says so, on average every so many rules; so a rule that
/// comes or goes moves no other border.
const RULES: u8 = 32;
/// And where it is this long.
const LONG: usize = 256 * 1024;
/// One rule may name ten thousand packages.
const UNPACKED: usize = 64 << 20;
/// Of what is packed in one part.
const PART: usize = 12 * 1024;

/// A rule, wherever it was made.
#[derive(Serialize, Deserialize)]
struct Kept {
    name: String,
    #[serde(flatten)]
    rule: RuleRecord,
    /// Where it stood, if a file made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file: Option<(String, usize, usize)>,
}

#[derive(Debug)]
pub(super) struct Block {
    pub name: String,
    pub parts: Vec<RulesBlock>,
}

/// The rules, which are sorted by name, in blocks.
pub(super) fn cut(rules: &[Rule]) -> Vec<Block> {
    let line = |rule: &Rule| {
        serde_json::to_string(&Kept::of(rule)).expect("rules are plain structs with string keys")
    };
    cut_lines(rules.iter().map(|rule| (&*rule.name, line(rule))))
}

/// Names, which are sorted, in blocks.
pub(super) fn cut_names(names: &[String]) -> Vec<Block> {
    cut_lines(names.iter().map(|name| (name.as_str(), name.clone())))
}

fn cut_lines<'n>(lines: impl Iterator<Item = (&'n str, String)>) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut text = String::new();
    for (name, line) in lines {
        text += &line;
        text.push('\n');
        let ends = Digest::sha256_of(name.as_bytes()).bytes()[0].is_multiple_of(RULES);
        if ends || text.len() >= LONG {
            blocks.push(block(&std::mem::take(&mut text)));
        }
    }
    if !text.is_empty() {
        blocks.push(block(&text));
    }
    blocks
}

pub(super) fn name_of(text: &str) -> String {
    Digest::sha256_of(text.as_bytes()).hex()[..32].to_owned()
}

fn block(text: &str) -> Block {
    let packed =
        zstd::bulk::compress(text.as_bytes(), 3).expect("memory is all that packing needs");
    let packed = STANDARD.encode(packed);
    let pieces: Vec<&[u8]> = packed.as_bytes().chunks(PART).collect();
    let count = u32::try_from(pieces.len()).unwrap_or(u32::MAX);
    let part = |piece: &&[u8]| RulesBlock {
        parts: count,
        packed: String::from_utf8_lossy(piece).into_owned(),
    };
    Block { name: name_of(text), parts: pieces.iter().map(part).collect() }
}

/// The text of a block, or why it can not be had.
pub(super) fn join(name: &str, parts: Vec<RulesBlock>) -> Result<String, String> {
    let expected = parts.first().map_or(1, |part| part.parts);
    if parts.len() != expected as usize {
        return Err(format!("{} of its {expected} parts are there", parts.len()));
    }
    let packed: String = parts.into_iter().map(|part| part.packed).collect();
    let packed = STANDARD.decode(packed).map_err(|fault| fault.to_string())?;
    let text = zstd::bulk::decompress(&packed, UNPACKED).map_err(|fault| fault.to_string())?;
    let text = String::from_utf8(text).map_err(|fault| fault.to_string())?;
    if name_of(&text) != name {
        return Err("it holds something else".to_owned());
    }
    Ok(text)
}

/// The rules of a block.
pub(super) fn read_rules(text: &str) -> Result<Vec<Rule>, String> {
    text.lines()
        .map(|line| serde_json::from_str(line).map_err(|fault| fault.to_string()))
        .map(|kept| kept.and_then(Kept::into_rule))
        .collect()
}

impl Kept {
    fn of(rule: &Rule) -> Self {
        let (file, by, at) = match &rule.origin {
            Origin::File { file, line, column } => {
                (Some((file.to_string(), *line, *column)), "", jiff::Timestamp::UNIX_EPOCH)
            }
            Origin::Api { by, at } => (None, &**by, *at),
        };
        let packages = rule.patterns.iter().map(ToString::to_string).collect();
        let record = RuleRecord { packages, ..made::record_of(rule, by, at) };
        Self { name: rule.name.to_string(), rule: record, file }
    }

    fn into_rule(self) -> Result<Rule, String> {
        let origin = match self.file {
            Some((file, line, column)) => Origin::File { file: file.into(), line, column },
            None => Origin::Api { by: self.rule.created_by.as_str().into(), at: self.rule.created },
        };
        made::draft_of(self.name, self.rule).check(origin).map_err(|complaints| {
            let causes: Vec<String> = complaints.iter().map(ToString::to_string).collect();
            causes.join("; ")
        })
    }
}
