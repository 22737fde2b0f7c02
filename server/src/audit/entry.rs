//! An entry as it is made: what was done, by whom, from where, and why.
//!
//! Whoever changes something adds its entry to the batch of the change ([`Batch::note`]), so that
//! both are there or neither is. Who asked, from where and in which request is taken from the request that
//! is being answered ([`access::current`]), if there is one.
//!
//! Texts come from people and clients. They are made one short line without characters that mislead,
//! and what looks like a secret is taken out, here and nowhere else.

use std::fmt;

use jiff::Timestamp;

use super::blocks::line_of;
use crate::edge;
use crate::metadata::records::{AuditRecord, WaitingRecord};
use crate::metadata::{Batch, Change};
use crate::observability::escape::bounded;
use crate::observability::redact::redacted;
use crate::person::Person;
use crate::random;

/// The longest texts, in characters.
const NAME: usize = 120;
const SUBJECT: usize = 240;
const WHY: usize = 600;
const VERSIONS: usize = 2000;
const DETAIL: usize = 240;
/// So much of one entry's packages; the rest is in further entries of the same batch.
const PACKAGES: usize = 300;
const PACKAGES_BYTES: usize = 5 * 1024;
/// An entry before it has its number; longer ones lose the end of their texts.
const BYTES: usize = 14 * 1024;
/// What is left of a text then.
const CUT: usize = 60;

/// What was done. A new kind is a line here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A package version is held here that was not before.
    Admitted,
    /// A version was refused to a client, so and so often.
    Refused,
    RuleMade,
    RuleRemoved,
    /// It came to its end.
    RuleExpired,
    /// A waiver is a rule that lifts another one.
    WaiverMade,
    WaiverRemoved,
    WaiverExpired,
    /// Other rules are in force than before, whatever changed them.
    RevisionInForce,
    RequestMade,
    RequestApproved,
    RequestRejected,
    /// Rules that were made for something else allow what it asks for.
    RequestAnswered,
    RequestCommented,
    /// It was closed so long ago that it is kept no longer.
    RequestDropped,
    /// What is published here.
    Published,
    Deprecated,
    /// A crate's version, or no longer.
    Yanked,
    TagMoved,
    TagRemoved,
    /// Who is named as responsible for a crate.
    OwnersChanged,
    Unpublished,
    /// What an upstream said of a name was dropped.
    Forgotten,
    TokenMade,
    TokenRotated,
    TokenRevoked,
    TeamMade,
    TeamRemoved,
    RoleMade,
    RoleChanged,
    RoleRemoved,
    /// What the people of a team or a unit hold.
    RolesSet,
    UserMade,
    UserChanged,
    UserRemoved,
    PasswordSet,
    /// Somebody signed in.
    Login,
    LoginFailed,
    /// Garth was started with other settings than the last time, or for the first time.
    SettingsChanged,
    AdvisoriesImported,
    /// An advisory speaks of a version that is held here or in use.
    AdvisoryHit,
    /// Somebody had a job of the background run at once.
    JobAsked,
    /// Somebody was refused a version because it is on hold.
    PackageHeld,
    /// It is not on hold any more.
    PackageReleased,
    WebhookMade,
    WebhookRemoved,
    WebhookRotated,
    /// Nothing is sent to it any more.
    WebhookStopped,
    WebhookResumed,
    /// Something that did not happen was sent, so that somebody sees whether it arrives.
    WebhookTested,
    /// An event was sent once more because somebody asked for it.
    WebhookRedelivered,
    /// A delivery was tried in vain for as long as deliveries are.
    WebhookGaveUp,
    /// Something about this log itself.
    LogChanged,
}

impl Action {
    pub const ALL: [Self; 53] = [
        Self::Admitted,
        Self::Refused,
        Self::RuleMade,
        Self::RuleRemoved,
        Self::RuleExpired,
        Self::WaiverMade,
        Self::WaiverRemoved,
        Self::WaiverExpired,
        Self::RevisionInForce,
        Self::RequestMade,
        Self::RequestApproved,
        Self::RequestRejected,
        Self::RequestAnswered,
        Self::RequestCommented,
        Self::RequestDropped,
        Self::Published,
        Self::Deprecated,
        Self::Yanked,
        Self::TagMoved,
        Self::TagRemoved,
        Self::OwnersChanged,
        Self::Unpublished,
        Self::Forgotten,
        Self::TokenMade,
        Self::TokenRotated,
        Self::TokenRevoked,
        Self::TeamMade,
        Self::TeamRemoved,
        Self::RoleMade,
        Self::RoleChanged,
        Self::RoleRemoved,
        Self::RolesSet,
        Self::UserMade,
        Self::UserChanged,
        Self::UserRemoved,
        Self::PasswordSet,
        Self::Login,
        Self::LoginFailed,
        Self::SettingsChanged,
        Self::AdvisoriesImported,
        Self::AdvisoryHit,
        Self::JobAsked,
        Self::PackageHeld,
        Self::PackageReleased,
        Self::WebhookMade,
        Self::WebhookRemoved,
        Self::WebhookRotated,
        Self::WebhookStopped,
        Self::WebhookResumed,
        Self::WebhookTested,
        Self::WebhookRedelivered,
        Self::WebhookGaveUp,
        Self::LogChanged,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Refused => "refused",
            Self::RuleMade => "rule-made",
            Self::RuleRemoved => "rule-removed",
            Self::RuleExpired => "rule-expired",
            Self::WaiverMade => "waiver-made",
            Self::WaiverRemoved => "waiver-removed",
            Self::WaiverExpired => "waiver-expired",
            Self::RevisionInForce => "revision-in-force",
            Self::RequestMade => "request-made",
            Self::RequestApproved => "request-approved",
            Self::RequestRejected => "request-rejected",
            Self::RequestAnswered => "request-answered",
            Self::RequestCommented => "request-commented",
            Self::RequestDropped => "request-dropped",
            Self::Published => "published",
            Self::Deprecated => "deprecated",
            Self::Yanked => "yanked",
            Self::TagMoved => "tag-moved",
            Self::TagRemoved => "tag-removed",
            Self::OwnersChanged => "owners-changed",
            Self::Unpublished => "unpublished",
            Self::Forgotten => "forgotten",
            Self::TokenMade => "token-made",
            Self::TokenRotated => "token-rotated",
            Self::TokenRevoked => "token-revoked",
            Self::TeamMade => "team-made",
            Self::TeamRemoved => "team-removed",
            Self::RoleMade => "role-made",
            Self::RoleChanged => "role-changed",
            Self::RoleRemoved => "role-removed",
            Self::RolesSet => "roles-set",
            Self::UserMade => "user-made",
            Self::UserChanged => "user-changed",
            Self::UserRemoved => "user-removed",
            Self::PasswordSet => "password-set",
            Self::Login => "login",
            Self::LoginFailed => "login-failed",
            Self::SettingsChanged => "settings-changed",
            Self::AdvisoriesImported => "advisories-imported",
            Self::AdvisoryHit => "advisory-hit",
            Self::JobAsked => "job-asked",
            Self::PackageHeld => "package-held",
            Self::PackageReleased => "package-released",
            Self::WebhookMade => "webhook-made",
            Self::WebhookRemoved => "webhook-removed",
            Self::WebhookRotated => "webhook-rotated",
            Self::WebhookStopped => "webhook-stopped",
            Self::WebhookResumed => "webhook-resumed",
            Self::WebhookTested => "webhook-tested",
            Self::WebhookRedelivered => "webhook-redelivered",
            Self::WebhookGaveUp => "webhook-gave-up",
            Self::LogChanged => "log-changed",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One that is being made. Nothing is written before it is noted in a batch.
#[derive(Clone, Debug)]
pub struct Entry {
    record: AuditRecord,
}

/// The detail of a refusal that names a version where none was asked for.
pub const EXAMPLE: &str = "example";
/// What garth does by itself is done by this name.
pub const GARTH: &str = "garth";

impl Entry {
    /// By whoever sent the request that is being answered; else by nobody, until somebody is named.
    pub fn new(action: Action) -> Self {
        let mut entry = Self {
            record: AuditRecord {
                n: None,
                at: Timestamp::UNIX_EPOCH,
                logged: None,
                action: action.as_str().to_owned(),
                who: None,
                claimed: false,
                token: None,
                team: None,
                from: None,
                request_id: None,
                subject: None,
                packages: Vec::new(),
                versions: None,
                why: None,
                revision: None,
                details: std::collections::BTreeMap::new(),
            },
        };
        if let Some(asking) = edge::current() {
            let record = &mut entry.record;
            record.request_id = Some(asking.request_id().to_string());
            record.from = asking.address().map(|address| address.to_string());
            if let Some(person) = asking.person() {
                entry = entry.by_person(person);
            }
        }
        entry
    }

    /// Something that garth does by itself.
    pub fn by_garth(action: Action) -> Self {
        Self::new(action).by(GARTH)
    }

    pub fn by_person(mut self, person: &Person) -> Self {
        self.record.who = Some(clean(&person.name, NAME));
        self.record.token = person.token.as_deref().map(|token| clean(token, NAME));
        self.record.team = person.team.as_deref().map(|team| clean(team, NAME));
        self
    }

    /// A name that is known to be theirs. Token and team stay if it is whoever sent the request.
    pub fn by(mut self, name: &str) -> Self {
        let name = clean(name, NAME);
        if self.record.who.as_deref() != Some(&*name) {
            (self.record.token, self.record.team) = (None, None);
        }
        (self.record.who, self.record.claimed) = (Some(name), false);
        self
    }

    /// By garth itself, unless it is for a request.
    pub fn or_garth(self) -> Self {
        if self.record.request_id.is_none() && self.record.who.is_none() {
            self.by(GARTH)
        } else {
            self
        }
    }

    /// A name that somebody gives themselves.
    pub fn by_claim(mut self, name: &str) -> Self {
        self = self.by(name);
        self.record.claimed = true;
        self
    }

    pub fn team(mut self, team: Option<&str>) -> Self {
        self.record.team = team.map(|team| clean(team, NAME));
        self
    }

    pub fn from(mut self, address: Option<&str>) -> Self {
        self.record.from = address.map(|address| clean(address, NAME));
        self
    }

    pub fn subject(mut self, subject: &str) -> Self {
        self.record.subject = Some(clean(subject, SUBJECT));
        self
    }

    /// A package as `npm:left-pad`, or a pattern of some.
    pub fn package(mut self, package: &impl fmt::Display) -> Self {
        self.record.packages.push(clean(&package.to_string(), SUBJECT));
        self
    }

    pub fn packages<P: fmt::Display>(self, packages: impl IntoIterator<Item = P>) -> Self {
        packages.into_iter().fold(self, |entry, package| entry.package(&package))
    }

    pub fn versions(mut self, versions: Option<&str>) -> Self {
        self.record.versions = versions.map(|versions| clean(versions, VERSIONS));
        self
    }

    pub fn why(mut self, why: Option<&str>) -> Self {
        self.record.why = why.map(|why| clean(why, WHY));
        self
    }

    pub fn revision(mut self, revision: &impl fmt::Display) -> Self {
        self.record.revision = Some(clean(&revision.to_string(), NAME));
        self
    }

    pub fn detail(mut self, name: &'static str, text: &impl fmt::Display) -> Self {
        self.record.details.insert(name.to_owned(), clean(&text.to_string(), DETAIL));
        self
    }

    pub fn detail_if(self, name: &'static str, text: Option<&impl fmt::Display>) -> Self {
        match text {
            Some(text) => self.detail(name, text),
            None => self,
        }
    }

    /// The same for entries that differ in nothing but their time and their words.
    pub(super) fn kind_of(&self) -> String {
        let AuditRecord { action, who, token, from, packages, versions, details, .. } =
            &self.record;
        let rule = details.get("rule");
        format!("{action} {who:?} {token:?} {from:?} {packages:?} {versions:?} {rule:?}")
    }

    pub(super) fn into_record(self, at: Timestamp) -> AuditRecord {
        AuditRecord { at, ..self.record }
    }

    /// What has to be written for it. One with very many packages comes in parts. Of entries of one
    /// moment the one with the lower `order` comes first.
    pub fn changes(mut self, at: Timestamp, order: usize) -> Vec<Change> {
        self.record.at = at;
        let packages = std::mem::take(&mut self.record.packages);
        let parts = in_parts(packages);
        let count = parts.len();
        let writer = random::name();
        parts
            .into_iter()
            .enumerate()
            .map(|(part, packages)| {
                let mut record = AuditRecord { packages, ..self.record.clone() };
                if count > 1 {
                    record.details.insert("part".to_owned(), format!("{} of {count}", part + 1));
                }
                let record = WaitingRecord(fitting(record));
                Change::put_record(
                    &WaitingRecord::key(at, &format!("{order:04}-{writer}-{part:04}")),
                    &record,
                )
            })
            .collect()
    }
}

impl Batch {
    /// With the entry that tells of it.
    pub fn note(mut self, entry: Entry, at: Timestamp) -> Self {
        let order = self.changes.len();
        self.changes.extend(entry.changes(at, order));
        self
    }
}

fn clean(text: &str, longest: usize) -> String {
    bounded(&redacted(text.trim()), longest).into_owned()
}

/// At least one part.
fn in_parts(packages: Vec<String>) -> Vec<Vec<String>> {
    let mut parts = vec![Vec::new()];
    let mut bytes = 0;
    for package in packages {
        let full = parts.last().is_some_and(|part| {
            part.len() >= PACKAGES || !part.is_empty() && bytes + package.len() > PACKAGES_BYTES
        });
        if full {
            parts.push(Vec::new());
            bytes = 0;
        }
        bytes += package.len();
        if let Some(part) = parts.last_mut() {
            part.push(package);
        }
    }
    parts
}

/// Texts that are legal one by one may be too long together.
fn fitting(mut record: AuditRecord) -> AuditRecord {
    if line_of(&record).get().len() <= BYTES {
        return record;
    }
    let texts = record.details.values_mut().chain(&mut record.why).chain(&mut record.subject);
    for text in texts.chain(&mut record.versions) {
        *text = bounded(text, CUT).into_owned();
    }
    record
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::metadata::records::{Key, decode};
    use crate::metadata::{MAX_BATCH_BYTES, MAX_KEY, MAX_VALUE};

    fn at() -> Timestamp {
        "2026-05-30T10:00:00Z".parse().unwrap()
    }

    fn records(entry: Entry) -> Vec<AuditRecord> {
        entry
            .changes(at(), 0)
            .iter()
            .map(|change| {
                assert!(Key::<WaitingRecord>::parse(&change.key).is_some());
                decode::<WaitingRecord>(&change.key, change.value.as_ref().unwrap()).unwrap().0
            })
            .collect()
    }

    #[test]
    fn whatever_a_text_holds_it_is_one_line_that_misleads_nobody() {
        let hostile = "x\r\nFORGED {\"n\":1}\u{1b}[31m\u{202e}\u{2028}";
        let entry = Entry::new(Action::RuleMade)
            .by(hostile)
            .subject(hostile)
            .package(&hostile)
            .versions(Some(hostile))
            .why(Some(hostile))
            .detail("effect", &hostile);
        let found = records(entry).remove(0);
        let line = serde_json::to_string(&found).unwrap();
        assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{line}");
        assert_eq!(found.why.as_deref(), Some("x\\u{d}\\u{a}FORGED {\"n\":1}\\u{1b}[31m\\u{202e}"));
    }

    #[test]
    fn an_entry_fits_whatever_it_is_made_of() {
        let long = "\u{202e}".repeat(5000);
        let mut entry = Entry::new(Action::Admitted).by(&long).subject(&long).why(Some(&long));
        entry = entry.versions(Some(&long)).revision(&long).team(Some(&long));
        for name in ["a", "b", "c", "d", "e", "f", "g", "h"] {
            entry = entry.detail(name, &long);
        }
        for n in 0..1000 {
            entry = entry.package(&format!("npm:{n:0>200}"));
        }
        let changes = entry.changes(at(), 0);
        assert!(changes.len() > 1);
        for change in changes {
            assert!(change.key.len() <= MAX_KEY && change.value.unwrap().len() <= MAX_VALUE);
        }
    }

    #[test]
    fn all_packages_of_a_large_rule_are_named() {
        let names: Vec<String> = (0..8000).map(|n| format!("npm:package-{n:05}")).collect();
        let entry = Entry::new(Action::RuleMade).packages(&names).subject("from-lockfile");
        let bytes: usize = entry.clone().changes(at(), 0).iter().map(Change::bytes).sum();
        assert!(bytes < MAX_BATCH_BYTES / 2, "{bytes}");
        let found = records(entry);
        let said = format!("1 of {}", found.len());
        assert_eq!(found[0].details.get("part"), Some(&said));
        let all: Vec<String> = found.into_iter().flat_map(|record| record.packages).collect();
        assert_eq!(all, names);
    }

    #[test]
    fn every_kind_has_a_word_of_its_own() {
        let words: std::collections::HashSet<&str> =
            Action::ALL.into_iter().map(Action::as_str).collect();
        assert_eq!(words.len(), Action::ALL.len());
    }
}
