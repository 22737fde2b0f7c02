//! [`Packument`] → the parts of a view, spliced from the spans of the versions that are shown.

use std::collections::HashSet;
use std::ops::Range;

use bytes::Bytes;
use policies::package::{Algorithm, Digest, Version};
use serde_json::Value;

use super::fields::Fields;
use super::{Entry, Packument};
use crate::pull::PullError;
use crate::pull::original::Original;
use crate::registries::npm::names;

/// The two documents that live at one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    Full,
    /// `application/vnd.npm.install-v1+json`: what an install needs.
    Abbreviated,
}

/// What a view shows of a packument.
#[derive(Clone, Debug)]
pub struct Offer<'a> {
    pub packument: &'a Packument,
    /// In the upstream's order.
    pub shown: Vec<Shown<'a>>,
    pub tags: Vec<(String, String)>,
}

/// One version that is shown.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    pub entry: &'a Entry,
    /// The digests of first sight, where the upstream has since promised other ones.
    pub pinned: Option<&'a [Digest]>,
}

/// Fields at the top that npm's own registry hoists from the newest version.
pub const HOISTED: &[&str] = &[
    "description",
    "license",
    "licenses",
    "homepage",
    "repository",
    "bugs",
    "keywords",
    "author",
    "readme",
    "readmeFilename",
];

/// One version alone, as `/{package}/{version}` answers.
pub fn render_manifest(
    packument: &Packument,
    shown: &Shown<'_>,
    base: &str,
) -> Result<Vec<u8>, PullError> {
    let raw = shown.entry.raw.read(&packument.original)?;
    let mut out = Vec::with_capacity(raw.len() + 64);
    write_version(&mut out, packument, shown, &raw, Form::Full, base);
    Ok(out)
}

/// A packument of these versions alone, unfiltered and not rewritten: what is kept of versions
/// that the upstream takes away.
pub fn render_retained(
    packument: &Packument,
    versions: &HashSet<Version>,
) -> Result<Bytes, PullError> {
    let kept: Vec<&Entry> =
        packument.entries.iter().filter(|entry| versions.contains(&entry.version)).collect();
    let mut out = Vec::new();
    out.extend_from_slice(b"{\"name\":");
    write_text(&mut out, packument.package.name());
    out.extend_from_slice(b",\"versions\":{");
    for (index, entry) in kept.iter().enumerate() {
        separate(&mut out, index);
        write_text(&mut out, entry.version.as_str());
        out.push(b':');
        out.extend_from_slice(&entry.raw.read(&packument.original)?);
    }
    out.extend_from_slice(b"},\"time\":");
    write_texts(&mut out, kept.iter().filter_map(|entry| published(entry)));
    out.push(b'}');
    Ok(out.into())
}

pub(super) fn published(entry: &Entry) -> Option<(&str, &str)> {
    Some((entry.version.as_str(), entry.published_text.as_deref()?))
}

pub(super) fn write_version(
    out: &mut Vec<u8>,
    packument: &Packument,
    shown: &Shown<'_>,
    raw: &[u8],
    form: Form,
    base: &str,
) {
    let entry = shown.entry;
    let package = &packument.package;
    let links = Links {
        tarball: format!("{base}/{}", names::tarball_path(package, &entry.version)),
        attestations: entry.attestations.map(|place| {
            (place.range(), format!("{base}/{}", names::attestations_path(package, &entry.version)))
        }),
    };
    match form {
        Form::Full => {
            out.extend_from_slice(&raw[..entry.dist.range().start]);
            write_dist(out, shown, raw, &links);
            out.extend_from_slice(&raw[entry.dist.range().end..]);
        }
        Form::Abbreviated => {
            out.push(b'{');
            for (name, value) in &entry.short {
                write_text(out, name.name());
                out.push(b':');
                out.extend_from_slice(&raw[value.range()]);
                out.push(b',');
            }
            if entry.has_install_script {
                out.extend_from_slice(b"\"hasInstallScript\":true,");
            }
            out.extend_from_slice(b"\"dist\":");
            write_dist(out, shown, raw, &links);
            out.push(b'}');
        }
    }
}

/// The addresses of one version, as they are here.
struct Links {
    tarball: String,
    /// With the place of the upstream's own.
    attestations: Option<(Range<usize>, String)>,
}

/// Only the addresses are ours; digests, signatures and attestations stay as the upstream wrote
/// them. Where it has changed its promise, the one of first sight stands, and signatures of the
/// other bytes are left out.
fn write_dist(out: &mut Vec<u8>, shown: &Shown<'_>, raw: &[u8], links: &Links) {
    let entry = shown.entry;
    let Some(pinned) = shown.pinned else {
        let tarball = (&entry.tarball.range(), &links.tarball);
        let mut at = entry.dist.range().start;
        let mut splice = |(place, url): (&Range<usize>, &String)| {
            out.extend_from_slice(&raw[at..place.start]);
            write_text(out, url);
            at = place.end;
        };
        match &links.attestations {
            None => splice(tarball),
            Some((place, url)) if place.start < tarball.0.start => {
                splice((place, url));
                splice(tarball);
            }
            Some((place, url)) => {
                splice(tarball);
                splice((place, url));
            }
        }
        out.extend_from_slice(&raw[at..entry.dist.range().end]);
        return;
    };
    out.extend_from_slice(b"{\"tarball\":");
    write_text(out, &links.tarball);
    let integrity: Vec<String> = pinned
        .iter()
        .filter(|digest| digest.algorithm() != Algorithm::Sha1)
        .map(Digest::to_sri)
        .collect();
    if !integrity.is_empty() {
        write_field(out, "integrity", &integrity.join(" "));
    }
    if let Some(sha1) = pinned.iter().find(|digest| digest.algorithm() == Algorithm::Sha1) {
        write_field(out, "shasum", &sha1.hex());
    }
    out.push(b'}');
}

fn latest(tags: &[(String, String)]) -> Option<&str> {
    tags.iter().find(|(tag, _)| tag == "latest").map(|(_, version)| version.as_str())
}

pub(super) fn newest<'a>(offer: &'a Offer<'_>) -> Option<&'a str> {
    latest(&offer.tags)
}

/// Whether the fields that are hoisted have to be those of another version than the upstream's.
pub(super) fn hoists(offer: &Offer<'_>) -> bool {
    newest(offer) != latest(&offer.packument.tags)
}

/// The other fields at the top. Those that are hoisted from `latest` follow it when it moved:
/// the readme of a version that is not offered is not shown.
pub(super) fn write_top_fields(
    out: &mut Vec<u8>,
    offer: &Offer<'_>,
    original: &Original,
) -> Result<(), PullError> {
    let (newest, moved) = (newest(offer), hoists(offer));
    for (key, value) in &offer.packument.fields {
        if !(moved && HOISTED.contains(&key.as_str())) {
            write_raw_field(out, key, &value.read(original)?);
        }
    }
    let shown = newest
        .and_then(|newest| offer.shown.iter().find(|shown| shown.entry.version.as_str() == newest));
    if let (true, Some(shown)) = (moved, shown)
        && let raw = shown.entry.raw.read(original)?
        && let Ok(text) = std::str::from_utf8(&raw)
        && let Ok(fields) = Fields::parse(text)
    {
        for name in HOISTED {
            if let Some(value) = fields.get(name) {
                write_raw_field(out, name, value.as_bytes());
            }
        }
    }
    Ok(())
}

fn write_raw_field(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    out.push(b',');
    write_text(out, key);
    out.push(b':');
    out.extend_from_slice(value);
}

pub(super) fn write_field(out: &mut Vec<u8>, key: &str, value: &str) {
    out.push(b',');
    write_text(out, key);
    out.push(b':');
    write_text(out, value);
}

pub(super) fn write_texts<'a>(out: &mut Vec<u8>, texts: impl Iterator<Item = (&'a str, &'a str)>) {
    out.push(b'{');
    for (index, (key, value)) in texts.enumerate() {
        separate(out, index);
        write_text(out, key);
        out.push(b':');
        write_text(out, value);
    }
    out.push(b'}');
}

pub(super) fn separate(out: &mut Vec<u8>, index: usize) {
    if index > 0 {
        out.push(b',');
    }
}

pub(super) fn write_text(out: &mut Vec<u8>, text: &str) {
    let plain = |byte: u8| (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\';
    if text.bytes().all(plain) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        out.extend_from_slice(Value::from(text).to_string().as_bytes());
    }
}
