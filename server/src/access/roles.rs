//! Roles: sets of rights that have a name, so that it is said once what a publisher may.
//!
//! Four are there from the start and stay as they are; others are made by whoever administers. What
//! a role gives follows it: whoever holds one has, from the next request on, what it says then.

use crate::person::rights::Rights;

/// Name, rights, and what it is for.
pub const BUILT_IN: [(&str, &[&str], &str); 4] = [
    ("reader", &["read"], "fetches what the rules let through"),
    ("publisher", &["read", "publish"], "publishes own packages"),
    ("approver", &["read", "approve"], "answers requests"),
    (
        "administrator",
        &["read", "publish", "approve", "promote", "administer"],
        "may everything that the first admin token may",
    ),
];

pub fn built_in(name: &str) -> Option<Rights> {
    let (_, rights, _) = BUILT_IN.iter().find(|(known, ..)| *known == name)?;
    Some(Rights::stored(rights.iter().copied()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_role_gives_what_its_row_says() {
        for (name, rights, _) in BUILT_IN {
            assert_eq!(built_in(name).unwrap().texts(), rights, "{name}");
        }
        assert_eq!(built_in("administrator"), Some(Rights::all()));
        assert_eq!(built_in("Reader"), None);
    }
}
