//! The fields of rules and waivers, by the names that files and complaints use.

use std::fmt;

/// Which part of a draft a complaint is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    Name,
    Effect,
    Packages,
    /// One entry of `packages`, from 0.
    Package(usize),
    Versions,
    When,
    Teams,
    /// One entry of `teams`, from 0.
    Team(usize),
    Environments,
    /// One entry of `environments`, from 0.
    Environment(usize),
    Reason,
    Owner,
    Link,
    Starts,
    Expires,
    Observe,
    Waives,
}

impl Field {
    /// The keys of a `[[rule]]`.
    pub(super) const OF_RULE: [(&'static str, Self); 13] = [
        ("name", Self::Name),
        ("effect", Self::Effect),
        ("packages", Self::Packages),
        ("versions", Self::Versions),
        ("when", Self::When),
        ("teams", Self::Teams),
        ("environments", Self::Environments),
        ("reason", Self::Reason),
        ("owner", Self::Owner),
        ("link", Self::Link),
        ("starts", Self::Starts),
        ("expires", Self::Expires),
        ("observe", Self::Observe),
    ];
    /// The keys of a `[[waiver]]`.
    pub(super) const OF_WAIVER: [(&'static str, Self); 12] = [
        ("name", Self::Name),
        ("waives", Self::Waives),
        ("packages", Self::Packages),
        ("versions", Self::Versions),
        ("when", Self::When),
        ("teams", Self::Teams),
        ("environments", Self::Environments),
        ("reason", Self::Reason),
        ("owner", Self::Owner),
        ("link", Self::Link),
        ("starts", Self::Starts),
        ("expires", Self::Expires),
    ];
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Package(place) => write!(f, "packages[{place}]"),
            Self::Team(place) => write!(f, "teams[{place}]"),
            Self::Environment(place) => write!(f, "environments[{place}]"),
            Self::Name => f.write_str("name"),
            Self::Effect => f.write_str("effect"),
            Self::Packages => f.write_str("packages"),
            Self::Versions => f.write_str("versions"),
            Self::When => f.write_str("when"),
            Self::Teams => f.write_str("teams"),
            Self::Environments => f.write_str("environments"),
            Self::Reason => f.write_str("reason"),
            Self::Owner => f.write_str("owner"),
            Self::Link => f.write_str("link"),
            Self::Starts => f.write_str("starts"),
            Self::Expires => f.write_str("expires"),
            Self::Observe => f.write_str("observe"),
            Self::Waives => f.write_str("waives"),
        }
    }
}
