//! File descriptors: connections, blobs and stages each take some, and the usual limit of a shell
//! is 1024. A process may raise its own limit up to the hard one, so it does.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::blobs::disk::DiskOptions;
use crate::blobs::stage;
use crate::config::Config;

/// The stores' own files, listeners, logs, pipes.
const OWN: u64 = 256;

/// Raises the soft limit to the hard one, and says in the log what it is and whether that is enough.
pub fn raise(config: &Config) {
    let had = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: had.maximum, maximum: had.maximum };
    if let Err(fault) = setrlimit(Resource::Nofile, wanted) {
        tracing::warn!(%fault, "the limit of open files could not be raised to the hard one");
    }
    let limit = getrlimit(Resource::Nofile).current;
    tracing::info!(limit, "open files");
    if let Some(told) = shortage(limit, needed(config)) {
        tracing::warn!("{told}");
    }
}

/// What every part together may hold open, by its own bounds.
fn needed(config: &Config) -> u64 {
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let upstreams = count(config.registries.len()).saturating_mul(config.upstream.max_concurrent);
    // A stage is written by one and read by others, by way of a handle each.
    let stages = count(stage::AT_ONCE).saturating_mul(2);
    [config.limits.connections, count(DiskOptions::default().open_files), stages, upstreams, OWN]
        .into_iter()
        .fold(0, u64::saturating_add)
}

/// `limit` is absent where there is none.
fn shortage(limit: Option<u64>, needed: u64) -> Option<String> {
    let limit = limit.filter(|limit| *limit < needed)?;
    Some(format!(
        "this process may open {limit} files, and in a crowd it may need {needed}: then some clients are refused. \
         Raise the limit (LimitNOFILE={needed} in a systemd unit, ulimit -Hn in a shell), or lower limits.connections"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_low_a_limit_is_told_with_the_remedy() {
        assert_eq!(shortage(None, 5000), None);
        assert_eq!(shortage(Some(5000), 5000), None);
        let told = shortage(Some(1024), 5000).unwrap_or_default();
        assert!(told.contains("1024") && told.contains("LimitNOFILE=5000"), "{told}");
    }
}
