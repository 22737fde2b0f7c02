//! The OpenAPI 3.1 document of the route table.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, PathsBuilder, Ref,
    RefOr, Schema, ServerBuilder,
};

use super::problem::Problem;
use super::table::{SESSION, TOKEN, table};
use crate::access::session;

const ABOUT: &str = "Everything that the commands of garth do, for programs. Bodies are JSON. What is \
                     not done is answered as `application/problem+json` with a stable `code`. Each \
                     operation says in `x-garth-right` which right a token needs for it.";
const ABOUT_SESSION: &str = "The login of a browser at a provider, where there is one. What changes something by it \
                             has to come from a page of this garth (`Origin` or `Sec-Fetch-Site`). A token goes \
                             before it. Where the public URL of this garth is plain http the cookie is \
                             `garth-session`.";

/// The groups of endpoints, by the first part of their paths.
const GROUPS: [(&str, &str); 28] = [
    ("advisories", "What is known to be wrong with versions."),
    ("closures", "What would be installed with a package."),
    ("decisions", "What is decided of a version, and why."),
    ("docs", "This page."),
    ("events", "What happens, as it happens."),
    ("forget", "Dropping what an upstream said of a name that is published here."),
    ("jobs", "What is done in the background."),
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
    ("statistics", "How much is asked for and stored."),
    ("status", "How this garden is."),
    ("teams", "Those that tokens and rules can speak of."),
    ("tokens", "Who may ask, and for what."),
    ("units", "What several teams have in common."),
    ("users", "People and services that are known by name."),
    ("waivers", "The rules that lift a deny or a hold until a day."),
    ("webhooks", "Where events are sent, and what came of it."),
];

/// What the derive macro refers to where there is a time: it takes all of them for texts.
const TIMES: &str = "String";
/// What they are called instead.
const TIME: &str = "Time";

fn time() -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .description(Some("A moment, as RFC 3339 writes it: `2030-01-01T12:00:00Z`."))
        .build()
        .into()
}

/// Gives the times in a document the schema that they have.
fn refer_to_time(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(to)
                        if name == "$ref" && *to == Ref::from_schema_name(TIMES).ref_location =>
                    {
                        *to = Ref::from_schema_name(TIME).ref_location;
                    }
                    value => refer_to_time(value),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(refer_to_time),
        _ => {}
    }
}

/// For a client that begins at `base`, as JSON.
pub fn document(base: &str) -> Value {
    // The builder's types are plain data, so they can always be written.
    let mut document = serde_json::to_value(build(base)).unwrap_or_default();
    refer_to_time(&mut document);
    document
}

fn build(base: &str) -> OpenApi {
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
    schemas.remove(TIMES);
    schemas.insert(TIME.to_owned(), time());
    let licence = LicenseBuilder::new().name(env!("CARGO_PKG_LICENSE"));
    let info = InfoBuilder::new()
        .title("garth")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(licence.build()));
    let mut http = Http::new(HttpAuthScheme::Bearer);
    http.description = Some("A token of this garth, as `garth token create` makes one.".to_owned());
    let cookie = ApiKeyValue::with_description(session::SAFE, ABOUT_SESSION);
    let components = ComponentsBuilder::new()
        .schemas_from_iter(schemas)
        .security_scheme(TOKEN, SecurityScheme::Http(http))
        .security_scheme(SESSION, SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
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
