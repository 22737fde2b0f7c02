//! What was sent → a version that may be published, or the reason why not.

use std::collections::BTreeMap;

use policies::package::{Algorithm, Digest, Package, PackageVersion, Version};
use serde_json::{Map, Value, json};

use super::super::names::tarball_path;
use super::super::refusal::Refusal;
use super::archive::{self, Contents};
use super::body::{Sent, SentProvenance, SentTarball};
use super::document::{LATEST, NewVersion, human};
use super::manifest::{difference, has_install_script, registered};
use super::provenance;
use super::spelling::{is_file_of, name_fault, tag_fault, version_fault};
use crate::access::Person;

#[derive(Debug)]
pub struct Checked {
    pub new: NewVersion,
    pub tarball: SentTarball,
    /// The bundle, as it came.
    pub provenance: Option<String>,
}

/// What a client may say of this publish, beside what it says of the package.
const OF_THE_PUBLISH: &[&str] = &["gitHead", "_nodeVersion", "_npmVersion"];

/// Blocks: the archive is opened.
pub fn check(package: &Package, sent: Sent, person: &Person) -> Result<Checked, Refusal> {
    let malformed = |why: String| Refusal::Malformed(format!("{package} is not published: {why}"));
    if let Some(fault) = name_fault(package) {
        return Err(malformed(fault.to_owned()));
    }
    if sent.name.as_deref() != Some(package.name()) {
        return Err(malformed("what was sent bears another name".to_owned()));
    }
    let ([sent_version], Some(published)) = (sent.versions.as_slice(), sent.manifest) else {
        return Err(malformed(format!(
            "a publish brings one version, and this one brings {}",
            sent.versions.len()
        )));
    };
    let version = sent_version.version.clone();
    if let Some(fault) = version_fault(&version) {
        return Err(malformed(format!("the version {version:?} can not be used: {fault}")));
    }
    let parsed = Version::new(&version).map_err(|fault| malformed(fault.to_string()))?;
    let bears = |field: &str| published.get(field).and_then(Value::as_str);
    if bears("name") != Some(package.name()) || bears("version") != Some(&version) {
        return Err(malformed("its manifest bears another name or version".to_owned()));
    }
    let tarball = sent.tarball.ok_or_else(|| malformed("it brings no tarball".to_owned()))?;
    if !is_file_of(package, &version, ".tgz", &tarball.file) {
        let file: String = tarball.file.chars().take(80).collect();
        return Err(malformed(format!("the attachment {file:?} is not called like {version}")));
    }
    check_bytes(&tarball, published.get("dist")).map_err(malformed)?;
    let tags = check_tags(&sent.tags, &version).map_err(malformed)?;
    let archive = open_archive(&tarball, &published).map_err(malformed)?;
    let subject = PackageVersion { package: package.clone(), version: parsed.clone() };
    let attestations =
        check_provenance(&subject, sent.provenance.as_ref(), &tarball).map_err(malformed)?;
    let mut manifest = registered(&archive);
    for field in OF_THE_PUBLISH {
        if let Some(said) = published.get(*field).and_then(Value::as_str).filter(is_plain) {
            manifest.insert((*field).to_owned(), said.into());
        }
    }
    manifest.insert("_id".to_owned(), format!("{}@{version}", package.name()).into());
    manifest.insert("_npmUser".to_owned(), human(&person.name));
    manifest.insert("maintainers".to_owned(), json!([human(&person.name)]));
    manifest.insert("_hasShrinkwrap".to_owned(), archive.has_shrinkwrap.into());
    if has_install_script(&archive) {
        manifest.insert("hasInstallScript".to_owned(), true.into());
    }
    let mut dist = dist(&subject, &tarball, &archive);
    if let Some(attestations) = attestations {
        dist["attestations"] = attestations;
    }
    manifest.insert("dist".to_owned(), dist);
    let by = person.name.to_string();
    let (readme, readme_file) = archive.readme.map(|readme| (readme.text, readme.file)).unzip();
    let new = NewVersion { version: parsed, manifest, tags, readme, readme_file, by };
    Ok(Checked { new, tarball, provenance: sent.provenance.map(|sent| sent.text) })
}

/// A number of a program or of a commit.
fn is_plain(said: &&str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-+".contains(&byte);
    (1..=80).contains(&said.len()) && said.bytes().all(is_plain)
}

/// What its sender says of the tarball has to be true.
fn check_bytes(tarball: &SentTarball, dist: Option<&Value>) -> Result<(), String> {
    let digests = &tarball.digests;
    if tarball.length.is_some_and(|length| length != digests.len) {
        return Err(format!("its tarball has {} bytes, and not as many as was said", digests.len));
    }
    let said = |field: &str| dist.and_then(|dist| dist.get(field));
    if let Some(integrity) = said("integrity") {
        let promised = integrity.as_str().map(Digest::from_sri).unwrap_or_default();
        let is_kept = |digest: &Digest| match digests.by(digest.algorithm()) {
            Some(own) => own == digest,
            // Hashed by none of ours: nothing can be said of it.
            None => true,
        };
        let is_strong = promised.iter().any(|digest| digests.by(digest.algorithm()).is_some());
        if !is_strong || !promised.iter().all(is_kept) {
            return Err("its tarball is not what dist.integrity says".to_owned());
        }
    }
    if let Some(shasum) = said("shasum") {
        let own = digests.by(Algorithm::Sha1).map(Digest::hex);
        if shasum.as_str().map(str::to_ascii_lowercase) != own {
            return Err("its tarball is not what dist.shasum says".to_owned());
        }
    }
    Ok(())
}

fn check_tags(sent: &BTreeMap<String, String>, version: &str) -> Result<Vec<String>, String> {
    if sent.is_empty() {
        return Ok(vec![LATEST.to_owned()]);
    }
    for (tag, target) in sent {
        if let Some(fault) = tag_fault(tag) {
            let tag: String = tag.chars().take(80).collect();
            return Err(format!("the tag {tag:?} can not be used: {fault}"));
        }
        if target != version {
            return Err(format!("the tag {tag} does not point to the version that is published"));
        }
    }
    Ok(sent.keys().cloned().collect())
}

/// The archive, which has to say what is published of it.
fn open_archive(tarball: &SentTarball, published: &Map<String, Value>) -> Result<Contents, String> {
    let packed = tarball.stage.open();
    let archive = archive::open(packed, tarball.digests.len, &archive::Limits::default())
        .map_err(|fault| fault.to_string())?;
    match difference(published, &archive) {
        None => Ok(archive),
        Some(field) => {
            let field: String = field.chars().take(80).collect();
            Err(format!(
                "{} is not what the package.json in its tarball says, and people and installs would go by both",
                field.escape_debug()
            ))
        }
    }
}

fn check_provenance(
    subject: &PackageVersion,
    sent: Option<&SentProvenance>,
    tarball: &SentTarball,
) -> Result<Option<Value>, String> {
    let Some(sent) = sent else { return Ok(None) };
    if !is_file_of(&subject.package, subject.version.as_str(), ".sigstore", &sent.file) {
        return Err("the attachment with its provenance is not called like it".to_owned());
    }
    let sha512 = tarball.digests.by(Algorithm::Sha512).ok_or("its tarball was not hashed")?;
    let predicate = provenance::predicate_of(&sent.text, subject, sha512)?;
    Ok(Some(provenance::link(subject, &predicate)))
}

/// The address is below the registry, and is made whole where it is shown.
fn dist(subject: &PackageVersion, tarball: &SentTarball, archive: &Contents) -> Value {
    let mut dist = json!({
        "tarball": tarball_path(&subject.package, &subject.version),
        "fileCount": archive.files,
        "unpackedSize": archive.unpacked,
    });
    if let Some(sha512) = tarball.digests.by(Algorithm::Sha512) {
        dist["integrity"] = sha512.to_sri().into();
    }
    if let Some(sha1) = tarball.digests.by(Algorithm::Sha1) {
        dist["shasum"] = sha1.hex().into();
    }
    dist
}
