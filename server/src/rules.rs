//! The rules in force: those of the files in the policies' directory, and those made through the API.
//!
//! [`Rules::current`] is a look-up in memory; everything else happens beside the requests. Files are
//! watched ([`watch`]) and read whole ([`files`]); a broken one keeps the last good set of files in
//! force, and says so in the log and in [`Rules::status`]. Rules made through the API are records in
//! the metadata store ([`made`]). When these cannot be read, nobody knows what is denied, so
//! everything is.

mod candidate;
mod change;
mod endings;
mod files;
mod made;
pub mod revisions;
mod trying;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::RwLock;
use policies::advisories::Index;
use policies::approval::Approval;
use policies::decision::Revision;
use policies::rules::{Fault, Rule, RuleSet};
use tokio::sync::{Mutex, mpsc};

use crate::clock::Clock;
use crate::metadata::{Metadata, MetadataError};
use crate::observability::{AlarmKind, CheckState};

pub use candidate::{BesideFiles, PolicyText};
pub use change::{Added, ChangeError};
pub use files::MAX_TOTAL;
pub(crate) use files::read_texts;
pub use made::MAX_MADE;

/// Where rules come from besides the store.
#[derive(Clone, Debug, Default)]
pub struct RulesConfig {
    /// A directory of .toml files; `None`: only rules made through the API.
    pub dir: Option<PathBuf>,
}

/// By how many sets a follower may be behind.
const BEHIND: usize = 64;

/// The rules in force. Cheap to clone.
#[derive(Clone)]
pub struct Rules(Arc<Inner>);

struct Inner {
    config: RulesConfig,
    metadata: Arc<dyn Metadata>,
    clock: Clock,
    current: RwLock<Arc<RuleSet>>,
    status: RwLock<RulesStatus>,
    /// Of the last good files.
    approvals: RwLock<Arc<[Approval]>>,
    /// Held by whoever changes the set; reading the current one never waits for it.
    parts: Mutex<Parts>,
    /// Who wants to know of each set that comes into force.
    followers: parking_lot::Mutex<Vec<mpsc::Sender<Arc<RuleSet>>>>,
}

/// What the current set was compiled from.
struct Parts {
    /// The last good ones.
    files: Vec<Rule>,
    /// Why the files as they are now are not in force.
    file_faults: Vec<Fault>,
    made: Vec<Rule>,
    fingerprint: files::Fingerprint,
    /// In force beside the rules, or why they can not be read.
    advisories: Beside,
    /// What is published here; sorted.
    own: Arc<[String]>,
}

type Beside = Result<Arc<Index>, String>;

/// For `/readyz`, the log and the metrics.
#[derive(Clone, Debug)]
pub struct RulesStatus {
    /// False while the files are broken or the store cannot be read.
    pub ok: bool,
    /// Everything is denied because the store cannot be read.
    pub unavailable: bool,
    pub faults: Vec<String>,
    /// When the set in force was put together.
    pub loaded_at: Timestamp,
    pub revision: Revision,
    pub count: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// Mend the files and start again; each fault is told with its place.
    #[error("{}", told(.0))]
    Faults(Vec<Fault>),
}

fn told(faults: &[Fault]) -> String {
    let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

impl std::fmt::Debug for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rules").field("revision", self.current().revision()).finish()
    }
}

impl Default for Parts {
    fn default() -> Self {
        Self {
            files: Vec::new(),
            file_faults: Vec::new(),
            made: Vec::new(),
            fingerprint: files::Fingerprint::default(),
            advisories: Ok(Arc::default()),
            own: Arc::default(),
        }
    }
}

impl Rules {
    /// Loads everything. Files that are broken now are an error, because there is no last good set;
    /// a store that cannot be read denies everything until it can.
    pub async fn open(
        config: RulesConfig,
        metadata: Arc<dyn Metadata>,
        clock: Clock,
    ) -> Result<Self, RulesError> {
        let now = clock.now();
        let nothing = Arc::new(RuleSet::unavailable("the rules are not loaded yet"));
        let status = RulesStatus {
            ok: false,
            unavailable: true,
            faults: Vec::new(),
            loaded_at: now,
            revision: nothing.revision().clone(),
            count: 0,
        };
        let rules = Self(Arc::new(Inner {
            config,
            metadata,
            clock,
            current: RwLock::new(nothing),
            status: RwLock::new(status),
            approvals: RwLock::new(Arc::new([])),
            parts: Mutex::default(),
            followers: parking_lot::Mutex::default(),
        }));
        let faults = rules.reload().await;
        if faults.is_empty() { Ok(rules) } else { Err(RulesError::Faults(faults)) }
    }

    /// The set in force; keep it no longer than one request.
    pub fn current(&self) -> Arc<RuleSet> {
        self.0.current.read().clone()
    }

    /// What is approved without a person. It is another one only where the files changed.
    pub fn approvals(&self) -> Arc<[Approval]> {
        self.0.approvals.read().clone()
    }

    /// The set in force, and then each one that comes after it.
    pub fn follow(&self) -> mpsc::Receiver<Arc<RuleSet>> {
        let (follower, sets) = mpsc::channel(BEHIND);
        let mut followers = self.0.followers.lock();
        // It is empty, so there is room for the first.
        let _ = follower.try_send(self.current());
        followers.push(follower);
        sets
    }

    pub fn status(&self) -> RulesStatus {
        self.0.status.read().clone()
    }

    /// How `/readyz` shows them: broken files are worth a look, rules that nobody can read are an
    /// outage.
    pub fn check(&self) -> CheckState {
        let status = self.0.status.read();
        match (status.ok, status.unavailable) {
            (true, _) => CheckState::Ok,
            (false, true) => CheckState::Failed(status.faults.join("; ")),
            (false, false) => CheckState::Degraded(format!(
                "the last good rules are in force: {}",
                status.faults.join("; ")
            )),
        }
    }

    /// Reads files and store again; the faults of the files, which then changed nothing.
    pub async fn reload(&self) -> Vec<Fault> {
        let mut parts = self.0.parts.lock().await;
        let stored = self.read_made(&mut parts).await;
        self.read_files(&mut parts).await;
        self.put_in_force(&parts, stored.err());
        parts.file_faults.clone()
    }

    /// Puts these advisories in force beside the rules, or denies everything because nobody can
    /// say what they are.
    pub async fn put_beside(&self, advisories: Result<Arc<Index>, String>) {
        let mut parts = self.0.parts.lock().await;
        parts.advisories = advisories;
        let stored = self.read_made(&mut parts).await;
        self.put_in_force(&parts, stored.err());
    }

    /// A package of this name is published here from now on, so others may resemble it.
    pub async fn learn_own_name(&self, name: &str) {
        if self.current().has_own_name(name) {
            return;
        }
        let mut parts = self.0.parts.lock().await;
        let stored = self.read_made(&mut parts).await;
        self.put_in_force(&parts, stored.err());
    }

    /// Replaces `parts.files` if all files are good, together and beside the rules made.
    async fn read_files(&self, parts: &mut Parts) {
        let Some(dir) = self.0.config.dir.clone() else {
            return;
        };
        let read = tokio::task::spawn_blocking(move || files::read(&dir)).await;
        let (fingerprint, read) = read.unwrap_or_else(|error| {
            let fault = Fault::of_file("policies", format!("reading failed: {error}"), "");
            (files::Fingerprint::default(), Err(vec![fault]))
        });
        let is_as_before = parts.fingerprint == fingerprint && parts.file_faults.is_empty();
        parts.fingerprint = fingerprint;
        let whole = read.and_then(|written| {
            // The later of two equal names is at fault: that is the file.
            RuleSet::compile(parts.made.iter().chain(&written.rules).cloned().collect())?;
            Ok(written)
        });
        match whole {
            Ok(written) => {
                parts.files = written.rules;
                if !is_as_before {
                    *self.0.approvals.write() = written.approvals.into();
                }
                parts.file_faults.clear();
            }
            Err(faults) => parts.file_faults = faults,
        }
    }

    async fn read_made(&self, parts: &mut Parts) -> Result<(), MetadataError> {
        parts.made = made::load(self.0.metadata.as_ref()).await?;
        parts.own = made::own_names(self.0.metadata.as_ref()).await?;
        Ok(())
    }

    /// Compiles the parts and makes them the current set.
    fn put_in_force(&self, parts: &Parts, store: Option<MetadataError>) {
        let mut told: Vec<String> = parts.file_faults.iter().map(ToString::to_string).collect();
        let set = match store {
            Some(error) => {
                told.push(error.to_string());
                RuleSet::unavailable(&format!("the rules cannot be read: {error}"))
            }
            None => RuleSet::compile(parts.files.iter().chain(&parts.made).cloned().collect())
                .unwrap_or_else(|clashes| {
                    // Another process made a rule of the same name. Which is meant, nobody knows,
                    // and a deny among them must not fall away.
                    told.extend(clashes.iter().map(ToString::to_string));
                    RuleSet::unavailable("two rules have one name; see the log of the server")
                }),
        };
        let set = match &parts.advisories {
            Ok(advisories) => set.with_advisories(Arc::clone(advisories)),
            Err(cause) => {
                told.push(cause.clone());
                RuleSet::unavailable(&format!("the advisories cannot be read: {cause}"))
            }
        };
        self.publish(set.with_own_names(Arc::clone(&parts.own)), told);
    }

    fn publish(&self, set: RuleSet, faults: Vec<String>) {
        let status = RulesStatus {
            ok: faults.is_empty(),
            unavailable: set.unavailable_reason().is_some(),
            faults,
            loaded_at: self.0.clock.now(),
            revision: set.revision().clone(),
            count: set.rules().len(),
        };
        let before = std::mem::replace(&mut *self.0.status.write(), status.clone());
        let changed = before.revision != status.revision;
        if changed {
            for idle in set.idle_waivers() {
                tracing::warn!(%idle, "a waiver lifts nothing");
            }
            let set = Arc::new(set);
            *self.0.current.write() = Arc::clone(&set);
            // Who does not keep up misses some, and who left is forgotten.
            let mut followers = self.0.followers.lock();
            followers.retain(|follower| !follower.is_closed());
            for follower in &*followers {
                let _ = follower.try_send(Arc::clone(&set));
            }
        }
        if status.unavailable && (changed || before.faults != status.faults) {
            tracing::error!(
                alarm = AlarmKind::RulesBroken.as_str(),
                faults = %status.faults.join("; "),
                "the rules cannot be read: EVERYTHING IS DENIED until they can"
            );
        } else if !status.ok && before.faults != status.faults {
            tracing::error!(
                alarm = AlarmKind::RulesBroken.as_str(),
                faults = %status.faults.join("; "),
                revision = %status.revision,
                "the policy files are broken: the last good rules stay in force"
            );
        } else if changed || before.ok != status.ok {
            tracing::info!(revision = %status.revision, rules = status.count, "rules in force");
        }
    }
}

#[cfg(test)]
mod tests;
