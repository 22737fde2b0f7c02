//! Who asks, as far as rules tell people apart.

use std::fmt;
use std::sync::Arc;

/// The default is somebody of whom nothing is known, outside of every environment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asker<'a> {
    /// `unit/team`; `None` where nobody knows, as without a token.
    pub team: Option<&'a str>,
    /// The environment that is asked; `None` is the garden itself. The address says it, so it is
    /// always known.
    pub environment: Option<&'a str>,
}

/// Who asks, as far as rules tell people apart: made once of a request, and kept for as long as it
/// is worked on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Asking {
    /// `unit/team`
    pub team: Option<Arc<str>>,
    pub environment: Option<Arc<str>>,
}

impl Asking {
    pub fn asker(&self) -> Asker<'_> {
        Asker { team: self.team.as_deref(), environment: self.environment.as_deref() }
    }
}

/// Which teams a rule speaks of: `web/shop`, or a whole unit as `web/*` or `web`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TeamPattern {
    unit: Arc<str>,
    /// `None`: every team of the unit.
    team: Option<Arc<str>>,
}

const MAX_SEGMENT: usize = 100;

impl TeamPattern {
    /// `None` where the text is no pattern.
    pub fn parse(text: &str) -> Option<Self> {
        let (unit, team) = match text.split_once('/') {
            None | Some((_, "*")) => (text.strip_suffix("/*").unwrap_or(text), None),
            Some((unit, team)) => (unit, Some(team)),
        };
        let good = is_word(unit) && team.is_none_or(is_word);
        good.then(|| Self { unit: unit.into(), team: team.map(Into::into) })
    }

    pub fn matches(&self, team: &str) -> bool {
        let (unit, team) =
            team.split_once('/').map_or((team, None), |(unit, team)| (unit, Some(team)));
        *self.unit == *unit && self.team.as_deref().is_none_or(|ours| Some(ours) == team)
    }

    /// Whether it means every team that `other` means.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.unit == other.unit && (self.team.is_none() || self.team == other.team)
    }

    /// Whether some team is meant by both.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        self.covers(other) || other.covers(self)
    }
}

impl fmt::Display for TeamPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.unit, self.team.as_deref().unwrap_or("*"))
    }
}

/// Whether a unit, a team or an environment can have this name.
pub fn is_word(text: &str) -> bool {
    text.len() <= MAX_SEGMENT
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// Unit and team, where a team can have this name: `web/shop`.
pub fn split_team(text: &str) -> Option<(&str, &str)> {
    text.split_once('/').filter(|(unit, team)| is_word(unit) && is_word(team))
}

pub fn is_team(text: &str) -> bool {
    split_team(text).is_some()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_team_is_of_one_unit() {
        assert_eq!(split_team("web/shop"), Some(("web", "shop")));
        assert!(!is_team("web") && !is_team("web/*") && !is_team("a/b/c") && !is_team("/b"));
    }

    #[test]
    fn a_pattern_is_a_team_or_a_unit_and_anchored() {
        let check = |pattern: &str, yes: &[&str], no: &[&str]| {
            let parsed = TeamPattern::parse(pattern).unwrap();
            assert!(yes.iter().all(|team| parsed.matches(team)), "{pattern}");
            assert!(!no.iter().any(|team| parsed.matches(team)), "{pattern}");
            assert_eq!(TeamPattern::parse(&parsed.to_string()).unwrap(), parsed);
        };
        check("web/*", &["web/shop", "web/blog", "web"], &["webx/shop", "shop", "", "x/web"]);
        check("web", &["web/shop"], &["web-2/shop"]);
        check("web/shop", &["web/shop"], &["web/shop2", "web", "web/Shop", "web/"]);
        for text in ["", "*", "*/x", "/x", "web/", "web/a/b", "we b", "web/*x", "-x"] {
            assert!(TeamPattern::parse(text).is_none(), "{text}");
        }
    }
}
