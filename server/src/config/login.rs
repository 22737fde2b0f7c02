//! How people log in.

use std::time::Duration;

use super::read::Reader;
use super::setting::{Kind, SettingDoc};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginConfig {
    /// How long somebody is logged in.
    pub life: Duration,
}

pub(super) const SETTINGS: &[SettingDoc] = &[SettingDoc {
    key: "login.life",
    kind: Kind::duration(300, 30 * 86_400),
    default: Some("12h"),
    text: "How long somebody is logged in: by `garth login`, by `npm login`, by the API, in a browser.",
}];

pub(super) fn read(reader: &mut Reader<'_>) -> LoginConfig {
    LoginConfig { life: reader.duration("login.life") }
}
