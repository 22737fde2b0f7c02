//! Who asks, in a record that has room for a few of them. Pure.

use jiff::Timestamp;
use policies::package::Package;

use super::pending::Refusals;
use super::who::Who;
use crate::metadata::records::{AskerRecord, RequestRecord};

/// So many askers are told apart in a request.
const MOST_ASKERS: usize = 16;
/// So many builds of one asker.
const MOST_BUILDS: usize = 3;

pub(super) fn new_record(
    package: &Package,
    versions: Option<&str>,
    at: Timestamp,
) -> RequestRecord {
    RequestRecord {
        package: package.to_string(),
        versions: versions.map(str::to_owned),
        reason: None,
        since: at,
        last: at,
        refusals: 0,
        by_people: false,
        askers: Vec::new(),
        by_others: 0,
        refused: None,
        comments: 0,
        closed: None,
        closure: None,
    }
}

/// Lists who asks, or was refused, in a list that has an end: who asked in so many words has
/// precedence.
pub(super) fn count(record: &mut RequestRecord, refusals: &Refusals, asked: bool) {
    let Refusals { who, count, first, last } = refusals;
    let is_same = |asker: &AskerRecord| {
        let known = (&asker.name, asker.verified, &asker.team, asker.team_verified);
        known == (&who.name, who.verified, &who.team, who.team_verified)
            && asker.address == who.address
    };
    let place = match record.askers.iter().position(is_same) {
        Some(place) => place,
        None if record.askers.len() < MOST_ASKERS => {
            record.askers.push(new_asker(who, *first));
            record.askers.len() - 1
        }
        None => {
            let silent = record.askers.iter().rposition(|asker| !asker.asked);
            let Some(place) = silent.filter(|_| asked) else {
                record.by_others += count;
                return;
            };
            record.by_others += record.askers[place].refusals;
            record.askers[place] = new_asker(who, *first);
            place
        }
    };
    let asker = &mut record.askers[place];
    asker.asked |= asked;
    asker.refusals += count;
    asker.last = asker.last.max(*last);
    if let Some(build) = &who.build {
        asker.builds.retain(|known| known != build);
        asker.builds.push(build.clone());
        let surplus = asker.builds.len().saturating_sub(MOST_BUILDS);
        asker.builds.drain(..surplus);
    }
}

fn new_asker(who: &Who, at: Timestamp) -> AskerRecord {
    AskerRecord {
        name: who.name.clone(),
        verified: who.verified,
        team: who.team.clone(),
        team_verified: who.team_verified,
        address: who.address.clone(),
        asked: false,
        builds: Vec::new(),
        refusals: 0,
        since: at,
        last: at,
    }
}
