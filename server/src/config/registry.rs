//! One registry: the format that it speaks and the upstream behind it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use policies::rules::Pattern;
use url::Url;

use super::faults::{ConfigFault, Place};
use super::format::Format;
use super::parse;
use super::read::Reader;
use super::secret::Secret;
use super::setting::{Kind, SettingDoc, variable};
use super::source::Value;
use super::tls;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryConfig {
    /// The first part of its URLs: unique, and never a reserved name.
    pub name: String,
    pub format: Format,
    /// Ends in `/` and holds no credentials; `None` for own packages only.
    pub upstream: Option<Url>,
    pub credentials: Option<Credentials>,
    /// A file that is there.
    pub certificate_authority: Option<PathBuf>,
    /// Patterns of names, in the ecosystem of the format, that are never asked of the upstream.
    pub own: Vec<String>,
    /// Own versions may be taken away again.
    pub unpublish: bool,
    /// Addresses of indexes, beside those of this garth, that own crates may depend on.
    pub dependency_indexes: Vec<String>,
    /// A search asks the upstream's own, too.
    pub upstream_search: bool,
    pub max_age: Duration,
    pub max_stale: Duration,
    /// Hosts, or `host:port`, beside the upstream's own that may have private addresses.
    pub allow_hosts: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    Basic { username: String, password: Secret },
    Bearer(Secret),
}

/// First parts of URLs that are garth's own.
pub const RESERVED_NAMES: &[&str] = &["api", "ui", "healthz", "readyz", "metrics", "v2"];

const NAME_LENGTH: usize = 64;

pub(super) const SETTINGS: &[SettingDoc] = &[
    SettingDoc {
        key: "registry.*.format",
        kind: Kind::Choice(&["npm", "cargo"]),
        default: None,
        text: "The protocol that the registry speaks. May be left out where the registry is called like its format.",
    },
    SettingDoc {
        key: "registry.*.upstream",
        kind: Kind::Url,
        default: None,
        text: "The registry behind this one. Left out, only own packages are served.",
    },
    SettingDoc {
        key: "registry.*.username",
        kind: Kind::Text,
        default: None,
        text: "The user name that the upstream asks for; goes with `password`.",
    },
    SettingDoc {
        key: "registry.*.password",
        kind: Kind::Secret,
        default: None,
        text: "The password for `username`, as { file = \"path\" } or { env = \"NAME\" }.",
    },
    SettingDoc {
        key: "registry.*.token",
        kind: Kind::Secret,
        default: None,
        text: "A token that the upstream takes (npm's _authToken, or cargo's), as { file = \"path\" } or { env = \"NAME\" }; instead \
               of `username` and `password`.",
    },
    SettingDoc {
        key: "registry.*.certificate_authority",
        kind: Kind::Path,
        default: None,
        text: "A PEM file with certificates that are trusted for the upstream, beside the system's.",
    },
    SettingDoc {
        key: "registry.*.own",
        kind: Kind::Texts,
        default: None,
        text: "Patterns of package names that are published here, such as [\"@acme/*\", \"acme-*\"]. \
               They are never asked of the upstream, nor of that of another registry of the format.",
    },
    SettingDoc {
        key: "registry.*.unpublish",
        kind: Kind::Flag,
        default: Some("false"),
        text: "Whether `npm unpublish` may take own versions away. Nothing else is ever published under such a version.",
    },
    SettingDoc {
        key: "registry.*.dependency_indexes",
        kind: Kind::Texts,
        default: None,
        text: "Addresses of other crates indexes, such as \"sparse+https://index.example.com/\", that own crates may have \
               dependencies from, beside the registries of this garth and what they replace.",
    },
    SettingDoc {
        key: "registry.*.upstream_search",
        kind: Kind::Flag,
        default: Some("false"),
        text: "Whether `cargo search` also asks the search of the upstream, at the `api` of its config.json, which learns the \
               words then.",
    },
    SettingDoc {
        key: "registry.*.max_age",
        kind: Kind::duration(0, 30 * 86_400),
        default: Some("5m"),
        text: "How long a document is served before the upstream is asked whether it changed.",
    },
    SettingDoc {
        key: "registry.*.max_stale",
        kind: Kind::duration(0, 3650 * 86_400),
        default: Some("7d"),
        text: "How old a document may be and still be served, marked as stale, while the upstream is \
               down.",
    },
    SettingDoc {
        key: "registry.*.allow_hosts",
        kind: Kind::Texts,
        default: None,
        text: "Hosts (or \"host:port\"), beside the upstream's own, where its documents may keep files or have their search, and \
               that may have private addresses; \"*.example.com\" for all below a name, at public addresses alone.",
    },
];

/// What means something in registries of one format alone.
const OF_ONE_FORMAT: &[(&str, Format)] = &[
    ("registry.*.unpublish", Format::Npm),
    ("registry.*.dependency_indexes", Format::Cargo),
    ("registry.*.upstream_search", Format::Cargo),
];

/// Names under `registry` in the file, with their places, and those that only the environment gives.
pub(super) fn names(reader: &Reader<'_>) -> BTreeMap<String, Place> {
    let mut names: BTreeMap<String, Place> = match reader.table.get("registry") {
        Some((_, node)) => match &node.value {
            Value::Table(table) => {
                table.iter().map(|(name, (place, _))| (name.clone(), place.clone())).collect()
            }
            _ => BTreeMap::new(),
        },
        None => BTreeMap::new(),
    };
    let in_file: BTreeSet<String> = names.keys().cloned().collect();
    for name in reader.env.registries(&in_file) {
        let place = Place::Variable(format!("{}_*", variable(&format!("registry.{name}"))));
        names.insert(name, place);
    }
    names
}

/// Every registry, in the order of names.
pub(super) fn read(
    reader: &mut Reader<'_>,
    names: &BTreeMap<String, Place>,
) -> Vec<RegistryConfig> {
    let mut registries = Vec::new();
    for (name, place) in names {
        check_name(reader, "registry", name, place);
        reader.registry = Some(name.clone());
        registries.extend(read_one(reader, name, place));
    }
    reader.registry = None;
    registries
}

/// A fault for a name that cannot be the first part of a URL. Environments share these rules.
pub(super) fn check_name(reader: &mut Reader<'_>, what: &str, name: &str, place: &Place) {
    let shape = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if RESERVED_NAMES.contains(&name) {
        reader.fault(
            ConfigFault::new(place, format!("the name {name:?} is reserved for garth's own pages"))
                .remedy(format!("give the {what} another name")),
        );
    } else if name.is_empty()
        || name.len() > NAME_LENGTH
        || name.starts_with('-')
        || !name.chars().all(shape)
    {
        reader.fault(
            ConfigFault::new(
                place,
                format!("{name:?} cannot be the name of {}", with_article(what)),
            )
            .remedy(format!(
                "it is part of URLs: up to {NAME_LENGTH} lower-case letters, digits and hyphens"
            )),
        );
    }
}

fn with_article(what: &str) -> String {
    let article = if what.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {what}")
}

fn read_one(reader: &mut Reader<'_>, name: &str, place: &Place) -> Option<RegistryConfig> {
    let format = read_format(reader, name, place);
    check_fit(reader, name, format);
    let registry = RegistryConfig {
        name: name.to_owned(),
        format: format.unwrap_or(Format::Npm),
        upstream: reader.url("registry.*.upstream"),
        credentials: read_credentials(reader),
        certificate_authority: tls::existing_file(reader, "registry.*.certificate_authority"),
        own: read_own(reader, format),
        unpublish: reader.flag("registry.*.unpublish"),
        dependency_indexes: read_indexes(reader),
        upstream_search: reader.flag("registry.*.upstream_search"),
        max_age: reader.duration("registry.*.max_age"),
        max_stale: reader.duration("registry.*.max_stale"),
        allow_hosts: read_hosts_or_sites(reader, "registry.*.allow_hosts"),
    };
    format.map(|_| registry)
}

fn read_format(reader: &mut Reader<'_>, name: &str, place: &Place) -> Option<Format> {
    let given = reader.place("registry.*.format");
    let format = match (&given, Format::of_name(name)) {
        (Some(_), _) => reader.choice("registry.*.format", Format::of_name)?,
        (None, Some(format)) => format,
        (None, None) => {
            let fault = ConfigFault::new(place, format!("the registry {name:?} has no format"));
            reader.missing(fault.remedy(match place {
                Place::Variable(_) => {
                    let variable = variable(&reader.path_of("registry.*.format"));
                    format!("set {variable}={}", Format::SERVED[0])
                }
                _ => format!("add format = \"{}\"", Format::SERVED[0]),
            }));
            return None;
        }
    };
    if !Format::SERVED.contains(&format) {
        let served: Vec<&str> = Format::SERVED.iter().map(|format| format.name()).collect();
        reader.fault(ConfigFault::new(
            given.as_ref().unwrap_or(place),
            format!(
                "the format \"{format}\" is not served yet; this version of garth serves: {}",
                served.join(", ")
            ),
        ));
        return None;
    }
    Some(format)
}

/// Whether a setting means something in registries of this format.
pub fn fits(key: &str, format: Format) -> bool {
    OF_ONE_FORMAT.iter().all(|&(of_one, of)| of_one != key || of == format)
}

/// A fault for each setting that would do nothing here.
fn check_fit(reader: &mut Reader<'_>, name: &str, format: Option<Format>) {
    let Some(format) = format else { return };
    for &(key, of) in OF_ONE_FORMAT.iter().filter(|&&(key, _)| !fits(key, format)) {
        let Some(place) = reader.place(key) else { continue };
        let setting = key.rsplit('.').next().unwrap_or(key);
        let told =
            format!("{setting} is for {of} registries, and the registry {name:?} is {format}'s");
        reader.fault(ConfigFault::new(&place, told).remedy("leave it out here"));
    }
}

fn read_credentials(reader: &mut Reader<'_>) -> Option<Credentials> {
    let username = reader.text("registry.*.username");
    let password = reader.secret("registry.*.password");
    let token = reader.secret("registry.*.token");
    let at = |reader: &Reader<'_>, key| reader.place(key);
    let places = [
        at(reader, "registry.*.username"),
        at(reader, "registry.*.password"),
        at(reader, "registry.*.token"),
    ];
    match places {
        [Some(place), _, Some(_)] | [_, Some(place), Some(_)] => reader.fault(
            ConfigFault::new(&place, "an upstream takes a token or a username with password")
                .remedy("leave one of the two out"),
        ),
        [Some(place), None, None] => reader.missing(
            ConfigFault::new(&place, "username needs password beside it")
                .remedy("add password = { file = \"path\" } or { env = \"NAME\" }"),
        ),
        [None, Some(place), None] => {
            reader.missing(ConfigFault::new(&place, "password needs username beside it"));
        }
        _ => {}
    }
    match (username, password, token) {
        (_, _, Some(token)) => Some(Credentials::Bearer(token)),
        (Some(username), Some(password), None) => Some(Credentials::Basic { username, password }),
        _ => None,
    }
}

fn read_own(reader: &mut Reader<'_>, format: Option<Format>) -> Vec<String> {
    let own = reader.texts("registry.*.own");
    // Without a format nothing tells what a name looks like; that it is missing has been said.
    if let Some(ecosystem) = format.and_then(Format::ecosystem) {
        for (place, pattern) in &own {
            if let Err(error) = Pattern::parse_in(ecosystem, pattern) {
                reader.fault(
                    ConfigFault::new(place, error.to_string())
                        .remedy("write a name such as \"acme-*\" or \"@acme/*\""),
                );
            }
        }
    }
    own.into_iter().map(|(_, pattern)| pattern).collect()
}

pub(super) fn read_hosts(reader: &mut Reader<'_>, key: &str) -> Vec<String> {
    read_hosts_by(reader, key, parse::host)
}

fn read_hosts_or_sites(reader: &mut Reader<'_>, key: &str) -> Vec<String> {
    read_hosts_by(reader, key, parse::host_or_site)
}

fn read_indexes(reader: &mut Reader<'_>) -> Vec<String> {
    let indexes = reader.texts("registry.*.dependency_indexes");
    let mut read = Vec::new();
    for (place, index) in indexes {
        let address = index.strip_prefix("sparse+").unwrap_or(&index);
        match Url::parse(address) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => read.push(index),
            _ => reader.fault(
                ConfigFault::new(&place, "expected the address of a crates index")
                    .remedy("write it as cargo does, as in \"sparse+https://index.example.com/\""),
            ),
        }
    }
    read
}

fn read_hosts_by(
    reader: &mut Reader<'_>,
    key: &str,
    parse: fn(&str) -> Option<String>,
) -> Vec<String> {
    let hosts = reader.texts(key);
    let mut parsed = Vec::new();
    for (place, host) in hosts {
        match parse(&host) {
            Some(host) => parsed.push(host),
            None => reader.fault(
                ConfigFault::new(&place, "expected a host name or an address")
                    .remedy("write it without scheme and path, as in \"files.example.com\""),
            ),
        }
    }
    parsed
}
