//! What several databases say of one hole, as one: for people. Conditions see each record by
//! itself, so that a rule that names an id finds it whatever else is imported.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::facts::KnownAdvisory;

/// Each hole once. Records are of one hole where one names the other as an alias, or both name a
/// third, and so on: by the specification aliases hold both ways and through others.
pub fn holes(known: &[KnownAdvisory]) -> Vec<KnownAdvisory> {
    let mut groups = Groups((0..known.len()).collect());
    let mut names: HashMap<&str, usize> = HashMap::new();
    for (place, one) in known.iter().enumerate() {
        for name in std::iter::once(&one.id).chain(&one.aliases) {
            match names.get(name.as_ref()) {
                Some(other) => groups.join(*other, place),
                None => drop(names.insert(name, place)),
            }
        }
    }
    let mut by_group: Vec<(usize, Vec<&KnownAdvisory>)> = Vec::new();
    let mut places: HashMap<usize, usize> = HashMap::new();
    for (place, one) in known.iter().enumerate() {
        let group = groups.of(place);
        let at = *places.entry(group).or_insert_with(|| {
            by_group.push((group, Vec::new()));
            by_group.len() - 1
        });
        by_group[at].1.push(one);
    }
    by_group.into_iter().filter_map(|(_, records)| joined(&records)).collect()
}

/// Which records belong together: each leads to another of its group, or to itself.
struct Groups(Vec<usize>);

impl Groups {
    fn of(&mut self, mut place: usize) -> usize {
        while self.0[place] != place {
            self.0[place] = self.0[self.0[place]];
            place = self.0[place];
        }
        place
    }

    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.of(one), self.of(other));
        // The first of them leads.
        self.0[one.max(other)] = one.min(other);
    }
}

/// What was taken back says nothing where another record stands.
fn joined(records: &[&KnownAdvisory]) -> Option<KnownAdvisory> {
    let withdrawn = records.iter().all(|one| one.withdrawn);
    let counts = |one: &&&KnownAdvisory| withdrawn || !one.withdrawn;
    let standing = || records.iter().filter(counts).copied();
    let first = standing().find(|one| one.malicious).or_else(|| standing().next())?;
    let names = records.iter().flat_map(|one| std::iter::once(&one.id).chain(&one.aliases));
    let aliases: BTreeSet<&Arc<str>> = names.filter(|name| **name != first.id).collect();
    let mut fixed: Vec<Arc<str>> = Vec::new();
    for version in standing().flat_map(|one| &one.fixed) {
        if !fixed.contains(version) {
            fixed.push(Arc::clone(version));
        }
    }
    Some(KnownAdvisory {
        id: Arc::clone(&first.id),
        aliases: aliases.into_iter().cloned().collect(),
        // A rating is known where anybody gave one, and the worst of them is.
        severity: standing().filter_map(|one| one.severity).max_by(f64::total_cmp),
        malicious: standing().any(|one| one.malicious),
        withdrawn,
        fixed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(id: &str, aliases: &[&str], severity: Option<f64>, fixed: &[&str]) -> KnownAdvisory {
        let texts = |texts: &[&str]| texts.iter().map(|text| Arc::from(*text)).collect();
        KnownAdvisory {
            id: id.into(),
            aliases: texts(aliases),
            severity,
            fixed: texts(fixed),
            ..KnownAdvisory::default()
        }
    }

    #[test]
    fn what_three_databases_say_of_one_hole_is_one_hole() {
        let known = [
            one("GHSA-1", &["CVE-1"], Some(7.5), &["1.2.0"]),
            one("OTHER-1", &[], None, &[]),
            one("RUSTSEC-1", &["CVE-1"], None, &["1.2.0", "1.1.9"]),
            // It is named by none of the others, and names one that names them.
            one("NEW-1", &["RUSTSEC-1"], Some(9.8), &[]),
        ];
        let found = holes(&known);
        assert_eq!(
            found,
            [
                one("GHSA-1", &["CVE-1", "NEW-1", "RUSTSEC-1"], Some(9.8), &["1.2.0", "1.1.9"]),
                known[1].clone(),
            ]
        );
        // In whatever order they come.
        let mut turned: Vec<_> = known.iter().rev().cloned().collect();
        turned = holes(&turned);
        assert_eq!(turned.len(), 2);
        assert_eq!(turned[0].severity, Some(9.8));
    }

    #[test]
    fn what_was_taken_back_does_not_speak_for_what_stands() {
        let taken_back = |mut known: KnownAdvisory| {
            known.withdrawn = true;
            known
        };
        let known = [
            taken_back(one("A-1", &["CVE-1"], Some(10.0), &["1.0.0"])),
            one("B-1", &["CVE-1"], Some(5.0), &["2.0.0"]),
        ];
        let found = holes(&known);
        assert_eq!(found, [one("B-1", &["A-1", "CVE-1"], Some(5.0), &["2.0.0"])]);
        let all = holes(&known[..1]);
        assert!(all[0].withdrawn && all[0].severity == Some(10.0));
    }

    #[test]
    fn malice_leads() {
        let mut known = [one("GHSA-1", &["MAL-1"], Some(1.0), &[]), one("MAL-1", &[], None, &[])];
        known[1].malicious = true;
        let found = holes(&known);
        assert_eq!((found.len(), found[0].id.as_ref(), found[0].malicious), (1, "MAL-1", true));
    }
}
