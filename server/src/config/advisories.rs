//! Where advisories are fetched from, and how often.

use std::time::Duration;

use url::Url;

use super::faults::ConfigFault;
use super::parse;
use super::read::Reader;
use super::setting::{Kind, SettingDoc};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdvisoriesConfig {
    pub urls: Vec<Url>,
    pub every: Duration,
    pub stale: Duration,
}

pub(super) const SETTINGS: &[SettingDoc] = &[
    SettingDoc {
        key: "advisories.urls",
        kind: Kind::Texts,
        default: None,
        text: "Archives of advisories that are fetched and imported, each as all that its source has: a \
               database's export such as [\"https://osv.example.com/npm/all.zip\"].",
    },
    SettingDoc {
        key: "advisories.every",
        kind: Kind::duration(60, 30 * 86_400),
        default: Some("6h"),
        text: "How often they are fetched. What did not change since is not sent again, where its server \
               can tell.",
    },
    SettingDoc {
        key: "advisories.stale",
        kind: Kind::duration(3600, 365 * 86_400),
        default: Some("7d"),
        text: "After how long without a new import, or a server that says that nothing changed, it is told \
               that advisories are old.",
    },
];

pub(super) fn read(reader: &mut Reader<'_>) -> AdvisoriesConfig {
    let mut urls = Vec::new();
    for (place, text) in reader.texts("advisories.urls") {
        match parse::base_url(&text) {
            Ok(mut url) if url.path().trim_end_matches('/').contains('.') => {
                // It is a file, and not what other things are below.
                let path = url.path().trim_end_matches('/').to_owned();
                url.set_path(&path);
                urls.push(url);
            }
            _ => reader.fault(
                ConfigFault::new(&place, format!("{text:?} is no http or https URL of an archive"))
                    .remedy("write it as \"https://osv.example.com/npm/all.zip\", without query"),
            ),
        }
    }
    AdvisoriesConfig {
        urls,
        every: reader.duration("advisories.every"),
        stale: reader.duration("advisories.stale"),
    }
}
