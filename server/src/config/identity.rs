//! Pipelines that are known by a signed token of their own system.

use std::collections::BTreeMap;
use std::time::Duration;

use policies::asker::is_word;
use url::{Host, Url};

use super::faults::{ConfigFault, Place};
use super::parse;
use super::read::Reader;
use super::setting::{Kind, SettingDoc};
use super::source::Value;
use super::tls;
use crate::person::rights::Rights;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityConfig {
    pub name: String,
    /// As its tokens say it, letter by letter.
    pub issuer: String,
    /// Where it is asked for its keys.
    pub url: Url,
    pub audience: String,
    /// Each of them has to be said, as one of its texts.
    pub claims: BTreeMap<String, Vec<String>>,
    pub team: Option<String>,
    pub rights: Rights,
    /// How long what it is exchanged for is valid.
    pub life: Duration,
    /// Hosts beside the issuer's own that may have its keys.
    pub allow_hosts: Vec<String>,
    /// A file that is there.
    pub certificate_authority: Option<std::path::PathBuf>,
}

pub(super) const SETTINGS: &[SettingDoc] = &[
    SettingDoc {
        key: "identity.*.issuer",
        kind: Kind::Text,
        default: None,
        text: "The address of the system that signs the tokens of its pipelines, letter by letter as they \
               say it in `iss`. Its keys are found below it, by OpenID Connect's discovery.",
    },
    SettingDoc {
        key: "identity.*.audience",
        kind: Kind::Text,
        default: None,
        text: "Whom the tokens are for, as they say it in `aud`: a word for this garth that nothing else \
               takes.",
    },
    SettingDoc {
        key: "identity.*.claims",
        kind: Kind::Claims,
        default: None,
        text: "What the tokens have to say, all of it: `{ repository = \"acme/*\", ref = \
               [\"refs/heads/main\", \"refs/tags/v*\"] }`. `*` stands for any run of characters.",
    },
    SettingDoc {
        key: "identity.*.team",
        kind: Kind::Text,
        default: None,
        text: "The team as one of which such a pipeline asks.",
    },
    SettingDoc {
        key: "identity.*.rights",
        kind: Kind::Texts,
        default: None,
        text: "What it may: `[\"publish=npm:@acme/*\"]`. Left out, to read.",
    },
    SettingDoc {
        key: "identity.*.life",
        kind: Kind::duration(60, 12 * 3600),
        default: Some("1h"),
        text: "How long it may with the token that it is given.",
    },
    SettingDoc {
        key: "identity.*.allow_hosts",
        kind: Kind::Texts,
        default: None,
        text: "Hosts (or \"host:port\"), beside the issuer's own, that may have its keys.",
    },
    SettingDoc {
        key: "identity.*.certificate_authority",
        kind: Kind::Path,
        default: None,
        text: "A PEM file with certificates that are trusted for this issuer beside the system's.",
    },
];

pub(super) fn names(reader: &Reader<'_>) -> BTreeMap<String, Place> {
    let Some((_, node)) = reader.table.get("identity") else { return BTreeMap::new() };
    let Value::Table(table) = &node.value else { return BTreeMap::new() };
    table.iter().map(|(name, (place, _))| (name.clone(), place.clone())).collect()
}

/// In the order of names.
pub(super) fn read(
    reader: &mut Reader<'_>,
    names: &BTreeMap<String, Place>,
) -> Vec<IdentityConfig> {
    let mut identities = Vec::new();
    for (name, place) in names {
        if !is_word(name) {
            let fault = ConfigFault::new(place, format!("{name:?} is no name of an identity"));
            reader.fault(fault.remedy("use letters, digits, `-`, `_` and `.`"));
            continue;
        }
        reader.registry = Some(name.clone());
        identities.extend(read_one(reader, name, place));
    }
    reader.registry = None;
    identities
}

fn read_one(reader: &mut Reader<'_>, name: &str, place: &Place) -> Option<IdentityConfig> {
    let issuer = required(reader, "an identity", "identity.*.issuer", place);
    let audience = required(reader, "an identity", "identity.*.audience", place);
    let claims = reader.claims("identity.*.claims").unwrap_or_default();
    if claims.is_empty() {
        // Else every pipeline of everybody who uses that system would be let in.
        reader.missing(
            ConfigFault::new(place, format!("the identity {name:?} asks for no claims"))
                .remedy("say which pipelines are meant: claims = { repository = \"acme/*\" }"),
        );
    }
    let url = issuer.as_deref().and_then(|issuer| {
        let place = reader.place("identity.*.issuer")?;
        read_issuer(reader, &place, issuer)
    });
    let rights = read_rights(reader);
    let read = IdentityConfig {
        name: name.to_owned(),
        issuer: issuer?,
        url: url?,
        audience: audience?,
        claims,
        team: reader.text("identity.*.team"),
        rights,
        life: reader.duration("identity.*.life"),
        allow_hosts: read_hosts(reader, "identity.*.allow_hosts"),
        certificate_authority: tls::existing_file(reader, "identity.*.certificate_authority"),
    };
    Some(read)
}

pub(super) fn required(
    reader: &mut Reader<'_>,
    whose: &str,
    key: &str,
    place: &Place,
) -> Option<String> {
    let text = reader.text(key).filter(|text| !text.is_empty());
    if text.is_none() {
        let last = key.rsplit('.').next().unwrap_or(key);
        let fault = ConfigFault::new(place, format!("{whose} needs its {last}"));
        reader.missing(fault.remedy(format!("add {last} = \"…\"")));
    }
    text
}

/// What is asked for keys over plain http could be anybody.
pub(super) fn read_issuer(reader: &mut Reader<'_>, place: &Place, issuer: &str) -> Option<Url> {
    let url = parse::base_url(issuer).ok().filter(is_safe);
    if url.is_none() {
        let fault = ConfigFault::new(place, "expected the https URL of an issuer");
        reader.fault(fault.remedy("write it as its tokens do: \"https://ci.example.com\""));
    }
    url
}

/// Nobody reads along: https, or this machine.
pub fn is_safe(url: &Url) -> bool {
    url.scheme() == "https" || is_here(url)
}

fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn read_rights(reader: &mut Reader<'_>) -> Rights {
    let texts = reader.texts("identity.*.rights");
    match Rights::parse(texts.iter().map(|(_, text)| text.as_str())) {
        Ok(rights) => rights.with_read(),
        Err(fault) => {
            if let Some((place, _)) = texts.first() {
                reader.fault(ConfigFault::new(place, fault.to_string()));
            }
            Rights::none()
        }
    }
}

pub(super) fn read_hosts(reader: &mut Reader<'_>, key: &str) -> Vec<String> {
    let hosts = reader.texts(key);
    let mut parsed = Vec::new();
    for (place, host) in hosts {
        match parse::host(&host) {
            Some(host) => parsed.push(host),
            None => {
                reader.fault(ConfigFault::new(&place, "expected a host name or an address"));
            }
        }
    }
    parsed
}
