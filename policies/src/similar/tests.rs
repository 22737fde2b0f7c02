use proptest::prelude::*;

use super::*;

fn similar<'n>(name: &str, garden: &'n Names) -> &'n str {
    similar_to(&Package::new(Ecosystem::Npm, name).unwrap(), garden).unwrap()
}

#[test]
fn a_name_that_looks_like_a_popular_one_is_told_from_one_that_does_not() {
    let garden = Names::default();
    for (name, looks_like) in [
        // Dropped, added, other and swapped letters.
        ("expres", "express"),
        ("expresss", "express"),
        ("axois", "axios"),
        ("lodahs", "lodash"),
        ("comander", "commander"),
        ("chalkk", "chalk"),
        // Separators.
        ("crossenv", "cross-env"),
        ("cross_env", "cross-env"),
        ("fs.extra", "fs-extra"),
        ("bodyparser", "body-parser"),
        // Letters that look alike.
        ("l0dash", "lodash"),
        ("1odash", "lodash"),
        ("cornrnander", "commander"),
        // Scopes.
        ("types-node", "@types/node"),
        ("@types-node/x", "@types/node"),
        ("@typ3s/anything", "@types/"),
        ("@bable/anything", "@babel/"),
        ("@babell/core", "@babel/core"),
        ("@anguIar/core", "@angular/core"),
        // Honest ones.
        ("express", ""),
        ("lodash", ""),
        ("preact", ""),
        ("@types/nodes", ""),
        ("@babel/something-new", ""),
        ("left-pad-of-somebody", ""),
        ("@somebody-else/lodash", ""),
        ("m", ""),
        ("mss", ""),
    ] {
        let found = similar(name, &garden);
        let fits = if looks_like.ends_with('/') {
            found.starts_with(looks_like)
        } else {
            found == looks_like
        };
        assert!(fits, "{name} looks like {found:?}, not {looks_like:?}");
    }
}

#[test]
fn names_of_the_garden_are_trusted_and_looked_out_for() {
    let garden = Names::new(Ecosystem::Npm, ["@acme/ui", "acme-core", "expresss"]);
    for (name, looks_like) in [
        ("@acme/ui", ""),
        ("@acme/another", ""),
        ("acme-core", ""),
        // Somebody allowed this one by name, so it is no slip.
        ("expresss", ""),
        ("acme-ui", "@acme/ui"),
        ("@acme-ui/x", "@acme/ui"),
        ("@acmee/secrets", "@acme/ui"),
        ("@acrne/ui", "@acme/ui"),
        ("acmecore", "acme-core"),
        ("acme-cor", "acme-core"),
        ("expres", "express"),
    ] {
        assert_eq!(similar(name, &garden), looks_like, "{name}");
    }
}

#[test]
fn letters_of_other_alphabets_are_read_as_those_that_they_look_like() {
    assert_eq!(plain("re\u{430}\u{441}t-d\u{43e}m"), plain("react-dom"));
}

#[test]
fn of_other_ecosystems_nobody_knows_what_is_popular() {
    let package = Package::new(Ecosystem::Nuget, "Newtonsoft.Json").unwrap();
    assert_eq!(similar_to(&package, &Names::default()), None);
}

#[test]
fn a_crate_is_one_name_with_either_dash() {
    let garden = Names::new(Ecosystem::Cargo, ["acme-core", "acme_ui"]);
    for (name, looks_like) in [
        ("serde_json", ""),
        ("serde-json", ""),
        ("Serde_JSON", ""),
        ("serdejson", "serde_json"),
        ("serde_jsn", "serde_json"),
        ("tokyo", "tokio"),
        ("reqwests", "reqwest"),
        ("proc_macro2", ""),
        ("proc-macr02", "proc-macro2"),
        ("rustdecimal", "rust_decimal"),
        ("acme_core", ""),
        ("acme-ui", ""),
        ("acmecore", "acme-core"),
        ("acme_cor", "acme-core"),
        ("a-crate-of-somebody", ""),
        ("syn", ""),
        ("sym", ""),
    ] {
        let package = Package::new(Ecosystem::Cargo, name).unwrap();
        assert_eq!(similar_to(&package, &garden), Some(looks_like), "{name}");
    }
}

#[test]
fn the_shipped_lists_are_whole_and_none_of_them_resembles_another() {
    for (ecosystem, popular, at_least) in
        [(Ecosystem::Npm, &*POPULAR_OF_NPM, 17_000), (Ecosystem::Cargo, &*POPULAR_OF_CARGO, 1000)]
    {
        assert!(popular.kept.len() > at_least, "{}", popular.kept.len());
        let garden = Names::default();
        for name in &popular.kept {
            let package = Package::new(ecosystem, name);
            let package = package.unwrap_or_else(|fault| panic!("{name}: {fault}"));
            assert_eq!(similar_to(&package, &garden), Some(""), "{name}");
        }
    }
}

/// What a look costs is a few look-ups and what is found by them, whatever is asked.
#[test]
fn no_half_is_shared_by_more_than_a_few_names() {
    for texts in [&POPULAR_OF_NPM.whole, &POPULAR_OF_NPM.scopes] {
        for sorted in [&texts.equal, &texts.halves] {
            let shared = sorted.chunk_by(|(a, _), (b, _)| a == b).map(<[_]>::len).max();
            assert!(shared < Some(150), "{shared:?}");
        }
    }
}

/// The definition, by looking at every name.
fn by_looking(name: &str, known: &str) -> bool {
    let (text, known) = (plain(name), plain(known));
    text == known || (known.len() >= SHORTEST_OF_GARDEN && strsim::osa_distance(&text, &known) == 1)
}

proptest! {
    #[test]
    fn one_place_is_what_the_distance_says(a in "[ab]{0,7}", b in "[ab]{0,7}") {
        let one = strsim::osa_distance(&a, &b) == 1;
        prop_assert_eq!(differ_in_one_place(a.as_bytes(), b.as_bytes()), one);
    }

    #[test]
    fn the_halves_find_what_looking_at_each_would(
        known in proptest::collection::vec("[abx]{3,9}", 1..12), name in "[abx]{2,10}",
    ) {
        let names = Names::new(Ecosystem::Npm, known.iter().map(String::as_str));
        let expected = known.iter().any(|known| by_looking(&name, known));
        prop_assert_eq!(names.resembled_by(&name).is_some(), expected);
    }

    #[test]
    fn nothing_panics(name in "\\PC{0,40}") {
        let names = Names::new(Ecosystem::Npm, [name.as_str(), "acme-core"]);
        names.resembled_by(&name);
        POPULAR_OF_NPM.resembled_by(&name);
    }
}
