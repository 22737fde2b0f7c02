//! The settings above all sections.

use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use url::Url;

use super::faults::ConfigFault;
use super::read::Reader;
use super::setting::{Kind, SettingDoc};

/// What happens to what no rule allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It is refused.
    Enforce,
    /// It is served, and recorded as what would have been refused.
    Observe,
}

/// What whoever sends no token of this garth may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anonymous {
    /// Fetch what the rules let through for everybody.
    Read,
    /// Nothing.
    Nothing,
}

pub(super) const SETTINGS: &[SettingDoc] = &[
    SettingDoc {
        key: "listen",
        kind: Kind::Address,
        default: Some("127.0.0.1:8642"),
        text: "The address that garth listens on. \"0.0.0.0:8642\" opens it to the network.",
    },
    SettingDoc {
        key: "public_url",
        kind: Kind::Url,
        default: None,
        text: "How clients reach garth, for the links that it writes into its answers. Left out, they \
               follow a trusted proxy's Forwarded headers, else the request's Host.",
    },
    SettingDoc {
        key: "data",
        kind: Kind::Path,
        default: Some("garth-data"),
        text: "The directory that holds metadata, blobs and the first admin token. Made if missing.",
    },
    SettingDoc {
        key: "policies",
        kind: Kind::Path,
        default: None,
        text: "A directory of .toml files with rules, watched for changes. Left out, only the rules \
               made by `garth allow`, `deny` and `hold` count.",
    },
    SettingDoc {
        key: "mode",
        kind: Kind::Choice(&["enforce", "observe"]),
        default: Some("enforce"),
        text: "\"enforce\" refuses what no rule allows; \"observe\" serves all and records what would \
               have been refused.",
    },
    SettingDoc {
        key: "anonymous",
        kind: Kind::Choice(&["read", "none"]),
        default: Some("read"),
        text: "What is served without a token of this garth. \"read\": what the rules let through for \
               everybody; \"none\": nothing of any registry.",
    },
    SettingDoc {
        key: "trusted_proxies",
        kind: Kind::Networks,
        default: None,
        text: "Networks whose Forwarded and X-Forwarded-* headers are believed. Left out, none are.",
    },
];

pub(super) struct Root {
    pub listen: SocketAddr,
    pub public_url: Option<Url>,
    pub data: PathBuf,
    pub policies: Option<PathBuf>,
    pub mode: Mode,
    pub anonymous: Anonymous,
    pub trusted_proxies: Vec<IpNet>,
}

pub(super) fn read(reader: &mut Reader<'_>) -> Root {
    let policies = reader.path("policies");
    if let (Some(path), Some(place)) = (&policies, reader.place("policies"))
        && !path.is_dir()
    {
        let what = if path.exists() { "is not a directory" } else { "does not exist" };
        reader.fault(
            ConfigFault::new(&place, format!("{} {what}", path.display()))
                .remedy("make it, or leave the setting out; `garth init` writes a first one"),
        );
    }
    let data = data(reader);
    if let Some(place) = reader.place("data")
        && data.exists()
        && !data.is_dir()
    {
        reader.fault(ConfigFault::new(&place, format!("{} is not a directory", data.display())));
    }
    Root {
        listen: reader.address("listen"),
        public_url: reader.url("public_url"),
        data,
        policies,
        mode: reader
            .choice("mode", |name| match name {
                "enforce" => Some(Mode::Enforce),
                "observe" => Some(Mode::Observe),
                _ => None,
            })
            .unwrap_or(Mode::Enforce),
        anonymous: reader
            .choice("anonymous", |name| match name {
                "read" => Some(Anonymous::Read),
                "none" => Some(Anonymous::Nothing),
                _ => None,
            })
            .unwrap_or(Anonymous::Nothing),
        trusted_proxies: reader.networks("trusted_proxies"),
    }
}

pub(super) fn data(reader: &mut Reader<'_>) -> PathBuf {
    reader.path("data").expect("the row of this setting has a default")
}
