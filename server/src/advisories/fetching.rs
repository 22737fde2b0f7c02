//! Fetches the configured archives from time to time, and imports what changed.

use std::time::Duration;

use tokio::task::JoinHandle;
use url::Url;

use super::{Advisories, ImportError, ImportOptions, MAX_IMPORT, MAX_SOURCE};
use crate::clock::Clock;
use crate::jobs::Jobs;
use crate::upstream::{
    Deadlines, DocumentAnswer, Limits, Upstream, UpstreamError, UpstreamSettings, Validators,
};

const TOTAL: Duration = Duration::from_hours(1);
/// How soon what failed is tried again, if that is not its turn anyway.
const AGAIN: Duration = Duration::from_mins(10);
/// No page, and no record by itself.
const ACCEPT: &str = "application/zip, application/gzip, application/octet-stream, */*;q=0.5";

/// One archive at one address.
#[derive(Clone, Debug)]
pub struct Remote {
    name: String,
    upstream: Upstream,
    file: String,
}

impl Remote {
    /// An error says what is wrong with the address.
    pub fn new(url: &Url, clock: Clock) -> Result<Self, String> {
        let deadlines = Deadlines { total_document: TOTAL, ..Deadlines::default() };
        Self::within(url, clock, deadlines)
    }

    fn within(url: &Url, clock: Clock, deadlines: Deadlines) -> Result<Self, String> {
        let no_file = || format!("{url} names no file");
        let base = url.join("./").map_err(|_| no_file())?;
        let file = url.path_segments().and_then(Iterator::last).filter(|file| !file.is_empty());
        let file = file.ok_or_else(no_file)?.to_owned();
        let name = name_of(url);
        let settings = UpstreamSettings {
            deadlines,
            limits: Limits { document: MAX_IMPORT, ..Limits::default() },
            ..UpstreamSettings::new(format!("advisories {name}"), base)
        };
        let upstream = Upstream::new(settings, clock).map_err(|fault| fault.to_string())?;
        Ok(Self { name, upstream, file })
    }
}

/// `osv.example.com-npm-all.zip`; its end tells more than its beginning.
fn name_of(url: &Url) -> String {
    let text = format!("{}{}", url.host_str().unwrap_or_default(), url.path());
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' || c == '_' { c } else { '-' };
    let name: Vec<char> = text.chars().map(plain).collect();
    name[name.len().saturating_sub(MAX_SOURCE)..].iter().collect()
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    #[error(transparent)]
    Import(#[from] ImportError),
}

/// Ends with it.
#[derive(Debug)]
pub struct Fetching(Vec<JoinHandle<()>>);

impl Drop for Fetching {
    fn drop(&mut self) {
        for job in &self.0 {
            job.abort();
        }
    }
}

impl Advisories {
    /// At once, and then each time that so long has passed.
    pub fn fetch_regularly(&self, remotes: Vec<Remote>, every: Duration, jobs: &Jobs) -> Fetching {
        let jobs = remotes.into_iter().map(|remote| {
            let advisories = self.clone();
            let about = "Fetches advisories, and imports what changed.";
            let job = jobs.job(&format!("advisories-{}", remote.name), about);
            tokio::spawn(async move {
                let mut known = Validators::default();
                loop {
                    let fetched = job.run(advisories.fetch(&remote, &mut known)).await;
                    let pause = match fetched {
                        Ok(()) => every,
                        Err(fault) => {
                            tracing::warn!(source = remote.name, %fault, "advisories could not be fetched; those of before stay in force");
                            every.min(AGAIN)
                        }
                    };
                    job.rest(pause).await;
                }
            })
        });
        Fetching(jobs.collect())
    }

    async fn fetch(&self, remote: &Remote, known: &mut Validators) -> Result<(), FetchError> {
        let answer = remote.upstream.document(&remote.file, ACCEPT, Some(known)).await?;
        let DocumentAnswer::Found(mut body) = answer else {
            self.confirm(&remote.name);
            return Ok(());
        };
        let mut staged = self.stage().await.map_err(ImportError::from)?;
        while let Some(piece) = body.chunk().await? {
            staged.write(piece).await.map_err(ImportError::from)?;
        }
        let options = ImportOptions { source: remote.name.clone(), complete: true };
        let imported = self.import(staged, options).await?;
        // What could not be imported is asked for again.
        *known = Validators { etag: body.etag.take(), last_modified: body.last_modified.take() };
        tracing::info!(
            source = remote.name,
            written = imported.written,
            removed = imported.removed,
            "advisories fetched"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests;
