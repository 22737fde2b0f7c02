//! The name of a set of rules: a hash of what they say, whatever their order or file.

use sha2::{Digest as _, Sha256};

use super::Rule;
use crate::condition::Condition;
use crate::decision::Revision;

/// Changes with anything that a decision could show; sixteen hexadecimal digits. `rules` are
/// sorted by name.
pub(super) fn of(rules: &[Rule], unavailable: Option<&str>) -> Revision {
    let mut hash = Sha256::new();
    part(&mut hash, "garth rules 2");
    part(&mut hash, unavailable.unwrap_or_default());
    for rule in rules {
        part(&mut hash, &rule.name);
        part(&mut hash, rule.effect.as_str());
        let mut patterns: Vec<String> = rule.patterns.iter().map(ToString::to_string).collect();
        patterns.sort();
        patterns.dedup();
        list(&mut hash, &patterns);
        part(&mut hash, rule.versions.as_ref().map_or("", |versions| &versions.text));
        part(&mut hash, rule.when.as_ref().map_or("", Condition::text));
        let mut teams: Vec<String> = rule.teams.iter().map(ToString::to_string).collect();
        teams.sort();
        list(&mut hash, &teams);
        let mut environments = rule.environments.clone();
        environments.sort();
        list(&mut hash, &environments);
        for text in [&rule.reason, &rule.owner, &rule.link, &rule.waives] {
            part(&mut hash, text.as_deref().unwrap_or_default());
        }
        for moment in [rule.starts, rule.expires] {
            part(&mut hash, &moment.map(|moment| moment.to_string()).unwrap_or_default());
        }
        part(&mut hash, if rule.observe { "observe" } else { "" });
    }
    let digits = hex::encode(&hash.finalize()[..8]);
    Revision(digits.into())
}

/// Rules together with advisories.
pub(super) fn beside(rules: &Revision, advisories: &str) -> Revision {
    let mut hash = Sha256::new();
    part(&mut hash, rules.as_str());
    part(&mut hash, advisories);
    Revision(hex::encode(&hash.finalize()[..8]).into())
}

fn list(hash: &mut Sha256, texts: &[impl AsRef<str>]) {
    hash.update((texts.len() as u64).to_be_bytes());
    for text in texts {
        part(hash, text.as_ref());
    }
}

/// With its length in front, so that no two lists of parts are one text.
fn part(hash: &mut Sha256, text: &str) {
    hash.update((text.len() as u64).to_be_bytes());
    hash.update(text.as_bytes());
}
