//! What may be published at all: names, versions and tags, and how a client spells a file.
//!
//! Pure. Old packages may be called otherwise; these are npm's rules for new ones.

use policies::package::{Ecosystem, Package};
use policies::versions::{MAX_RANGE, Range};

/// Longest tag; it stands in each packument.
const TAG_AT_MOST: usize = 128;
/// node-semver reads no larger number.
const NUMBER_AT_MOST: u64 = 9_007_199_254_740_991;

/// Why nobody publishes a package of this name; `None` if anybody may.
pub fn name_fault(package: &Package) -> Option<&'static str> {
    let name = package.name();
    let parts = || name.trim_start_matches('@').split('/');
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Some("npm takes no capital letters in the name of a new package");
    }
    if parts().any(|part| part.starts_with(['.', '_'])) {
        return Some("npm takes no dot or underscore at the beginning of a name");
    }
    if name.contains(['~', '\'', '!', '(', ')']) {
        return Some("npm takes none of ~ ' ! ( ) in the name of a new package");
    }
    None
}

/// The name without what two names must not differ by alone.
pub fn folded(package: &Package) -> String {
    let name = package.name().chars().filter(|c| !matches!(c, '-' | '_' | '.'));
    name.map(|c| c.to_ascii_lowercase()).collect()
}

/// Why this is no version to publish.
pub fn version_fault(version: &str) -> Option<&'static str> {
    let Ok(parsed) = semver::Version::parse(version) else {
        return Some("it is no semantic version such as 1.2.3 or 1.2.3-beta.1");
    };
    if !parsed.build.is_empty() {
        return Some(
            "npm does not tell versions apart by what stands behind the +, so leave it out",
        );
    }
    if [parsed.major, parsed.minor, parsed.patch].iter().any(|number| *number > NUMBER_AT_MOST) {
        return Some("npm can not read so large a number");
    }
    None
}

/// Why this is no tag.
pub fn tag_fault(tag: &str) -> Option<&'static str> {
    if tag.is_empty() || tag.len() > TAG_AT_MOST {
        return Some("a tag has between 1 and 128 characters");
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte);
    if !tag.bytes().all(plain) {
        return Some("a tag has only letters, digits and - _ . ! ~ * ' ( )");
    }
    if is_range(tag) {
        return Some("it is a version range, so npm would never look for the tag");
    }
    None
}

fn is_range(tag: &str) -> bool {
    matches!(tag, "*" | "x" | "X")
        || (tag.len() <= MAX_RANGE && Range::parse(Ecosystem::Npm, tag).is_ok())
}

/// Whether a client that publishes this version would call its file so: npm, pnpm, yarn and lerna
/// put the whole name before it, bun the name that `pack` gives the file.
pub fn is_file_of(package: &Package, version: &str, extension: &str, file: &str) -> bool {
    let name = package.name();
    let packed = name.trim_start_matches('@').replace('/', "-");
    [name, packed.as_str()].iter().any(|stem| {
        file.strip_prefix(stem)
            .and_then(|rest| rest.strip_prefix('-'))
            .and_then(|rest| rest.strip_suffix(extension))
            == Some(version)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str) -> Package {
        Package::new(Ecosystem::Npm, name).unwrap()
    }

    #[test]
    fn new_names_keep_to_the_rules_of_npm() {
        for name in ["left-pad", "@s/n", "a.b_c", "-x", "0"] {
            assert_eq!(name_fault(&package(name)), None, "{name}");
        }
        for name in ["JSONStream", "@S/n", "_x", "@s/_x", "a~b", "a(b)", "@_s/n"] {
            assert!(name_fault(&package(name)).is_some(), "{name}");
        }
    }

    #[test]
    fn names_that_a_person_confuses_are_folded_into_one() {
        for other in ["left_pad", "leftpad", "left.pad", "Left-Pad"] {
            assert_eq!(folded(&package(other)), folded(&package("left-pad")), "{other}");
        }
        assert_ne!(folded(&package("@left/pad")), folded(&package("left-pad")));
    }

    #[test]
    fn versions_are_semantic_and_have_one_spelling() {
        for version in ["1.0.0", "0.0.0", "1.2.3-beta.1", "1.0.0-0"] {
            assert_eq!(version_fault(version), None, "{version}");
        }
        for version in
            ["1.0", "v1.0.0", "=1.0.0", "01.0.0", "1.0.0+x", " 1.0.0", "9007199254740992.0.0", ""]
        {
            assert!(version_fault(version).is_some(), "{version}");
        }
    }

    #[test]
    fn a_tag_is_no_range() {
        for tag in ["latest", "next", "beta-1", "v-next", "release_2"] {
            assert_eq!(tag_fault(tag), None, "{tag}");
        }
        for tag in ["1.0.0", "^1", "1", "1.x", "*", "x", "v1", ">=2", "a/b", "", "a b", "ä"] {
            assert!(tag_fault(tag).is_some(), "{tag}");
        }
    }

    #[test]
    fn a_file_is_that_of_its_version() {
        let scoped = package("@acme/ui");
        let rows = [
            ("@acme/ui-1.0.0.tgz", true),
            ("acme-ui-1.0.0.tgz", true),
            ("ui-1.0.0.tgz", false),
            ("../x", false),
            ("@acme/ui-1.0.1.tgz", false),
            ("@acme/other-1.0.0.tgz", false),
            ("@acme/ui-1.0.0.tgz.tgz", false),
            ("../@acme/ui-1.0.0.tgz", false),
            ("@acme/ui-1.0.0.sigstore", false),
        ];
        for (file, expected) in rows {
            assert_eq!(is_file_of(&scoped, "1.0.0", ".tgz", file), expected, "{file}");
        }
    }
}
