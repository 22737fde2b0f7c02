//! cargo: semver's versions and requirements.

use semver::{Comparator, Op, Prerelease, Version, VersionReq};

#[derive(Clone, Debug)]
pub struct Range(VersionReq);

impl Range {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        VersionReq::parse(text.trim()).map(Self).map_err(|error| error.to_string())
    }

    /// Whether nothing satisfies it. Where something does, so does the first version behind the
    /// highest of its lower bounds.
    pub(super) fn is_empty(&self) -> bool {
        let firsts = |c: &Comparator| {
            let (minor, patch) = (c.minor.unwrap_or(0), c.patch.unwrap_or(0));
            [
                Version::new(c.major, minor, patch),
                Version::new(c.major, minor, patch.saturating_add(1)),
                Version::new(c.major, minor.saturating_add(1), 0),
                Version::new(c.major.saturating_add(1), 0, 0),
            ]
        };
        // What only pre-releases could satisfy is not looked into.
        self.0.comparators.iter().all(|comparator| comparator.pre.is_empty())
            && !self.0.matches(&Version::new(0, 0, 0))
            && !self.0.comparators.iter().flat_map(firsts).any(|version| self.0.matches(&version))
    }

    pub(super) fn allows(&self, version: &Version) -> bool {
        self.0.matches(version)
    }

    pub(super) fn covers(&self, version: &Version) -> bool {
        if self.0.matches(version) {
            return true;
        }
        if version.pre.is_empty() {
            return false;
        }
        let release = release_of(version);
        // Where the rule itself sorts out the pre-releases of this release, it is taken at its word.
        let named = |c: &Comparator| {
            let core = Version::new(c.major, c.minor.unwrap_or(0), c.patch.unwrap_or(0));
            (c.op == Op::Exact && c.patch.is_some()) || (!c.pre.is_empty() && core == release)
        };
        // A release candidate of a denied version is denied with it; and so is a pre-release that
        // lies within the bounds by its order.
        (!self.0.comparators.iter().any(named) && self.0.matches(&release))
            || self.0.comparators.iter().all(|comparator| in_bounds(comparator, version))
    }
}

/// What semver's own matching says for a release, by order alone for a pre-release.
fn in_bounds(comparator: &Comparator, version: &Version) -> bool {
    let bound = Version {
        major: comparator.major,
        minor: comparator.minor.unwrap_or(0),
        patch: comparator.patch.unwrap_or(0),
        pre: comparator.pre.clone(),
        build: semver::BuildMetadata::EMPTY,
    };
    let one = |req: Comparator| VersionReq { comparators: vec![req] }.matches(&release_of(version));
    match comparator.op {
        Op::Less => version.cmp_precedence(&bound).is_lt(),
        Op::LessEq if comparator.patch.is_some() => version.cmp_precedence(&bound).is_le(),
        Op::GreaterEq => version.cmp_precedence(&bound).is_ge(),
        Op::Greater if comparator.patch.is_some() => version.cmp_precedence(&bound).is_gt(),
        Op::Exact if comparator.patch.is_some() => version.cmp_precedence(&bound).is_eq(),
        // The others are a span of whole releases: a pre-release belongs where its release does,
        // but not in front of a bound that itself is a pre-release.
        _ => {
            version.cmp_precedence(&bound).is_ge()
                && one(Comparator { pre: Prerelease::EMPTY, ..comparator.clone() })
        }
    }
}

fn release_of(version: &Version) -> Version {
    Version::new(version.major, version.minor, version.patch)
}
