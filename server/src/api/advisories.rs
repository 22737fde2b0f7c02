//! `/advisories`: importing them, and looking at what is in force.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use futures_util::StreamExt as _;
use policies::advisories::{Advisory, holes};
use policies::facts::KnownAdvisory;
use policies::package::{Package, Spelling};
use serde::{Deserialize, Serialize};

use super::Api;
use super::problem::Problem;
use super::rules::query;
use super::table::{ADMINISTER, Endpoint, READ, get, post};
use crate::advisories::{AdvisoriesStatus, ImportError, ImportOptions, Imported, MAX_IMPORT};
use crate::blobs::BlobError;

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ImportQuery {
    /// The name under which it is remembered; left out: `default`.
    source: Option<String>,
    /// It is all that the source has: what it has no more is taken away.
    complete: Option<bool>,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// `npm:left-pad`, or `npm:left-pad@1.3.0` for that version alone.
    package: Option<String>,
}

/// What is known of a package, or of one version of it.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AdvisoryList {
    pub package: Package,
    /// Absent where the package as a whole was asked about.
    pub version: Option<String>,
    /// Nothing was ever imported for its ecosystem: that none is listed means nothing.
    pub unknown: bool,
    /// Those that speak of it.
    pub advisories: Vec<KnownView>,
}

/// An advisory, in short.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = AdvisorySummary)]
pub struct KnownView {
    /// Such as `GHSA-…`.
    pub id: String,
    /// Other ids of the same.
    pub aliases: Vec<String>,
    /// The CVSS base score; absent where nobody gave one.
    pub severity: Option<f64>,
    /// The package itself is malware, not merely flawed.
    pub malicious: bool,
    /// Its authors took it back.
    pub withdrawn: bool,
    /// Versions in which it no longer holds.
    pub fixed: Vec<String>,
}

impl From<&KnownAdvisory> for KnownView {
    fn from(known: &KnownAdvisory) -> Self {
        Self {
            id: known.id.to_string(),
            aliases: known.aliases.iter().map(ToString::to_string).collect(),
            severity: known.severity,
            malicious: known.malicious,
            withdrawn: known.withdrawn,
            fixed: known.fixed.iter().map(ToString::to_string).collect(),
        }
    }
}

/// One advisory, with the sources that have it.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = SourcedAdvisory)]
pub struct AdvisoryView {
    /// The names of the sources that have it.
    pub sources: Vec<String>,
    #[serde(flatten)]
    pub advisory: Advisory,
}

pub fn endpoints() -> Vec<Endpoint> {
    let (read, administer) = (READ, ADMINISTER);
    vec![
        get(
            "list_advisories",
            "/advisories",
            read,
            "What is known of a package or a version",
            list,
        )
        .query::<ListQuery>()
        .answers::<AdvisoryList>(200, "The advisories that speak of it.")
        .problems(&["missing-package", "invalid-package"]),
        get("show_advisory", "/advisories/{id}", read, "One advisory", show)
            .part::<String>("id", "Its id, such as GHSA-… or CVE-….")
            .answers::<AdvisoryView>(200, "The advisory.")
            .problem("no-such-advisory"),
        get(
            "advisories_status",
            "/advisories/status",
            read,
            "What is in force of advisories",
            status,
        )
        .answers::<AdvisoriesStatus>(200, "Counts, and the sources that they came from."),
        post("import_advisories", "/advisories/import", administer, "Imports advisories", import)
            .note("Whole or not at all: what is broken changes nothing.")
            .query::<ImportQuery>()
            .takes_bytes("A record in JSON, or a zip or tar archive of them.", MAX_IMPORT)
            .answers::<Imported>(200, "What became of what was sent; it is in force.")
            .problems(&["bad-source", "broken-advisories", "import-failed"]),
    ]
}

/// The body is a record in JSON, or a zip or tar archive of them.
pub async fn import(
    api: web::Data<Api>,
    request: HttpRequest,
    mut body: web::Payload,
) -> Result<web::Json<Imported>, Problem> {
    let query: ImportQuery = query(&request)?;
    let source = query.source.unwrap_or_else(|| "default".to_owned());
    let options = ImportOptions { source, complete: query.complete.unwrap_or(false) };
    let mut staged = api.advisories.stage().await?;
    let mut size = 0;
    while let Some(piece) = body.next().await {
        let broken = |_| Problem::bad_request("broken-body", "what was sent broke off");
        let piece = piece.map_err(broken)?;
        size += piece.len() as u64;
        if size > MAX_IMPORT {
            let detail = format!("at most {MAX_IMPORT} bytes are imported at once");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail));
        }
        staged.write(piece).await?;
    }
    Ok(web::Json(api.advisories.import(staged, options).await?))
}

pub async fn status(api: web::Data<Api>) -> Result<web::Json<AdvisoriesStatus>, Problem> {
    Ok(web::Json(api.advisories.status().await?))
}

pub async fn list(
    api: web::Data<Api>,
    request: HttpRequest,
) -> Result<web::Json<AdvisoryList>, Problem> {
    let query: ListQuery = query(&request)?;
    let text = query.package.ok_or_else(|| {
        Problem::bad_request("missing-package", "say which: ?package=npm:left-pad@1.3.0")
    })?;
    let spelling = Spelling::parse(&text)?;
    let package = Package::new(spelling.ecosystem, &spelling.name)?;
    let set = api.rules.current();
    let known = set.advisories().of(&package);
    let found = known.as_ref().map(|known| match &spelling.version {
        Some(version) => holes(&known.affecting(version)),
        None => holes(&known.all()),
    });
    let advisories = found.iter().flat_map(|found| found.iter().map(KnownView::from)).collect();
    let (version, unknown) = (spelling.version, known.is_none());
    Ok(web::Json(AdvisoryList { package, version, unknown, advisories }))
}

pub async fn show(
    api: web::Data<Api>,
    id: web::Path<String>,
) -> Result<web::Json<AdvisoryView>, Problem> {
    let found = api.advisories.find(&id).await?;
    let (advisory, sources) = found.ok_or_else(|| {
        let id: String = id.chars().take(80).collect();
        Problem::not_found("no-such-advisory", format!("there is no advisory {id:?}"))
    })?;
    Ok(web::Json(AdvisoryView { sources, advisory }))
}

impl From<ImportError> for Problem {
    fn from(fault: ImportError) -> Self {
        let detail = fault.to_string();
        match fault {
            ImportError::Broken(_) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "broken-advisories", detail)
            }
            ImportError::BadSource(_) => Self::bad_request("bad-source", detail),
            ImportError::Metadata(fault) => fault.into(),
            ImportError::Blobs(fault) => fault.into(),
            ImportError::Internal(_) => {
                tracing::error!(fault = detail, "an import of advisories failed");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "import-failed", detail)
            }
        }
    }
}

impl From<BlobError> for Problem {
    fn from(fault: BlobError) -> Self {
        let detail = fault.to_string();
        let (status, code) = match fault {
            BlobError::Full(_) => (StatusCode::INSUFFICIENT_STORAGE, "store-full"),
            _ => (StatusCode::SERVICE_UNAVAILABLE, "store-unavailable"),
        };
        Self::new(status, code, detail)
    }
}
