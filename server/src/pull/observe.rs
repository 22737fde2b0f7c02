//! What an upstream's newer document changes about what we remember of it.
//!
//! Pure: the remembered versions and the new claims in, records and dated observations out. The
//! promise of first sight stands: a version whose bytes are promised differently later keeps the
//! first digests, and is reported as a conflict.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use policies::package::{Digest, Version};

use super::PullError;
use super::format::{LeftOut, Said, VersionClaim};
use crate::metadata::records::{Observation, ObservationKind, VersionRecord};

/// What a document says, as far as it is remembered.
#[derive(Clone, Copy, Debug)]
pub struct Claims<'a> {
    pub versions: &'a [VersionClaim],
    pub left_out: &'a [LeftOut],
    pub tags: &'a [(String, String)],
}

/// What to write down.
#[derive(Debug, Default)]
pub struct Changes {
    /// Records that are new or changed.
    pub records: Vec<(Version, VersionRecord)>,
    pub observations: Vec<Observation>,
    /// Versions whose bytes are now promised differently: an alarm.
    pub conflicts: Vec<Version>,
    /// Versions that the upstream listed before and lists no more.
    pub vanished: Vec<Version>,
}

/// `before` is what the document said until now; `None` at first sight, when what is listed is a
/// state and no change.
pub fn observe(
    known: &HashMap<Version, VersionRecord>,
    before: Option<Claims<'_>>,
    newest: Claims<'_>,
    now: Timestamp,
) -> Changes {
    let mut changes = Changes::default();
    let listed: HashSet<&Version> = newest.versions.iter().map(|claim| &claim.version).collect();
    for claim in newest.versions {
        match known.get(&claim.version) {
            None => changes.note_appeared(claim, before.is_some(), now),
            Some(record) => changes.note_seen_again(record, claim, now),
        }
    }
    for (version, record) in known {
        if !listed.contains(version) && record.vanished.is_none() {
            let record = VersionRecord { vanished: Some(now), ..record.clone() };
            changes.records.push((version.clone(), record));
            changes.vanished.push(version.clone());
            changes.note(now, Some(version), ObservationKind::Vanished);
        }
    }
    changes.note_left_out(before.map_or(&[], |before| before.left_out), newest.left_out, now);
    if let Some(before) = before {
        for (mark, set, taken_back) in MARKS {
            changes.note_marks(before.versions, newest.versions, (mark, [set, taken_back]), now);
        }
        changes.note_tags(before.tags, newest.tags, now);
    }
    changes
}

/// What an upstream says of a version and may take back.
type Mark = fn(&VersionClaim) -> bool;

const MARKS: [(Mark, ObservationKind, ObservationKind); 2] = [
    (|claim| claim.deprecated, ObservationKind::Deprecated, ObservationKind::Undeprecated),
    (|claim| claim.yanked, ObservationKind::Yanked, ObservationKind::Unyanked),
];

impl Changes {
    /// An artifact that was compared with what the document says no more was compared with nothing.
    pub fn forget_comparisons(
        &mut self,
        known: &HashMap<Version, VersionRecord>,
        said: impl Fn(&Version) -> Result<Option<Said>, PullError>,
    ) -> Result<(), PullError> {
        let mut outdated: HashMap<&Version, &VersionRecord> = HashMap::new();
        for (version, record) in known {
            let Some(compared) = &record.compared else { continue };
            if said(version)?.is_some_and(|said| said.id != compared.said) {
                outdated.insert(version, record);
            }
        }
        for (version, record) in &mut self.records {
            if outdated.remove(version).is_some() {
                record.compared = None;
            }
        }
        self.records.extend(outdated.into_iter().map(|(version, record)| {
            (version.clone(), VersionRecord { compared: None, ..record.clone() })
        }));
        Ok(())
    }

    fn note(&mut self, at: Timestamp, version: Option<&Version>, what: ObservationKind) {
        let version = version.map(ToString::to_string);
        self.observations.push(Observation { at, what, version });
    }

    fn note_appeared(&mut self, claim: &VersionClaim, is_change: bool, now: Timestamp) {
        let record = VersionRecord {
            first_seen: now,
            published: claim.published,
            digests: Arc::clone(&claim.digests),
            vanished: None,
            conflict: None,
            own: false,
            compared: None,
            size: None,
            inside: None,
        };
        self.records.push((claim.version.clone(), record));
        if is_change {
            self.note(now, Some(&claim.version), ObservationKind::Appeared);
        }
    }

    fn note_seen_again(&mut self, record: &VersionRecord, claim: &VersionClaim, now: Timestamp) {
        let mut newer = record.clone();
        if record.vanished.is_some() {
            newer.vanished = None;
            self.note(now, Some(&claim.version), ObservationKind::Returned);
        }
        if agrees(&record.digests, &claim.digests) {
            newer.conflict = None;
        } else if record.conflict.is_none() {
            newer.conflict = Some(now);
            self.conflicts.push(claim.version.clone());
            let what = ObservationKind::BytesChanged {
                from: record.digests.to_vec(),
                to: claim.digests.to_vec(),
            };
            self.note(now, Some(&claim.version), what);
        }
        if newer != *record {
            self.records.push((claim.version.clone(), newer));
        }
    }

    /// Unlike a change this is noted at first sight too: nobody can see it in what is served.
    fn note_left_out(&mut self, before: &[LeftOut], newest: &[LeftOut], now: Timestamp) {
        let known: HashSet<(&str, &str)> =
            before.iter().map(|one| (one.version.as_str(), one.why.as_str())).collect();
        for LeftOut { version, why } in newest {
            if !known.contains(&(version.as_str(), why.as_str())) {
                let (version, what) =
                    (Some(version.clone()), ObservationKind::LeftOut { why: why.clone() });
                self.observations.push(Observation { at: now, what, version });
            }
        }
    }

    fn note_marks(
        &mut self,
        before: &[VersionClaim],
        newest: &[VersionClaim],
        (mark, [set, taken_back]): (Mark, [ObservationKind; 2]),
        now: Timestamp,
    ) {
        let was: HashMap<&Version, bool> =
            before.iter().map(|claim| (&claim.version, mark(claim))).collect();
        for claim in newest {
            match (was.get(&claim.version), mark(claim)) {
                (Some(false), true) => self.note(now, Some(&claim.version), set.clone()),
                (Some(true), false) => self.note(now, Some(&claim.version), taken_back.clone()),
                _ => {}
            }
        }
    }

    fn note_tags(
        &mut self,
        before: &[(String, String)],
        newest: &[(String, String)],
        now: Timestamp,
    ) {
        let before: HashMap<&str, &str> = pairs(before);
        let newest: HashMap<&str, &str> = pairs(newest);
        let mut tags: Vec<&str> = before.keys().chain(newest.keys()).copied().collect();
        tags.sort_unstable();
        tags.dedup();
        for tag in tags {
            let (from, to) = (before.get(tag).copied(), newest.get(tag).copied());
            if from != to {
                let what = ObservationKind::TagMoved {
                    tag: tag.to_owned(),
                    from: from.map(str::to_owned),
                    to: to.map(str::to_owned),
                };
                self.note(now, None, what);
            }
        }
    }
}

fn pairs(tags: &[(String, String)]) -> HashMap<&str, &str> {
    tags.iter().map(|(tag, version)| (tag.as_str(), version.as_str())).collect()
}

/// What becomes of observations where there are too many of them.
#[derive(Debug)]
pub struct Bounded<'a, K> {
    /// Of the known ones, those that make room.
    pub evicted: Vec<K>,
    /// Of the new ones, those that are written down.
    pub kept: Vec<&'a Observation>,
    /// New ones that are not.
    pub dropped: usize,
}

/// The oldest make room, but what proves that an upstream lied only for its like: an upstream can not
/// bury it under harmless changes. `known` is in the order of time.
pub fn bound_observations<K>(
    known: Vec<(K, Observation)>,
    new: &[Observation],
    most: usize,
) -> Bounded<'_, K> {
    let is_proof = |observation: &Observation| {
        matches!(
            observation.what,
            ObservationKind::BytesChanged { .. } | ObservationKind::Contradicts { .. }
        )
    };
    let mut kept: Vec<&Observation> = new.iter().collect();
    kept.sort_by_key(|observation| !is_proof(observation));
    kept.truncate(most);
    let dropped = new.len() - kept.len();
    let mut surplus = (known.len() + kept.len()).saturating_sub(most);
    let (proofs, others): (Vec<_>, Vec<_>) =
        known.into_iter().partition(|(_, observation)| is_proof(observation));
    let mut evicted = Vec::with_capacity(surplus);
    for (key, _) in others.into_iter().chain(proofs) {
        if surplus == 0 {
            break;
        }
        surplus -= 1;
        evicted.push(key);
    }
    Bounded { evicted, kept, dropped }
}

/// Whether a later promise allows no bytes that the pinned one does not. Of an algorithm that
/// stands several times any digest will do, so one more beside a pinned one is another promise.
fn agrees(pinned: &[Digest], claimed: &[Digest]) -> bool {
    claimed.iter().all(|digest| {
        pinned.contains(digest)
            || pinned.iter().all(|other| other.algorithm() != digest.algorithm())
    })
}

/// What bytes have to keep to: what was pinned at first sight, and what the upstream has promised
/// since by algorithms that were not. The latter is no pin: who says it may be wrong for a day.
pub fn promised(record: Option<&VersionRecord>, claimed: &[Digest]) -> Vec<Digest> {
    let Some(record) = record else { return claimed.to_vec() };
    let mut promised = record.digests.to_vec();
    if record.conflict.is_none() {
        let is_pinned = |digest: &&Digest| {
            record.digests.iter().any(|pinned| pinned.algorithm() == digest.algorithm())
        };
        promised.extend(claimed.iter().filter(|digest| !is_pinned(digest)).cloned());
    }
    promised
}

/// The first promise that these digests of real bytes do not keep, with what stands against it;
/// `None` against it where the bytes were not hashed by that algorithm.
pub fn broken_promise<'a>(
    promised: &'a [Digest],
    got: &'a [Digest],
) -> Option<(&'a Digest, Option<&'a Digest>)> {
    promised.iter().find_map(|expected| {
        match got.iter().find(|digest| digest.algorithm() == expected.algorithm()) {
            Some(digest) if promised.contains(digest) => None,
            other => Some((expected, other)),
        }
    })
}

#[cfg(test)]
mod tests {
    use policies::facts::Comparison;

    use super::*;
    use crate::metadata::records::Compared;

    const SHA512_A: &str = "a";
    const SHA512_B: &str = "b";

    fn digest(algorithm: &str, digit: &str) -> Digest {
        let length = if algorithm == "sha1" { 40 } else { 128 };
        Digest::parse(&format!("{algorithm}:{}", digit.repeat(length))).unwrap()
    }

    fn claim(version: &str, digests: &[Digest]) -> VersionClaim {
        VersionClaim {
            version: Version::new(version).unwrap(),
            published: None,
            digests: digests.into(),
            deprecated: false,
            yanked: false,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn remember(known: &mut HashMap<Version, VersionRecord>, changes: &Changes) {
        known.extend(changes.records.iter().cloned());
    }

    fn kinds(changes: &Changes) -> Vec<&ObservationKind> {
        changes.observations.iter().map(|observation| &observation.what).collect()
    }

    #[test]
    fn first_sight_is_a_state_and_no_change() {
        let claims = [claim("1.0.0", &[digest("sha512", SHA512_A)])];
        let newest = Claims { versions: &claims, left_out: &[], tags: &[] };
        let changes = observe(&HashMap::new(), None, newest, at(1));
        assert_eq!(changes.records.len(), 1);
        assert_eq!(changes.records[0].1.first_seen, at(1));
        assert!(changes.observations.is_empty());
    }

    #[test]
    fn a_version_appears_vanishes_and_returns() {
        let one = [claim("1.0.0", &[digest("sha1", "a")])];
        let two = [one[0].clone(), claim("2.0.0", &[digest("sha1", "b")])];
        let of = |versions| Claims { versions, left_out: &[], tags: &[] };
        let mut known = HashMap::new();
        let first_sight = observe(&known, None, of(&one), at(1));
        remember(&mut known, &first_sight);

        let appeared = observe(&known, Some(of(&one)), of(&two), at(2));
        assert_eq!(kinds(&appeared), [&ObservationKind::Appeared]);
        remember(&mut known, &appeared);

        let vanished = observe(&known, Some(of(&two)), of(&one), at(3));
        assert_eq!(kinds(&vanished), [&ObservationKind::Vanished]);
        assert_eq!(vanished.vanished, [Version::new("2.0.0").unwrap()]);
        remember(&mut known, &vanished);

        let again = observe(&known, Some(of(&one)), of(&one), at(4));
        assert!(again.records.is_empty() && again.observations.is_empty(), "said once");

        let returned = observe(&known, Some(of(&one)), of(&two), at(5));
        assert_eq!(kinds(&returned), [&ObservationKind::Returned]);
        assert_eq!(returned.records[0].1.first_seen, at(2), "first seen stays");
    }

    #[test]
    fn other_bytes_under_a_version_keep_the_first_and_are_reported_once() {
        let first = [claim("1.0.0", &[digest("sha512", SHA512_A), digest("sha1", "a")])];
        let other = [claim("1.0.0", &[digest("sha512", SHA512_B), digest("sha1", "a")])];
        let of = |versions| Claims { versions, left_out: &[], tags: &[] };
        let mut known = HashMap::new();
        let first_sight = observe(&known, None, of(&first), at(1));
        remember(&mut known, &first_sight);

        let changed = observe(&known, Some(of(&first)), of(&other), at(2));
        assert_eq!(changed.conflicts, [Version::new("1.0.0").unwrap()]);
        assert_eq!(changed.records[0].1.digests, first[0].digests, "the first stays");
        remember(&mut known, &changed);
        assert!(observe(&known, Some(of(&other)), of(&other), at(3)).conflicts.is_empty());

        let repaired = observe(&known, Some(of(&other)), of(&first), at(4));
        assert_eq!(repaired.records[0].1.conflict, None);
    }

    #[test]
    fn one_more_digest_beside_the_pinned_one_is_other_bytes() {
        let (good, evil) = (digest("sha1", "a"), digest("sha1", "b"));
        let first = [claim("1.0.0", &[digest("sha512", SHA512_A), good.clone()])];
        let widened = [claim("1.0.0", &[digest("sha512", SHA512_A), good.clone(), evil.clone()])];
        let of = |versions| Claims { versions, left_out: &[], tags: &[] };
        let mut known = HashMap::new();
        let first_sight = observe(&known, None, of(&first), at(1));
        remember(&mut known, &first_sight);
        let changes = observe(&known, Some(of(&first)), of(&widened), at(2));
        assert_eq!(changes.conflicts, [Version::new("1.0.0").unwrap()]);
        let record = &changes.records[0].1;
        assert_eq!(record.digests, first[0].digests);
        assert_eq!(promised(Some(record), &widened[0].digests), first[0].digests.to_vec());
    }

    #[test]
    fn what_was_compared_is_forgotten_where_the_document_says_something_else() {
        let claims = ["1.0.0", "2.0.0", "3.0.0"].map(|version| claim(version, &[]));
        let of = |versions| Claims { versions, left_out: &[], tags: &[] };
        let mut known = HashMap::new();
        let first_sight = observe(&known, None, of(&claims), at(1));
        remember(&mut known, &first_sight);
        for record in known.values_mut() {
            let found = Comparison::Contradicts;
            record.compared = Some(Compared { found, said: "before".to_owned() });
        }
        // The first one is said otherwise now, the second one as before, the third one is gone.
        let mut changes = observe(&known, Some(of(&claims)), of(&claims[..2]), at(2));
        let forgotten = changes.forget_comparisons(&known, |version| {
            let id = match version.as_str() {
                "1.0.0" => "now",
                "2.0.0" => "before",
                _ => return Ok(None),
            };
            Ok(Some(Said { id: id.to_owned(), text: String::new() }))
        });
        forgotten.unwrap();
        remember(&mut known, &changes);
        let is_compared = |version| known[&Version::new(version).unwrap()].compared.is_some();
        assert_eq!(["1.0.0", "2.0.0", "3.0.0"].map(is_compared), [false, true, true]);
        assert_eq!(changes.records.len(), 2, "what is as it was is not written");
    }

    #[test]
    fn a_digest_of_another_kind_is_checked_and_not_pinned() {
        let weak = [claim("1.0.0", &[digest("sha1", "a")])];
        let strong = digest("sha512", SHA512_A);
        let both = [claim("1.0.0", &[strong.clone(), digest("sha1", "a")])];
        let of = |versions| Claims { versions, left_out: &[], tags: &[] };
        let mut known = HashMap::new();
        let first_sight = observe(&known, None, of(&weak), at(1));
        remember(&mut known, &first_sight);
        let changes = observe(&known, Some(of(&weak)), of(&both), at(2));
        assert!(changes.conflicts.is_empty() && changes.records.is_empty());
        let record = known.values().next();
        assert_eq!(promised(record, &both[0].digests), [digest("sha1", "a"), strong]);
    }

    #[test]
    fn bytes_keep_each_kind_of_promise_or_none() {
        let (one, other) = (digest("sha1", "a"), digest("sha1", "b"));
        let strong = digest("sha512", SHA512_A);
        let rows: &[(&str, &[&Digest], &[&Digest], bool)] = &[
            ("the promised ones", &[&one, &strong], &[&strong, &one], true),
            ("any of a kind", &[&one, &other], &[&other], true),
            ("another one", &[&one], &[&other], false),
            ("one kind right, one wrong", &[&one, &strong], &[&other, &strong], false),
            ("not hashed by that kind", &[&one, &strong], &[&one], false),
            ("nothing was promised", &[], &[&one], true),
        ];
        let owned = |digests: &[&Digest]| -> Vec<Digest> {
            digests.iter().map(|digest| (*digest).clone()).collect()
        };
        for (name, promised, got, kept) in rows {
            let (promised, got) = (owned(promised), owned(got));
            assert_eq!(broken_promise(&promised, &got).is_none(), *kept, "{name}");
        }
    }

    #[test]
    fn harmless_changes_do_not_bury_the_proof_of_other_bytes() {
        let observation = |what| Observation { at: at(1), what, version: None };
        let proof =
            || observation(ObservationKind::BytesChanged { from: Vec::new(), to: Vec::new() });
        let lie = observation(ObservationKind::Contradicts { differences: Vec::new() });
        let harmless = || observation(ObservationKind::Appeared);
        let lied = bound_observations(vec![(0, lie), (1, harmless())], &[], 1);
        assert_eq!(lied.evicted, [1], "a contradiction is a proof too");
        let known = vec![(0, proof()), (1, harmless()), (2, harmless())];

        let one = [harmless()];
        let room_for_all = bound_observations(known.clone(), &one, 10);
        assert!(room_for_all.evicted.is_empty() && room_for_all.dropped == 0);

        let few = bound_observations(known.clone(), &[], 2);
        assert_eq!(few.evicted, [1], "the oldest that proves nothing");

        let flood = [harmless(), harmless(), proof(), harmless()];
        let flooded = bound_observations(known, &flood, 3);
        assert_eq!(flooded.kept.len(), 3);
        assert_eq!(flooded.kept[0].what, proof().what, "the new proof first");
        assert_eq!(flooded.dropped, 1);
        assert_eq!(flooded.evicted, [1, 2, 0], "a proof goes last");
    }

    #[test]
    fn a_moved_tag_a_deprecation_and_a_yank_are_dated() {
        let before = [claim("1.0.0", &[digest("sha1", "a")])];
        let newest = [VersionClaim { deprecated: true, ..before[0].clone() }];
        let mut known = HashMap::new();
        let said = |versions, tags| Claims { versions, left_out: &[], tags };
        let first_sight = observe(&known, None, said(&before, &[]), at(1));
        remember(&mut known, &first_sight);
        let tags = [("latest".to_owned(), "1.0.0".to_owned())];
        let changes = observe(&known, Some(said(&before, &[])), said(&newest, &tags), at(2));
        let moved = ObservationKind::TagMoved {
            tag: "latest".into(),
            from: None,
            to: Some("1.0.0".into()),
        };
        assert_eq!(kinds(&changes), [&ObservationKind::Deprecated, &moved]);
        let yanked = [VersionClaim { yanked: true, ..before[0].clone() }];
        let there = observe(&known, Some(said(&before, &[])), said(&yanked, &[]), at(3));
        assert_eq!(kinds(&there), [&ObservationKind::Yanked]);
        let back = observe(&known, Some(said(&yanked, &[])), said(&before, &[]), at(4));
        assert_eq!(kinds(&back), [&ObservationKind::Unyanked]);
    }
}
