//! Who is told of what: whoever may administer of everything, a team of what concerns it, whoever
//! answers requests of all of those. Pure.

use std::sync::Arc;

use crate::access::Person;
use crate::access::rights::Right;
use crate::audit::Action;
use crate::metadata::records::AuditRecord;

/// What comes of a team's own doing, and what is done for it. A kind that is not here is for whoever
/// may administer.
const FOR_TEAMS: [Action; 10] = [
    Action::Admitted,
    Action::Refused,
    Action::PackageHeld,
    Action::PackageReleased,
    Action::AdvisoryHit,
    Action::RequestMade,
    Action::RequestApproved,
    Action::RequestRejected,
    Action::RequestAnswered,
    Action::RequestCommented,
];
const REQUESTS: [Action; 5] = [
    Action::RequestMade,
    Action::RequestApproved,
    Action::RequestRejected,
    Action::RequestAnswered,
    Action::RequestCommented,
];
/// The detail that names the teams that an entry is about, with commas between them.
pub const TEAMS: &str = "teams";

/// What somebody may be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    All,
    Some {
        team: Option<Arc<str>>,
        /// Those of others, too.
        requests: bool,
    },
}

impl Sight {
    /// `None`: nothing at all.
    pub fn of(person: &Person) -> Option<Self> {
        if person.may(Right::Administer) {
            return Some(Self::All);
        }
        let requests = person.may(Right::Approve);
        let some = requests || person.team.is_some();
        some.then(|| Self::Some { team: person.team.clone(), requests })
    }

    /// What is for this team.
    pub fn of_team(team: &str) -> Self {
        Self::Some { team: Some(team.into()), requests: false }
    }

    pub fn sees(&self, record: &AuditRecord) -> bool {
        let is_one_of = |actions: &[Action]| {
            actions.iter().any(|action| action.as_str() == record.action.as_str())
        };
        match self {
            Self::All => true,
            Self::Some { team, requests } => {
                *requests && is_one_of(&REQUESTS)
                    || team
                        .as_deref()
                        .is_some_and(|team| is_one_of(&FOR_TEAMS) && concerns(record, team))
            }
        }
    }
}

/// Whether it was done by somebody of this team, or is about it. What a team says of itself without
/// a token is no reason.
pub fn concerns(record: &AuditRecord, team: &str) -> bool {
    let named = record.details.get(TEAMS).map(String::as_str).unwrap_or_default();
    record.team.as_deref() == Some(team) || named.split(',').any(|named| named.trim() == team)
}
