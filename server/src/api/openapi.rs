//! The OpenAPI 3.1 document of the route table.

use std::collections::BTreeMap;

use utoipa::ToSchema;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, PathsBuilder, RefOr,
    Schema, ServerBuilder,
};

use super::problem::Problem;
use super::table::{TOKEN, table};

const ABOUT: &str = "Everything that the commands of garth do, for programs. Bodies are JSON. What is \
                     not done is answered as `application/problem+json` with a stable `code`. Each \
                     operation says in `x-garth-right` which right a token needs for it.";

/// The groups of endpoints, by the first part of their paths.
const GROUPS: [(&str, &str); 25] = [
    ("advisories", "What is known to be wrong with versions."),
    ("closures", "What would be installed with a package."),
    ("decisions", "What is decided of a version, and why."),
    ("docs", "This page."),
    ("events", "What happens, as it happens."),
    ("forget", "Dropping what an upstream said of a name that is published here."),
    ("log", "What was done, by whom and why."),
    ("login", "Logging in by a name and a password, or at a provider."),
    ("logout", "Ending a login."),
    ("me", "Who asks."),
    ("observed", "What would have been refused if nobody had only observed."),
    ("openapi.json", "This document."),
    ("packages", "What is in this garden."),
    ("policy", "Policy files that are not in force, tried."),
    ("registries", "In front of what this garden stands."),
    ("requests", "Asking for what is refused, and answering."),
    ("roles", "Sets of rights that have a name."),
    ("rules", "What is allowed, held and denied, from files and by command."),
    ("settings", "What is set."),
    ("status", "How this garden is."),
    ("teams", "Those that tokens and rules can speak of."),
    ("tokens", "Who may ask, and for what."),
    ("units", "What several teams have in common."),
    ("users", "People and services that are known by name."),
    ("webhooks", "Where events are sent, and what came of it."),
];

/// For a client that begins at `base`.
pub fn document(base: &str) -> OpenApi {
    let mut paths = PathsBuilder::new();
    let mut schemas: BTreeMap<String, RefOr<Schema>> = BTreeMap::new();
    schemas.insert(Problem::name().into_owned(), <Problem as utoipa::PartialSchema>::schema());
    let mut more = Vec::new();
    Problem::schemas(&mut more);
    schemas.extend(more);
    for endpoint in table() {
        paths = paths.path(endpoint.path, endpoint.item(base));
        schemas.extend(endpoint.schemas());
    }
    // The derive macro names it, and nothing refers to it.
    schemas.remove("String");
    let licence = LicenseBuilder::new().name(env!("CARGO_PKG_LICENSE"));
    let info = InfoBuilder::new()
        .title("garth")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(licence.build()));
    let mut http = Http::new(HttpAuthScheme::Bearer);
    http.description = Some("A token of this garth, as `garth token create` makes one.".to_owned());
    let components = ComponentsBuilder::new()
        .schemas_from_iter(schemas)
        .security_scheme(TOKEN, SecurityScheme::Http(http));
    let tags =
        GROUPS.map(|(name, about)| TagBuilder::new().name(name).description(Some(about)).build());
    OpenApiBuilder::new()
        .info(info)
        .servers(Some([ServerBuilder::new().url(base).build()]))
        .tags(Some(tags))
        .paths(paths)
        .components(Some(components.build()))
        .build()
}

#[cfg(test)]
mod tests;
