//! The words of the language: which facts, fields and functions there are.

use super::node::{AdvisoryField, Node, Since, Type};
use crate::facts::Fact;

/// Facts by the names that conditions use.
pub(super) fn variable(name: &str) -> Option<(Node, Type)> {
    Some(match name {
        "name" => (Node::Name, Type::Text),
        "version" => (Node::Version, Type::Text),
        "ecosystem" => (Node::Ecosystem, Type::Text),
        "own" => (Node::Own, Type::Bool),
        "age" => (Node::Age, Type::Age(Since::Published)),
        "age_here" => (Node::Age, Type::Age(Since::FirstSeen)),
        _ => {
            let fact: Fact = name.parse().ok()?;
            let of = match fact {
                Fact::Registry
                | Fact::Publisher
                | Fact::SimilarTo
                | Fact::Description
                | Fact::Repository
                | Fact::RustVersion => Type::Text,
                Fact::Published | Fact::FirstSeen => Type::Time,
                Fact::Licence => Type::Licence,
                Fact::Advisories => Type::Advisories,
                Fact::Dependencies | Fact::Size => Type::Number,
                // It is of an advisory, not of a version.
                Fact::Severity => return None,
                Fact::FixesAdvisory
                | Fact::Deprecated
                | Fact::Yanked
                | Fact::Unlisted
                | Fact::InstallScripts
                | Fact::Provenance
                | Fact::PublisherChanged
                | Fact::Contradicts => Type::Bool,
            };
            (Node::Fact(fact), of)
        }
    })
}

/// Everything of a version that a condition may ask for.
pub const VARIABLES: [&str; 26] = [
    "name",
    "version",
    "ecosystem",
    "registry",
    "published",
    "first_seen",
    "age",
    "age_here",
    "own",
    "licence",
    "advisories",
    "fixes_advisory",
    "deprecated",
    "yanked",
    "unlisted",
    "install_scripts",
    "provenance",
    "publisher",
    "publisher_changed",
    "dependencies",
    "size",
    "similar_to",
    "contradicts",
    "description",
    "repository",
    "rust_version",
];

pub(super) fn advisory_field(name: &str) -> Option<(AdvisoryField, Type)> {
    Some(match name {
        "id" => (AdvisoryField::Id, Type::Text),
        "aliases" => (AdvisoryField::Aliases, Type::Texts),
        "severity" => (AdvisoryField::Severity, Type::Number),
        "malicious" => (AdvisoryField::Malicious, Type::Bool),
        "withdrawn" => (AdvisoryField::Withdrawn, Type::Bool),
        "fixed" => (AdvisoryField::Fixed, Type::Texts),
        _ => return None,
    })
}

pub(super) const ADVISORY_FIELDS: [&str; 6] =
    ["id", "aliases", "severity", "malicious", "withdrawn", "fixed"];

pub(super) const FUNCTIONS: [&str; 12] = [
    "startsWith",
    "endsWith",
    "contains",
    "matches",
    "size",
    "exists",
    "all",
    "has",
    "duration",
    "timestamp",
    "allowed",
    "denied",
];
