//! How requests come to be and who may approve them.

use std::time::Duration;

use super::read::Reader;
use super::setting::{Kind, SettingDoc};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestsConfig {
    /// Refusals make requests.
    pub automatic: bool,
    /// Most open requests that nobody known asked for by name.
    pub max_automatic: u64,
    /// Whoever asked may approve.
    pub own_approval: bool,
    /// How long closed ones are kept.
    pub keep: Duration,
}

pub(super) const SETTINGS: &[SettingDoc] = &[
    SettingDoc {
        key: "requests.automatic",
        kind: Kind::Flag,
        default: Some("true"),
        text: "Whether a refusal makes a request, or joins the one that is open. Left off, only `garth request` \
               makes them.",
    },
    SettingDoc {
        key: "requests.max_automatic",
        kind: Kind::Count { min: 1, max: 20_000 },
        default: Some("5000"),
        text: "How many requests may stand open that no known person asked for. Of more, those that were asked \
               for least fall away.",
    },
    SettingDoc {
        key: "requests.own_approval",
        kind: Kind::Flag,
        default: Some("false"),
        text: "Whether somebody may approve what they asked for themselves.",
    },
    SettingDoc {
        key: "requests.keep",
        kind: Kind::duration(86_400, 3650 * 86_400),
        default: Some("365d"),
        text: "How long a request is kept when it was approved or rejected. So long a rejection answers whoever \
               is refused next.",
    },
];

pub(super) fn read(reader: &mut Reader<'_>) -> RequestsConfig {
    RequestsConfig {
        automatic: reader.flag("requests.automatic"),
        max_automatic: reader.count("requests.max_automatic"),
        own_approval: reader.flag("requests.own_approval"),
        keep: reader.duration("requests.keep"),
    }
}
