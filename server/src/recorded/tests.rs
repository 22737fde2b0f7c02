#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use jiff::SignedDuration;
use parking_lot::Mutex as Lock;
use policies::decision::Observed;
use policies::facts::Missing;
use tempfile::TempDir;

use super::observed::Wanted;
use super::*;
use crate::metadata::records::{self, Prefix};
use crate::metadata::refusing::Refusing;
use crate::metadata::sled::{Sled, SledOptions};

const KEEP: RecordedSettings =
    RecordedSettings { keep: Duration::from_hours(90 * 24), max: 256 << 20 };

/// For tests of who has one.
pub(crate) fn opened(metadata: Arc<dyn Metadata>, clock: Clock) -> Recorder {
    Recorder::new(metadata, clock, Metrics::new(), KEEP)
}

/// A recorder over a store of its own, and its clock.
pub(super) struct Recorded {
    _home: TempDir,
    metadata: Arc<Sled>,
    clock: Clock,
    now: Arc<Lock<Timestamp>>,
    metrics: Metrics,
}

impl Recorded {
    pub(super) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let metadata = Sled::open(&home.path().join("store"), SledOptions::default()).unwrap();
        let now: Timestamp = "2026-06-01T10:59:58Z".parse().unwrap();
        let now = Arc::new(Lock::new(now));
        let clock = Clock::from_fn({
            let now = Arc::clone(&now);
            move || *now.lock()
        });
        let metrics = Metrics::new();
        Self { _home: home, metadata: Arc::new(metadata), clock, now, metrics }
    }

    /// As after a start.
    pub(super) fn recorder(&self) -> Recorder {
        self.recorder_with(KEEP)
    }

    fn recorder_with(&self, settings: RecordedSettings) -> Recorder {
        let metadata: Arc<dyn Metadata> = Arc::<Sled>::clone(&self.metadata);
        Recorder::new(metadata, self.clock.clone(), self.metrics.clone(), settings)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn pass(&self, time: SignedDuration) {
        let mut now = self.now.lock();
        *now += time;
    }

    fn note(&self, recorder: &Recorder, name: &str, version: &str, decision: &Decision) {
        self.note_of(recorder, name, version, decision, &Asking::default());
    }

    fn note_of(
        &self,
        recorder: &Recorder,
        name: &str,
        version: &str,
        decision: &Decision,
        asking: &Asking,
    ) {
        let registry = "npm".into();
        let package = name.parse().unwrap();
        let version = Version::new(version).unwrap();
        let asked =
            Asked { registry: &registry, package: &package, version: Some(&version), asking };
        let outcome = Outcome::of(decision, decision.effect == Effect::Allow);
        recorder.note(asked, outcome, &decision.revision, self.clock.now());
    }

    async fn records(&self) -> usize {
        let found: Vec<(_, RecordedRecord)> =
            records::scan(self.metadata.as_ref(), &Prefix::all(), None, 100_000).await.unwrap();
        found.len()
    }

    fn counted(&self, metric: &str) -> u64 {
        let page = self.metrics.render();
        let line = page.lines().find(|line| line.starts_with(metric)).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }
}

fn decision(effect: Effect, rule: Option<&str>) -> Decision {
    Decision {
        effect,
        code: match effect {
            Effect::Allow => DecisionCode::AllowedByRule,
            Effect::Hold => DecisionCode::HeldByRule,
            Effect::Deny => DecisionCode::DeniedByRule,
        },
        rule: rule.map(Into::into),
        reason: "because".into(),
        revision: Revision("r1".into()),
        until: None,
        missing: Missing::NONE,
        waiver: None,
        observed: None,
    }
}

/// Everything that is recorded: requests by row.
async fn all(recorder: &Recorder) -> BTreeMap<Use, Tally> {
    let mut reading = recorder.read(Timestamp::UNIX_EPOCH).await.unwrap();
    let mut all: BTreeMap<Use, Tally> = BTreeMap::new();
    while let Some(rows) = reading.next().await.unwrap() {
        for (key, tally) in rows {
            all.entry(key).or_default().add(tally.requests, tally.last, &tally.revision);
        }
    }
    assert_eq!(reading.unreadable, 0);
    all
}

#[tokio::test]
async fn requests_that_are_alike_are_one_row_of_their_hour_and_survive_a_restart() {
    let recorded = Recorded::new();
    let recorder = recorded.recorder();
    let (allow, deny) = (decision(Effect::Allow, None), decision(Effect::Deny, Some("no")));
    for _ in 0..5 {
        recorded.note(&recorder, "npm:left-pad", "1.3.0", &allow);
        recorded.note(&recorder, "npm:left-pad", "1.2.0", &deny);
    }
    let shop = Asking { team: Some("web/shop".into()), environment: None };
    recorded.note_of(&recorder, "npm:left-pad", "1.3.0", &allow, &shop);
    recorder.flush().await.unwrap();
    recorded.note(&recorder, "npm:left-pad", "1.3.0", &allow);
    recorded.pass(SignedDuration::from_secs(4));
    recorded.note(&recorder, "npm:left-pad", "1.3.0", &allow);
    let of = |all: &BTreeMap<Use, Tally>| -> Vec<(u32, String, Option<String>, u64)> {
        let hours = |key: &Use| key.hour % 24;
        all.iter()
            .map(|(key, tally)| {
                let version = key.version.as_ref().unwrap().to_string();
                (hours(key), version, key.team.as_deref().map(str::to_owned), tally.requests)
            })
            .collect()
    };
    let expected = vec![
        (10, "1.2.0".to_owned(), None, 5),
        (10, "1.3.0".to_owned(), None, 6),
        (10, "1.3.0".to_owned(), Some("web/shop".to_owned()), 1),
        (11, "1.3.0".to_owned(), None, 1),
    ];
    let mut before = of(&all(&recorder).await);
    before.sort();
    assert_eq!(before, expected);
    drop(recorder);
    let again = all(&recorded.recorder()).await;
    let mut after = of(&again);
    after.sort();
    assert_eq!(after, expected);
    let denied = again.iter().find(|(key, _)| key.outcome.effect == Effect::Deny).unwrap();
    assert_eq!(denied.0.outcome, Outcome::of(&deny, false));
    assert_eq!(denied.1.last.to_string(), "2026-06-01T10:59:58Z");
    assert_eq!(&*denied.1.revision, "r1");
    assert_eq!(recorded.counted("garth_decisions_recorded_total"), 13);
}

#[tokio::test]
async fn records_of_a_past_hour_are_joined_and_nothing_is_lost() {
    let recorded = Recorded::new();
    let recorder = recorded.recorder();
    let allow = decision(Effect::Allow, None);
    let mut expected = 0;
    for round in 0..120 {
        // Another process writes to the same store.
        let other = recorded.recorder();
        for n in 0..20 {
            recorded.note(&recorder, &format!("npm:p-{}", (n * round) % 70), "1.0.0", &allow);
            recorded.note(&other, &format!("npm:p-{n}"), "2.0.0", &allow);
            expected += 2;
        }
        recorder.flush().await.unwrap();
        other.flush().await.unwrap();
    }
    let before = all(&recorder).await;
    assert_eq!(recorded.records().await, 240);
    recorder.tidy().await.unwrap();
    assert_eq!(recorded.records().await, 240, "the hour is not over");
    recorded.pass(SignedDuration::from_mins(5));
    let mut looked = recorder.read(Timestamp::UNIX_EPOCH).await.unwrap();
    looked.next().await.unwrap();
    recorded.recorder().tidy().await.unwrap();
    let joined = recorded.records().await;
    assert!(joined <= 2, "{joined}");
    assert_eq!(all(&recorded.recorder()).await, before);
    assert_eq!(before.values().map(|tally| tally.requests).sum::<u64>(), expected);
}

#[tokio::test]
async fn who_reads_keeps_records_from_being_joined_meanwhile() {
    let recorded = Recorded::new();
    let recorder = recorded.recorder();
    for _ in 0..10 {
        recorded.note(&recorder, "npm:a", "1.0.0", &decision(Effect::Allow, None));
        recorder.flush().await.unwrap();
    }
    recorded.pass(SignedDuration::from_mins(5));
    let reading = recorder.read(Timestamp::UNIX_EPOCH).await.unwrap();
    recorder.tidy().await.unwrap();
    assert_eq!(recorded.records().await, 10);
    drop(reading);
    recorder.tidy().await.unwrap();
    assert_eq!(recorded.records().await, 1);
}

#[tokio::test]
async fn what_is_too_old_or_too_much_is_dropped_the_oldest_first() {
    let recorded = Recorded::new();
    let recorder = recorded.recorder();
    for hour in 0..48 {
        for n in 0..200 {
            let name = format!("npm:p-{hour}-{n}-{}", n * 7919 % 1000);
            recorded.note(&recorder, &name, "1.0.0", &decision(Effect::Allow, None));
        }
        recorder.flush().await.unwrap();
        recorded.pass(SignedDuration::from_hours(1));
    }
    let hours = async |recorder: &Recorder| {
        let mut hours: Vec<u32> = all(recorder).await.keys().map(|key| key.hour).collect();
        hours.sort_unstable();
        hours.dedup();
        hours
    };
    let before = hours(&recorder).await;
    assert_eq!(before.len(), 48);
    let keep = Duration::from_hours(24);
    let recorder = recorded.recorder_with(RecordedSettings { keep, ..KEEP });
    recorder.tidy().await.unwrap();
    assert_eq!(hours(&recorder).await, before[24..]);
    assert_eq!(recorded.counted("garth_recorded_decisions_dropped_total"), 0);
    let max = recorder.bytes().await / 2;
    let recorder = recorded.recorder_with(RecordedSettings { keep, max });
    recorder.tidy().await.unwrap();
    let left = hours(&recorder).await;
    assert!(left.len() >= 10 && left.len() <= 12, "{}", left.len());
    assert_eq!(left, before[48 - left.len()..]);
    assert!(recorder.bytes().await <= max);
    let dropped = recorded.counted("garth_recorded_decisions_dropped_total");
    assert_eq!(dropped, 200 * (24 - left.len() as u64));
}

#[tokio::test]
async fn what_can_not_be_written_now_is_written_later() {
    let recorded = Recorded::new();
    let home = tempfile::tempdir().unwrap();
    let store = Sled::open(&home.path().join("store"), SledOptions::default()).unwrap();
    let refusing = Refusing::new(store);
    let metadata: Arc<dyn Metadata> = Arc::<Refusing>::clone(&refusing);
    let clock = recorded.clock.clone();
    let recorder = Recorder::new(metadata, clock, recorded.metrics.clone(), KEEP);
    refusing.refuse_commits(|_| true);
    for _ in 0..3 {
        recorded.note(&recorder, "npm:a", "1.0.0", &decision(Effect::Allow, None));
        recorder.flush().await.unwrap_err();
    }
    refusing.refuse_commits(|_| false);
    let all = all(&recorder).await;
    assert_eq!(all.values().map(|tally| tally.requests).collect::<Vec<_>>(), [3]);
    assert_eq!(recorded.counted("garth_decisions_not_recorded_total"), 0);
}

#[test]
fn more_than_there_is_room_for_is_not_recorded_and_counted() {
    let recorded = Recorded::new();
    let recorder = recorded.recorder();
    for n in 0..2 * ROOM {
        recorded.note(&recorder, &format!("npm:p-{n}"), "1.0.0", &decision(Effect::Deny, None));
    }
    let lost = recorded.counted("garth_decisions_not_recorded_total");
    assert!(lost >= ROOM as u64 && lost < 2 * ROOM as u64, "{lost}");
}

#[test]
fn rows_fit_into_records_and_come_back_as_they_were() {
    let rule: Arc<str> = "x".repeat(100).into();
    let at: Timestamp = "2026-06-01T10:30:00.125Z".parse().unwrap();
    let rows: Vec<(Use, Tally)> = (0..5000_u32)
        .map(|n| {
            let digest = policies::package::Digest::sha256_of(&n.to_be_bytes());
            let key = Use {
                hour: hour_of(at),
                package: format!("npm:@s/{}", digest.hex()).parse().unwrap(),
                version: (n % 3 != 0).then(|| Version::new(&format!("1.0.{n}")).unwrap()),
                registry: "npm".into(),
                team: (n % 2 == 0).then(|| format!("unit-{}/team-{n}", n % 7).into()),
                environment: (n % 5 == 0).then(|| "prod".into()),
                outcome: Outcome {
                    effect: Effect::ALL[n as usize % 3],
                    code: (n % 4 != 0).then_some("malicious"),
                    rule: (n % 2 == 1).then(|| Arc::clone(&rule)),
                    observed: (n % 7 == 0).then(|| ("obs".into(), Effect::Hold)),
                    served: n % 2 == 0,
                },
            };
            (key, Tally { requests: u64::from(n) + 1, last: at, revision: "r".into() })
        })
        .collect();
    let mut rest = &rows[..];
    let (mut back, mut batches, mut count) = (Vec::new(), 0, 0);
    while !rest.is_empty() {
        let (records, taken) = rows::pack_some(rest, MAX_BATCH_BYTES / 4);
        let mut batch = Batch::default();
        for record in &records {
            let place = RecordedPlace { hour: hour_of(at), writer: random::name(), n: count };
            batch = batch.put_record(&RecordedRecord::key(&place), record);
            back.extend(rows::unpack(hour_of(at), record).unwrap());
            count += 1;
        }
        batch.check_size().unwrap();
        batches += 1;
        rest = &rest[taken..];
    }
    assert!(count > 10 && batches > 1, "{count} records in {batches} batches");
    assert_eq!(back, rows);
}

#[tokio::test]
async fn what_only_observing_let_through_is_told_by_whom_and_how_often() {
    let recorded = Recorded::new();
    let recorder = recorded.recorder();
    let registry = "npm".into();
    let note = |name: &str, team: Option<&str>, decision: &Decision, served: bool| {
        let package = name.parse().unwrap();
        let version = Version::new("1.0.0").unwrap();
        let asking = Asking { team: team.map(Into::into), environment: None };
        let (version, asking) = (Some(&version), &asking);
        let asked = Asked { registry: &registry, package: &package, version, asking };
        let outcome = Outcome::of(decision, served);
        recorder.note(asked, outcome, &decision.revision, recorded.clock.now());
    };
    let observed = Some(Observed { rule: "trial".into(), effect: Effect::Hold });
    let allowed = decision(Effect::Allow, Some("all"));
    let on_trial = Decision { observed, ..allowed.clone() };
    let denied = decision(Effect::Deny, Some("no-gpl"));
    for _ in 0..3 {
        note("npm:a", Some("web/shop"), &on_trial, true);
        note("npm:b", None, &denied, true);
    }
    note("npm:a", Some("ml/x"), &on_trial, true);
    note("npm:c", Some("web/shop"), &allowed, true);
    // Refused in earnest: nobody only observed.
    note("npm:d", Some("web/shop"), &denied, false);
    let report = async |rule: Option<&str>, team: Option<&str>, lines: usize| {
        let rule = rule.map(str::to_owned);
        let team = team.map(|team| policies::asker::TeamPattern::parse(team).unwrap());
        let wanted = Wanted { rule, team, lines };
        let report = recorder.observed(Timestamp::UNIX_EPOCH, &wanted).await.unwrap();
        let lines: Vec<String> = report
            .lines
            .iter()
            .map(|line| {
                let team = line.team.as_deref().unwrap_or("-");
                let rule = line.rule.as_deref().unwrap_or("-");
                format!("{}x {} {} {team} {rule}", line.requests, line.effect, line.package)
            })
            .collect();
        (report.requests, report.would_be_refused, lines.join(", "), report.more)
    };
    let told = "3x hold npm:a web/shop trial, 3x deny npm:b - no-gpl, 1x hold npm:a ml/x trial";
    assert_eq!(report(None, None, 10).await, (9, 7, told.to_owned(), 0));
    let told = "3x hold npm:a web/shop trial, 1x hold npm:a ml/x trial";
    assert_eq!(report(Some("trial"), None, 10).await, (9, 4, told.to_owned(), 0));
    let told = "3x hold npm:a web/shop trial";
    assert_eq!(report(None, Some("web/*"), 10).await, (9, 3, told.to_owned(), 0));
    assert_eq!(report(None, None, 1).await, (9, 7, told.to_owned(), 2));
    let nothing = Wanted { lines: 10, ..Wanted::default() };
    let later = recorded.clock.now() + SignedDuration::from_secs(1);
    assert_eq!(recorder.observed(later, &nothing).await.unwrap().requests, 0);
}
