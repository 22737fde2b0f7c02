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
use super::status::no_such_registry;
use super::table::{Endpoint, Needs, get};
use super::{Api, By};
use crate::access::rights::{Place, Right};
use crate::config::Mode;
use crate::facts::{About, Remembered, Said, gather_facts};
use crate::metadata::records::VersionRecord;
use crate::registries::Registry;
use crate::rules::revisions::PastError;
use crate::seen::{Recalled, Seen};

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct DecisionQuery {
    /// `npm:left-pad@1.3.0`, or without a version what the rules say of the package.
    package: Option<String>,
    /// As whom: `web/shop`. Left out: as the token that asks.
    team: Option<String>,
    /// Of which registry. Left out: of the first that has seen the version.
    registry: Option<String>,
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
    /// The registry that it is asked of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<String>,
    /// The same as a package URL.
    pub purl: String,
    pub decision: Option<Decision>,
    /// What it was decided by.
    pub facts: Option<FactSheet>,
    /// The package is published here.
    pub own: bool,
    /// What is remembered of the version, in each registry that has seen it.
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
            .problems(&["no-such-registry", "no-such-revision", "document-unavailable"]),
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
    let asked = Asked { package, version, team, registry: query.registry };
    Ok(web::Json(decision_of(&api, asked, query.at).await?))
}

/// What is decided of it now, or was by the rules of a revision, and why.
pub(super) async fn decision_of(
    api: &Api,
    asked: Asked,
    at: Option<String>,
) -> Result<DecisionView, Problem> {
    let registry = match &asked.registry {
        Some(name) => Some(registry_of(api, &asked.package, name)?),
        None => None,
    };
    let seen = match &asked.version {
        Some(version) => api.memory.recall(&asked.package, version).await?,
        None => Vec::new(),
    };
    let first = || seen.iter().find(|recalled| recalled.record.is_some());
    let registry = registry
        .or_else(|| first().and_then(|first| by_name(api, &asked.package, &first.registry)))
        .or_else(|| of_ecosystem(api, &asked.package).next());
    let by = asked.registry.as_ref().and(registry).map(|registry| &*registry.name);
    let own = api.memory.is_own(&asked.package, by).await?;
    let stated = stated(registry, &asked, &seen).await?;
    let known = Known { registry, seen, stated, own };
    let Some(at) = at else {
        let set = api.rules.current();
        return Ok(view(api, &set, api.clock.now(), asked, known));
    };
    let revision = Revision(at.into());
    let past = api.revisions.find(&revision).await?;
    let now = past.until.unwrap_or_else(|| api.clock.now());
    let (since, until, advisories_of_now) = (past.since, past.until, past.advisories_of_now);
    let view = view(api, &past.set, now, asked, known);
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

/// Those that a package like this can be asked of.
fn of_ecosystem<'a>(
    api: &'a Api,
    package: &Package,
) -> impl Iterator<Item = &'a Registry> + use<'a> {
    let ecosystem = package.ecosystem();
    let registries = api.registries.iter().filter(move |(of, _)| *of == ecosystem);
    registries.map(|(_, registry)| registry.as_ref())
}

fn by_name<'a>(api: &'a Api, package: &Package, name: &str) -> Option<&'a Registry> {
    of_ecosystem(api, package).find(|registry| *registry.name == *name)
}

fn registry_of<'a>(api: &'a Api, package: &Package, name: &str) -> Result<&'a Registry, Problem> {
    by_name(api, package, name).ok_or_else(|| no_such_registry(name))
}

/// What it is decided by.
struct Known<'a> {
    registry: Option<&'a Registry>,
    /// By all registries of the format.
    seen: Vec<Recalled>,
    stated: Option<Stated>,
    own: bool,
}

impl Known<'_> {
    fn record(&self) -> Option<&VersionRecord> {
        record_of(self.registry?, &self.seen)
    }
}

fn record_of<'s>(registry: &Registry, seen: &'s [Recalled]) -> Option<&'s VersionRecord> {
    let of_it = seen.iter().find(|recalled| recalled.registry == registry.name);
    of_it.and_then(|recalled| recalled.record.as_ref())
}

/// By the document of the registry that is asked.
async fn stated(
    registry: Option<&Registry>,
    asked: &Asked,
    seen: &[Recalled],
) -> Result<Option<Stated>, Problem> {
    let (Some(registry), Some(version)) = (registry, &asked.version) else { return Ok(None) };
    if record_of(registry, seen).is_none() {
        return Ok(None);
    }
    registry.stated(&asked.package, version).await.map_err(|fault| {
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
    /// Of which registry it is asked; left out, of the first that has seen the version.
    pub registry: Option<String>,
}

fn view(api: &Api, set: &RuleSet, now: Timestamp, asked: Asked, known: Known<'_>) -> DecisionView {
    let Asked { package, version, team, .. } = asked;
    let name = known.registry.map(|registry| &*registry.name);
    let (record, stated) = (known.record(), known.stated.as_ref());
    let remembered = Remembered { registry: name, record, stated };
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
        let (seen, own) = (Vec::new(), known.own);
        let (version, decision, facts) = (None, None, None);
        return DecisionView {
            package,
            version,
            team,
            registry: name.map(str::to_owned),
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
    let registry = name.map(str::to_owned);
    let Known { seen, own, .. } = known;
    let seen = seen.into_iter().map(Seen::from).collect();
    DecisionView {
        purl: asked.purl(),
        package: asked.package,
        version: Some(asked.version),
        team,
        registry,
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
