//! What is done in the background, again and again: when each job last ran, what came of it, and when
//! it is next due.
//!
//! A job is a loop of its own, wherever its work belongs. It does its work in [`Job::run`] and waits for
//! the next time in [`Job::rest`], which ends early when somebody asks for a run. What is remembered here
//! is since the start; nothing of it is stored.

pub mod census;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::clock::Clock;

/// All jobs of a garden. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Jobs {
    clock: Clock,
    jobs: Arc<Mutex<BTreeMap<Arc<str>, Job>>>,
}

/// One job. Cheap to clone; every clone is the same job.
#[derive(Clone, Debug)]
pub struct Job(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: Arc<str>,
    about: &'static str,
    clock: Clock,
    asked: Notify,
    seen: Mutex<Seen>,
}

/// What is known of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Runs that came to their end since the start, those that failed included.
    pub runs: u64,
    pub failures: u64,
    /// Absent while it rests.
    pub running: Option<Timestamp>,
    /// When it runs by itself; absent while it runs.
    pub next: Option<Timestamp>,
    pub last: Option<Run>,
}

/// A run that came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub began: Timestamp,
    pub ended: Timestamp,
    /// Why it failed, in words.
    pub fault: Option<String>,
}

impl Jobs {
    pub fn new(clock: Clock) -> Self {
        Self { clock, jobs: Arc::default() }
    }

    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// A job that is shown from now on. A name that is there already is the same job.
    pub fn job(&self, name: &str, about: &'static str) -> Job {
        let mut jobs = self.jobs.lock();
        let new = || Job::new(name, about, self.clock.clone());
        jobs.entry(name.into()).or_insert_with(new).clone()
    }

    /// By name.
    pub fn all(&self) -> Vec<Job> {
        self.jobs.lock().values().cloned().collect()
    }

    pub fn find(&self, name: &str) -> Option<Job> {
        self.jobs.lock().get(name).cloned()
    }
}

impl Job {
    /// One that nobody is shown.
    pub fn new(name: &str, about: &'static str, clock: Clock) -> Self {
        let (asked, seen) = (Notify::new(), Mutex::default());
        Self(Arc::new(Inner { name: name.into(), about, clock, asked, seen }))
    }

    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What it does, in one line.
    pub fn about(&self) -> &'static str {
        self.0.about
    }

    pub fn seen(&self) -> Seen {
        self.0.seen.lock().clone()
    }

    /// Does the work, and remembers what came of it.
    pub async fn run<T, E: Display>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let began = self.0.clock.now();
        {
            let mut seen = self.0.seen.lock();
            (seen.running, seen.next) = (Some(began), None);
        }
        let done = work.await;
        let ended = self.0.clock.now();
        let fault = done.as_ref().err().map(ToString::to_string);
        let mut seen = self.0.seen.lock();
        seen.running = None;
        seen.runs += 1;
        seen.failures += u64::from(fault.is_some());
        seen.last = Some(Run { began, ended, fault });
        done
    }

    /// Until so long has passed, or somebody asks for a run.
    pub async fn rest(&self, pause: Duration) {
        self.is_due_in(pause);
        let _ = tokio::time::timeout(pause, self.asked()).await;
    }

    /// Of a loop that waits for other things, too: when it runs by itself.
    pub fn is_due_in(&self, pause: Duration) {
        let long = SignedDuration::try_from(pause).unwrap_or(SignedDuration::MAX);
        self.0.seen.lock().next = self.0.clock.now().checked_add(long).ok();
    }

    /// Until somebody asks for a run.
    pub async fn asked(&self) {
        self.0.asked.notified().await;
    }

    /// Whether somebody asked for a run since the last look.
    pub fn is_asked(&self) -> bool {
        self.asked().now_or_never().is_some()
    }

    /// It runs at once; where it runs already, once more behind that.
    pub fn ask(&self) {
        self.0.asked.notify_one();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_job_tells_how_it_went_and_runs_when_it_is_asked_to() {
        let now: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
        let jobs = Jobs::new(Clock::from_fn(move || now));
        let job = jobs.job("sweeping", "Sweeps.");
        assert_eq!(job.seen(), Seen::default());
        job.run(async { Ok::<_, String>(()) }).await.unwrap();
        job.run(async { Err::<(), _>("the broom is gone".to_owned()) }).await.unwrap_err();
        let seen = jobs.find("sweeping").unwrap().seen();
        assert_eq!((seen.runs, seen.failures, seen.running), (2, 1, None));
        let fault = Some("the broom is gone".to_owned());
        assert_eq!(seen.last, Some(Run { began: now, ended: now, fault }));

        let pause = Duration::from_hours(1);
        let resting = tokio::spawn({
            let job = job.clone();
            async move { job.rest(pause).await }
        });
        while job.seen().next.is_none() {
            tokio::task::yield_now().await;
        }
        assert_eq!(job.seen().next, Some(now + SignedDuration::from_hours(1)));
        job.ask();
        resting.await.unwrap();
        // What is asked for while it runs is not lost.
        job.run(async {
            job.ask();
            job.ask();
            Ok::<_, String>(())
        })
        .await
        .unwrap();
        assert_eq!(job.seen().next, None);
        job.rest(pause).await;
        assert!(!job.is_asked(), "once more, and then no more");
        assert_eq!(jobs.all().len(), 1);
        assert!(jobs.find("other").is_none());
    }
}
