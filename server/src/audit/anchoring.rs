//! Puts signed checkpoints where they are kept: beside the key, and outside, in files and at URLs
//! of the administrator's choice. What is outside vouches for the log even against whoever has all of
//! this machine.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::Log;
use super::opening::{CHECKPOINT_FILE, replace_file};
use crate::clock::Clock;
use crate::config::AuditConfig;
use crate::jobs::Job;
use crate::observability::CheckState;
use crate::upstream::{Deadlines, Upstream, UpstreamSettings};

/// The file beside the key is that new at least.
const BESIDE: Duration = Duration::from_secs(1);
/// After an anchor that failed, if that is not its turn anyway.
const AGAIN: Duration = Duration::from_secs(30);
const TOTAL: Duration = Duration::from_secs(30);

/// Where checkpoints go.
#[derive(Debug)]
pub struct Anchors {
    beside_key: PathBuf,
    files: Vec<PathBuf>,
    urls: Vec<(Upstream, String)>,
    every: Duration,
    state: AnchorState,
    job: Job,
}

/// What is wrong with them now, for `/readyz`.
#[derive(Clone, Debug, Default)]
pub struct AnchorState(Arc<Mutex<Option<String>>>);

impl AnchorState {
    pub fn check(&self) -> CheckState {
        self.0.lock().clone().map_or(CheckState::Ok, CheckState::Degraded)
    }
}

impl Anchors {
    /// An error says what is wrong with an address.
    pub fn new(config: &AuditConfig, data: &Path, clock: &Clock, job: Job) -> Result<Self, String> {
        let mut urls = Vec::new();
        for url in &config.urls {
            let base = url.join("./").map_err(|fault| fault.to_string())?;
            let path = url.path_segments().and_then(Iterator::last).unwrap_or_default().to_owned();
            let settings = UpstreamSettings {
                deadlines: Deadlines { total_document: TOTAL, ..Deadlines::default() },
                ..UpstreamSettings::new(
                    format!("checkpoints {}", url.host_str().unwrap_or_default()),
                    base,
                )
            };
            let upstream =
                Upstream::new(settings, clock.clone()).map_err(|fault| fault.to_string())?;
            urls.push((upstream, path));
        }
        Ok(Self {
            beside_key: data.join(CHECKPOINT_FILE),
            files: config.files.clone(),
            urls,
            every: config.every,
            state: AnchorState::default(),
            job,
        })
    }

    pub fn state(&self) -> AnchorState {
        self.state.clone()
    }

    /// For as long as the log grows. At the end the last checkpoint is put beside the key once more.
    pub async fn run(self, log: Log, mut size: watch::Receiver<u64>, stop: Arc<Notify>) {
        let mut anchored: Option<(u64, Instant)> = None;
        let (mut failed, mut asked, mut is_last) = (false, false, false);
        loop {
            let due = asked
                || anchored.is_none_or(|(_, at)| {
                    at.elapsed() >= if failed { AGAIN.min(self.every) } else { self.every }
                });
            let known = *size.borrow_and_update();
            let is_new = asked || failed || anchored.is_none_or(|(size, _)| size < known);
            match log.checkpoint().await {
                Ok(checkpoint) => {
                    let mut faults =
                        self.put_files(vec![self.beside_key.clone()], &checkpoint).await;
                    if due && is_new && !is_last {
                        let outside = self.job.run(self.put_outside(&checkpoint, known)).await;
                        faults.extend(outside.err());
                        failed = !faults.is_empty();
                        anchored = Some((known, Instant::now()));
                        asked = false;
                    }
                    if due || !faults.is_empty() {
                        self.tell(&faults);
                    }
                }
                Err(fault) => self.tell(&[format!("no checkpoint can be signed: {fault}")]),
            }
            if is_last {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(BESIDE) => {}
                () = stop.notified() => {
                    is_last = true;
                    continue;
                }
            }
            let waits = if failed { AGAIN.min(self.every) } else { self.every };
            tokio::select! {
                changed = tokio::time::timeout(waits, size.changed()) => {
                    if let Ok(Err(_)) = changed {
                        return;
                    }
                }
                () = self.job.asked() => asked = true,
                () = stop.notified() => is_last = true,
            }
        }
    }

    async fn put_outside(&self, checkpoint: &str, size: u64) -> Result<(), String> {
        let mut faults = self.put_files(self.files.clone(), checkpoint).await;
        faults.extend(self.post(checkpoint, size).await);
        if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
    }

    async fn put_files(&self, paths: Vec<PathBuf>, checkpoint: &str) -> Vec<String> {
        let checkpoint = checkpoint.to_owned();
        let putting = move || {
            paths
                .iter()
                .filter_map(|path| {
                    let fault = replace_file(path, &checkpoint).err()?;
                    Some(format!("{}: {fault}", path.display()))
                })
                .collect()
        };
        tokio::task::spawn_blocking(putting).await.unwrap_or_else(|fault| vec![fault.to_string()])
    }

    async fn post(&self, checkpoint: &str, size: u64) -> Vec<String> {
        let mut faults = Vec::new();
        let body = Bytes::from(json!({ "size": size, "checkpoint": checkpoint }).to_string());
        for (upstream, path) in &self.urls {
            if let Err(fault) = upstream.answer_to(path, "*/*", body.clone()).await {
                faults.push(fault.to_string());
            }
        }
        faults
    }

    /// Once when it begins, and once when it is over.
    fn tell(&self, faults: &[String]) {
        let now = Some(faults.join("; ")).filter(|faults| !faults.is_empty());
        let before = std::mem::replace(
            &mut *self.state.0.lock(),
            now.as_ref().map(|faults| {
                format!("checkpoints of the audit log can not be put where they belong: {faults}")
            }),
        );
        match (&before, &now) {
            (None, Some(faults)) => tracing::error!(
                faults,
                "a checkpoint of the audit log could not be put where it belongs; it is tried again"
            ),
            (Some(_), None) => {
                tracing::info!("checkpoints of the audit log are put where they belong again");
            }
            _ => {}
        }
    }
}
