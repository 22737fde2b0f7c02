//! Which rules name a package, without looking at the others.
//!
//! Patterns without a star are found by one look-up of the package's collision key; only globs are
//! tried one after the other, once for a package and not for each of its versions.

use std::cmp::Reverse;
use std::collections::HashMap;

use jiff::Timestamp;

use super::pattern::Glob;
use super::{Pattern, Rule, RuleSet};
use crate::facts::Missing;
use crate::package::{Ecosystem, Package};

#[derive(Debug, Default)]
pub(super) struct Index {
    npm: Patterns,
    cargo: Patterns,
    nuget: Patterns,
    oci: Patterns,
}

/// The patterns of one ecosystem, each with the places of its rules in the set.
#[derive(Debug, Default)]
struct Patterns {
    one: HashMap<Box<str>, Vec<usize>>,
    like: Vec<(Glob, usize)>,
    /// With the closeness of the pattern.
    every: Vec<(u8, usize)>,
}

impl Index {
    /// Of the rules that `is_meant` takes.
    pub(super) fn new(rules: &[Rule], is_meant: impl Fn(&Rule) -> bool) -> Self {
        let mut index = Self::default();
        for (place, rule) in rules.iter().enumerate().filter(|(_, rule)| is_meant(rule)) {
            for pattern in &rule.patterns {
                index.insert(pattern, place);
            }
        }
        index
    }

    fn insert(&mut self, pattern: &Pattern, place: usize) {
        match pattern {
            Pattern::Everything => {
                for ecosystem in Ecosystem::ALL {
                    self.of_mut(ecosystem).every.push((pattern.closeness(), place));
                }
            }
            Pattern::Every(ecosystem) => {
                self.of_mut(*ecosystem).every.push((pattern.closeness(), place));
            }
            Pattern::One(package) | Pattern::In(package, _) => {
                let key = package.collision_key().into();
                self.of_mut(package.ecosystem()).one.entry(key).or_default().push(place);
            }
            Pattern::Like(ecosystem, glob) => {
                self.of_mut(*ecosystem).like.push((glob.clone(), place));
            }
        }
    }

    /// Places of the rules that name the package with the closeness of the naming pattern; a rule
    /// may be there more than once.
    pub(super) fn find(&self, package: &Package) -> Vec<(usize, u8)> {
        let patterns = self.of(package.ecosystem());
        let key = package.collision_key();
        let one = patterns.one.get(key.as_ref()).into_iter().flatten().map(|&place| (place, 3));
        let like = patterns.like.iter().filter(|(glob, _)| glob.matches(&key));
        let every = patterns.every.iter().map(|&(closeness, place)| (place, closeness));
        one.chain(like.map(|(_, place)| (*place, 2))).chain(every).collect()
    }

    const fn of(&self, ecosystem: Ecosystem) -> &Patterns {
        match ecosystem {
            Ecosystem::Npm => &self.npm,
            Ecosystem::Cargo => &self.cargo,
            Ecosystem::Nuget => &self.nuget,
            Ecosystem::Oci => &self.oci,
        }
    }

    const fn of_mut(&mut self, ecosystem: Ecosystem) -> &mut Patterns {
        match ecosystem {
            Ecosystem::Npm => &mut self.npm,
            Ecosystem::Cargo => &mut self.cargo,
            Ecosystem::Nuget => &mut self.nuget,
            Ecosystem::Oci => &mut self.oci,
        }
    }
}

/// The rules that name one package, in the order in which they win: deny before hold before
/// allow, then the closest naming, then the one that lasts longest, then by name.
#[derive(Clone, Debug)]
pub struct PackageRules<'s> {
    set: &'s RuleSet,
    package: Package,
    rules: Vec<&'s Rule>,
    /// Those of `rules` that are waivers.
    waivers: Vec<&'s Rule>,
    asks: Missing,
}

impl<'s> PackageRules<'s> {
    pub(super) fn new(set: &'s RuleSet, package: &Package) -> Self {
        let mut found = set.index.find(package);
        // The closest naming of each rule comes first and is the one that stays.
        found.sort_unstable_by_key(|&(place, closeness)| (place, Reverse(closeness)));
        found.dedup_by_key(|&mut (place, _)| place);
        let mut ranked: Vec<(&Rule, u8)> =
            found.into_iter().map(|(place, closeness)| (&set.rules[place], closeness)).collect();
        ranked.sort_by(|(a, a_closeness), (b, b_closeness)| {
            let lasts = |rule: &Rule| rule.expires.unwrap_or(Timestamp::MAX);
            (b.effect.cmp(&a.effect))
                .then_with(|| b_closeness.cmp(a_closeness))
                .then_with(|| lasts(b).cmp(&lasts(a)))
                .then_with(|| a.name.cmp(&b.name))
        });
        let rules: Vec<&Rule> = ranked.into_iter().map(|(rule, _)| rule).collect();
        let waivers = rules.iter().copied().filter(|rule| rule.waives.is_some()).collect();
        let asks = rules.iter().map(|rule| rule.asks()).fold(Missing::NONE, Missing::and);
        Self { set, package: package.clone(), rules, waivers, asks }
    }

    pub const fn package(&self) -> &Package {
        &self.package
    }

    pub const fn ecosystem(&self) -> Ecosystem {
        self.package.ecosystem()
    }

    pub fn iter(&self) -> impl Iterator<Item = &'s Rule> + '_ {
        self.rules.iter().copied()
    }

    /// The waivers that would lift the rule of this name.
    pub(crate) fn waivers_of<'n>(
        &'n self,
        rule: &'n str,
    ) -> impl Iterator<Item = &'s Rule> + use<'n, 's> {
        self.waivers.iter().copied().filter(move |waiver| waiver.waives.as_deref() == Some(rule))
    }

    /// The facts that their conditions ask for.
    pub const fn asks(&self) -> Missing {
        self.asks
    }

    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    pub const fn set(&self) -> &'s RuleSet {
        self.set
    }
}
