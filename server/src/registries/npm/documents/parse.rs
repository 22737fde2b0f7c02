//! Upstream bytes → [`Packument`]: where each version stands, and what is promised about it.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use bytes::Bytes;
use policies::package::{Algorithm, Digest, Package, Version};
use url::Url;

use super::fields::{Fields, Span, text_of};
use super::known::{Known, RESOLVED};
use super::raw::Raw;
use super::scan::{Manifest, scan};
use super::stated::{Shared, follow_publishers, has_provenance, stated};
use super::summary::hash_words;
use super::{Entry, Index, Packument};
use crate::observability::escape::bounded;
use crate::pull::format::LeftOut;
use crate::pull::original::Original;

/// More versions than any real package has; a document beyond it is an attack or an accident.
const MAX_VERSIONS: usize = 100_000;

/// Digests of one tarball; npm itself gives two.
const MAX_DIGESTS: usize = 8;
/// A longer tag is nobody's, and would not fit into what is remembered of it.
const MAX_TAG: usize = 256;

/// What is written down of a version that is left out, and of why: both are the upstream's text.
const TOLD_OF_VERSION: usize = 100;
const TOLD_OF_CAUSE: usize = 300;

/// Where an upstream writes addresses of its own for itself and its like. No client needs them, and
/// whoever followed one would go past us.
const UPSTREAMS_OWN: &[&str] = &["_attachments", "_distfiles", "_uplinks"];
impl Packument {
    /// An error says why this is no packument of `package`; nothing of it may be kept then.
    pub fn parse(package: &Package, bytes: &Bytes) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
        match Self::parse_at_once(package, bytes, text) {
            Some(packument) => Ok(packument),
            None => Self::parse_with_care(package, bytes, text),
        }
    }

    /// One that is written as nearly all are; `None` where it has to be read with care.
    pub(super) fn parse_at_once(package: &Package, bytes: &Bytes, text: &str) -> Option<Self> {
        let (mut entries, mut left_out) = (Vec::new(), Vec::new());
        let mut shared = Shared::default();
        let top = scan(text, MAX_VERSIONS, &mut |manifest| {
            let Manifest { version, text: of_version, fields, dist } = manifest;
            let entry = Raw::of(text, of_version).and_then(|raw| {
                let text = of_version;
                let manifest = Written { package, version, text, raw, fields };
                read_entry(manifest, Some(dist), &mut shared)
            });
            match entry {
                Ok(entry) => entries.push(entry),
                Err(why) => left_out.push(told(version, &why)),
            }
        })?;
        // As if it had been read with care.
        left_out.reverse();
        let (mut index, times) = Index::read_top(package, text, &top).ok()?;
        (index.entries, index.left_out) = (entries, left_out);
        index.shared_weight = shared.weight();
        index.entries.shrink_to_fit();
        index.date(&times);
        index.index_places();
        Some(Self { index: index.into(), original: Original::held(bytes.clone()) })
    }

    /// One object after the other, so that a fault is told, and spoils no more than it has to.
    pub(super) fn parse_with_care(
        package: &Package,
        bytes: &Bytes,
        text: &str,
    ) -> Result<Self, String> {
        let top = Fields::parse(text).map_err(|fault| format!("it is no JSON object: {fault}"))?;
        let (mut index, times) = Index::read_top(package, text, &top)?;
        if let Some(versions) = top.get("versions") {
            index.parse_versions(versions, text)?;
        }
        index.date(&times);
        index.index_places();
        Ok(Self { index: index.into(), original: Original::held(bytes.clone()) })
    }

    /// With the versions that the upstream no longer lists and that we still hold.
    pub(super) fn with_retained(self, package: &Package, bytes: &Bytes) -> Result<Self, String> {
        let retained = Self::parse(package, bytes)?;
        let taken = |index: Arc<Index>| Arc::into_inner(index).ok_or("it is in use".to_owned());
        let mut index = taken(self.index)?;
        index.add_retained(taken(retained.index)?);
        follow_publishers(&mut index.entries);
        index.index_places();
        let original = match self.original {
            Original::Held { newest, .. } => Original::Held { newest, retained: bytes.clone() },
            stored @ Original::Stored(_) => stored,
        };
        Ok(Self { index: index.into(), original })
    }
}

impl Index {
    /// All but the versions, and when they were published.
    fn read_top<'a>(
        package: &Package,
        text: &str,
        top: &Fields<'a>,
    ) -> Result<(Self, Times<'a>), String> {
        match top.text("name") {
            Some(name) if name == package.name() => {}
            Some(name) => return Err(format!("it is the document of {name:?}")),
            None => return Err("it has no name".to_owned()),
        }
        let times = Times::parse(top.get("time"))?;
        let tags = parse_tags(top.get("dist-tags"))?;
        let mut fields = Vec::new();
        for (key, value) in &top.0 {
            let is_made_anew =
                matches!(key.as_ref(), "versions" | "dist-tags" | "time" | "name" | "modified");
            if !is_made_anew && !UPSTREAMS_OWN.contains(&key.as_ref()) {
                fields.push((key.to_string(), Raw::of(text, value)?));
            }
        }
        let modified = times.text("modified").map(str::to_owned);
        let index = Self {
            package: package.clone(),
            entries: Vec::new(),
            tags,
            left_out: Vec::new(),
            places: HashMap::new(),
            foreign_files: HashMap::new(),
            left_out_places: HashMap::new(),
            fields,
            shared_weight: 0,
            created: times.text("created").map(str::to_owned),
            modified: modified.or_else(|| top.text("modified").map(Cow::into_owned)),
        };
        Ok((index, times))
    }

    fn parse_versions(&mut self, versions: &str, text: &str) -> Result<(), String> {
        let versions = Fields::parse(versions)
            .map_err(|fault| format!("its versions are no object: {fault}"))?;
        if versions.0.len() > MAX_VERSIONS {
            return Err(format!("it has more than {MAX_VERSIONS} versions"));
        }
        self.entries.reserve(versions.0.len());
        let mut seen = HashSet::with_capacity(versions.0.len());
        let mut shared = Shared::default();
        // Of a version that stands twice the last one counts, as for every JSON parser.
        for (version, value) in versions.0.iter().rev() {
            if !seen.insert(version.clone()) {
                continue;
            }
            let entry = Raw::of(text, value)
                .and_then(|raw| parse_entry(&self.package, version, value, raw, &mut shared));
            match entry {
                Ok(entry) => self.entries.push(entry),
                Err(why) => self.left_out.push(told(version, &why)),
            }
        }
        self.entries.reverse();
        self.shared_weight = shared.weight();
        Ok(())
    }

    /// The dates of versions stand beside them.
    fn date(&mut self, times: &Times<'_>) {
        for entry in &mut self.entries {
            let published = times.text(entry.version.as_str());
            entry.published = published.and_then(|text| text.parse().ok());
            entry.published_text = published.map(Into::into);
        }
        follow_publishers(&mut self.entries);
    }

    fn add_retained(&mut self, retained: Self) {
        let listed: HashSet<Version> =
            self.entries.iter().map(|entry| entry.version.clone()).collect();
        let gone = retained.entries.into_iter().filter(|entry| !listed.contains(&entry.version));
        self.shared_weight += retained.shared_weight;
        self.entries.extend(gone.map(|entry| Entry { raw: entry.raw.retained(), ..entry }));
    }
}

fn told(version: &str, why: &str) -> LeftOut {
    LeftOut {
        version: bounded(version, TOLD_OF_VERSION).into_owned(),
        why: bounded(why, TOLD_OF_CAUSE).into_owned(),
    }
}

fn parse_entry(
    package: &Package,
    version: &str,
    text: &str,
    raw: Raw,
    shared: &mut Shared,
) -> Result<Entry, String> {
    let fields = Fields::parse(text).map_err(|fault| format!("it is no object: {fault}"))?;
    read_entry(Written { package, version, text, raw, fields: &fields }, None, shared)
}

/// A version as it is written.
struct Written<'a, 'f> {
    package: &'f Package,
    version: &'f str,
    text: &'a str,
    raw: Raw,
    fields: &'f Fields<'a>,
}

/// `dist` where it was read already.
fn read_entry(
    manifest: Written<'_, '_>,
    dist: Option<&Fields<'_>>,
    shared: &mut Shared,
) -> Result<Entry, String> {
    let Written { package, version, text, raw, fields } = manifest;
    let known = Known::of(fields);
    if known.has_resolved {
        let text = fields.without(RESOLVED);
        return parse_entry(package, version, &text, Raw::Changed(text.as_bytes().into()), shared);
    }
    if known.repeats {
        return Err("its name, version or dist stands twice".to_owned());
    }
    if known.name.and_then(text_of).as_deref() != Some(package.name()) {
        return Err("it bears another name".to_owned());
    }
    if known.version.and_then(text_of).as_deref() != Some(version) {
        return Err("it bears another version".to_owned());
    }
    let dist_value = known.dist.ok_or("it has no dist")?;
    let dist = match dist {
        Some(dist) => Cow::Borrowed(dist),
        None => {
            Cow::Owned(Fields::parse(dist_value).map_err(|_| "its dist is no object".to_owned())?)
        }
    };
    if dist.repeats(&["tarball", "integrity", "shasum", "attestations"]) {
        return Err("its tarball, a digest or an attestation of it stands twice".to_owned());
    }
    let tarball = dist.get("tarball").ok_or("it has no tarball")?;
    let source = text_of(tarball).ok_or("its tarball is no text")?;
    if !is_on_the_web(&source) {
        return Err("its tarball is not on the web".to_owned());
    }
    let attestations = dist.get("attestations").and_then(|raw| Fields::parse(raw).ok());
    let attestations_url = attestations.as_ref().and_then(|attestations| attestations.get("url"));
    let (stated, identity) =
        stated(&known, attestations.as_ref().is_some_and(has_provenance), shared);
    Ok(Entry {
        version: Version::new(version).map_err(|fault| fault.to_string())?,
        source: source.into(),
        digests: promised_digests(&dist)?.into(),
        published: None,
        stated,
        identity,
        published_text: None,
        dist: Span::of(text, dist_value)?,
        tarball: Span::of(text, tarball)?,
        // Its place is ours to give like that of the tarball.
        attestations: attestations_url.map(|url| Span::of(text, url)).transpose()?,
        words: hash_words(fields),
        short: known.short(text)?,
        has_install_script: known.has_install_script(),
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
    let Some((place, path)) = rest.and_then(|rest| rest.split_once('/')) else { return false };
    let (host, port) = place.split_once(':').unwrap_or((place, "0"));
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    let is_label = |label: &str| {
        // One that begins with `xn--` or a digit may be read as something else.
        label.starts_with(|first: char| first.is_ascii_lowercase())
            && !label.starts_with("xn--")
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let is_host = host.split('.').all(is_label) || host.parse::<Ipv4Addr>().is_ok();
    is_host && is_port && path.bytes().all(|byte| byte.is_ascii_graphic())
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
        let digest = Digest::from_hex(Algorithm::Sha1, &shasum.to_ascii_lowercase())
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
fn promised_text<'a>(dist: &Fields<'a>, name: &str) -> Result<Option<Cow<'a, str>>, String> {
    match dist.get(name) {
        None | Some("null") => Ok(None),
        Some(value) => text_of(value).map(Some).ok_or_else(|| format!("its {name} is no text")),
    }
}

fn parse_tags(tags: Option<&str>) -> Result<Vec<(String, String)>, String> {
    let Some(tags) = tags else { return Ok(Vec::new()) };
    let tags: HashMap<String, serde_json::Value> = serde_json::from_str(tags)
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
struct Times<'a>(HashMap<Cow<'a, str>, Cow<'a, str>>);

impl<'a> Times<'a> {
    fn parse(time: Option<&'a str>) -> Result<Self, String> {
        let Some(time) = time else { return Ok(Self(HashMap::new())) };
        let fields =
            Fields::parse(time).map_err(|fault| format!("its time is no object: {fault}"))?;
        let texts = fields.0.into_iter();
        Ok(Self(texts.filter_map(|(key, value)| Some((key, text_of(value)?))).collect()))
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(AsRef::as_ref)
    }
}
