//! How names are described to those who send them: as the texts that they are written as.

use utoipa::openapi::schema::{Object, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::{Package, PackageVersion, Version};

fn text(about: &str, example: &str) -> RefOr<Schema> {
    let text = Object::builder().schema_type(Type::String);
    text.description(Some(about)).examples([example]).build().into()
}

impl PartialSchema for Package {
    fn schema() -> RefOr<Schema> {
        text("A package: its ecosystem and its name.", "npm:left-pad")
    }
}

impl PartialSchema for Version {
    fn schema() -> RefOr<Schema> {
        text("A version, as its ecosystem writes it.", "1.3.0")
    }
}

impl PartialSchema for PackageVersion {
    fn schema() -> RefOr<Schema> {
        text("A version of a package.", "npm:left-pad@1.3.0")
    }
}

impl ToSchema for Package {}
impl ToSchema for Version {}
impl ToSchema for PackageVersion {}
