//! What is sent and answered about requests.

use jiff::Timestamp;
use policies::decision::{Decision, Effect};
use policies::package::PackageVersion;
use serde::{Deserialize, Serialize};

use crate::api::advisories::KnownView;
use crate::api::decisions::DecisionView;
use crate::api::problem::Problem;
use crate::closures::{Unmet, Verdict};
use crate::metadata::records::{
    AskerRecord, ClosedRecord, ClosureRecord, RefusedRecord, RequestComment, RequestRecord, Stage,
};
use crate::requests::{CloseError, Numbered, Obstacle, Standing};

/// A request as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestView {
    pub number: u64,
    pub state: Stage,
    #[serde(flatten)]
    pub record: RequestRecordView,
}

/// The record without what is stored for garth's own use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestRecordView {
    pub package: String,
    /// Absent: any version.
    pub versions: Option<String>,
    pub reason: Option<String>,
    pub since: Timestamp,
    pub last: Timestamp,
    /// How often it was refused to a client.
    pub refusals: u64,
    /// Somebody known asked for it by name.
    pub by_people: bool,
    pub askers: Vec<AskerRecord>,
    /// Refusals of those who are not listed.
    pub by_others: u64,
    pub refused: Option<RefusedRecord>,
    pub comments: u32,
    pub closed: Option<ClosedRecord>,
    /// Many versions are asked for as one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closure: Option<ClosureView>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosureView {
    /// The lockfile that names them; absent: `package` needs them.
    pub lockfile: Option<String>,
    /// So many are asked for.
    pub versions: u32,
    /// So many more belong to it, and were allowed already.
    pub allowed: u32,
}

impl From<ClosureRecord> for ClosureView {
    fn from(record: ClosureRecord) -> Self {
        let ClosureRecord { lockfile, versions, allowed, .. } = record;
        Self { lockfile, versions, allowed }
    }
}

impl From<Numbered> for RequestView {
    fn from(found: Numbered) -> Self {
        let RequestRecord {
            package,
            versions,
            reason,
            since,
            last,
            refusals,
            by_people,
            askers,
            by_others,
            refused,
            comments,
            closed,
            closure,
        } = found.record;
        let record = RequestRecordView {
            package,
            versions,
            reason,
            since,
            last,
            refusals,
            by_people,
            askers,
            by_others,
            refused,
            comments,
            closed,
            closure: closure.map(ClosureView::from),
        };
        Self { number: found.number, state: found.stage, record }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RequestList {
    pub requests: Vec<RequestView>,
    /// Give this as `after` for the next page.
    pub next: Option<u64>,
}

/// What is asked for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskBody {
    /// `npm:left-pad`, `npm:left-pad@1.3.0` or `npm:left-pad@^1`; left out with `lockfile`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// All that a client would install with it, as one request.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub with_dependencies: bool,
    /// All that a lockfile names, as one request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lockfile: Option<LockfileBody>,
    /// Of those two: the registry that is asked, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// A self-given name, of somebody without a token.
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What is built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockfileBody {
    /// As an approver should see it: `package-lock.json of shop`
    pub name: String,
    /// `npm:left-pad@1.3.0`
    pub versions: Vec<PackageVersion>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AskedView {
    pub request: RequestView,
    /// It was asked for before, and rejected.
    pub rejected: Option<RejectedView>,
    /// What is needed with it and is not to be had.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unmet: Vec<Unmet>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RejectedView {
    pub number: u64,
    pub at: Timestamp,
    pub reason: String,
}

/// What an approver needs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RequestDetail {
    pub request: RequestView,
    pub said: Vec<RequestComment>,
    /// Of the version that stands for what is asked; absent where none is known yet.
    pub decision: Option<DecisionView>,
    pub advisories: Option<Vec<KnownView>>,
    /// What stands in the way of an allow.
    pub standing: Vec<StandingView>,
    /// Where many versions are asked for: each of them, as it is decided now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<VersionView>,
    /// Why `versions` are not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versions_problem: Option<Problem>,
}

/// One of many versions that are asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VersionView {
    #[serde(flatten)]
    pub verdict: Verdict,
    pub standing: crate::closures::Standing,
    /// Absent where none were imported.
    pub advisories: Option<Vec<KnownView>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingView {
    pub rule: String,
    pub effect: Effect,
    pub why: String,
}

impl From<Standing> for StandingView {
    fn from(standing: Standing) -> Self {
        let Standing { rule, effect, why } = standing;
        Self { rule, effect, why }
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApproveBody {
    pub requests: Vec<u64>,
    /// `everyone`, `web` or `web/shop`; left out: everyone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Left out: as it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versions: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default)]
    pub waive: bool,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RejectBody {
    pub requests: Vec<u64>,
    pub reason: String,
}

/// What became of each: one that failed does not undo another.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcomes {
    pub outcomes: Vec<Outcome>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    pub number: u64,
    pub request: Option<RequestView>,
    /// How the version that was asked for is decided now.
    pub decision: Option<Decision>,
    /// Why nothing was changed.
    pub problem: Option<Problem>,
    /// What stands in the way of an allow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub standing: Vec<StandingView>,
    /// Of many versions that were asked for: those that stay refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Verdict>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommentBody {
    pub text: String,
}

impl Outcome {
    pub(super) fn done(request: Numbered) -> Self {
        let number = request.number;
        let request = Some(request.into());
        let (standing, refused) = (Vec::new(), Vec::new());
        Self { number, request, decision: None, problem: None, standing, refused }
    }

    pub(super) fn refused(number: u64, problem: Problem) -> Self {
        let (standing, refused) = (Vec::new(), Vec::new());
        Self { number, request: None, decision: None, problem: Some(problem), standing, refused }
    }

    pub(super) fn failed(number: u64, fault: CloseError) -> Self {
        let standing = match &fault {
            CloseError::Stands(obstacle) => {
                let Obstacle { standing, .. } = obstacle.as_ref();
                standing.iter().cloned().map(StandingView::from).collect()
            }
            _ => Vec::new(),
        };
        let problem = Some(fault.into());
        Self { number, request: None, decision: None, problem, standing, refused: Vec::new() }
    }
}
