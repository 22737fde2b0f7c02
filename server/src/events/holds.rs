//! Versions on hold: that somebody was refused one, and that it is not on hold any more, whether a
//! person lifted that, its rule ended, or it came of age.
//!
//! A packument simply leaves out what is held, and nobody minds; so a hold is told when somebody was
//! refused a version by it. From then on the version is judged again whenever the rules change, and
//! when the decision says that it may change by itself.

use std::collections::HashMap;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use policies::decision::{Decision, Effect, Revision};
use policies::package::{Package, Version};

use super::noticing::Noticer;
use super::sight::TEAMS;
use crate::audit::{Action, EXAMPLE, Entry, Logged};
use crate::metadata::records::{self, HeldRecord, HoldsRecord, Key, Stored};
use crate::metadata::{Batch, MetadataError};

/// Entries that are looked at in one go.
const PAGE: usize = 128;
/// So many that say nothing of holds are passed over before that is written.
const PASSED: u64 = 512;
/// Versions that are followed at once.
const MOST: usize = 10_000;
/// Those that are judged in one go.
const JUDGED: usize = 200;
/// Facts change, too: so long a judgement is good.
const GOOD: SignedDuration = SignedDuration::from_mins(10);

/// What is remembered between two looks.
#[derive(Debug, Default)]
pub struct Holds {
    next: Option<u64>,
    /// By their keys, those that were judged: by which rules, and until when that is good.
    judged: HashMap<Bytes, (Revision, Timestamp)>,
    /// Where the next go begins.
    after: Option<Key<HeldRecord>>,
    is_full: bool,
}

impl Holds {
    pub async fn look(&mut self, with: &Noticer) -> Result<(), MetadataError> {
        while self.follow(with).await? {}
        self.review(with).await
    }

    /// Of the next entries of the log, those that say that something was refused because it is on
    /// hold. Whether there may be more.
    async fn follow(&mut self, with: &Noticer) -> Result<bool, MetadataError> {
        let store = with.metadata.as_ref();
        let key = HoldsRecord::key();
        let stored = records::read_stored(store, &key).await?;
        let kept = stored.as_ref().map(|stored| stored.record.next);
        let from = match self.next.max(kept) {
            Some(next) => next,
            // Whatever was refused before there was somebody to notice.
            None => with.log.size().await?,
        };
        let page = with.log.since(from, PAGE).await?;
        let next = page.last().map_or(from, |last| last.n + 1);
        let mut batch = Batch::default();
        for logged in &page {
            let Some((package, version)) = held_by(logged) else { continue };
            let held = HeldRecord::key(&package.to_string(), version.as_str());
            let is_new = batch.changes.iter().all(|change| change.key != held.to_bytes())
                && store.get(held.as_bytes()).await?.is_none();
            if !is_new || !self.has_room() {
                continue;
            }
            let team = logged.record.team.as_deref();
            let judged = with.requests.judge(&package, &version, team).await?.decision;
            if judged.effect != Effect::Hold {
                continue;
            }
            let now = with.clock.now();
            let record = HeldRecord { since: logged.record.at, team: team.map(str::to_owned) };
            let entry = entry(Action::PackageHeld, &package, &version, &judged, team);
            let entry = entry.detail_if("until", judged.until.as_ref());
            batch = batch.put_record(&held, &record).note(entry, now);
            self.judged
                .insert(held.to_bytes(), (judged.revision.clone(), good_until(&judged, now)));
        }
        let is_worth_it = !batch.changes.is_empty()
            || kept.is_none()
            || kept.is_some_and(|kept| next >= kept + PASSED);
        if is_worth_it {
            let batch = batch.expect_unchanged(&key, stored.as_ref());
            store.commit(batch.put_record(&key, &HoldsRecord { next })).await?;
        }
        self.next = Some(next);
        Ok(page.len() == PAGE)
    }

    fn has_room(&mut self) -> bool {
        let is_full = self.judged.len() >= MOST;
        if is_full && !self.is_full {
            tracing::warn!(
                most = MOST,
                "more versions are on hold than are followed: of the others nobody is told when they are released"
            );
        }
        self.is_full = is_full;
        !is_full
    }

    /// Judges some of those that are held: where they are not held any more, that is told.
    async fn review(&mut self, with: &Noticer) -> Result<(), MetadataError> {
        let store = with.metadata.as_ref();
        let revision = with.rules.current().revision().clone();
        let all = HeldRecord::all();
        let page = records::scan_stored(store, &all, self.after.as_ref(), JUDGED).await?;
        self.after =
            (page.len() == JUDGED).then(|| page.last().map(|(key, _)| key.clone())).flatten();
        for (key, stored) in page {
            let now = with.clock.now();
            let known = self.judged.get(key.as_bytes());
            if known.is_some_and(|(by, until)| *by == revision && now < *until) {
                continue;
            }
            let Some((package, version)) = named(&key) else { continue };
            let team = stored.record.team.as_deref();
            let judged = with.requests.judge(&package, &version, team).await?.decision;
            if judged.effect == Effect::Hold {
                self.judged
                    .insert(key.to_bytes(), (judged.revision.clone(), good_until(&judged, now)));
                continue;
            }
            let batch = released(&key, &stored, &package, &version, &judged, now);
            store.commit(batch).await?;
            self.judged.remove(key.as_bytes());
        }
        Ok(())
    }
}

fn released(
    key: &Key<HeldRecord>,
    stored: &Stored<HeldRecord>,
    package: &Package,
    version: &Version,
    judged: &Decision,
    now: Timestamp,
) -> Batch {
    let team = stored.record.team.as_deref();
    let entry = entry(Action::PackageReleased, package, version, judged, team)
        .detail("held-since", &stored.record.since);
    Batch::default().expect_unchanged(key, Some(stored)).remove_record(key).note(entry, now)
}

fn entry(
    action: Action,
    package: &Package,
    version: &Version,
    judged: &Decision,
    team: Option<&str>,
) -> Entry {
    Entry::by_garth(action)
        .package(package)
        .versions(Some(version.as_str()))
        .why(Some(&judged.reason))
        .revision(&judged.revision)
        .detail("effect", &judged.effect)
        .detail_if("rule", judged.rule.as_ref())
        .detail_if(TEAMS, team.as_ref())
}

/// The version that was refused because it is on hold, if the entry says so of one.
fn held_by(logged: &Logged) -> Option<(Package, Version)> {
    let record = &logged.record;
    let is_held = record.action == Action::Refused.as_str()
        && record.details.get("effect").is_some_and(|effect| effect == Effect::Hold.as_str());
    let version = record.versions.as_ref().or_else(|| record.details.get(EXAMPLE));
    let ([package], Some(version)) = (record.packages.as_slice(), version) else {
        return None;
    };
    Some((package.parse().ok()?, Version::new(version).ok()?)).filter(|_| is_held)
}

fn named(key: &Key<HeldRecord>) -> Option<(Package, Version)> {
    let parts = key.parts();
    let [package, version] = parts.as_slice() else { return None };
    Some((package.parse().ok()?, Version::new(version).ok()?))
}

fn good_until(judged: &Decision, now: Timestamp) -> Timestamp {
    let longest = now.checked_add(GOOD).unwrap_or(Timestamp::MAX);
    judged.until.map_or(longest, |until| until.min(longest))
}
