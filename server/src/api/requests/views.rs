//! What is sent and answered about requests.

use jiff::Timestamp;
use policies::decision::{Decision, Effect};
use policies::package::PackageVersion;
use serde::{Deserialize, Serialize};

use crate::api::advisories::KnownView;
use crate::api::decisions::DecisionView;
use crate::api::problem::Problem;
use crate::api::trials::DryRun;
use crate::metadata::records::{
    AskerRecord, ClosedRecord, ClosureRecord, RefusedRecord, RequestComment, RequestRecord, Stage,
};
use crate::registries::closure::{self, Unmet, Verdict};
use crate::requests::{CloseError, Numbered, Obstacle, Standing};

/// A request as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Request)]
pub struct RequestView {
    /// By which it is called.
    pub number: u64,
    pub state: Stage,
    #[serde(flatten)]
    pub record: RequestRecordView,
}

/// The record without what is stored for garth's own use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = RequestRecord)]
pub struct RequestRecordView {
    /// `npm:left-pad`
    pub package: String,
    /// Absent: any version.
    pub versions: Option<String>,
    /// Why, as the first person said it who said so.
    pub reason: Option<String>,
    pub since: Timestamp,
    pub last: Timestamp,
    /// How often it was refused to a client.
    pub refusals: u64,
    /// Somebody known asked for it by name.
    pub by_people: bool,
    /// Who asks, and who was refused.
    pub askers: Vec<AskerRecord>,
    /// Refusals of those who are not listed.
    pub by_others: u64,
    pub refused: Option<RefusedRecord>,
    /// How many were made.
    pub comments: u32,
    pub closed: Option<ClosedRecord>,
    /// Many versions are asked for as one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closure: Option<ClosureView>,
}

impl RequestRecordView {
    /// What is told to somebody who joins it and may not read requests: not who else asks, nor why.
    pub(super) fn leave_out_others(&mut self) {
        self.askers.clear();
        self.by_others = 0;
        self.reason = None;
    }
}

/// Many versions that are asked for as one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = RequestedClosure)]
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

/// A page of requests.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RequestList {
    /// By number.
    pub requests: Vec<RequestView>,
    /// Give this as `after` for the next page.
    pub next: Option<u64>,
}

/// What is asked for.
#[derive(Clone, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Ask)]
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
    /// Why it is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// For which team, where no token says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// A self-given name, of somebody without a token.
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What is built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
}

/// What a lockfile names.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Lockfile)]
pub struct LockfileBody {
    /// As an approver should see it: `package-lock.json of shop`
    pub name: String,
    /// `npm:left-pad@1.3.0`
    pub versions: Vec<PackageVersion>,
}

/// What came of asking.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Asked)]
pub struct AskedView {
    pub request: RequestView,
    /// It was asked for before, and rejected.
    pub rejected: Option<RejectedView>,
    /// What is needed with it and is not to be had.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unmet: Vec<Unmet>,
}

/// A request for the same that was rejected before.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = EarlierRejection)]
pub struct RejectedView {
    /// Of that request.
    pub number: u64,
    pub at: Timestamp,
    /// Why it was rejected.
    pub reason: String,
}

/// What an approver needs.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RequestDetail {
    pub request: RequestView,
    /// Comments, in their order.
    pub said: Vec<RequestComment>,
    /// Of the version that stands for what is asked; absent where none is known yet.
    pub decision: Option<DecisionView>,
    /// Those that speak of that version; absent where nothing was ever imported.
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
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = RequestedVersion)]
pub struct VersionView {
    #[serde(flatten)]
    pub verdict: Verdict,
    pub standing: closure::Standing,
    /// Absent where none were imported.
    pub advisories: Option<Vec<KnownView>>,
}

/// A rule that stands in the way of an allow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Obstacle)]
pub struct StandingView {
    /// Its name.
    pub rule: String,
    pub effect: Effect,
    /// In words.
    pub why: String,
}

impl From<Standing> for StandingView {
    fn from(standing: Standing) -> Self {
        let Standing { rule, effect, why } = standing;
        Self { rule, effect, why }
    }
}

/// Which requests are approved, and how far.
#[derive(Clone, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Approval)]
pub struct ApproveBody {
    /// Their numbers.
    pub requests: Vec<u64>,
    /// `everyone`, `web` or `web/shop`; left out: everyone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Left out: as it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versions: Option<String>,
    /// When the rules end that this makes: a date or a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// Why, for whoever reads the rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Lifts a deny or a hold that stands in the way; takes a reason and an end.
    #[serde(default)]
    pub waive: bool,
}

/// Which requests are rejected, and why.
#[derive(Clone, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Rejection)]
pub struct RejectBody {
    /// Their numbers.
    pub requests: Vec<u64>,
    /// Told to whoever asks.
    pub reason: String,
}

/// What became of each: one that failed does not undo another.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Outcomes {
    /// In the order in which the requests were named.
    pub outcomes: Vec<Outcome>,
}

/// What became of one request.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Outcome {
    /// Of the request.
    pub number: u64,
    pub request: Option<RequestView>,
    /// How the version that was asked for is decided now.
    pub decision: Option<Decision>,
    /// Why nothing was changed.
    pub problem: Option<Problem>,
    /// What stands in the way of an allow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub standing: Vec<StandingView>,
    /// In a dry run: what the approval would do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub would: Option<DryRun>,
    /// Of many versions that were asked for: those that stay refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Verdict>,
}

/// What somebody says of a request.
#[derive(Clone, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Comment)]
pub struct CommentBody {
    /// As it is shown.
    pub text: String,
}

impl Outcome {
    pub(super) fn nothing(number: u64) -> Self {
        let (standing, refused) = (Vec::new(), Vec::new());
        let (request, decision, problem, would) = (None, None, None, None);
        Self { number, request, decision, problem, standing, would, refused }
    }

    pub(super) fn done(request: Numbered) -> Self {
        let nothing = Self::nothing(request.number);
        Self { request: Some(request.into()), ..nothing }
    }

    pub(super) fn refused(number: u64, problem: Problem) -> Self {
        Self { problem: Some(problem), ..Self::nothing(number) }
    }

    pub(super) fn failed(number: u64, fault: CloseError) -> Self {
        let standing = match &fault {
            CloseError::Stands(obstacle) => {
                let Obstacle { standing, .. } = obstacle.as_ref();
                standing.iter().cloned().map(StandingView::from).collect()
            }
            _ => Vec::new(),
        };
        Self { problem: Some(fault.into()), standing, ..Self::nothing(number) }
    }
}
