#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use serde_json::json;

use super::*;

fn judged(judgement: Judgement, stated: &str, list: &[&str]) -> Tri {
    let list: Vec<Entry> = list.iter().map(|text| Entry::parse(text).unwrap()).collect();
    Licence::new(Ecosystem::Npm, stated).judge(judgement, &list)
}

#[test]
fn allowed_reads_an_expression_as_the_user_may() {
    for (stated, list, expected) in [
        ("MIT", &["MIT"][..], Tri::True),
        ("mit", &["MIT"], Tri::Unknown),
        ("MIT", &["ISC"], Tri::False),
        ("MIT OR GPL-3.0-only", &["MIT"], Tri::True),
        ("MIT AND GPL-3.0-only", &["MIT"], Tri::False),
        ("MIT AND (Apache-2.0 OR GPL-3.0-only)", &["MIT", "Apache-2.0"], Tri::True),
        ("Apache-2.0 WITH LLVM-exception", &["Apache-2.0"], Tri::False),
        ("Apache-2.0 WITH LLVM-exception", &["Apache-2.0 WITH LLVM-exception"], Tri::True),
        ("GPL-2.0-or-later", &["GPL-2.0-only"], Tri::True),
        ("GPL-2.0-only", &["GPL-2.0-or-later"], Tri::False),
        ("GPL-2.0+", &["GPL-2.0-or-later"], Tri::True),
        ("GPL-2.0", &["GPL-2.0-only"], Tri::True),
        ("MIT", &["family:permissive"], Tri::True),
        ("GPL-3.0-only", &["family:permissive"], Tri::False),
        ("GPL-3.0-only", &["family:osi"], Tri::True),
        ("BUSL-1.1", &["family:permissive", "family:osi", "family:fsf"], Tri::False),
        ("LicenseRef-acme", &["family:permissive"], Tri::Unknown),
        ("LicenseRef-acme", &["LicenseRef-acme"], Tri::True),
        ("LicenseRef-acme OR MIT", &["family:permissive"], Tri::True),
        ("LicenseRef-acme AND MIT", &["family:permissive"], Tri::Unknown),
        ("SEE LICENSE IN LICENSE.md", &["MIT"], Tri::Unknown),
        ("UNLICENSED", &["Unlicense"], Tri::Unknown),
        ("", &["MIT"], Tri::Unknown),
    ] {
        assert_eq!(judged(Judgement::Allowed, stated, list), expected, "{stated} by {list:?}");
    }
}

#[test]
fn denied_is_what_leaves_no_way_around_the_list() {
    for (stated, list, expected) in [
        ("MIT", &["GPL-3.0-only"][..], Tri::False),
        ("GPL-3.0-only", &["GPL-3.0-only"], Tri::True),
        ("GPL-3.0-or-later", &["GPL-3.0-only"], Tri::True),
        ("MIT OR GPL-3.0-only", &["GPL-3.0-only"], Tri::False),
        ("MIT AND GPL-3.0-only", &["GPL-3.0-only"], Tri::True),
        ("GPL-2.0-only WITH Classpath-exception-2.0", &["GPL-2.0-only"], Tri::True),
        ("GPL-2.0-only", &["GPL-2.0-only WITH Classpath-exception-2.0"], Tri::False),
        ("AGPL-3.0-only", &["family:copyleft"], Tri::True),
        ("LGPL-2.1-or-later", &["family:copyleft"], Tri::True),
        ("MPL-2.0", &["family:copyleft"], Tri::True),
        ("MIT", &["family:copyleft"], Tri::False),
        ("LicenseRef-acme", &["family:copyleft"], Tri::Unknown),
        ("LicenseRef-acme OR MIT", &["family:copyleft"], Tri::False),
        ("garbage (", &["family:copyleft"], Tri::Unknown),
    ] {
        assert_eq!(judged(Judgement::Denied, stated, list), expected, "{stated} by {list:?}");
    }
}

#[test]
fn a_slash_is_a_choice_in_old_crates_only() {
    let list = [Entry::parse("MIT").unwrap()];
    let judged =
        |ecosystem| Licence::new(ecosystem, "MIT/Apache-2.0").judge(Judgement::Allowed, &list);
    assert_eq!(judged(Ecosystem::Cargo), Tri::True);
    assert_eq!(judged(Ecosystem::Npm), Tri::Unknown);
}

#[test]
fn an_entry_that_names_nothing_is_told_what_was_meant() {
    assert_eq!(Entry::parse("Apache2.0").unwrap_err(), "did you mean 'Apache-2.0'?");
    assert!(Entry::parse("family:free").unwrap_err().contains("family:permissive"));
    assert!(Entry::parse("").is_err());
    assert!(Entry::parse(&"x".repeat(5000)).is_err());
}

#[test]
fn an_expression_without_end_is_unreadable() {
    let long = vec!["MIT"; MAX_LICENCES + 1].join(" OR ");
    assert!(!Licence::new(Ecosystem::Npm, &long).is_readable());
    assert!(!Licence::new(Ecosystem::Npm, &"(".repeat(100_000)).is_readable());
    assert!(Licence::new(Ecosystem::Npm, &"(".repeat(100_000)).text().len() <= MAX_TEXT);
}

proptest! {
    #[test]
    fn any_text_is_a_licence(text in "(MIT|GPL-2.0|WITH|AND|OR|\\(|\\)|\\+|/| |\\PC){0,20}") {
        let list = [Entry::Family(Family::Copyleft)];
        for ecosystem in Ecosystem::ALL {
            let _ = Licence::new(ecosystem, &text).judge(Judgement::Denied, &list);
        }
        let _ = Entry::parse(&text);
    }
}

#[test]
fn what_manifests_of_npm_say_in_old_and_new_forms_is_one_expression() {
    let of = |manifest: serde_json::Value| {
        let licence = Licence::of_npm(manifest.get("license"), manifest.get("licenses"));
        licence.map(|licence| (licence.text().to_owned(), licence.is_readable()))
    };
    for (manifest, text, readable) in [
        (json!({ "license": "MIT" }), "MIT", true),
        (json!({ "license": " (MIT OR ISC) " }), "(MIT OR ISC)", true),
        (json!({ "license": { "type": "ISC", "url": "x" } }), "ISC", true),
        (json!({ "licenses": [{ "type": "MIT" }] }), "MIT", true),
        (json!({ "licenses": [{ "type": "MIT" }, "Apache-2.0"] }), "MIT OR Apache-2.0", true),
        (json!({ "licenses": { "type": "MIT" } }), "MIT", true),
        (json!({ "licenses": ["MIT AND ISC", "0BSD"] }), "(MIT AND ISC) OR 0BSD", true),
        (json!({ "license": ["MIT", "ISC"] }), "MIT OR ISC", true),
        (json!({ "license": "", "licenses": ["MIT"] }), "MIT", true),
        (json!({ "license": null, "licenses": ["MIT"] }), "MIT", true),
        (json!({ "license": "GPL-3.0", "licenses": ["MIT"] }), "GPL-3.0", true),
        (json!({ "license": "SEE LICENSE IN x" }), "SEE LICENSE IN x", false),
        (json!({ "license": "UNLICENSED" }), "UNLICENSED", false),
        (json!({ "license": ["MIT", "SEE LICENSE IN x"] }), "MIT OR (SEE LICENSE IN x)", false),
    ] {
        assert_eq!(of(manifest.clone()), Some((text.to_owned(), readable)), "{manifest}");
    }
    for manifest in [
        json!({}),
        json!({ "license": "" }),
        json!({ "license": 7 }),
        json!({ "license": { "url": "x" } }),
        json!({ "licenses": [] }),
        // One of the choices is not known, so it is not known what may be chosen.
        json!({ "licenses": ["MIT", { "url": "x" }] }),
    ] {
        assert_eq!(of(manifest.clone()), None, "{manifest}");
    }
}
