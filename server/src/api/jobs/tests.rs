#![allow(clippy::unwrap_used)]

use super::*;
use crate::clock::Clock;
use crate::metadata::refusing::Refusing;
use crate::metadata::sled::{Sled, SledOptions};

#[tokio::test]
async fn a_job_that_nobody_would_be_told_of_is_not_run() {
    let home = tempfile::tempdir().unwrap();
    let store = Sled::open(&home.path().join("store"), SledOptions::default()).unwrap();
    let store = Refusing::new(store);
    let job = Job::new("scrub", "Looks.", Clock::system());
    store.refuse_commits(|_| true);
    assert!(ask(&job, store.as_ref(), Timestamp::UNIX_EPOCH).await.is_err());
    assert!(!job.is_asked());
    store.refuse_commits(|_| false);
    ask(&job, store.as_ref(), Timestamp::UNIX_EPOCH).await.unwrap();
    assert!(job.is_asked());
}
