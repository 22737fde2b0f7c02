//! What may be published at all: names and versions of crates.
//!
//! Pure. What is at an upstream may be called otherwise; these are the rules for new crates, those of
//! the chapter "Registry Index" of the Cargo book.

use policies::package::{Ecosystem, Package};
use semver::Version;

/// Files of these names can not be made on some machines, whatever follows a dot.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];
/// These come with the compiler, and a dependency of such a name would be taken for them.
const OF_THE_COMPILER: [&str; 5] = ["std", "core", "alloc", "test", "proc-macro"];

/// Of `-` and `_`: a name with so many has a thousand spellings.
const SEPARATORS_AT_MOST: usize = 10;

/// Why nobody publishes a crate of this name; `None` if anybody may.
pub fn name_fault(name: &str) -> Option<&'static str> {
    if !name.starts_with(|first: char| first.is_ascii_alphabetic()) {
        return Some("a new crate's name starts with a letter");
    }
    let folded = fold(name);
    let numbered = ["com", "lpt"].iter().filter_map(|device| folded.strip_prefix(device));
    let is_port = |rest: &str| rest.len() == 1 && rest.as_bytes()[0].is_ascii_digit();
    if DEVICES.contains(&folded.as_str()) || numbered.into_iter().any(is_port) {
        return Some("no file of this name can be made on some machines");
    }
    if OF_THE_COMPILER.contains(&folded.as_str()) {
        return Some("a crate of this name comes with the compiler");
    }
    if name.matches(['-', '_']).count() > SEPARATORS_AT_MOST {
        return Some("a new crate's name has ten - and _ at the most");
    }
    None
}

/// The name without what two names must not differ by alone.
pub fn folded(package: &Package) -> String {
    fold(package.name())
}

/// The same crate to cargo, in all other spellings; none where they are too many for a name that may be
/// published.
pub fn others(package: &Package) -> Vec<Package> {
    let name = package.name();
    let separators: Vec<usize> = name.match_indices(['-', '_']).map(|(at, _)| at).collect();
    if separators.len() > SEPARATORS_AT_MOST {
        return Vec::new();
    }
    let spelled = |which: u32| {
        let mut other = name.to_owned();
        for (n, at) in separators.iter().enumerate() {
            other.replace_range(at..=at, if which >> n & 1 == 0 { "-" } else { "_" });
        }
        Package::new(Ecosystem::Cargo, &other).ok()
    };
    let all = (0..1_u32 << separators.len()).filter_map(spelled);
    all.filter(|other| other != package).collect()
}

fn fold(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}

/// A semantic version in its only spelling, or why it is none.
pub fn version(text: &str) -> Result<Version, String> {
    let parsed = Version::parse(text)
        .map_err(|fault| format!("it is no semantic version such as 1.2.3: {fault}"))?;
    if parsed.to_string() == text {
        Ok(parsed)
    } else {
        Err("it is no semantic version such as 1.2.3".to_owned())
    }
}

/// Whether cargo takes two versions for one: it does not go by what stands behind the `+`.
pub fn is_same(one: &Version, other: &Version) -> bool {
    one.cmp_precedence(other).is_eq()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn new_names_keep_to_the_rules_of_the_index() {
        for name in ["serde", "Serde_Derive", "a", "x-1", "common", "com", "com10", "tests"] {
            assert_eq!(name_fault(name), None, "{name}");
        }
        for name in ["1a", "_a", "nul", "NUL", "com1", "LPT9", "std", "proc_macro", "Core"] {
            assert!(name_fault(name).is_some(), "{name}");
        }
    }

    #[test]
    fn names_that_a_person_confuses_are_folded_into_one() {
        let package = |name: &str| Package::new(Ecosystem::Cargo, name).unwrap();
        for other in ["left_pad", "Left-Pad", "LEFT_PAD"] {
            assert_eq!(folded(&package(other)), folded(&package("left-pad")), "{other}");
        }
        assert_ne!(folded(&package("leftpad")), folded(&package("left-pad")));
    }

    #[test]
    fn a_name_has_a_spelling_for_each_choice_of_its_separators() {
        let of = |name: &str| {
            let others = others(&Package::new(Ecosystem::Cargo, name).unwrap());
            others.iter().map(|other| other.name().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(of("serde"), Vec::<String>::new());
        assert_eq!(of("acme_log"), ["acme-log"]);
        assert_eq!(of("a-b_c"), ["a-b-c", "a_b-c", "a_b_c"]);
        let (most, more) = (["a"; 11].join("-"), ["a"; 12].join("-"));
        assert_eq!((of(&most).len(), name_fault(&most)), (1023, None));
        assert!(of(&more).is_empty() && name_fault(&more).is_some());
    }

    #[test]
    fn versions_are_semantic_and_have_one_spelling() {
        for text in ["1.0.0", "0.0.0", "1.2.3-beta.1", "1.0.0+x", "1.0.0-a+b"] {
            assert!(version(text).is_ok(), "{text}");
        }
        for text in [
            "1.0",
            "v1.0.0",
            "=1.0.0",
            "01.0.0",
            " 1.0.0",
            "",
            "1.0.0-",
            "99999999999999999999.0.0",
        ] {
            assert!(version(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_stands_behind_the_plus_makes_no_other_version() {
        let is_same = |one, other| is_same(&version(one).unwrap(), &version(other).unwrap());
        assert!(is_same("1.0.0+a", "1.0.0+b") && is_same("1.0.0", "1.0.0+b"));
        assert!(!is_same("1.0.0-a", "1.0.0") && !is_same("1.0.0-a+x", "1.0.0-b+x"));
    }
}
