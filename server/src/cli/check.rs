//! `garth check`: does what is stored still fit together?

use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::Exit;
use crate::check::{self, CheckError, Far, Rebuilt, Report};
use crate::clock::Clock;
use crate::config::{self, EnvSnapshot, LoadOptions};

/// Verify that records and blobs fit together
///
/// Reads every record and every blob: each record can be read, each blob that one refers to is there and
/// has the digest it is named by. The audit log is held against its tree, its index and the last checkpoint.
/// Changes nothing. The server must not run meanwhile.
///
/// With --rebuild a new metadata store is made first, from what can still be read of the old one and from
/// the side files beside the blobs. The old one is kept beside it, under a dated name. Where the next start
/// will refuse the audit log that is left, it says so.
///
/// Exit codes: 0 all is well, 1 something is damaged or missing, 2 the work could not be done.
#[allow(clippy::doc_markdown, reason = "shown as it stands in the help text")]
#[derive(Args, Debug)]
pub struct Check {
    /// Make the metadata again from what lies beside the blobs
    #[arg(long)]
    rebuild: bool,
    /// The data directory [default: ./garth-data] [env: GARTH_DATA]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Outcome {
    data: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    rebuilt: Option<Rebuilt>,
    #[serde(flatten)]
    report: Report,
}

impl Check {
    pub(super) fn run(self, env: EnvSnapshot, clock: &Clock) -> Exit {
        let file = LoadOptions::usual_file(&env);
        let options = LoadOptions { file, data: self.data.clone(), env, ..LoadOptions::default() };
        let data = config::data_directory(&options);
        match self.check(&data, clock) {
            Ok(outcome) => {
                let dropped = outcome.rebuilt.as_ref().map_or(0, |r| r.unreadable_blobs.len());
                let sound = outcome.report.findings.is_empty() && dropped == 0;
                if let Err(error) = self.print(&outcome) {
                    eprintln!("garth check: {error}");
                    return Exit::Failed;
                }
                if sound { Exit::Done } else { Exit::Findings }
            }
            Err(error) => {
                eprintln!("garth check: {error}");
                Exit::Failed
            }
        }
    }

    fn check(&self, data: &Path, clock: &Clock) -> Result<Outcome, CheckError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| CheckError::Io { doing: "starting".to_owned(), error })?;
        let progress = progress(io::stderr().is_terminal());
        runtime.block_on(async {
            let rebuilt = if self.rebuild {
                Some(check::rebuild(data, clock.now(), &progress).await?)
            } else {
                None
            };
            let report = check::check(data, &progress).await?;
            progress_end(io::stderr().is_terminal());
            Ok(Outcome { data: data.to_owned(), rebuilt, report })
        })
    }

    fn print(&self, outcome: &Outcome) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.json {
            serde_json::to_writer_pretty(&mut out, outcome)?;
            return writeln!(out);
        }
        if let Some(rebuilt) = &outcome.rebuilt {
            say_rebuilt(&mut out, rebuilt)?;
        }
        say_report(&mut out, &outcome.report)
    }
}

fn say_rebuilt(out: &mut impl io::Write, rebuilt: &Rebuilt) -> io::Result<()> {
    writeln!(
        out,
        "rebuilt: {} records kept, {} of them entries of the audit log, {} recovered from beside the blobs, \
         {} dropped",
        rebuilt.kept, rebuilt.entries, rebuilt.recovered, rebuilt.dropped
    )?;
    for part in &rebuilt.unreadable {
        writeln!(out, "unreadable: {part}")?;
    }
    for blob in &rebuilt.unreadable_blobs {
        writeln!(out, "dropped: {blob}")?;
    }
    if !rebuilt.unreadable.is_empty() {
        writeln!(
            out,
            "note: rules made with garth allow, first-seen dates and observations are kept nowhere \
             but in the metadata; look with garth rules list at what is left"
        )?;
    }
    if let Some(why) = &rebuilt.log_refused {
        writeln!(
            out,
            "note: {why}. The next start refuses that: put back what belongs together, or start once with \
             `garth serve --accept-log REASON`, and the reason is in the log"
        )?;
    }
    if let Some(old) = &rebuilt.old {
        writeln!(out, "the old metadata store is kept in {}", old.display())?;
    }
    Ok(())
}

fn say_report(out: &mut impl io::Write, report: &Report) -> io::Result<()> {
    for finding in &report.findings {
        writeln!(out, "finding: {finding}")?;
    }
    for leftover in &report.leftovers {
        writeln!(out, "leftover: {leftover}")?;
    }
    writeln!(
        out,
        "{} records, {} blobs of {} bytes, {} entries of the audit log, of which {} are signed: {}",
        report.records,
        report.blobs,
        report.bytes,
        report.entries,
        report.signed,
        match report.findings.len() {
            0 => "all is well".to_owned(),
            1 => "1 finding".to_owned(),
            count => format!("{count} findings"),
        }
    )
}

/// One line that is written over again, on a terminal only.
fn progress(terminal: bool) -> impl Fn(Far) + Send + Sync {
    move |Far { blobs, records, entries }| {
        if terminal && (entries > 0 || (records + blobs).is_multiple_of(64)) {
            eprint!("\r{blobs} blobs, {records} records");
            if entries > 0 {
                eprint!(", {entries} entries of the audit log");
            }
        }
    }
}

fn progress_end(terminal: bool) {
    if terminal {
        eprint!("\r\x1b[K");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]

    use super::*;
    use crate::metadata::sled::{Sled, SledOptions};

    fn check(data: &Path, rebuild: bool) -> Exit {
        let command = Check { rebuild, data: Some(data.to_owned()), json: true };
        command.run(EnvSnapshot::default(), &Clock::system())
    }

    #[test]
    fn exit_says_whether_all_is_well() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(check(data.path(), false), Exit::Failed, "there is nothing");
        assert_eq!(check(data.path(), true), Exit::Failed, "there is nothing to rebuild from");
        assert_eq!(std::fs::read_dir(data.path()).unwrap().count(), 0, "nothing was made");

        let store = Sled::open(&Sled::directory_in(data.path()), SledOptions::default()).unwrap();
        assert_eq!(check(data.path(), false), Exit::Failed, "a server holds the store");
        drop(store);
        assert_eq!(check(data.path(), false), Exit::Done);
        std::fs::write(Sled::directory_in(data.path()).join("conf"), "\0\0garbage").unwrap();
        assert_eq!(check(data.path(), false), Exit::Failed);
        assert_eq!(check(data.path(), true), Exit::Done);
        assert_eq!(check(data.path(), false), Exit::Done);
    }
}
