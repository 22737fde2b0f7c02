//! The fields of rules and waivers, by the names that files and complaints use: one table of them
//! all, which says where each may stand.

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

/// What a policy file is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Rule,
    Waiver,
    Expect,
    Approve,
}

/// Every key that becomes a field of a rule, and the tables that may have it.
const KEYS: [(&str, Field, &[Table]); 14] = {
    use Table::{Rule, Waiver};
    [
        ("name", Field::Name, &[Rule, Waiver]),
        ("effect", Field::Effect, &[Rule]),
        ("waives", Field::Waives, &[Waiver]),
        ("packages", Field::Packages, &[Rule, Waiver]),
        ("versions", Field::Versions, &[Rule, Waiver]),
        ("when", Field::When, &[Rule, Waiver]),
        ("teams", Field::Teams, &[Rule, Waiver]),
        ("environments", Field::Environments, &[Rule, Waiver]),
        ("reason", Field::Reason, &[Rule, Waiver]),
        ("owner", Field::Owner, &[Rule, Waiver]),
        ("link", Field::Link, &[Rule, Waiver]),
        ("starts", Field::Starts, &[Rule, Waiver]),
        ("expires", Field::Expires, &[Rule, Waiver]),
        ("observe", Field::Observe, &[Rule]),
    ]
};

impl Table {
    pub(super) const ALL: [Self; 4] = [Self::Rule, Self::Waiver, Self::Expect, Self::Approve];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Waiver => "waiver",
            Self::Expect => "expect",
            Self::Approve => "approve",
        }
    }

    /// Its keys, in the order in which they are usually written. An expectation is no rule, and an
    /// approval not yet one: their keys are those of the modules that read them.
    pub(super) fn keys(self) -> impl Iterator<Item = (&'static str, Field)> {
        KEYS.into_iter()
            .filter(move |(_, _, tables)| tables.contains(&self))
            .map(|(key, field, _)| (key, field))
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Package(place) => write!(f, "packages[{place}]"),
            Self::Team(place) => write!(f, "teams[{place}]"),
            Self::Environment(place) => write!(f, "environments[{place}]"),
            whole => {
                let key = KEYS.iter().find(|(_, field, _)| field == whole);
                f.write_str(key.map_or("", |(key, ..)| key))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_is_shown_as_the_key_that_files_write() {
        for (key, field, tables) in KEYS {
            assert_eq!(field.to_string(), key);
            assert!(!tables.is_empty(), "{key} can stand nowhere");
        }
        assert_eq!(Field::Team(3).to_string(), "teams[3]");
        let alone = |table: Table, other: Table| -> Vec<&str> {
            let others: Vec<&str> = other.keys().map(|(key, _)| key).collect();
            table.keys().map(|(key, _)| key).filter(|key| !others.contains(key)).collect()
        };
        assert_eq!(alone(Table::Rule, Table::Waiver), ["effect", "observe"]);
        assert_eq!(alone(Table::Waiver, Table::Rule), ["waives"]);
    }
}
