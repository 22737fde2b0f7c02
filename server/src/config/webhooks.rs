//! Where webhooks may lead, and for how long they are tried.

use std::path::PathBuf;
use std::time::Duration;

use super::read::Reader;
use super::registry::read_hosts;
use super::setting::{Kind, SettingDoc};
use super::tls::existing_file;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhooksConfig {
    /// Hosts, or `host:port`, that may have private addresses, and be asked without TLS.
    pub allow_hosts: Vec<String>,
    pub timeout: Duration,
    pub give_up: Duration,
    /// A file of certificates that are trusted beside the system's.
    pub certificate_authority: Option<PathBuf>,
}

pub(super) const SETTINGS: &[SettingDoc] = &[
    SettingDoc {
        key: "webhooks.allow_hosts",
        kind: Kind::Texts,
        default: None,
        text: "Hosts (or \"host:port\") that webhooks may be sent to although they have private addresses or speak plain \
               http.",
    },
    SettingDoc {
        key: "webhooks.timeout",
        kind: Kind::duration(1, 120),
        default: Some("15s"),
        text: "How long a receiver may take for its answer.",
    },
    SettingDoc {
        key: "webhooks.give_up",
        kind: Kind::duration(1, 30 * 86_400),
        default: Some("24h"),
        text: "How long one delivery is tried. A webhook that delivers nothing for all that time is stopped.",
    },
    SettingDoc {
        key: "webhooks.certificate_authority",
        kind: Kind::Path,
        default: None,
        text: "A file of certificates (PEM) that receivers may be certified by, beside those that the system trusts.",
    },
];

pub(super) fn read(reader: &mut Reader<'_>) -> WebhooksConfig {
    WebhooksConfig {
        allow_hosts: read_hosts(reader, "webhooks.allow_hosts"),
        timeout: reader.duration("webhooks.timeout"),
        give_up: reader.duration("webhooks.give_up"),
        certificate_authority: existing_file(reader, "webhooks.certificate_authority"),
    }
}
