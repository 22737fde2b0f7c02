//! `/decisions`: what would be answered for a package version, and why.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use jiff::Timestamp;
use policies::asker::{Asker, is_team};
use policies::decide::{Considered, explain, overview};
use policies::decision::{Decision, Revision};
use policies::facts::{FactSheet, Stated};
use policies::package::{Package, PackageVersion, Spelling, Version};
use policies::rules::RuleSet;
use serde::{Deserialize, Serialize};

use super::problem::Problem;
use super::rules::query;
use super::table::{Endpoint, Needs, get};
use super::{Api, By};
use crate::access::rights::{Place, Right};
use crate::config::Mode;
use crate::facts::{About, Remembered, Said, gather_facts};
use crate::rules::revisions::PastError;
use crate::seen::{Recalled, Seen};

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct DecisionQuery {
    /// `npm:left-pad@1.3.0`, or without a version what the rules say of the package.
    package: Option<String>,
    /// As whom: `web/shop`. Left out: as the token that asks.
    team: Option<String>,
    /// A revision that was in force once: what its rules said.
    at: Option<String>,
}

/// Rules that were in force once, by which it was decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AtRevision {
    pub since: Timestamp,
    /// When they were last in force, and as of when it was decided; absent while they are.
    pub until: Option<Timestamp>,
    /// The advisories beside them are those of now, because those of then are there no more.
    pub advisories_of_now: bool,
}

/// A decision with what led to it; without one where no version was asked for.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = ExplainedDecision)]
pub struct DecisionView {
    pub package: Package,
    pub version: Option<Version>,
    /// Who asks; nobody's team is known where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// The same as a package URL.
    pub purl: String,
    pub decision: Option<Decision>,
    /// What it was decided by.
    pub facts: Option<FactSheet>,
    /// The package is published here.
    pub own: bool,
    /// What is remembered of the version, in each registry that has seen it. The decision goes by
    /// the first one.
    pub seen: Vec<Seen>,
    /// The rules that name the package, in the order in which they win.
    pub considered: Vec<Considered>,
    /// How many rules speak of other packages only.
    pub others: usize,
    pub revision: Revision,
    /// The server only observes: what is denied is served all the same, and recorded.
    pub observing: bool,
    /// What is wrong with the rules at the moment.
    pub faults: Vec<String>,
    /// Where an older revision was asked about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<AtRevision>,
}

pub fn endpoints() -> Vec<Endpoint> {
    let summary = "What is decided of a version, and each rule that was considered";
    vec![
        get("show_decision", "/decisions", Needs::Some(Right::Read), summary, show)
            .query::<DecisionQuery>()
            .answers::<DecisionView>(200, "The decision, with what led to it.")
            .problems(&["missing-package", "invalid-package", "invalid-team"])
            .problems(&["no-such-revision", "document-unavailable"]),
    ]
}

pub async fn show(
    api: web::Data<Api>,
    by: By,
    request: HttpRequest,
) -> Result<web::Json<DecisionView>, Problem> {
    let query: DecisionQuery = query(&request)?;
    let text = query.package.ok_or_else(|| {
        Problem::bad_request("missing-package", "say which: ?package=npm:left-pad@1.3.0")
    })?;
    let spelling = Spelling::parse(&text)?;
    let package = Package::new(spelling.ecosystem, &spelling.name)?;
    by.check(Right::Read, &Place::package(&package)).map_err(Problem::forbidden)?;
    let version = spelling.version.as_deref().map(Version::new).transpose()?;
    let team = query.team.map(team).transpose()?.or_else(|| by.team.as_deref().map(str::to_owned));
    let asked = Asked { package, version, team };
    Ok(web::Json(decision_of(&api, asked, query.at).await?))
}

/// What is decided of it now, or was by the rules of a revision, and why.
pub(super) async fn decision_of(
    api: &Api,
    asked: Asked,
    at: Option<String>,
) -> Result<DecisionView, Problem> {
    let known = match &asked.version {
        Some(version) => api.memory.recall(&asked.package, version).await?,
        None => Vec::new(),
    };
    let own = api.memory.is_own(&asked.package).await?;
    let stated = stated(api, &asked.package, asked.version.as_ref(), &known).await?;
    let Some(at) = at else {
        let set = api.rules.current();
        return Ok(view(api, &set, api.clock.now(), asked, own, (known, stated)));
    };
    let revision = Revision(at.into());
    let past = api.revisions.find(&revision).await?;
    let now = past.until.unwrap_or_else(|| api.clock.now());
    let (since, until, advisories_of_now) = (past.since, past.until, past.advisories_of_now);
    let view = view(api, &past.set, now, asked, own, (known, stated));
    let at = Some(AtRevision { since, until, advisories_of_now });
    // The name by which it was asked for, also where the advisories are others.
    Ok(DecisionView { at, revision, faults: Vec::new(), ..view })
}

impl From<PastError> for Problem {
    fn from(error: PastError) -> Self {
        match error {
            PastError::Unknown(..) => Self::not_found("no-such-revision", error.to_string()),
            PastError::Metadata(error) => error.into(),
        }
    }
}

/// By the document of the registry whose memory counts.
async fn stated(
    api: &Api,
    package: &Package,
    version: Option<&Version>,
    known: &[Recalled],
) -> Result<Option<Stated>, Problem> {
    let counts = known.iter().find(|recalled| recalled.record.is_some());
    let (Some(version), Some(counts)) = (version, counts) else { return Ok(None) };
    let mut registries = api.registries.iter().map(|(_, registry)| registry);
    let Some(registry) = registries.find(|registry| registry.name == counts.registry) else {
        return Ok(None);
    };
    registry.stated(package, version).await.map_err(|fault| {
        let detail = format!("what {} says of it can not be read: {fault}", registry.name);
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "document-unavailable", detail)
    })
}

/// A team as it is written; it may not be there yet, so that rules for it can be tried.
pub(super) fn team(text: String) -> Result<String, Problem> {
    if is_team(&text) {
        return Ok(text);
    }
    Err(Problem::bad_request("invalid-team", "write a team as unit/team, like web/shop"))
}

/// What is asked, and as whom.
pub(super) struct Asked {
    pub package: Package,
    pub version: Option<Version>,
    pub team: Option<String>,
}

fn view(
    api: &Api,
    set: &RuleSet,
    now: Timestamp,
    asked: Asked,
    own: bool,
    (known, stated): (Vec<Recalled>, Option<Stated>),
) -> DecisionView {
    let Asked { package, version, team } = asked;
    let counts = known.iter().find(|recalled| recalled.record.is_some());
    let mut possible = api.registries.iter().filter(|(of, _)| *of == package.ecosystem());
    let registry = counts
        .map(|recalled| &*recalled.registry)
        .or_else(|| possible.next().map(|(_, registry)| &*registry.name));
    let record = counts.and_then(|recalled| recalled.record.as_ref());
    let remembered = Remembered { registry, record, stated: stated.as_ref() };
    let about = About {
        advisories: set.advisories().of(&package).map(Arc::new),
        similar_to: set.similar_to(&package),
    };
    let said = version.as_ref().map(|version| Said::of(&about, version));
    let said = said.unwrap_or_default();
    let facts = gather_facts(now, &remembered, &said);
    let observing = api.mode == Mode::Observe;
    let faults = api.rules.status().faults;
    let revision = set.revision().clone();
    let Some(version) = version else {
        let purl = package.purl();
        let overview = overview(set, &package, &facts);
        let (considered, others) = (overview.considered, overview.others);
        let seen = known.into_iter().map(Seen::from).collect();
        let (version, decision, facts) = (None, None, None);
        return DecisionView {
            package,
            version,
            team,
            purl,
            decision,
            facts,
            own,
            seen,
            considered,
            others,
            revision,
            observing,
            faults,
            at: None,
        };
    };
    let asked = PackageVersion { package, version };
    let asker = Asker { team: team.as_deref(), environment: None };
    let explanation = explain(set, &asked, &facts, &asker);
    let facts = Some(FactSheet::from(&facts));
    let seen = known.into_iter().map(Seen::from).collect();
    DecisionView {
        purl: asked.purl(),
        package: asked.package,
        version: Some(asked.version),
        team,
        decision: Some(explanation.decision),
        facts,
        own,
        seen,
        considered: explanation.considered,
        others: explanation.others,
        revision,
        observing,
        faults,
        at: None,
    }
}
