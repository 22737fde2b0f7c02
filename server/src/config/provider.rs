//! Providers: systems that say who a person is (`OpenID` Connect), so that people log in there.

use std::collections::BTreeMap;

use policies::asker::{is_team, is_word};
use url::Url;

use super::faults::{ConfigFault, Place};
use super::identity::{is_safe, read_hosts, read_issuer, required};
use super::read::Reader;
use super::secret::Secret;
use super::setting::{Kind, SettingDoc};
use super::source::Value;
use super::tls;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderConfig {
    pub name: String,
    /// As its tokens say it, letter by letter.
    pub issuer: String,
    /// Where it says what it is.
    pub url: Url,
    pub client_id: String,
    /// None is for a client that has no secret there.
    pub client_secret: Option<Secret>,
    /// `openid` is among them.
    pub scopes: Vec<String>,
    /// The claim that is the name here; none: `preferred_username`, else a verified `email`.
    pub person: Option<String>,
    /// Each of them has to be said, as one of its texts.
    pub claims: BTreeMap<String, Vec<String>>,
    /// Whoever is let in and not known is made known.
    pub create: bool,
    /// Of whoever is made known.
    pub roles: Vec<String>,
    /// The claim that lists groups.
    pub groups: String,
    /// By group. Empty: the provider has no say in teams.
    pub group_teams: BTreeMap<String, Vec<String>>,
    /// By group. Empty: the provider has no say in roles.
    pub group_roles: BTreeMap<String, Vec<String>>,
    /// Hosts beside the issuer's own that it may be asked at.
    pub allow_hosts: Vec<String>,
    /// A file that is there.
    pub certificate_authority: Option<std::path::PathBuf>,
}

pub(super) const SETTINGS: &[SettingDoc] = &[
    SettingDoc {
        key: "login.provider.*.issuer",
        kind: Kind::Text,
        default: None,
        text: "The address of a system by which people log in (OpenID Connect), letter by letter as its \
               tokens say it in `iss`. It needs `public_url`, and at the system the redirect URI \
               `PUBLIC_URL/api/v1/login/providers/NAME/callback`.",
    },
    SettingDoc {
        key: "login.provider.*.client_id",
        kind: Kind::Text,
        default: None,
        text: "The name that this garth has there.",
    },
    SettingDoc {
        key: "login.provider.*.client_secret",
        kind: Kind::Secret,
        default: None,
        text: "The secret that goes with it, as { file = \"path\" } or { env = \"NAME\" }. Left out, garth \
               is a client without one.",
    },
    SettingDoc {
        key: "login.provider.*.scopes",
        kind: Kind::Texts,
        default: Some("openid,profile,email"),
        text: "What is asked for there; `openid` always is.",
    },
    SettingDoc {
        key: "login.provider.*.person",
        kind: Kind::Text,
        default: None,
        text: "The claim that is a person's name here. Left out, it is `preferred_username`, and `email` where \
               there is none; `email` counts only if it is verified.",
    },
    SettingDoc {
        key: "login.provider.*.claims",
        kind: Kind::Claims,
        default: None,
        text: "What the token of a person has to say, all of it: `{ groups = \"garth-*\" }`. `*` stands for any \
               run of characters; of a claim with several texts one has to fit.",
    },
    SettingDoc {
        key: "login.provider.*.create",
        kind: Kind::Flag,
        default: Some("false"),
        text: "Whether somebody who is let in and not known here is made known. Else they are refused until \
               `garth user create` makes them.",
    },
    SettingDoc {
        key: "login.provider.*.roles",
        kind: Kind::Texts,
        default: Some("reader"),
        text: "The roles of whoever is made known by it.",
    },
    SettingDoc {
        key: "login.provider.*.groups",
        kind: Kind::Text,
        default: Some("groups"),
        text: "The claim that lists a person's groups.",
    },
    SettingDoc {
        key: "login.provider.*.group_teams",
        kind: Kind::Claims,
        default: None,
        text: "Teams by group: `{ shop-devs = \"web/shop\" }`. Where it is there, a person's teams are at each \
               login those of their groups.",
    },
    SettingDoc {
        key: "login.provider.*.group_roles",
        kind: Kind::Claims,
        default: None,
        text: "Roles by group: `{ platform = \"approver\" }`. Where it is there, a person's roles are at each \
               login `roles` and those of their groups.",
    },
    SettingDoc {
        key: "login.provider.*.allow_hosts",
        kind: Kind::Texts,
        default: None,
        text: "Hosts (or \"host:port\"), beside the issuer's own, that may have its keys and take its \
               codes.",
    },
    SettingDoc {
        key: "login.provider.*.certificate_authority",
        kind: Kind::Path,
        default: None,
        text: "A PEM file with certificates that are trusted for this issuer beside the system's.",
    },
];

pub(super) fn names(reader: &Reader<'_>) -> BTreeMap<String, Place> {
    let Some(Value::Table(login)) = reader.table.get("login").map(|(_, node)| &node.value) else {
        return BTreeMap::new();
    };
    match login.get("provider").map(|(_, node)| &node.value) {
        Some(Value::Table(table)) => {
            table.iter().map(|(name, (place, _))| (name.clone(), place.clone())).collect()
        }
        _ => BTreeMap::new(),
    }
}

/// In the order of names. Where people come back to has to be known: `public_url`.
pub(super) fn read(
    reader: &mut Reader<'_>,
    names: &BTreeMap<String, Place>,
    public_url: Option<&Url>,
) -> Vec<ProviderConfig> {
    let mut providers = Vec::new();
    for (name, place) in names {
        if !is_word(name) || name.contains('.') {
            let fault = ConfigFault::new(place, format!("{name:?} is no name of a provider"));
            reader.fault(fault.remedy("use letters, digits, `-` and `_`"));
            continue;
        }
        if public_url.is_none() {
            reader.missing(
                ConfigFault::new(place, "people come back from a provider to garth's `public_url`")
                    .remedy(
                        "add public_url = \"https://garth.example.com\" above the first [section]",
                    ),
            );
        } else if public_url.is_some_and(|url| !is_safe(url)) {
            let fault =
                ConfigFault::new(place, "logging in at a provider needs an https `public_url`");
            reader.fault(
                fault.remedy("who can read along would have the login of whoever comes back"),
            );
        }
        reader.registry = Some(name.clone());
        providers.extend(read_one(reader, name, place));
    }
    reader.registry = None;
    providers
}

fn read_one(reader: &mut Reader<'_>, name: &str, place: &Place) -> Option<ProviderConfig> {
    let issuer = required(reader, "a provider", "login.provider.*.issuer", place);
    let client_id = required(reader, "a provider", "login.provider.*.client_id", place);
    let claims = reader.claims("login.provider.*.claims").unwrap_or_default();
    if claims.is_empty() {
        // Else everybody who has an account there would be whoever they are called like here.
        reader.missing(
            ConfigFault::new(place, format!("the provider {name:?} asks for no claims"))
                .remedy("say which people are meant: claims = { groups = \"garth-*\" }"),
        );
    }
    let url = issuer.as_deref().and_then(|issuer| {
        let place = reader.place("login.provider.*.issuer")?;
        read_issuer(reader, &place, issuer)
    });
    let mut scopes = words(reader, "login.provider.*.scopes");
    if !scopes.iter().any(|scope| scope == "openid") {
        scopes.insert(0, "openid".to_owned());
    }
    let group_teams = reader.claims("login.provider.*.group_teams").unwrap_or_default();
    let odd = group_teams.values().flatten().find(|team| !is_team(team)).cloned();
    if let (Some(odd), Some(place)) = (odd, reader.place("login.provider.*.group_teams")) {
        let fault = ConfigFault::new(&place, format!("{odd:?} is no team"));
        reader.fault(fault.remedy("write a team as \"web/shop\""));
    }
    Some(ProviderConfig {
        name: name.to_owned(),
        client_secret: reader.secret("login.provider.*.client_secret"),
        scopes,
        person: reader.text("login.provider.*.person").filter(|claim| !claim.is_empty()),
        claims,
        create: reader.flag("login.provider.*.create"),
        roles: words(reader, "login.provider.*.roles"),
        groups: reader.text("login.provider.*.groups").unwrap_or_default(),
        group_teams,
        group_roles: reader.claims("login.provider.*.group_roles").unwrap_or_default(),
        allow_hosts: read_hosts(reader, "login.provider.*.allow_hosts"),
        certificate_authority: tls::existing_file(reader, "login.provider.*.certificate_authority"),
        issuer: issuer?,
        url: url?,
        client_id: client_id?,
    })
}

/// Each a word that can be sent, and written, among others.
fn words(reader: &mut Reader<'_>, key: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (place, text) in reader.texts(key) {
        let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\');
        if text.is_empty() || !text.chars().all(is_plain) {
            reader.fault(ConfigFault::new(&place, "expected words without blanks"));
        } else {
            words.push(text);
        }
    }
    words
}
