//! By what entries are found: an index key for each package, person, action and subject. Pure.

use aws_lc_rs::digest::{SHA256, digest};

use crate::metadata::records::AuditRecord;

pub const PACKAGE: &str = "package";
pub const PERSON: &str = "person";
pub const ACTION: &str = "action";
pub const SUBJECT: &str = "subject";

/// A longer value is found by its hash: keys have a bound.
const LONGEST: usize = 240;

/// Kind and value of each index key of an entry.
pub fn values(record: &AuditRecord) -> Vec<(&'static str, String)> {
    let mut values = Vec::with_capacity(record.packages.len() + 3);
    values.push((ACTION, value(&record.action)));
    values.extend(record.who.as_deref().map(|who| (PERSON, value(who))));
    values.extend(record.subject.as_deref().map(|subject| (SUBJECT, value(subject))));
    values.extend(record.packages.iter().map(|package| (PACKAGE, value(package))));
    values.sort_unstable();
    values.dedup();
    values
}

/// As it stands in an index key.
pub fn value(text: &str) -> String {
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    if text.len() <= LONGEST && plain {
        return text.to_owned();
    }
    format!("sha256:{}", hex::encode(digest(&SHA256, text.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::MAX_KEY;
    use crate::metadata::records::AuditIndex;

    #[test]
    fn every_value_has_room_in_a_key() {
        for text in ["x".repeat(5000), "%".repeat(LONGEST), "ü".repeat(LONGEST), String::new()] {
            let key = AuditIndex::key(SUBJECT, &value(&text), u64::MAX);
            assert!(key.as_bytes().len() <= MAX_KEY, "{key:?}");
        }
        assert_eq!(value("npm:@types/node"), "npm:@types/node");
        assert_ne!(value(&"x".repeat(300)), value(&"x".repeat(301)));
    }
}
