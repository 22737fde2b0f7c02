//! `policyRestrictions`: why the versions that are left out are left out, for the npm that asks.
//!
//! npm looks there for a version that it wants and does not find, and prints the message in place
//! of "No matching version". It is one message for the whole packument, so it says of each reason
//! which versions it keeps away. A client that does not know the field sees the same packument.
//!
//! npm's npm-pick-manifest has read the field for long, but up to 9.0 it took a restricted version
//! where a range has an allowed one too. npm has had a later one since 10.9.

use policies::package::Package;
use serde_json::{Map, Value, json};

/// The first version of npm that reads the field well: major and minor.
const FIRST_NPM: (u64, u64) = (10, 9);
/// So many of the versions that are left out are named to npm, the newest; of the others it says
/// that they do not exist, as if there were no field.
const MOST_VERSIONS: usize = 500;
/// A message is read by a person.
const MOST_REASONS: usize = 8;
const MOST_NAMED: usize = 6;

/// A version that is left out, and why in words.
#[derive(Debug)]
pub struct Restricted<'a> {
    pub version: &'a str,
    pub why: String,
}

/// Whether the sender of this `User-Agent` is an npm that reads the field well.
pub fn are_read_by(agent: &str) -> bool {
    let Some(version) = agent.strip_prefix("npm/") else { return false };
    let mut numbers = version.split(['.', ' ']).map(|number| number.parse().ok());
    let (major, minor) = (numbers.next().flatten(), numbers.next().flatten());
    major.zip(minor).is_some_and(|version| version >= FIRST_NPM)
}

/// The value of the field, if there is anything to say. `restricted` is in the upstream's order.
pub fn field(package: &Package, restricted: &[Restricted<'_>]) -> Option<Vec<u8>> {
    if restricted.is_empty() {
        return None;
    }
    let newest: Vec<&Restricted<'_>> = restricted.iter().rev().take(MOST_VERSIONS).collect();
    // All that npm looks at: it never installs what it finds here.
    let versions: Map<String, Value> = newest
        .iter()
        .map(|left_out| (left_out.version.to_owned(), json!({ "version": left_out.version })))
        .collect();
    let field = json!({ "message": message(package, &newest), "versions": versions });
    Some(field.to_string().into_bytes())
}

fn message(package: &Package, newest: &[&Restricted<'_>]) -> String {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for left_out in newest {
        match reasons.iter_mut().find(|(why, _)| *why == left_out.why) {
            Some((_, versions)) => versions.push(left_out.version),
            None => reasons.push((&left_out.why, vec![left_out.version])),
        }
    }
    let mut lines: Vec<String> = reasons
        .iter()
        .take(MOST_REASONS)
        .map(|(why, versions)| format!("{package}@{} {}", named(versions), why))
        .collect();
    if reasons.len() > MOST_REASONS {
        lines.push(format!("and {} more reasons", reasons.len() - MOST_REASONS));
    }
    lines.push(format!("See: garth why {package}@VERSION"));
    lines.push(format!("To ask for one: garth request {package}@VERSION"));
    lines.join("\n")
}

fn named(versions: &[&str]) -> String {
    let is = if versions.len() == 1 { "is" } else { "are" };
    let named = versions.get(..MOST_NAMED).unwrap_or(versions).join(", ");
    match versions.len().saturating_sub(MOST_NAMED) {
        0 => format!("{named} {is}"),
        more => format!("{named} and {more} more {is}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use policies::package::Ecosystem;

    use super::*;

    fn left_pad() -> Package {
        Package::new(Ecosystem::Npm, "left-pad").unwrap()
    }

    #[test]
    fn only_an_npm_that_reads_it_well_is_told() {
        for agent in ["npm/10.9.0 node/v22.1.0 linux x64", "npm/11.19.1 node/v20", "npm/12.0"] {
            assert!(are_read_by(agent), "{agent}");
        }
        for agent in [
            "npm/10.8.3 node/v22.1.0",
            "npm/9.2.0 node/v18.1.0",
            "npm/? node/v18",
            "npm/",
            "npm/11",
            "pnpm/12.21.0 npm/? node/? linux x64",
            "yarn/1.22.22 npm/11.0.0 node/v20",
            "Bun/1.4.5",
            "",
        ] {
            assert!(!are_read_by(agent), "{agent}");
        }
    }

    #[test]
    fn what_is_left_out_is_named_with_its_reason() {
        let restricted = [Restricted { version: "1.3.0", why: "denied \"so\"".to_owned() }];
        let field: Value =
            serde_json::from_slice(&field(&left_pad(), &restricted).unwrap()).unwrap();
        assert_eq!(field["versions"], json!({ "1.3.0": { "version": "1.3.0" } }));
        assert!(field["message"].as_str().unwrap().contains("1.3.0 is denied \"so\""), "{field}");
        assert_eq!(super::field(&left_pad(), &[]), None);
    }

    #[test]
    fn thousands_of_versions_and_reasons_make_a_short_field() {
        let numbers: Vec<String> = (0..5000).map(|number| format!("1.0.{number}")).collect();
        let restricted: Vec<Restricted<'_>> = numbers
            .iter()
            .enumerate()
            .map(|(place, version)| Restricted {
                version,
                why: format!("denied by {}", place % 20),
            })
            .collect();
        let told = field(&left_pad(), &restricted).unwrap();
        assert!(told.len() < 20_000, "{}", told.len());
        let field: Value = serde_json::from_slice(&told).unwrap();
        assert!(field["versions"]["1.0.4999"].is_object(), "the newest are there");
        assert!(field["versions"]["1.0.0"].is_null());
        insta::assert_snapshot!(field["message"].as_str().unwrap());
    }
}
