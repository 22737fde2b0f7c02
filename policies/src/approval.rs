//! What is approved without a person: requests for versions of which enough is known, and good.
//!
//! An [`Approval`] says what a rule says, and is none: it decides nothing by itself. It is asked when
//! somebody asks for a package, and what it approves becomes a rule, which keeps its condition.

use jiff::SignedDuration;

use crate::asker::TeamPattern;
use crate::condition::Subject;
use crate::facts::Facts;
use crate::package::{Package, Version};
use crate::rules::{Fault, Rule};
use crate::tri::Tri;
use crate::versions::Parsed;

/// One `[[approve]]` of a policy file.
#[derive(Clone, Debug)]
pub struct Approval {
    /// Packages, versions, condition, and the teams whose requests it approves; its name is the
    /// approver's.
    pub rule: Rule,
    /// For whom it approves.
    pub scope: Scope,
    /// How long; absent: without end.
    pub lasts: Option<SignedDuration>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    Everyone,
    /// Each team that asks.
    Team,
    Named(TeamPattern),
}

impl Approval {
    /// Whether it approves this version, asked for by these teams. What nobody knows approves
    /// nothing; nor does it where it is for teams and one who asks is of no known team.
    pub fn approves(
        &self,
        package: &Package,
        version: &Version,
        facts: &Facts<'_>,
        teams: &[Option<&str>],
    ) -> bool {
        let rule = &self.rule;
        let parsed = Parsed::new(package.ecosystem(), version.as_str());
        let Some(parsed) = parsed else { return false };
        let concerns = |team: Option<&str>| {
            team.is_some_and(|team| rule.teams.iter().any(|pattern| pattern.matches(team)))
        };
        let is_true = || match &rule.when {
            None => true,
            Some(when) => {
                let subject = Subject { package, version: version.as_str(), facts };
                when.ask(&subject).tri == Tri::True
            }
        };
        rule.names(package)
            && rule.includes(package, Some(&parsed))
            && (rule.teams.is_empty() || (!teams.is_empty() && teams.iter().copied().all(concerns)))
            && (self.scope != Scope::Team
                || (!teams.is_empty() && teams.iter().all(Option::is_some)))
            && is_true()
    }
}

/// One fault for each name that is used twice: the log has to say which one approved.
pub fn duplicates(approvals: &[Approval]) -> Vec<Fault> {
    let mut sorted: Vec<&Rule> = approvals.iter().map(|approval| &approval.rule).collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    let twice = sorted.windows(2).filter(|pair| pair[0].name == pair[1].name);
    twice.map(|pair| Fault::duplicate(pair[1], pair[0])).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::facts::KnownAdvisory;
    use crate::package::PackageVersion;
    use crate::rules::parse_file;

    fn read(text: &str) -> Vec<Approval> {
        parse_file("a.toml", text).unwrap().approvals
    }

    const SETTLED: &str = "[[approve]]
        name = 'settled'
        packages = ['npm:*']
        when = \"age > duration('720h') && advisories.all(a, a.withdrawn)\"
        expires = '90d'
        scope = 'team'
    ";

    fn approves(text: &str, asked: &str, facts: &Facts<'_>, teams: &[Option<&str>]) -> bool {
        let asked: PackageVersion = asked.parse().unwrap();
        read(text)[0].approves(&asked.package, &asked.version, facts, teams)
    }

    #[test]
    fn what_is_true_approves_and_what_is_unknown_never_does() {
        let now = "2026-06-01T00:00:00Z".parse().unwrap();
        let old = Some("2026-01-01T00:00:00Z".parse().unwrap());
        let new = Some("2026-05-31T00:00:00Z".parse().unwrap());
        let none: [KnownAdvisory; 0] = [];
        let bad = [KnownAdvisory::default()];
        let shop = [Some("web/shop")];
        let of = |published, advisories| Facts { published, advisories, ..Facts::at(now) };
        let rows = [
            (of(old, Some(&none[..])), true),
            (of(new, Some(&none[..])), false),
            (of(old, Some(&bad[..])), false),
            (of(old, None), false),
            (of(None, Some(&none[..])), false),
        ];
        for (facts, expected) in rows {
            let found = approves(SETTLED, "npm:left-pad@1.3.0", &facts, &shop);
            assert_eq!(found, expected, "{facts:?}");
        }
        let good = of(old, Some(&none[..]));
        assert!(!approves(SETTLED, "cargo:serde@1.0.0", &good, &shop), "another ecosystem");
        assert!(!approves(SETTLED, "npm:left-pad@1.3.0", &good, &[]), "nobody's team is known");
        assert!(
            !approves(SETTLED, "npm:left-pad@1.3.0", &good, &[shop[0], None]),
            "of one it is not"
        );
    }

    #[test]
    fn versions_and_teams_are_those_of_rules() {
        let text = "[[approve]]\nname = 'a'\npackages = ['npm:@types/*']\nversions = '>=18'\n\
                    teams = ['web/*']";
        let facts = Facts::at("2026-06-01T00:00:00Z".parse().unwrap());
        let asked = |asked: &str, teams: &[Option<&str>]| approves(text, asked, &facts, teams);
        assert!(asked("npm:@types/node@18.0.0", &[Some("web/shop"), Some("web/blog")]));
        assert!(!asked("npm:@types/node@18.0.0", &[Some("web/shop"), Some("core/x")]));
        assert!(!asked("npm:@types/node@18.0.0", &[None]));
        assert!(!asked("npm:@types/node@17.0.0", &[Some("web/shop")]));
        assert!(!asked("npm:@types/node@19.0.0-beta.1", &[Some("web/shop")]), "not named");
        assert!(!asked("npm:@types-evil/node@18.0.0", &[Some("web/shop")]));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let text = "[[approve]]\nname = 'a'\npackages = ['npm:x', 'npm:y@^1']\nexpires = 2027-01-01\n\
                    scope = 'some one'\neffect = 'deny'\nwhen = 'age >'\n[[aprove]]\n";
        let faults = parse_file("a.toml", text).unwrap_err();
        let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(told.join("\n"));
    }

    #[test]
    fn two_of_one_name_are_a_fault() {
        let one = "[[approve]]\nname = 'a'\npackages = ['npm:x']\n";
        let both = read(&format!("{one}{one}"));
        let faults = duplicates(&both);
        assert_eq!(faults.len(), 1);
        assert_eq!(faults[0].line, 4);
        assert_eq!(duplicates(&both[..1]), []);
    }
}
