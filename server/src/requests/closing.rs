//! Requests end: an approval makes a rule, a rejection an answer for the next who asks.
//!
//! The rule and the request's new stage are one commit. Of two who close one request at once, one
//! does; the other is told who was faster.

use policies::decision::Effect;
use policies::package::{Package, PackageVersion};
use policies::rules::{Draft, MAX_RULE_NAME};

use super::judging::{Judged, Standing};
use super::wish::{AskError, read_range, read_reason};
use super::{ATTEMPTS, Numbered, Requests};
use crate::audit::{Action, Entry};
use crate::events::TEAMS;
use crate::metadata::records::{
    self, ClosedRecord, RequestComment, RequestRecord, RequestsRecord, Stage, Stored,
};
use crate::metadata::{Batch, MetadataError};
use crate::rules::ChangeError;

/// How a request is approved; what is left out is as it was asked for.
#[derive(Clone, Debug, Default)]
pub struct Approval {
    /// `web` or `web/shop`; empty: everybody.
    pub teams: Vec<String>,
    pub versions: Option<String>,
    pub expires: Option<String>,
    pub reason: Option<String>,
    /// What must be true of a version, as long as the rule lasts.
    pub when: Option<String>,
    /// Who answers for it; absent: whoever approves.
    pub owner: Option<String>,
    /// Lift what stands in the way, by a waiver for each rule.
    pub waive: bool,
    /// An address where more is said.
    pub link: Option<String>,
}

impl Approval {
    /// The team as which it is looked at: one of those that it is for.
    pub fn team(&self) -> Option<&str> {
        self.teams.iter().map(String::as_str).find(|team| team.contains('/'))
    }
}

/// What an approval made.
#[derive(Clone, Debug)]
pub struct Approved {
    pub request: Numbered,
    /// Names of the rules or waivers.
    pub rules: Vec<String>,
    /// How the version that was asked for is decided now; absent where none is known.
    pub now: Option<Judged>,
}

/// Rules that an allow does not open.
#[derive(Clone, Debug)]
pub struct Obstacle {
    pub asked: PackageVersion,
    pub standing: Vec<Standing>,
}

/// By what the caller answers.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    #[error("there is no request {0}")]
    NoSuchRequest(u64),
    #[error("request {number} was {stage} by {by} on {at:.0} already")]
    Closed { number: u64, stage: Stage, by: String, at: jiff::Timestamp },
    #[error(
        "request {number} was asked for by {by}, and nobody approves what they asked for themselves: somebody else has to (setting requests.own_approval)"
    )]
    Own { number: u64, by: String },
    #[error("{}", told(.0))]
    Stands(Box<Obstacle>),
    #[error("a rejection says why: the next who asks reads it")]
    NoReason,
    #[error("the comment is empty")]
    NoText,
    #[error("{0}")]
    Invalid(String),
    #[error(transparent)]
    Rule(#[from] ChangeError),
    #[error(transparent)]
    Metadata(#[from] MetadataError),
}

impl From<AskError> for CloseError {
    fn from(fault: AskError) -> Self {
        match fault {
            AskError::Metadata(fault) => Self::Metadata(fault),
            fault => Self::Invalid(fault.to_string()),
        }
    }
}

fn told(obstacle: &Obstacle) -> String {
    let rules: Vec<String> = obstacle
        .standing
        .iter()
        .map(|one| format!("{} by the rule {}", one.effect.participle(), one.rule))
        .collect();
    let Obstacle { asked, .. } = obstacle;
    format!(
        "{asked} is {}, which an allow does not lift: approve it with a waiver (--waive and --expires), or change the rule",
        rules.join(", and ")
    )
}

impl Requests {
    /// Makes a rule for what was asked, and closes the request with it: both or nothing.
    pub async fn approve(
        &self,
        number: u64,
        approval: &Approval,
        by: &str,
    ) -> Result<Approved, CloseError> {
        self.approve_as(number, approval, by, false).await
    }

    pub(super) async fn approve_as(
        &self,
        number: u64,
        approval: &Approval,
        by: &str,
        automatic: bool,
    ) -> Result<Approved, CloseError> {
        let turn = self.0.turn.lock().await;
        let mut attempts = 0;
        let (request, rules) = loop {
            match self.approve_once(number, approval, by, automatic).await {
                Err(fault) if fault.is_conflict() && attempts < ATTEMPTS => {
                    attempts += 1;
                    self.forget_board();
                }
                done => break done?,
            }
        };
        drop(turn);
        tracing::info!(
            request = number,
            package = %request.record.package,
            rules = %rules.join(" "),
            by,
            automatic,
            "request approved"
        );
        let now = match Self::example(&request.record) {
            Some((package, version)) => {
                let team = approval.team();
                self.judge(&package, &version, team).await.ok()
            }
            None => None,
        };
        Ok(Approved { request, rules, now })
    }

    async fn approve_once(
        &self,
        number: u64,
        approval: &Approval,
        by: &str,
        automatic: bool,
    ) -> Result<(Numbered, Vec<String>), CloseError> {
        let state = self.state().await?;
        let stored = self.open_request(number).await?;
        if !automatic && !self.0.config.own_approval {
            self.refuse_own(number, &stored.record, by).await?;
        }
        let drafts = self.drafts(number, &stored.record, approval, by).await?;
        let reason = read_reason(approval.reason.as_deref())?;
        let closed = ClosedRecord {
            at: self.0.clock.now(),
            by: by.to_owned(),
            automatic,
            reason,
            rules: Vec::new(),
        };
        let next = state.next();
        let beside = |rules: &[String]| {
            let ended = ClosedRecord { rules: rules.to_vec(), ..closed.clone() };
            let record = RequestRecord { closed: Some(ended), ..stored.record.clone() };
            let entry = self.entry(Action::RequestApproved, number, &record).by(by);
            let entry = entry
                .why(closed.reason.as_deref())
                .detail("rules", &rules.join(", "))
                .detail_if("by-policy", automatic.then_some(&"yes"));
            let batch = moving(number, &stored, Stage::Approved, &record);
            let batch = state.expect(batch).put_record(&RequestsRecord::key(), &next);
            batch.note(entry, closed.at)
        };
        let made = self.0.rules.add_beside(drafts, by, beside).await?;
        let rules: Vec<String> = made.iter().map(|rule| rule.name.to_string()).collect();
        let closed = ClosedRecord { rules: rules.clone(), ..closed.clone() };
        let record = RequestRecord { closed: Some(closed), ..stored.record.clone() };
        Ok((self.moved(number, Stage::Approved, record, &next), rules))
    }

    /// The rules that an approval comes to.
    pub(super) async fn drafts(
        &self,
        number: u64,
        record: &RequestRecord,
        approval: &Approval,
        by: &str,
    ) -> Result<Vec<Draft>, CloseError> {
        let asked_for = record.reason.as_deref();
        let reason = approval.reason.as_deref().or(asked_for);
        let reason = reason.map_or_else(
            || format!("request {number}"),
            |reason| shortened(&format!("request {number}: {reason}")),
        );
        let draft = Draft {
            name: Some(format!("request-{number}")),
            effect: Some(Effect::Allow.to_string()),
            packages: vec![record.package.clone()],
            versions: record.versions.clone(),
            teams: Some(approval.teams.clone()).filter(|teams| !teams.is_empty()),
            when: approval.when.clone(),
            reason: Some(reason),
            owner: Some(approval.owner.clone().unwrap_or_else(|| by.to_owned())),
            link: approval.link.clone(),
            expires: approval.expires.clone(),
            ..Draft::default()
        };
        if record.closure.is_some() {
            return self.closure_drafts(number, record, approval, &draft).await;
        }
        let team = approval.team();
        let versions = match &approval.versions {
            Some(text) => {
                let package: Package = record.package.parse().map_err(AskError::from)?;
                Some(read_range(package.ecosystem(), text).map_err(AskError::from)?)
            }
            None => record.versions.clone(),
        };
        let meant = RequestRecord { versions: versions.clone(), ..record.clone() };
        let mut standing = Vec::new();
        if let Some((package, version)) = Self::example(&meant) {
            let judged = self.judge(&package, &version, team).await?;
            if !judged.standing.is_empty() && !approval.waive {
                let Judged { asked, standing, .. } = judged;
                return Err(CloseError::Stands(Box::new(Obstacle { asked, standing })));
            }
            standing = judged.standing;
        }
        let draft = Draft { versions, ..draft };
        if standing.is_empty() {
            return Ok(vec![draft]);
        }
        Ok(standing
            .into_iter()
            .map(|one| Draft { waives: Some(one.rule), effect: None, ..draft.clone() })
            .collect())
    }

    /// Closes the request with an answer for whoever asks next.
    pub async fn reject(
        &self,
        number: u64,
        reason: Option<&str>,
        by: &str,
    ) -> Result<Numbered, CloseError> {
        let reason = read_reason(reason)?.ok_or(CloseError::NoReason)?;
        let _turn = self.0.turn.lock().await;
        for _ in 0..ATTEMPTS {
            let state = self.state().await?;
            let stored = self.open_request(number).await?;
            let closed = ClosedRecord {
                at: self.0.clock.now(),
                by: by.to_owned(),
                automatic: false,
                reason: Some(reason.clone()),
                rules: Vec::new(),
            };
            let record = RequestRecord { closed: Some(closed), ..stored.record.clone() };
            let next = state.next();
            let batch = moving(number, &stored, Stage::Rejected, &record);
            let entry = self.entry(Action::RequestRejected, number, &record).by(by);
            let entry = entry.why(Some(&reason));
            let batch = state.expect(batch).put_record(&RequestsRecord::key(), &next);
            match self.0.metadata.commit(batch.note(entry, self.0.clock.now())).await {
                Err(MetadataError::Conflict { .. }) => self.forget_board(),
                done => {
                    done?;
                    tracing::info!(request = number, package = %record.package, by, %reason, "request rejected");
                    return Ok(self.moved(number, Stage::Rejected, record, &next));
                }
            }
        }
        Err(contended().into())
    }

    /// What was done with a request.
    pub(super) fn entry(&self, action: Action, number: u64, record: &RequestRecord) -> Entry {
        Entry::new(action)
            .subject(&format!("request {number}"))
            .package(&record.package)
            .versions(record.versions.as_deref())
            .revision(self.0.rules.current().revision())
            .detail_if(TEAMS, teams_of(record).as_ref())
    }

    /// The open one, or what became of it.
    pub(super) async fn open_request(
        &self,
        number: u64,
    ) -> Result<Stored<RequestRecord>, CloseError> {
        let key = RequestRecord::key(Stage::Open, number);
        if let Some(stored) = records::read_stored(self.0.metadata.as_ref(), &key).await? {
            return Ok(stored);
        }
        let found = self.get(number).await?.ok_or(CloseError::NoSuchRequest(number))?;
        let closed = found.record.closed.unwrap_or(ClosedRecord {
            at: found.record.last,
            by: "somebody".to_owned(),
            automatic: false,
            reason: None,
            rules: Vec::new(),
        });
        Err(CloseError::Closed { number, stage: found.stage, by: closed.by, at: closed.at })
    }

    /// Whoever asked by their token, or was refused with it, does not approve.
    pub(super) async fn refuse_own(
        &self,
        number: u64,
        record: &RequestRecord,
        by: &str,
    ) -> Result<(), CloseError> {
        let is_asker =
            record.askers.iter().any(|asker| asker.verified && asker.name.as_deref() == Some(by));
        // The list of askers has an end, and what they said is kept beside it.
        let comments = self.comments(number).await?;
        let asked =
            |comment: &RequestComment| comment.asked && comment.verified && comment.by == by;
        if is_asker || comments.iter().any(asked) {
            return Err(CloseError::Own { number, by: by.to_owned() });
        }
        Ok(())
    }

    pub(super) fn moved(
        &self,
        number: u64,
        stage: Stage,
        record: RequestRecord,
        next: &RequestsRecord,
    ) -> Numbered {
        self.post(|board| {
            board.put_record(number, stage, &record);
            // Of a board that was not read yet this is only a part.
            if board.changed.is_some_and(|changed| changed + 1 == next.changed) {
                board.changed = Some(next.changed);
            }
        });
        Numbered { number, stage, record }
    }
}

impl CloseError {
    fn is_conflict(&self) -> bool {
        matches!(
            self,
            Self::Metadata(MetadataError::Conflict { .. })
                | Self::Rule(ChangeError::Metadata(MetadataError::Conflict { .. }))
        )
    }
}

pub(super) fn contended() -> MetadataError {
    MetadataError::Conflict { key: "requests/state".to_owned() }
}

/// Moves the record to another stage, if nobody touched it.
pub(super) fn moving(
    number: u64,
    stored: &Stored<RequestRecord>,
    to: Stage,
    record: &RequestRecord,
) -> Batch {
    let from = RequestRecord::key(Stage::Open, number);
    Batch::default()
        .expect_unchanged(&from, Some(stored))
        .remove_record(&from)
        .put_record(&RequestRecord::key(to, number), record)
}

/// A reason that grew by its request's number still has to be one.
fn shortened(text: &str) -> String {
    let mut short = String::new();
    for c in text.chars() {
        if short.len() + c.len_utf8() > policies::rules::MAX_REASON {
            break;
        }
        short.push(c);
    }
    short
}

const _: () = assert!(MAX_RULE_NAME > 40, "request-NUMBER is the name of a rule");

/// Those that tokens say ask for it: they are told what becomes of it.
fn teams_of(record: &RequestRecord) -> Option<String> {
    let known = record.askers.iter().filter(|asker| asker.team_verified);
    let mut teams: Vec<&str> = known.filter_map(|asker| asker.team.as_deref()).collect();
    teams.sort_unstable();
    teams.dedup();
    Some(teams.join(", ")).filter(|teams| !teams.is_empty())
}
