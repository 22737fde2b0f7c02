//! The command on files in a temporary home, without a client and without a server.
#![allow(clippy::unwrap_used)]

use std::sync::LazyLock;

use super::*;

/// What the tests of the notations want to be written.
pub fn wanted(token_env: Option<&str>) -> Wanted<'_> {
    static REGISTRY: LazyLock<Url> =
        LazyLock::new(|| Url::parse("http://garth.example/npm/").unwrap());
    Wanted { registry: &REGISTRY, token_env }
}
