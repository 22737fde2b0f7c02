//! What the audit log says of a change.

use jiff::Timestamp;

use super::{Edit, Target};
use crate::audit::{Action, Entry};
use crate::metadata::Change;

/// So long is the list of versions in one entry.
const LISTED: usize = 1900;
/// Entries of one kind in one change; what does not fit is counted.
const MOST: usize = 50;

/// The entries, as they are written in the commit of the change.
pub(super) fn told(target: &Target, edit: &Edit, now: Timestamp) -> Vec<Change> {
    let about = |action| {
        Entry::new(action).package(&target.package).detail("registry", &target.source.registry)
    };
    let mut entries = Vec::new();
    for (version, digests) in &edit.published {
        let entry = about(Action::Published).versions(Some(version.as_str()));
        entries.push(entry.detail_if("digest", digests.first()));
    }
    let gone: Vec<String> = edit.unpublished.iter().map(ToString::to_string).collect();
    entries.extend(of_versions(&about(Action::Unpublished), &gone));
    for told in &edit.told {
        entries.extend(of_versions(&about(told.action).why(told.text.as_deref()), &told.versions));
    }
    let entries = entries.into_iter().enumerate();
    entries.flat_map(|(order, entry)| entry.changes(now, order)).collect()
}

/// One entry for as many versions as it has room for.
fn of_versions(about: &Entry, versions: &[String]) -> Vec<Entry> {
    let mut lists: Vec<String> = Vec::new();
    let mut left_out = 0;
    for version in versions {
        let lists_begun = lists.len();
        match lists.last_mut().filter(|list| list.len() + version.len() < LISTED) {
            Some(list) => {
                list.push_str(", ");
                list.push_str(version);
            }
            None if lists_begun < MOST => lists.push(version.clone()),
            None => left_out += 1,
        }
    }
    let entries = lists.iter().map(|list| {
        let entry =
            about.clone().versions(Some(list).filter(|list| !list.is_empty()).map(String::as_str));
        if left_out > 0 { entry.detail("more-versions", &left_out) } else { entry }
    });
    entries.collect()
}
