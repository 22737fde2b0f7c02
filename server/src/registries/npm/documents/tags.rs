//! Which dist-tags a view shows.
//!
//! A tag that points to a version that is not shown is dropped; `latest` moves, because clients
//! fail without it. It never moves up where there is anything at or below: an older approved
//! version is what was meant to be used before the newer one came.

use std::cmp::Ordering;
use std::collections::HashSet;

use policies::package::{Ecosystem, Version};
use policies::versions::{compare, is_prerelease};

use super::{Packument, Shown};

pub fn offered_tags(packument: &Packument, shown: &[Shown<'_>]) -> Vec<(String, String)> {
    let versions: HashSet<&str> = shown.iter().map(|shown| shown.entry.version.as_str()).collect();
    let mut tags: Vec<(String, String)> = packument
        .tags
        .iter()
        .filter(|(_, version)| versions.contains(version.as_str()))
        .cloned()
        .collect();
    if !tags.iter().any(|(tag, _)| tag == "latest") {
        let original = packument
            .tags
            .iter()
            .find(|(tag, _)| tag == "latest")
            .map(|(_, version)| version.as_str());
        let shown: Vec<&Version> = shown.iter().map(|shown| &shown.entry.version).collect();
        if let Some(latest) = latest_offered(&shown, original) {
            tags.push(("latest".to_owned(), latest.to_string()));
        }
    }
    tags.sort();
    tags
}

/// Whether [`version_of_tag`] can find anything, whatever is shown.
pub fn leads_somewhere(packument: &Packument, tag: &str) -> bool {
    tag == "latest" || version_at(packument, &packument.tags, tag).is_some()
}

/// The version that is meant by a tag: that which it is shown with, else that which it points to.
pub fn version_of_tag(packument: &Packument, shown: &[Shown<'_>], tag: &str) -> Option<Version> {
    let of = |tags: &[(String, String)]| version_at(packument, tags, tag);
    of(&offered_tags(packument, shown)).or_else(|| of(&packument.tags))
}

fn version_at(packument: &Packument, tags: &[(String, String)], tag: &str) -> Option<Version> {
    let (_, version) = tags.iter().find(|(name, _)| name == tag)?;
    packument.entry(&Version::new(version).ok()?).map(|entry| entry.version.clone())
}

/// Where `latest` leads: to the original, if it is shown; else to the highest stable version not
/// above it; else to the highest pre-release not above it; else, where only newer ones are allowed,
/// to the lowest of them, stable ones first.
pub fn latest_offered<'a>(shown: &[&'a Version], original: Option<&str>) -> Option<&'a Version> {
    if let Some(same) = shown.iter().find(|version| original == Some(version.as_str())) {
        return Some(same);
    }
    let is_stable =
        |version: &&&Version| is_prerelease(Ecosystem::Npm, version.as_str()) == Some(false);
    let (below, above): (Vec<&Version>, Vec<&Version>) = shown
        .iter()
        .copied()
        .partition(|version| original.is_none_or(|original| order(version, original).is_le()));
    let by_order = |a: &&&Version, b: &&&Version| order(a, b.as_str());
    let highest = below.iter().filter(is_stable).max_by(by_order);
    highest
        .or_else(|| below.iter().max_by(by_order))
        .or_else(|| above.iter().filter(is_stable).min_by(by_order))
        .or_else(|| above.iter().min_by(by_order))
        .copied()
}

/// What npm can not order is nobody's latest: it counts as lower than all.
fn order(a: &Version, b: &str) -> Ordering {
    compare(Ecosystem::Npm, a.as_str(), b).unwrap_or_else(|| {
        let is_readable = |text| is_prerelease(Ecosystem::Npm, text).is_some();
        is_readable(a.as_str()).cmp(&is_readable(b))
    })
}
