//! `garth log export`: the entries as lines of JSON, with what they can be verified by.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Filter, PAGE, Shown};
use crate::api::log::LogPage;
use crate::audit::SignedHead;
use crate::cli::Exit;
use crate::cli::client::{Client, ClientError, ServerArgs};
use crate::cli::talk::with_server;
use crate::config::EnvSnapshot;

/// Write the log as lines of JSON, the oldest first
///
/// Without filters each line is exactly what is hashed, and with --output the checkpoint of these entries is
/// written beside it, as FILE.checkpoint: `garth log verify FILE` holds one against the other.
#[derive(Args, Debug)]
pub struct Export {
    #[command(flatten)]
    filter: Filter,
    /// Write here, and not to stdout
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    server: ServerArgs,
}

/// The checkpoint that belongs to an export.
pub fn checkpoint_of(export: &Path) -> PathBuf {
    let mut path = export.as_os_str().to_owned();
    path.push(".checkpoint");
    path.into()
}

impl Export {
    pub fn run(self, env: &EnvSnapshot) -> Exit {
        with_server(&self.server, env, async |client: Client| {
            let head: SignedHead = client.get(&["log", "checkpoint"], &[]).await?;
            let is_whole = self.filter.query().is_empty();
            let Some(path) = &self.output else {
                let mut out = io::stdout().lock();
                return match self.write(&client, &head, is_whole, &mut out).await? {
                    // Whoever read it has left.
                    Err(fault) if fault.kind() == io::ErrorKind::BrokenPipe => Ok(Exit::Done),
                    written => Ok(told(written, "stdout")),
                };
            };
            let shown = path.display().to_string();
            let mut out = match create(path) {
                Ok(out) => out,
                Err(fault) => return Ok(told(Err(fault), &shown)),
            };
            let written = self.write(&client, &head, is_whole, &mut out).await?;
            let synced = written.and_then(|count| {
                let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
                file.sync_all()?;
                Ok(count)
            });
            let count = match synced {
                Ok(count) => count,
                Err(fault) => return Ok(told(Err(fault), &shown)),
            };
            eprintln!("{count} entries written to {shown}");
            if is_whole {
                let beside = checkpoint_of(path);
                if let Err(fault) = write_whole(&beside, &head.checkpoint) {
                    return Ok(told(Err(fault), &beside.display().to_string()));
                }
                eprintln!("Their checkpoint is in {}; the key is {}", beside.display(), head.key);
            }
            Ok(Exit::Done)
        })
    }

    /// As many as the checkpoint is of; how many.
    async fn write(
        &self,
        client: &Client,
        head: &SignedHead,
        is_whole: bool,
        out: &mut impl Write,
    ) -> Result<io::Result<u64>, ClientError> {
        let (mut after, mut count): (Option<u64>, u64) = (None, 0);
        loop {
            let behind = after.map(|after| after.to_string());
            let mut query = self.filter.query();
            query.extend([("order", "oldest"), ("limit", PAGE)]);
            query.extend(behind.as_deref().map(|behind| ("after", behind)));
            let page: LogPage = client.get(&["log"], &query).await?;
            for entry in &page.entries {
                let is_later = Shown::number(entry.get()).is_some_and(|n| n >= head.size);
                if is_whole && is_later {
                    return Ok(out.flush().map(|()| count));
                }
                if let Err(fault) = writeln!(out, "{}", entry.get()) {
                    return Ok(Err(fault));
                }
                count += 1;
            }
            after = page.next;
            if after.is_none() {
                return Ok(out.flush().map(|()| count));
            }
        }
    }
}

fn told(written: io::Result<u64>, place: &str) -> Exit {
    match written {
        Ok(_) => Exit::Done,
        Err(fault) => {
            eprintln!("garth: {place} can not be written: {fault}");
            Exit::Failed
        }
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "a command of its own thread, which does nothing else"
)]
fn create(path: &Path) -> io::Result<BufWriter<File>> {
    Ok(BufWriter::new(File::create(path)?))
}

#[allow(
    clippy::disallowed_methods,
    reason = "a command of its own thread, which does nothing else"
)]
fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    std::fs::write(path, text)
}
