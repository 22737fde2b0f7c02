//! What a token may do.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One thing that a token may do. Every token may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Right {
    /// Fetch what the rules let through, and ask the admin API.
    Read,
    /// Publish own packages, and change what is published.
    Publish,
    /// Answer requests.
    Approve,
    /// Change what the admin API changes: rules, advisories, teams, tokens.
    Administer,
}

impl Right {
    pub const ALL: [Self; 4] = [Self::Read, Self::Publish, Self::Approve, Self::Administer];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Publish => "publish",
            Self::Approve => "approve",
            Self::Administer => "administer",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|right| right.as_str() == text)
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A set of them, with [`Right::Read`] always in it. The default is that alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Right>", into = "Vec<Right>")]
pub struct Rights(u8);

impl Rights {
    pub const ALL: Self = Self(0b1111);

    pub const fn has(self, right: Right) -> bool {
        self.0 & bit(right) != 0
    }

    /// What is in these and not in `others`.
    pub fn beyond(self, others: Self) -> impl Iterator<Item = Right> {
        self.iter().filter(move |right| !others.has(*right))
    }

    pub fn iter(self) -> impl Iterator<Item = Right> {
        Right::ALL.into_iter().filter(move |right| self.has(*right))
    }
}

const fn bit(right: Right) -> u8 {
    1 << right as u8
}

impl Default for Rights {
    fn default() -> Self {
        Self(bit(Right::Read))
    }
}

impl FromIterator<Right> for Rights {
    fn from_iter<I: IntoIterator<Item = Right>>(rights: I) -> Self {
        rights.into_iter().fold(Self::default(), |all, right| Self(all.0 | bit(right)))
    }
}

impl From<Vec<Right>> for Rights {
    fn from(rights: Vec<Right>) -> Self {
        rights.into_iter().collect()
    }
}

impl From<Rights> for Vec<Right> {
    fn from(rights: Rights) -> Self {
        rights.iter().collect()
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = self.iter().map(Right::as_str).collect();
        f.pad(&words.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_has_read_in_it_and_nothing_that_was_not_given() {
        assert_eq!(Rights::default().to_string(), "read");
        let publisher: Rights = [Right::Publish].into_iter().collect();
        assert_eq!(publisher.to_string(), "read, publish");
        assert!(!publisher.has(Right::Approve) && !publisher.has(Right::Administer));
        let beyond: Vec<Right> = Rights::ALL.beyond(publisher).collect();
        assert_eq!(beyond, [Right::Approve, Right::Administer]);
        assert_eq!(publisher.beyond(Rights::ALL).next(), None);
        assert!(Right::ALL.into_iter().all(|right| Rights::ALL.has(right)));
        assert!(Right::ALL.into_iter().all(|right| Right::parse(right.as_str()) == Some(right)));
    }
}
