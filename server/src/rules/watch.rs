//! Notices that the policy files or the stored rules changed.
//!
//! The system's notifications make it quick; a look at the files' stamps every few seconds makes it
//! certain, since a notification is lost when the directory itself is replaced, or on a network's
//! file system. The store is asked again from time to time for what another process changed.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use super::{Inner, Rules, files};

/// Editors and copies write in several steps; this long it must be quiet.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// Changes that never rest are looked at all the same.
const DEBOUNCE_LIMIT: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_secs(2);
const ASK_STORE: Duration = Duration::from_secs(15);

impl Rules {
    /// Keeps the rules true to files and store until the last clone of [`Rules`] is gone.
    pub fn watch(&self) -> tokio::task::JoinHandle<()> {
        tokio::spawn(run(Arc::downgrade(&self.0), self.0.config.dir.clone()))
    }
}

async fn run(rules: Weak<Inner>, dir: Option<PathBuf>) {
    let changed = Arc::new(Notify::new());
    let mut watcher = dir.as_deref().and_then(|dir| start(dir, &changed));
    let mut asked = Instant::now();
    loop {
        let notified = timeout(LOOK, changed.notified()).await.is_ok();
        if notified {
            settle(&changed).await;
        }
        let Some(rules) = rules.upgrade().map(Rules) else {
            return;
        };
        let changed_files = files_changed(&rules, dir.as_deref()).await;
        if changed_files || rules.status().unavailable || asked.elapsed() >= ASK_STORE {
            rules.reload().await;
            asked = Instant::now();
        }
        if changed_files && let Some(dir) = dir.as_deref() {
            // It may be another directory than before under the same name.
            drop(watcher.take());
            watcher = start(dir, &changed);
        }
    }
}

async fn settle(changed: &Notify) {
    let begun = Instant::now();
    while begun.elapsed() < DEBOUNCE_LIMIT {
        tokio::select! {
            () = changed.notified() => {}
            () = sleep(DEBOUNCE) => return,
        }
    }
}

async fn files_changed(rules: &Rules, dir: Option<&Path>) -> bool {
    let Some(dir) = dir.map(Path::to_owned) else {
        return false;
    };
    let Ok(now) = tokio::task::spawn_blocking(move || files::fingerprint(&dir)).await else {
        return true;
    };
    rules.0.parts.lock().await.fingerprint != now
}

/// Without notifications the look at the stamps still finds every change, only later.
fn start(dir: &Path, changed: &Arc<Notify>) -> Option<RecommendedWatcher> {
    let told = changed.clone();
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading the files is an event too, and would go on for ever.
        if !event.is_ok_and(|event| event.kind.is_access()) {
            told.notify_one();
        }
    });
    let mut watcher = match watcher {
        Ok(watcher) => watcher,
        Err(error) => {
            tracing::warn!(%error, "no notifications of changed policy files; they are polled");
            return None;
        }
    };
    // Its parent only where it is not there yet: what else happens there, such as a log that is
    // written, would be an event too.
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    for path in [dir, parent.unwrap_or(Path::new("."))] {
        match watcher.watch(path, RecursiveMode::NonRecursive) {
            Ok(()) => break,
            Err(error) => {
                tracing::debug!(%error, path = %path.display(), "cannot watch; it is polled");
            }
        }
    }
    Some(watcher)
}
