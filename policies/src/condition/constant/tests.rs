#![allow(clippy::unwrap_used)]

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::condition::{Condition, Subject};
use crate::facts::Facts;
use crate::package::Package;

fn said(text: &str) -> &'static str {
    match Condition::parse(text).unwrap().constant(&[Ecosystem::Npm, Ecosystem::Cargo]) {
        None => "both",
        Some(Constant { value: true, unknown_too: true }) => "true",
        Some(Constant { value: true, unknown_too: false }) => "true where known",
        Some(Constant { value: false, unknown_too: true }) => "false",
        Some(Constant { value: false, unknown_too: false }) => "false where known",
    }
}

#[test]
fn what_does_not_depend_on_the_facts_is_seen() {
    for (text, expected) in [
        ("true", "true"),
        ("yanked", "both"),
        ("yanked || !yanked", "true where known"),
        ("yanked && !yanked", "false where known"),
        ("own || !own", "true"),
        ("yanked && false", "false"),
        ("yanked || true", "true"),
        ("age < duration('1h') && age > duration('2h')", "false where known"),
        ("age < duration('2h') && age > duration('1h')", "both"),
        ("age <= duration('1h') && age >= duration('1h')", "both"),
        ("age < duration('1h') && age_here > duration('2h')", "both"),
        ("age < duration('2h') || age > duration('1h')", "true where known"),
        ("dependencies >= 0", "true where known"),
        ("dependencies > 0", "both"),
        ("0 > size", "false where known"),
        ("size > 5 && size < 5.5", "both"),
        ("size == 5 && size > 5.0", "false where known"),
        ("size(advisories) < 0", "false where known"),
        ("size(advisories) == 0", "both"),
        ("name == 'a' && name == 'b'", "false"),
        ("name in ['a', 'b'] && name != 'a'", "both"),
        ("name in ['a', 'b'] && name == 'c'", "false"),
        ("ecosystem == 'npm'", "both"),
        ("ecosystem in ['npm', 'cargo']", "true"),
        ("ecosystem == 'nuget'", "false"),
        ("'pypi' == ecosystem", "false"),
        ("name.startsWith('a') && !name.startsWith('a')", "false where known"),
        (
            "published < timestamp('2026-01-01T00:00:00Z') && published > timestamp('2027-01-01T00:00:00Z')",
            "false where known",
        ),
        ("published == first_seen", "both"),
        ("deprecated ? yanked : !yanked", "both"),
        ("deprecated ? own : own", "both"),
        ("yanked == yanked", "true where known"),
        (
            "advisories.exists(a, a.malicious) && !advisories.exists(a, a.malicious)",
            "false where known",
        ),
        ("advisories.exists(a, a.severity > 9.0) && advisories.all(a, a.severity < 1.0)", "both"),
        ("size in [9007199254740993] && size == 9007199254740992", "both"),
    ] {
        assert_eq!(said(text), expected, "{text}");
    }
}

#[test]
fn too_many_variables_are_not_tried() {
    let many: Vec<String> = (0..40).map(|n| format!("name.contains('{n}')")).collect();
    let text = many.join(" && ") + " && false";
    assert_eq!(said(&text), "both");
}

proptest! {
    /// Whatever is called constant is what the evaluator says of every version.
    #[test]
    fn what_is_called_constant_is_so(
        parts in prop::collection::vec(prop::sample::select(vec![
            "yanked", "!yanked", "size > 3", "size <= 3", "3 < size", "size == 3", "true", "false",
            "age < duration('1h')", "age >= duration('1h')", "name == 'a'", "name != 'a'", "own",
        ]), 1..4),
        joint in prop::sample::select(vec![" && ", " || "]),
        yanked in any::<Option<bool>>(), size in prop::option::of(2_u64..5),
        hours in prop::option::of(-1_i64..3), own in any::<bool>(), name in "[ab]",
    ) {
        let condition = Condition::parse(&parts.join(joint)).unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let published = hours.map(|hours| now - jiff::SignedDuration::from_hours(hours));
        let facts = Facts { published, own, yanked, size, ..Facts::at(now) };
        let package = Package::new(Ecosystem::Npm, &name).unwrap();
        let said = condition.ask(&Subject { package: &package, version: "1.0.0", facts: &facts }).tri;
        if let Some(constant) = condition.constant(&[Ecosystem::Npm]) {
            prop_assert!(said == Tri::of(constant.value) || !constant.unknown_too && said == Tri::Unknown, "{} is {said:?}", condition.text());
        }
    }
}
