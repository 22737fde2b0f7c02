//! `garth log verify`: whether a copy of the log, or the log of a server, is the one that was signed.

#![allow(
    clippy::disallowed_methods,
    reason = "a command of its own thread, which does nothing else"
)]

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;

use super::PAGE;
use super::export::checkpoint_of;
use crate::api::log::LogPage;
use crate::audit::SignedHead;
use crate::audit::checkpoint::Checkpoint;
use crate::audit::verify::{Finding, Named, Verified, Verifier};
use crate::cli::Exit;
use crate::cli::client::{Client, ServerArgs};
use crate::cli::talk::{print, with_server};
use crate::config::EnvSnapshot;

/// The longest line that is read: no entry is longer.
const LINE: u64 = 64 * 1024;
const MAX_FILE: u64 = 64 * 1024;

/// Verify that the log is the one that was signed
///
/// Of a FILE that `garth log export` wrote it needs nothing but the public key and a checkpoint that was kept
/// elsewhere; without FILE the log of the server is read and verified. Finds entries that were edited, left
/// out, moved or cut off, and a log that was made anew.
///
/// Exit codes: 0 it is the log that was signed, 1 it is not, 2 that could not be found out, 3 it is, up to a
/// checkpoint behind which there are more entries.
#[derive(Args, Debug)]
pub struct Verify {
    /// A copy of the log, as `garth log export` writes it [default: the log of the server]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// The public key of the log, or a file with it; of a server it is asked for, where it is left out
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// A checkpoint that was kept elsewhere; may be given several times. FILE.checkpoint is taken by itself
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
    #[command(flatten)]
    server: ServerArgs,
}

/// As it was sent to a URL.
#[derive(Deserialize)]
struct Sent {
    checkpoint: String,
}

impl Verify {
    pub fn run(self, env: &EnvSnapshot) -> Exit {
        let Some(file) = &self.file else { return self.verify_server(env) };
        match self.verify_file(file) {
            Ok(found) => told(&found, false),
            Err(why) => failed(&why),
        }
    }

    fn verify_file(&self, file: &Path) -> Result<Result<Verified, Finding>, String> {
        let key = self.key.as_deref().ok_or(
            "say by which key the log was signed: --key KEY. It is what `garth log export` prints, and the last \
             line of the file audit-key in the data directory of the server",
        )?;
        let key = read_key(key)?;
        let mut checkpoints = self.checkpoints(&key)?;
        let beside = checkpoint_of(file);
        if beside.exists() {
            checkpoints.push(read_checkpoint(&beside, &key)?);
        }
        if checkpoints.is_empty() {
            return Err(format!(
                "there is no checkpoint to hold the log against: give one with --checkpoint, or put it beside \
                 the copy as {}",
                beside.display()
            ));
        }
        let unreadable = |fault: io::Error| format!("{} can not be read: {fault}", file.display());
        let mut lines = BufReader::new(File::open(file).map_err(unreadable)?);
        let mut verifier = Verifier::new(checkpoints);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = lines.by_ref().take(LINE).read_until(b'\n', &mut line);
            if read.map_err(unreadable)? == 0 {
                return Ok(verifier.finish());
            }
            if line.last() == Some(&b'\n') {
                line.pop();
            }
            if let Err(finding) = verifier.line(&line) {
                return Ok(Err(finding));
            }
        }
    }

    fn verify_server(&self, env: &EnvSnapshot) -> Exit {
        with_server(&self.server, env, async |client: Client| {
            let head: SignedHead = client.get(&["log", "checkpoint"], &[]).await?;
            let key = match self.key.as_deref().map(read_key).transpose() {
                Ok(key) => key.unwrap_or_else(|| {
                    eprintln!(
                        "garth: the key was asked of the server itself. Keep it, and give it with --key the next \
                         time: {}",
                        head.key
                    );
                    head.key.clone()
                }),
                Err(why) => return Ok(failed(&why)),
            };
            let now = Checkpoint::read(&head.checkpoint, &key);
            let now = now.map(|checkpoint| Named {
                name: "the server's own checkpoint".to_owned(),
                checkpoint,
            });
            let now = match now {
                Ok(now) => now,
                Err(fault) => {
                    eprintln!("garth: the checkpoint of the server is not believed: {fault}");
                    return Ok(Exit::Findings);
                }
            };
            let mut checkpoints = match self.checkpoints(&key) {
                Ok(checkpoints) => checkpoints,
                Err(why) => return Ok(failed(&why)),
            };
            checkpoints.push(now);
            let mut verifier = Verifier::new(checkpoints);
            let mut after: Option<u64> = None;
            loop {
                let behind = after.map(|after| after.to_string());
                let mut query = vec![("order", "oldest"), ("limit", PAGE)];
                query.extend(behind.as_deref().map(|behind| ("after", behind)));
                let page: LogPage = client.get(&["log"], &query).await?;
                for entry in &page.entries {
                    if let Err(finding) = verifier.line(entry.get().as_bytes()) {
                        return Ok(told(&Err(finding), true));
                    }
                }
                after = page.next;
                if after.is_none() {
                    return Ok(told(&verifier.finish(), true));
                }
            }
        })
    }

    /// Those that were given.
    fn checkpoints(&self, key: &str) -> Result<Vec<Named>, String> {
        self.checkpoint.iter().map(|path| read_checkpoint(path, key)).collect()
    }
}

/// The key itself, or the last line of a file.
fn read_key(given: &str) -> Result<String, String> {
    if given.contains('+') {
        return Ok(given.trim().to_owned());
    }
    let text = read_text(Path::new(given))?;
    let key = text.lines().rev().map(str::trim).find(|line| !line.is_empty());
    key.map(str::to_owned).ok_or_else(|| format!("there is no key in {given}"))
}

fn read_checkpoint(path: &Path, key: &str) -> Result<Named, String> {
    let text = read_text(path)?;
    let note = serde_json::from_str::<Sent>(&text).map_or(text, |sent| sent.checkpoint);
    let checkpoint = Checkpoint::read(&note, key);
    let checkpoint =
        checkpoint.map_err(|fault| format!("{} is not believed: {fault}", path.display()))?;
    Ok(Named { name: path.display().to_string(), checkpoint })
}

fn read_text(path: &Path) -> Result<String, String> {
    let read = File::open(path).and_then(|file| io::read_to_string(file.take(MAX_FILE)));
    read.map_err(|fault| format!("{} can not be read: {fault}", path.display()))
}

fn failed(why: &str) -> Exit {
    eprintln!("garth: {why}");
    Exit::Failed
}

fn told(found: &Result<Verified, Finding>, of_server: bool) -> Exit {
    match found {
        Ok(Verified { entries, vouched, checkpoints }) => {
            let later = entries - vouched;
            let mut text = format!(
                "The log is the one that was signed: {vouched} entries, held against {checkpoints} checkpoint{}.\n",
                if *checkpoints == 1 { "" } else { "s" }
            );
            if later > 0 && of_server {
                let _ = writeln!(text, "{later} entries came meanwhile.");
            } else if later > 0 {
                let _ = writeln!(
                    text,
                    "! {later} entries behind them are vouched for by no checkpoint."
                );
            }
            print(&text);
            if later > 0 && !of_server { Exit::Partial } else { Exit::Done }
        }
        Err(finding) => {
            print(&format!("This is not the log that was signed: {finding}.\n"));
            Exit::Findings
        }
    }
}
