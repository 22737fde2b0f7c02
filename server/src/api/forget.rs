//! `/forget`: drops what an upstream said of a name that is published here.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use policies::package::Package;
use serde::{Deserialize, Serialize};

use super::problem::Problem;
use super::rules::json_body;
use super::table::{Endpoint, Needs, post};
use super::{Api, By};
use crate::access::rights::{Place, Right};
use crate::pull::PullError;
use crate::pull::forget::{ForgetError, Forgotten};
use crate::registries::Registry;

/// Which name is meant.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ForgetRequest {
    /// `npm:@acme/ui`
    pub package: String,
    /// Not needed where one registry alone has this name as its own.
    #[serde(default)]
    pub registry: Option<String>,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Forgetting)]
pub struct ForgetView {
    pub package: Package,
    /// In which registry.
    pub registry: String,
    #[serde(flatten)]
    pub forgotten: Forgotten,
}

pub fn endpoints() -> Vec<Endpoint> {
    let summary = "Drops what an upstream said of a name that is published here";
    vec![
        post("forget", "/forget", Needs::Some(Right::Administer), summary, forget)
            .takes::<ForgetRequest>("The name.")
            .answers::<ForgetView>(200, "How much was dropped.")
            .problems(&["invalid-package", "no-such-registry", "which-registry", "not-own"])
            .problem("published-here"),
    ]
}

pub async fn forget(
    api: web::Data<Api>,
    by: By,
    request: HttpRequest,
    body: Result<web::Bytes, actix_web::Error>,
) -> Result<web::Json<ForgetView>, Problem> {
    let asked: ForgetRequest = json_body(&request, body, "the name")?;
    let package: Package = asked.package.parse()?;
    by.check(Right::Administer, &Place::package(&package)).map_err(Problem::forbidden)?;
    let registry = registry_of(&api, &package, asked.registry.as_deref())?;
    let forgotten = registry.forget(&package).await?;
    Ok(web::Json(ForgetView { package, registry: registry.name.to_string(), forgotten }))
}

fn registry_of<'a>(
    api: &'a Api,
    package: &Package,
    name: Option<&str>,
) -> Result<&'a Registry, Problem> {
    let asked: Vec<&Registry> = api
        .registries
        .iter()
        .filter(|(ecosystem, _)| *ecosystem == package.ecosystem())
        .map(|(_, registry)| registry.as_ref())
        .filter(|registry| name.is_none_or(|name| *registry.name == *name))
        .collect();
    if let (Some(name), []) = (name, asked.as_slice()) {
        let ecosystem = package.ecosystem();
        let detail = format!("there is no registry {name:?} for packages of {ecosystem}");
        return Err(Problem::not_found("no-such-registry", detail));
    }
    // A stranger's under a name that became own in a sibling goes where somebody says where it lies.
    let is_meant = |registry: &Registry| match name {
        Some(_) => registry.is_own_anywhere(package),
        None => registry.is_own(package),
    };
    let own: Vec<&Registry> = asked.into_iter().filter(|registry| is_meant(registry)).collect();
    match own.as_slice() {
        [registry] => Ok(registry),
        [] => Err(Problem::new(
            StatusCode::CONFLICT,
            "not-own",
            format!(
                "{package} is under `own` of no such registry: what is known of packages of an \
                 upstream is what they are held against, and stays"
            ),
        )),
        several => {
            let names: Vec<&str> = several.iter().map(|registry| &*registry.name).collect();
            Err(Problem::bad_request(
                "which-registry",
                format!(
                    "{package} is own in several registries; say in which: {}",
                    names.join(", ")
                ),
            ))
        }
    }
}

impl From<ForgetError> for Problem {
    fn from(fault: ForgetError) -> Self {
        let detail = fault.to_string();
        match fault {
            ForgetError::Own(_) => Self::new(StatusCode::CONFLICT, "published-here", detail),
            ForgetError::Pull(PullError::Metadata(fault)) => fault.into(),
            ForgetError::Pull(_) => {
                tracing::error!(fault = detail, "the API could not forget a package");
                let detail = format!("not everything was forgotten: {detail}; ask again");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "store-unavailable", detail)
            }
        }
    }
}
