//! Whether a copy of the log is the log that was signed. Pure: needs the lines and checkpoints.
//!
//! Each line has to be the next entry, and where a checkpoint was signed, the tree over all lines up to
//! there has to have its root. So an entry that was edited, left out, put elsewhere or added is found, and
//! so is a log that was made anew, by any checkpoint that was kept elsewhere before.

use tlog_tiles::tlog::record_hash;

use super::checkpoint::Checkpoint;
use super::tree::{Edge, TreeError};
use crate::metadata::records::AuditRecord;

/// Lines after which what is not needed any more is let go.
const PRUNE: u64 = 1024;

/// Reads a copy, line by line.
#[derive(Debug)]
pub struct Verifier {
    edge: Edge,
    /// The smallest first.
    checkpoints: Vec<Named>,
    /// How many of them were passed.
    passed: usize,
}

/// A checkpoint, and where it was found.
#[derive(Clone, Debug)]
pub struct Named {
    pub name: String,
    pub checkpoint: Checkpoint,
}

/// All that was signed is there as it was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    pub entries: u64,
    /// Up to here something vouches for them.
    pub vouched: u64,
    pub checkpoints: usize,
}

/// What is wrong with a copy.
#[derive(Debug, thiserror::Error)]
pub enum Finding {
    #[error("line {line} is no entry of an audit log: {cause}")]
    NoEntry { line: u64, cause: String },
    #[error("line {line} is entry {found} and should be entry {expected}: {}", gap(*.found, *.expected))]
    OutOfPlace { line: u64, expected: u64, found: u64 },
    #[error(
        "the entries up to {size} are not those that {name} was signed for: between entry {from} and entry {} \
         something was edited, put in or taken out, or the log was made anew", .size.saturating_sub(1)
    )]
    Differs { name: String, from: u64, size: u64 },
    #[error("the end is cut off: there are {entries} entries, and {name} was signed for {size}")]
    Cut { name: String, entries: u64, size: u64 },
    #[error(transparent)]
    Tree(#[from] TreeError),
}

fn gap(found: u64, expected: u64) -> String {
    if found > expected {
        format!("the entries from {expected} to {} are missing, or stand elsewhere", found - 1)
    } else {
        "it stands there twice, or was moved".to_owned()
    }
}

impl Verifier {
    pub fn new(mut checkpoints: Vec<Named>) -> Self {
        checkpoints.sort_by_key(|named| named.checkpoint.size);
        Self { edge: Edge::default(), checkpoints, passed: 0 }
    }

    /// The next line, without its end.
    pub fn line(&mut self, line: &[u8]) -> Result<(), Finding> {
        self.pass()?;
        let expected = self.edge.size();
        let number = expected + 1;
        let no_entry = |cause: String| Finding::NoEntry { line: number, cause };
        let record: AuditRecord =
            serde_json::from_slice(line).map_err(|fault| no_entry(fault.to_string()))?;
        let found = record.n.ok_or_else(|| no_entry("it has no number".to_owned()))?;
        if found != expected {
            return Err(Finding::OutOfPlace { line: number, expected, found });
        }
        self.edge.push(record_hash(line))?;
        if self.edge.size().is_multiple_of(PRUNE) {
            self.edge.prune();
        }
        Ok(())
    }

    /// After the last line.
    pub fn finish(mut self) -> Result<Verified, Finding> {
        self.pass()?;
        let entries = self.edge.size();
        if let Some(Named { name, checkpoint }) = self.checkpoints.get(self.passed) {
            return Err(Finding::Cut { name: name.clone(), entries, size: checkpoint.size });
        }
        let vouched = self.checkpoints.last().map_or(0, |last| last.checkpoint.size);
        Ok(Verified { entries, vouched, checkpoints: self.checkpoints.len() })
    }

    /// Holds the tree against the checkpoints of its size.
    fn pass(&mut self) -> Result<(), Finding> {
        while let Some(Named { name, checkpoint }) = self.checkpoints.get(self.passed) {
            if checkpoint.size != self.edge.size() {
                return Ok(());
            }
            if self.edge.root()? != checkpoint.root {
                let before = self.passed.checked_sub(1).and_then(|n| self.checkpoints.get(n));
                let from = before.map_or(0, |before| before.checkpoint.size);
                return Err(Finding::Differs { name: name.clone(), from, size: checkpoint.size });
            }
            self.passed += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::audit::checkpoint::LogKey;

    fn lines(count: u64) -> Vec<String> {
        let line = |n| {
            format!(r#"{{"n":{n},"at":"2026-05-30T10:00:00Z","action":"admitted","who":"ann"}}"#)
        };
        (0..count).map(line).collect()
    }

    fn named(name: &str, lines: &[String], key: &LogKey) -> Named {
        let mut edge = Edge::default();
        for line in lines {
            edge.push(record_hash(line.as_bytes())).unwrap();
        }
        let note = key.sign(edge.size(), edge.root().unwrap()).unwrap();
        let checkpoint = Checkpoint::read(&note, key.public()).unwrap();
        Named { name: name.to_owned(), checkpoint }
    }

    fn verify(lines: &[String], checkpoints: &[Named]) -> Result<Verified, Finding> {
        let mut verifier = Verifier::new(checkpoints.to_vec());
        for line in lines {
            verifier.line(line.as_bytes())?;
        }
        verifier.finish()
    }

    #[test]
    fn a_copy_that_is_whole_is_vouched_for_up_to_its_last_checkpoint() {
        let (lines, key) = (lines(3000), LogKey::make("log"));
        let kept = [named("late", &lines[..2500], &key), named("early", &lines[..7], &key)];
        let expected = Verified { entries: 3000, vouched: 2500, checkpoints: 2 };
        assert_eq!(verify(&lines, &kept).unwrap(), expected);
        let empty = named("empty", &[], &key);
        assert_eq!(verify(&lines[..0], &[empty]).unwrap().vouched, 0);
    }

    #[test]
    fn an_edited_entry_is_found() {
        let (mut lines, key) = (lines(100), LogKey::make("log"));
        let kept = [named("early", &lines[..10], &key), named("late", &lines, &key)];
        lines[40] = lines[40].replace("ann", "bob");
        let found = verify(&lines, &kept).unwrap_err();
        assert!(matches!(&found, Finding::Differs { from: 10, size: 100, .. }), "{found}");
        // Not a byte may differ, though it reads the same.
        let mut lines = self::lines(100);
        lines[40] = lines[40].replace("\"who\":", "\"who\": ");
        assert!(matches!(verify(&lines, &kept), Err(Finding::Differs { .. })));
    }

    #[test]
    fn a_removed_entry_is_found_though_the_rest_is_numbered_anew() {
        let (lines, key) = (lines(100), LogKey::make("log"));
        let kept = [named("late", &lines, &key)];
        let mut removed = lines.clone();
        removed.remove(40);
        let found = verify(&removed, &kept).unwrap_err();
        assert!(matches!(found, Finding::OutOfPlace { line: 41, expected: 40, found: 41 }));
        let anew = self::lines(99);
        assert!(matches!(verify(&anew, &kept), Err(Finding::Cut { entries: 99, size: 100, .. })));
    }

    #[test]
    fn a_reordering_is_found_though_the_numbers_are_right() {
        let (mut lines, key) = (lines(100), LogKey::make("log"));
        lines[7] = lines[7].replace("ann", "bob");
        let kept = [named("late", &lines, &key)];
        let mut swapped = lines.clone();
        swapped.swap(7, 8);
        assert!(matches!(verify(&swapped, &kept), Err(Finding::OutOfPlace { line: 8, .. })));
        let number = |line: &str, from: u64, to: u64| {
            line.replace(&format!("\"n\":{from},"), &format!("\"n\":{to},"))
        };
        let mut renumbered = lines.clone();
        renumbered[7] = number(&lines[8], 8, 7);
        renumbered[8] = number(&lines[7], 7, 8);
        assert!(matches!(verify(&renumbered, &kept), Err(Finding::Differs { .. })));
    }

    #[test]
    fn a_cut_tail_is_found() {
        let (lines, key) = (lines(100), LogKey::make("log"));
        let kept = [named("late", &lines, &key)];
        let found = verify(&lines[..90], &kept).unwrap_err();
        assert!(matches!(found, Finding::Cut { entries: 90, size: 100, .. }), "{found}");
        assert!(found.to_string().contains("late"), "{found}");
    }

    #[test]
    fn a_log_that_was_made_anew_and_signed_again_is_found_by_an_earlier_checkpoint() {
        let (lines, key) = (lines(100), LogKey::make("log"));
        let kept_elsewhere = named("kept elsewhere", &lines[..50], &key);
        let forged: Vec<String> = lines.iter().map(|line| line.replace("ann", "eve")).collect();
        let signed_again = named("of the forger", &forged, &key);
        assert!(verify(&forged, std::slice::from_ref(&signed_again)).is_ok());
        let found = verify(&forged, &[signed_again, kept_elsewhere]).unwrap_err();
        assert!(
            matches!(&found, Finding::Differs { name, size: 50, .. } if name == "kept elsewhere"),
            "{found}"
        );
    }

    #[test]
    fn what_is_no_entry_is_said_with_its_line() {
        for line in ["", "{}", "nonsense", "{\"n\":0}", "[1]"] {
            let found = verify(&[line.to_owned()], &[]).unwrap_err();
            assert!(matches!(found, Finding::NoEntry { line: 1, .. }), "{line:?}: {found}");
        }
    }
}
