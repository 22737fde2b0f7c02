//! Upstream bytes → [`Packument`]: where each version stands, and what is promised about it.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use policies::package::{Digest, Package, Version};
use serde_json::value::RawValue;
use url::Url;

use super::fields::{Fields, span};
use super::summary::hash_words;
use super::{Entry, Packument};
use crate::observability::escape::bounded;
use crate::pull::format::LeftOut;

/// More versions than any real package has; a document beyond it is an attack or an accident.
const MAX_VERSIONS: usize = 100_000;

/// Digests of one tarball; npm itself gives two.
const MAX_DIGESTS: usize = 8;
/// A longer tag is nobody's, and would not fit into what is remembered of it.
const MAX_TAG: usize = 256;

/// What is written down of a version that is left out, and of why: both are the upstream's text.
const TOLD_OF_VERSION: usize = 100;
const TOLD_OF_CAUSE: usize = 300;

/// The fields of the abbreviated form, as its documentation lists them; `dist`, which is
/// rewritten, and `hasInstallScript`, which is computed, come beside.
const SHORT_FIELDS: &[&str] = &[
    "name",
    "version",
    "deprecated",
    "dependencies",
    "optionalDependencies",
    "devDependencies",
    "bundleDependencies",
    "bundledDependencies",
    "peerDependencies",
    "peerDependenciesMeta",
    "acceptDependencies",
    "bin",
    "directories",
    "engines",
    "funding",
    "os",
    "cpu",
    "libc",
    "_hasShrinkwrap",
];

/// Where an upstream writes addresses of its own for itself and its like. No client needs them, and
/// whoever followed one would go past us.
const UPSTREAMS_OWN: &[&str] = &["_attachments", "_distfiles", "_uplinks"];
/// The same in a version: where its publisher or a mirror had it from.
const RESOLVED: &str = "_resolved";

const INSTALL_SCRIPTS: &[&str] = &["preinstall", "install", "postinstall"];

impl Packument {
    /// An error says why this is no packument of `package`; nothing of it may be kept then.
    pub fn parse(package: &Package, bytes: &Bytes) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
        let top = Fields::parse(text).map_err(|fault| format!("it is no JSON object: {fault}"))?;
        match top.text("name") {
            Some(name) if name == package.name() => {}
            Some(name) => return Err(format!("it is the document of {name:?}")),
            None => return Err("it has no name".to_owned()),
        }
        let times = Times::parse(top.get("time"))?;
        let mut packument = Self {
            package: package.clone(),
            entries: Vec::new(),
            tags: parse_tags(top.get("dist-tags"))?,
            left_out: Vec::new(),
            places: HashMap::new(),
            foreign_files: HashMap::new(),
            left_out_places: HashMap::new(),
            fields: Vec::new(),
            created: times.text("created"),
            modified: times.text("modified").or_else(|| top.text("modified")),
        };
        for (key, value) in &top.0 {
            let is_made_anew =
                matches!(key.as_ref(), "versions" | "dist-tags" | "time" | "name" | "modified");
            if !is_made_anew && !UPSTREAMS_OWN.contains(&key.as_ref()) {
                packument.fields.push((key.to_string(), bytes.slice(span(text, value))));
            }
        }
        if let Some(versions) = top.get("versions") {
            packument.parse_versions(versions, text, bytes, &times)?;
        }
        packument.index_places();
        Ok(packument)
    }

    fn parse_versions(
        &mut self,
        versions: &RawValue,
        text: &str,
        bytes: &Bytes,
        times: &Times,
    ) -> Result<(), String> {
        let versions = Fields::parse(versions.get())
            .map_err(|fault| format!("its versions are no object: {fault}"))?;
        if versions.0.len() > MAX_VERSIONS {
            return Err(format!("it has more than {MAX_VERSIONS} versions"));
        }
        self.entries.reserve(versions.0.len());
        let mut seen = HashSet::with_capacity(versions.0.len());
        // Of a version that stands twice the last one counts, as for every JSON parser.
        for (version, value) in versions.0.iter().rev() {
            if !seen.insert(version.clone()) {
                continue;
            }
            let raw = bytes.slice(span(text, value));
            match parse_entry(&self.package, version, value.get(), raw, times) {
                Ok(entry) => self.entries.push(entry),
                Err(why) => self.left_out.push(LeftOut {
                    version: bounded(version, TOLD_OF_VERSION).into_owned(),
                    why: bounded(&why, TOLD_OF_CAUSE).into_owned(),
                }),
            }
        }
        self.entries.reverse();
        Ok(())
    }

    /// Adds versions that the upstream no longer lists and that we still hold.
    pub(super) fn add_retained(&mut self, retained: Self) {
        let listed: HashSet<Version> =
            self.entries.iter().map(|entry| entry.version.clone()).collect();
        self.entries
            .extend(retained.entries.into_iter().filter(|entry| !listed.contains(&entry.version)));
    }
}

fn parse_entry(
    package: &Package,
    version: &str,
    text: &str,
    raw: Bytes,
    times: &Times,
) -> Result<Entry, String> {
    let fields = Fields::parse(text).map_err(|fault| format!("it is no object: {fault}"))?;
    if fields.get(RESOLVED).is_some() {
        let raw = Bytes::from(fields.without(RESOLVED));
        let text = std::str::from_utf8(&raw).map_err(|_| "it is not UTF-8".to_owned())?;
        return parse_entry(package, version, text, raw.clone(), times);
    }
    if fields.repeats(&["name", "version", "dist"]) {
        return Err("its name, version or dist stands twice".to_owned());
    }
    if fields.text("name").as_deref() != Some(package.name()) {
        return Err("it bears another name".to_owned());
    }
    if fields.text("version").as_deref() != Some(version) {
        return Err("it bears another version".to_owned());
    }
    let dist_value = fields.get("dist").ok_or("it has no dist")?;
    let dist = Fields::parse(dist_value.get()).map_err(|_| "its dist is no object".to_owned())?;
    if dist.repeats(&["tarball", "integrity", "shasum", "attestations"]) {
        return Err("its tarball, a digest or an attestation of it stands twice".to_owned());
    }
    let tarball = dist.get("tarball").ok_or("it has no tarball")?;
    let source: String =
        serde_json::from_str(tarball.get()).map_err(|_| "its tarball is no text".to_owned())?;
    if !is_on_the_web(&source) {
        return Err("its tarball is not on the web".to_owned());
    }
    let short = SHORT_FIELDS
        .iter()
        .filter_map(|name| fields.get(name).map(|value| (*name, span(text, value))))
        .collect();
    let published_text = times.text(version);
    Ok(Entry {
        version: Version::new(version).map_err(|fault| fault.to_string())?,
        source,
        digests: promised_digests(&dist)?,
        published: published_text.as_deref().and_then(|text| text.parse().ok()),
        deprecated: fields.get("deprecated").is_some_and(|value| says_deprecated(value.get())),
        published_text,
        dist: span(text, dist_value),
        tarball: span(text, tarball),
        attestations: attestations_url(&dist).map(|url| span(text, url)),
        words: hash_words(&fields),
        short,
        has_install_script: has_install_script(&fields),
        raw,
    })
}

/// A relative address is: it is meant below the upstream. An empty one would be the upstream itself.
fn is_on_the_web(source: &str) -> bool {
    if is_plainly_on_the_web(source) {
        return true;
    }
    match Url::parse(source) {
        Ok(url) => matches!(url.scheme(), "http" | "https"),
        Err(fault) => fault == url::ParseError::RelativeUrlWithoutBase && !source.trim().is_empty(),
    }
}

/// What nearly all addresses look like, of which no parser makes anything else: it is asked for
/// each version of each document.
fn is_plainly_on_the_web(source: &str) -> bool {
    let rest = source.strip_prefix("https://").or_else(|| source.strip_prefix("http://"));
    let Some((host, path)) = rest.and_then(|rest| rest.split_once('/')) else { return false };
    let is_label = |label: &str| {
        // One that begins with `xn--` or a digit may be read as something else.
        label.starts_with(|first: char| first.is_ascii_lowercase())
            && !label.starts_with("xn--")
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    host.split('.').all(is_label) && path.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The address in `dist.attestations`, whose place is ours to give like that of the tarball.
fn attestations_url<'a>(dist: &Fields<'a>) -> Option<&'a RawValue> {
    Fields::parse(dist.get("attestations")?.get()).ok()?.get("url")
}

/// npm takes an empty text or `false` as a deprecation that was taken back.
fn says_deprecated(raw: &str) -> bool {
    !matches!(raw, "false" | "\"\"" | "null")
}

fn has_install_script(fields: &Fields<'_>) -> bool {
    if fields.get("hasInstallScript").is_some_and(|value| value.get() == "true") {
        return true;
    }
    fields
        .get("scripts")
        .and_then(|scripts| Fields::parse(scripts.get()).ok())
        .is_some_and(|scripts| INSTALL_SCRIPTS.iter().any(|name| scripts.get(name).is_some()))
}

/// All digests that are given; each has to hold. One that is given and unreadable is a fault:
/// taking it for absent would weaken the check.
fn promised_digests(dist: &Fields<'_>) -> Result<Vec<Digest>, String> {
    let mut digests = Vec::new();
    if let Some(integrity) = promised_text(dist, "integrity")? {
        digests = Digest::from_sri(&integrity);
        if digests.is_empty() {
            return Err("its integrity holds no digest that garth can check".to_owned());
        }
    }
    if let Some(shasum) = promised_text(dist, "shasum")? {
        let digest = Digest::parse(&format!("sha1:{}", shasum.to_ascii_lowercase()))
            .map_err(|_| "its shasum is no sha1".to_owned())?;
        if !digests.contains(&digest) {
            digests.push(digest);
        }
    }
    if digests.len() > MAX_DIGESTS {
        return Err(format!("more than {MAX_DIGESTS} digests are promised for its bytes"));
    }
    if digests.is_empty() {
        return Err("nothing is promised about its bytes (no integrity, no shasum)".to_owned());
    }
    Ok(digests)
}

/// `null` promises nothing. What is there and is no text would be read by one reader and not by
/// another.
fn promised_text(dist: &Fields<'_>, name: &str) -> Result<Option<String>, String> {
    let Some(value) = dist.get(name) else { return Ok(None) };
    serde_json::from_str(value.get()).map_err(|_| format!("its {name} is no text"))
}

fn parse_tags(tags: Option<&RawValue>) -> Result<Vec<(String, String)>, String> {
    let Some(tags) = tags else { return Ok(Vec::new()) };
    let tags: HashMap<String, serde_json::Value> = serde_json::from_str(tags.get())
        .map_err(|fault| format!("its dist-tags are no object: {fault}"))?;
    let mut tags: Vec<_> = tags
        .into_iter()
        .filter_map(|(tag, version)| version.as_str().map(|version| (tag, version.to_owned())))
        .filter(|(tag, version)| tag.len() <= MAX_TAG && version.len() <= MAX_TAG)
        .collect();
    tags.sort();
    Ok(tags)
}

/// `time`: texts by version. What is no text there (`unpublished` is an object) says nothing.
struct Times(HashMap<String, String>);

impl Times {
    fn parse(time: Option<&RawValue>) -> Result<Self, String> {
        let Some(time) = time else { return Ok(Self(HashMap::new())) };
        let fields =
            Fields::parse(time.get()).map_err(|fault| format!("its time is no object: {fault}"))?;
        Ok(Self(
            fields
                .0
                .iter()
                .filter_map(|(key, value)| {
                    Some((key.to_string(), serde_json::from_str(value.get()).ok()?))
                })
                .collect(),
        ))
    }

    fn text(&self, key: &str) -> Option<String> {
        self.0.get(key).cloned()
    }
}
