//! What could come of an archive that nobody opened yet.

use super::*;

/// What only an archive says, by its bit.
const PENDING: [(u32, Fact); 5] = [
    (3, Fact::Licence),
    (13, Fact::InstallScripts),
    (17, Fact::Description),
    (18, Fact::Repository),
    (19, Fact::RustVersion),
];

/// Nobody opened its archive; of the rest the same is hidden.
fn closed(facts: &Gathered, hidden: u32) -> Facts<'_> {
    let inside = PENDING.iter().fold(0, |bits, (bit, _)| bits | 1 << bit);
    let pending = Missing::of(PENDING.map(|(_, fact)| fact));
    Facts { pending, ..facts.without(hidden | inside) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    /// What is not opened could not have been allowed, whatever its archive says.
    #[test]
    fn what_opening_could_allow_is_opened(rules in rules(), asked in asked(), facts in gathered(), asker in asker(), hidden in any::<u32>()) {
        let set = RuleSet::compile(compiled(&rules)).unwrap();
        let package_rules = set.for_package(&asked.package);
        let before = closed(&facts, hidden);
        let opened = decide(&package_rules, &asked.version, &facts.without(hidden), &asker);
        let decision = decide(&package_rules, &asked.version, &before, &asker);
        let (best, _) = hope(&package_rules, &asked.version, &before, &asker);
        if opened.is_allowed() {
            prop_assert!(decision.is_allowed() || best == Hope::Allowed, "{:?} {:?} {:?}", opened, decision, best);
        }
    }

    #[test]
    fn a_hope_holds_until_the_moment_that_it_names(rules in rules(), asked in asked(), facts in gathered(), asker in asker(), hidden in any::<u32>()) {
        let set = RuleSet::compile(compiled(&rules)).unwrap();
        let package_rules = set.for_package(&asked.package);
        let start = closed(&facts, hidden);
        let (best, until) = hope(&package_rules, &asked.version, &start, &asker);
        for now in moments(&start) {
            if until.is_none_or(|until| now < until) {
                let (again, _) = hope(&package_rules, &asked.version, &Facts { now, ..start }, &asker);
                prop_assert_eq!(again, best, "at {}", now);
            }
        }
    }
}
