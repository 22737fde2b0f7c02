//! `/closures`: what would be installed with a package; and many decisions at once.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use policies::package::{Package, PackageVersion, Spelling};
use serde::{Deserialize, Serialize};

use super::decisions::team;
use super::problem::Problem;
use super::rules::json_body;
use super::table::{ADMINISTER, Endpoint, post};
use super::{Api, By};
use crate::gate::Asking;
use crate::registries::closure::{Among, Closure, ClosureError, Decided, Question};
use crate::registries::refusal::status_of;

/// Versions that are asked about at once.
pub const DECISIONS_AT_ONCE: usize = 10_000;

/// Of which package the closure is asked for.
#[derive(Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClosureRequest {
    /// `npm:express`, or with what is wanted of it: `npm:express@^4`
    pub package: String,
    /// The same apart from its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versions: Option<String>,
    /// Not needed where one registry alone can be meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<String>,
    #[serde(default)]
    pub among: Among,
    /// For whom it is decided: `web/shop`. Left out: for the token that asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
}

/// Versions that are asked about.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecisionsRequest {
    /// `npm:left-pad@1.3.0`
    pub versions: Vec<PackageVersion>,
    /// Of those that a registry has to be asked about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<String>,
    /// As in [`ClosureRequest`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
}

pub fn endpoints() -> Vec<Endpoint> {
    vec![
        post("decide_many", "/decisions", ADMINISTER, "Many decisions at once", decide)
            .takes::<DecisionsRequest>("The versions that are asked about.")
            .answers::<Decided>(200, "A decision for each, in their order.")
            .problems(&["invalid-team", "too-many-versions", "rules-unavailable", "busy"])
            .problems(&["no-such-registry", "which-registry", "not-served-yet"])
            .problems(&["unreadable-version", "unknown-package", "upstream-failed"]),
        post("show_closure", "/closures", ADMINISTER, "What is installed with a package", closure)
            .note("It is worked out as the ecosystem's own client would. Nothing is allowed by asking.")
            .takes::<ClosureRequest>("What is wanted.")
            .answers::<Closure>(200, "Every version of it, with its decision.")
            .problems(&["invalid-package", "invalid-team", "two-versions", "unreadable-version"])
            .problems(&["no-such-registry", "which-registry", "not-served-yet"])
            .problems(&["unknown-package", "too-many-packages", "upstream-failed"])
            .problems(&["rules-unavailable", "busy"]),
    ]
}

pub async fn closure(
    api: web::Data<Api>,
    by: By,
    request: HttpRequest,
    body: Result<web::Bytes, actix_web::Error>,
) -> Result<web::Json<Closure>, Problem> {
    let asked: ClosureRequest = json_body(&request, body, "the question")?;
    let spelling = Spelling::parse(&asked.package)?;
    if spelling.version.is_some() && asked.versions.is_some() {
        let detail = "`package` names a version and `versions` does: give one of them";
        return Err(Problem::bad_request("two-versions", detail));
    }
    let question = Question {
        package: Package::new(spelling.ecosystem, &spelling.name)?,
        wanted: spelling.version.or(asked.versions),
        registry: asked.registry,
        among: asked.among,
        asking: asking(asked.team, &by)?,
    };
    Ok(web::Json(api.closures.closure(question).await?))
}

fn asking(named: Option<String>, by: &By) -> Result<Asking, Problem> {
    let named = named.map(team).transpose()?.map(Into::into);
    Ok(Asking { team: named.or_else(|| by.team.clone()), environment: None })
}

/// Many decisions at once, without what led to each.
pub async fn decide(
    api: web::Data<Api>,
    by: By,
    request: HttpRequest,
    body: Result<web::Bytes, actix_web::Error>,
) -> Result<web::Json<Decided>, Problem> {
    let asked: DecisionsRequest = json_body(&request, body, "the versions")?;
    if asked.versions.len() > DECISIONS_AT_ONCE {
        let detail = format!(
            "{} versions are more than the {DECISIONS_AT_ONCE} that are decided at once",
            asked.versions.len()
        );
        return Err(Problem::bad_request("too-many-versions", detail));
    }
    let (registry, asking) = (asked.registry.as_deref(), asking(asked.team, &by)?);
    Ok(web::Json(api.closures.decide(asked.versions, registry, &asking).await?))
}

impl From<ClosureError> for Problem {
    fn from(error: ClosureError) -> Self {
        let detail = error.to_string();
        match error {
            ClosureError::Unreadable(_) => Self::bad_request("unreadable-version", detail),
            ClosureError::NotServed(_) => {
                Self::new(StatusCode::NOT_IMPLEMENTED, "not-served-yet", detail)
            }
            ClosureError::NoSuchRegistry(_) => Self::not_found("no-such-registry", detail),
            ClosureError::WhichRegistry(_) => Self::bad_request("which-registry", detail),
            ClosureError::Unknown(_) => Self::not_found("unknown-package", detail),
            ClosureError::TooMany(_) => Self::bad_request("too-many-packages", detail),
            ClosureError::Pull { fault, .. } => {
                Self::new(status_of(&fault), "upstream-failed", detail)
            }
            ClosureError::NoRules(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "rules-unavailable", detail)
            }
            ClosureError::Busy => Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail),
        }
    }
}
