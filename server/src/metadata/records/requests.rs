//! What is stored of requests: who asks for a package, and what became of it.
//!
//! A request lies under the stage that it has reached, so that the open ones are found without
//! reading years of closed ones; it moves in one batch. [`RequestsRecord`] changes with every
//! request that comes or moves: whoever adds one expects it unchanged, so two processes never open
//! two requests for one wish.

use jiff::Timestamp;
use policies::decision::Effect;
use policies::package::PackageVersion;
use serde::{Deserialize, Serialize};

use super::{Key, Prefix, Record};

/// How far a request has come.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
#[schema(as = RequestState)]
pub enum Stage {
    Open,
    Approved,
    Rejected,
    /// Rules that were made for something else allow it now.
    Answered,
}

impl Stage {
    pub const ALL: [Self; 4] = [Self::Open, Self::Approved, Self::Rejected, Self::Answered];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Answered => "answered",
        }
    }
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Somebody asks for some versions of a package. What comes from outside is bounded by whoever
/// makes it, so that a record always fits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestRecord {
    /// `npm:left-pad`
    pub package: String,
    /// As the ecosystem writes a range; absent: any version.
    pub versions: Option<String>,
    /// Why, as the first person said it who said so.
    pub reason: Option<String>,
    pub since: Timestamp,
    /// When it was last asked for.
    pub last: Timestamp,
    /// How often it was refused to a client.
    pub refusals: u64,
    /// Somebody who is known asked for it by name: it never falls away by itself.
    pub by_people: bool,
    /// Who asks, and who was refused.
    pub askers: Vec<AskerRecord>,
    /// Refusals of those who are not listed, because too many are.
    pub by_others: u64,
    /// The last version that was refused, and why.
    pub refused: Option<RefusedRecord>,
    /// How many [`RequestComment`]s it has, numbered from 0.
    pub comments: u32,
    pub closed: Option<ClosedRecord>,
    /// Many versions are asked for as one; absent: those of `versions` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closure: Option<ClosureRecord>,
}

/// A package with all that it needs, or all that a lockfile names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosureRecord {
    /// The lockfile that names them; absent: `package` needs them.
    pub lockfile: Option<String>,
    /// The registry that was asked about them; absent: the only one that can be meant.
    pub registry: Option<String>,
    /// Somebody named it: they are asked for there alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_named: bool,
    /// So many versions are asked for,
    pub versions: u32,
    /// which lie in so many [`RequestVersions`], numbered from 0.
    pub parts: u32,
    /// So many more belong to it, and were allowed already.
    pub allowed: u32,
}

/// Some of the versions of a closure that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestVersions {
    pub versions: Vec<PackageVersion>,
}

/// Somebody who asks, or a machine that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Asker)]
pub struct AskerRecord {
    /// Of the token, or self-given.
    pub name: Option<String>,
    /// A token says so.
    pub verified: bool,
    /// `unit/team`
    pub team: Option<String>,
    /// A token says so; else it is a claim.
    #[serde(default)]
    pub team_verified: bool,
    /// The address of a client that says nothing of itself.
    pub address: Option<String>,
    /// It asked in so many words, and was not only refused.
    pub asked: bool,
    /// What was built when it was refused, the latest last.
    pub builds: Vec<String>,
    /// How often it was refused.
    pub refusals: u64,
    pub since: Timestamp,
    pub last: Timestamp,
}

/// The last refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = LastRefusal)]
pub struct RefusedRecord {
    /// That was refused.
    pub version: String,
    pub effect: Effect,
    /// The rule that refused it; absent where none allows it.
    pub rule: Option<String>,
    pub at: Timestamp,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Closing)]
pub struct ClosedRecord {
    pub at: Timestamp,
    /// A person, or the name of the policy that approves by itself; of an answered one, who made the
    /// rule, or the file that it stands in.
    pub by: String,
    /// `by` is a policy.
    pub automatic: bool,
    /// Why, as it was said.
    pub reason: Option<String>,
    /// The rules and waivers that the approval made, or that answered it.
    pub rules: Vec<String>,
}

/// Something that somebody said of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RequestComment {
    pub at: Timestamp,
    /// Who said it.
    pub by: String,
    /// A token says so.
    pub verified: bool,
    /// It joined the request with this.
    pub asked: bool,
    /// As it was said.
    pub text: String,
}

/// Of all requests. There is one of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestsRecord {
    /// The number of the last request.
    pub last: u64,
    /// Another number whenever a request comes or moves.
    pub changed: u64,
}

/// What was told of the ends of rules. There is one of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndingsRecord {
    /// Of rules that ended up to then, the log says so.
    pub ended: Timestamp,
    /// Of rules that end up to then, the log says that they will.
    pub soon: Timestamp,
}

impl Record for RequestRecord {
    const KIND: &'static str = "request";
    const PARTS: usize = 2;
}

impl Record for RequestComment {
    const KIND: &'static str = "request-comment";
    const PARTS: usize = 2;
}

impl Record for RequestVersions {
    const KIND: &'static str = "request-versions";
    const PARTS: usize = 2;
}

impl Record for RequestsRecord {
    const KIND: &'static str = "requests";
    const PARTS: usize = 1;
}

impl Record for EndingsRecord {
    const KIND: &'static str = "endings";
    const PARTS: usize = 1;
}

impl RequestRecord {
    pub fn key(stage: Stage, number: u64) -> Key<Self> {
        Key::of(&[stage.as_str(), &format!("{number:020}")])
    }

    pub fn of_stage(stage: Stage) -> Prefix<Self> {
        Prefix::of(&[stage.as_str()])
    }

    /// The stage and the number that a key names; `None` where it is no key of this code.
    pub fn place(key: &Key<Self>) -> Option<(Stage, u64)> {
        let parts = key.parts();
        let [stage, number] = parts.as_slice() else { return None };
        let stage = Stage::ALL.into_iter().find(|known| known.as_str() == stage)?;
        Some((stage, number.parse().ok()?))
    }
}

impl RequestComment {
    pub fn key(request: u64, n: u32) -> Key<Self> {
        Key::of(&[&format!("{request:020}"), &format!("{n:06}")])
    }

    pub fn of_request(request: u64) -> Prefix<Self> {
        Prefix::of(&[&format!("{request:020}")])
    }
}

impl RequestVersions {
    pub fn key(request: u64, n: u32) -> Key<Self> {
        Key::of(&[&format!("{request:020}"), &format!("{n:06}")])
    }

    pub fn of_request(request: u64) -> Prefix<Self> {
        Prefix::of(&[&format!("{request:020}")])
    }
}

impl RequestsRecord {
    pub fn key() -> Key<Self> {
        Key::of(&["state"])
    }
}

impl EndingsRecord {
    pub fn key() -> Key<Self> {
        Key::of(&["state"])
    }
}
