//! The table of settings: one row is what a setting is called, takes, defaults to and means.
//!
//! Reading a setting goes through its row, so a setting that is not documented cannot be read, and a
//! default that is documented is the one that holds.

use std::fmt;
use std::time::Duration;

use super::{
    advisories, audit, identity, limits, log, login, provider, recorded, registry, requests, root,
    store, tls, upstream, webhooks,
};

#[derive(Clone, Copy, Debug)]
pub struct SettingDoc {
    /// The dotted key; `*` stands for the name of a registry, an identity or a provider.
    pub key: &'static str,
    pub kind: Kind,
    /// As it would be written; `None` where the setting is left out.
    pub default: Option<&'static str>,
    pub text: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Address,
    Url,
    Path,
    Text,
    Texts,
    Networks,
    /// Names, each with the texts that it may have.
    Claims,
    Secret,
    Flag,
    Choice(&'static [&'static str]),
    Duration {
        min: Duration,
        max: Duration,
    },
    Size {
        min: u64,
        max: u64,
    },
    Count {
        min: u64,
        max: u64,
    },
}

/// Every setting that there is, in the order of the reference.
pub fn settings() -> &'static [SettingDoc] {
    static SETTINGS: std::sync::LazyLock<Vec<SettingDoc>> = std::sync::LazyLock::new(|| {
        [
            root::SETTINGS,
            store::SETTINGS,
            registry::SETTINGS,
            upstream::SETTINGS,
            limits::SETTINGS,
            advisories::SETTINGS,
            recorded::SETTINGS,
            requests::SETTINGS,
            audit::SETTINGS,
            login::SETTINGS,
            provider::SETTINGS,
            identity::SETTINGS,
            webhooks::SETTINGS,
            tls::SETTINGS,
            log::SETTINGS,
        ]
        .concat()
    });
    &SETTINGS
}

pub(super) const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;
pub(super) const GIB: u64 = 1 << 30;

impl SettingDoc {
    /// The environment variable that gives this setting; `*` stands for a registry's name.
    pub fn variable(&self) -> String {
        variable(self.key)
    }
}

pub(super) fn variable(path: &str) -> String {
    format!("GARTH_{}", path.replace(['.', '-'], "_").to_ascii_uppercase())
}

impl Kind {
    pub(super) const fn duration(min: u64, max: u64) -> Self {
        Self::Duration { min: Duration::from_secs(min), max: Duration::from_secs(max) }
    }
}

/// What was expected, as it reads after "expected ".
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => f.write_str("an IP address with a port such as \"127.0.0.1:8642\""),
            Self::Url => f.write_str("an http or https URL"),
            Self::Path => f.write_str("a path"),
            Self::Text => f.write_str("a text"),
            Self::Texts => f.write_str("a list of texts"),
            Self::Networks => f.write_str("a list of networks such as [\"10.0.0.0/8\"]"),
            Self::Claims => f.write_str("a table of texts such as { repository = \"acme/*\" }"),
            Self::Secret => f.write_str("{ env = \"NAME\" } or { file = \"path\" }"),
            Self::Flag => f.write_str("true or false"),
            Self::Choice([only]) => {
                write!(f, "\"{only}\", the only one that this version of garth has")
            }
            Self::Choice(choices) => {
                for (index, choice) in choices.iter().enumerate() {
                    write!(f, "{}\"{choice}\"", if index == 0 { "" } else { " or " })?;
                }
                Ok(())
            }
            Self::Duration { min, max } => write!(
                f,
                "a duration from \"{}\" to \"{}\"",
                written_duration(*min),
                written_duration(*max)
            ),
            Self::Size { min, max } => {
                write!(f, "a size from \"{}\" to \"{}\"", written_size(*min), written_size(*max))
            }
            Self::Count { min, max } => write!(f, "a whole number from {min} to {max}"),
        }
    }
}

fn written_size(bytes: u64) -> String {
    [(1u64 << 40, "TiB"), (GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")]
        .into_iter()
        .find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit))
        .map_or_else(|| format!("{bytes}B"), |(unit, name)| format!("{}{name}", bytes / unit))
}

fn written_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    [(86_400, "d"), (3600, "h"), (60, "m")]
        .into_iter()
        .find(|(unit, _)| seconds >= *unit && seconds.is_multiple_of(*unit))
        .map_or_else(|| format!("{seconds}s"), |(unit, name)| format!("{}{name}", seconds / unit))
}

/// The setting's line in docs/settings.md.
#[cfg(test)]
pub(super) fn reference_row(row: &SettingDoc) -> String {
    let default = row.default.map_or_else(String::new, |default| format!("`{default}`"));
    let kind = row.kind.to_string().replace('|', "\\|");
    format!("| `{}` | `{}` | {kind} | {default} | {} |", row.key, row.variable(), row.text)
}
