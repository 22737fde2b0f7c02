//! Publishing npm packages, fluently.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::Ground;
use super::generated::Generated;
use super::tarball::{Tarball, pack};

/// Everything that is published.
#[derive(Default)]
pub struct Shelf(BTreeMap<String, Package>);

#[derive(Clone, Default)]
pub struct Package {
    /// In the order of publishing.
    pub versions: Vec<Version>,
    pub tags: BTreeMap<String, String>,
    pub created: String,
    pub modified: String,
    /// Counts the changes, for `_rev`.
    pub changes: u64,
    pub readme: Option<String>,
}

#[derive(Clone)]
pub struct Version {
    pub number: String,
    pub published: String,
    /// Fields of package.json, name and version included.
    pub manifest: Map<String, Value>,
    /// Fields that only the registry has, such as `deprecated`.
    pub extra: Map<String, Value>,
    pub tarball: Tarball,
    /// Where the packument says that the tarball is, if not where it is.
    pub tarball_url: Option<String>,
    pub dist: Dist,
    /// Its `dist` says where its attestations are.
    pub attested: bool,
}

/// What the packument says of the bytes, where that is not the truth.
#[derive(Clone, Default)]
pub struct Dist {
    pub integrity: Promise,
    pub shasum: Promise,
}

#[derive(Clone, Default)]
pub enum Promise {
    #[default]
    True,
    Absent,
    Other(String),
}

impl Promise {
    pub fn or_true(&self, truth: Option<&str>) -> Option<String> {
        match self {
            Self::True => truth.map(str::to_owned),
            Self::Absent => None,
            Self::Other(text) => Some(text.clone()),
        }
    }
}

impl Shelf {
    pub fn package(&self, name: &str) -> Option<&Package> {
        self.0.get(name)
    }

    pub fn tarball(&self, name: &str, version: &str) -> Option<Tarball> {
        let package = self.0.get(name)?;
        let found = package.versions.iter().find(|known| known.number == version)?;
        Some(found.tarball.clone())
    }

    pub fn tarball_at(&self, path: &str) -> Option<Tarball> {
        let (name, _) = path.strip_prefix('/')?.split_once("/-/")?;
        let package = self.0.get(name)?;
        let found = package.versions.iter().find(|known| known.tarball.path == path)?;
        Some(found.tarball.clone())
    }
}

/// A package as it will be after [`NpmPackage::publish`].
#[must_use = "nothing is seen of it before publish()"]
pub struct NpmPackage {
    ground: Arc<Ground>,
    name: String,
    package: Package,
}

/// A version in the making.
#[must_use]
pub struct NpmVersion {
    name: String,
    version: String,
    published: Option<String>,
    files: Vec<(String, Vec<u8>)>,
    manifest: Map<String, Value>,
    extra: Map<String, Value>,
    generated: Option<Generated>,
    raw: Option<Bytes>,
    tarball_url: Option<String>,
    dist: Dist,
    attested: bool,
}

impl NpmPackage {
    pub(super) fn of(ground: Arc<Ground>, name: &str) -> Self {
        let package = ground.shelf.lock().package(name).cloned().unwrap_or_else(|| Package {
            created: "2024-01-01T00:00:00.000Z".to_owned(),
            modified: "2024-01-01T00:00:00.000Z".to_owned(),
            ..Package::default()
        });
        Self { ground, name: name.to_owned(), package }
    }

    /// Adds a version, or replaces it. `latest` follows unless it is a pre-release.
    pub fn version(
        mut self,
        version: &str,
        describe: impl FnOnce(NpmVersion) -> NpmVersion,
    ) -> Self {
        let draft = describe(NpmVersion::new(&self.name, version));
        let finished = draft.finish(self.package.versions.len());
        if finished.published > self.package.modified {
            self.package.modified.clone_from(&finished.published);
        }
        self.package.versions.retain(|known| known.number != version);
        self.package.versions.push(finished);
        if !version.contains('-') || !self.package.tags.contains_key("latest") {
            self.package.tags.insert("latest".to_owned(), version.to_owned());
        }
        self
    }

    /// A version with nothing but an index.js.
    pub fn plain_version(self, version: &str) -> Self {
        let source = format!("module.exports = {version:?};\n");
        self.version(version, |draft| draft.file("index.js", &source))
    }

    pub fn tag(mut self, tag: &str, version: &str) -> Self {
        self.package.tags.insert(tag.to_owned(), version.to_owned());
        self
    }

    pub fn untag(mut self, tag: &str) -> Self {
        self.package.tags.remove(tag);
        self
    }

    pub fn readme(mut self, text: &str) -> Self {
        self.package.readme = Some(text.to_owned());
        self
    }

    /// Marks a published version.
    pub fn deprecate(mut self, version: &str, message: &str) -> Self {
        self.known(version).extra.insert("deprecated".to_owned(), message.into());
        self
    }

    pub fn undeprecate(mut self, version: &str) -> Self {
        self.known(version).extra.remove("deprecated");
        self
    }

    /// Takes a version away; tags that pointed to it go to the newest that is left.
    pub fn unpublish(mut self, version: &str) -> Self {
        self.known(version);
        self.package.versions.retain(|known| known.number != version);
        let newest = self.package.versions.last().map(|known| known.number.clone());
        self.package.tags.retain(|tag, target| {
            if target == version
                && tag == "latest"
                && let Some(newest) = &newest
            {
                target.clone_from(newest);
            }
            target != version
        });
        self
    }

    /// The same version with other bytes: what must never happen.
    pub fn republish_with_other_bytes(mut self, version: &str) -> Self {
        let known = self.known(version);
        let files = [
            ("package.json".to_owned(), Value::from(known.manifest.clone()).to_string().into()),
            ("index.js".to_owned(), b"module.exports = 'other bytes';\n".to_vec()),
        ];
        known.tarball = Tarball::of_bytes(known.tarball.path.clone(), pack(&files));
        known.dist = Dist::default();
        self
    }

    /// Makes it visible.
    pub fn publish(mut self) {
        self.package.changes += 1;
        self.ground.shelf.lock().0.insert(self.name, self.package);
    }

    /// The whole package is gone: 404.
    pub fn remove(self) {
        self.ground.shelf.lock().0.remove(&self.name);
    }

    fn known(&mut self, version: &str) -> &mut Version {
        let name = &self.name;
        self.package
            .versions
            .iter_mut()
            .find(|known| known.number == version)
            .unwrap_or_else(|| panic!("{name}@{version} is not published here"))
    }
}

impl NpmVersion {
    fn new(name: &str, version: &str) -> Self {
        let mut manifest = Map::new();
        manifest.insert("name".to_owned(), name.into());
        manifest.insert("version".to_owned(), version.into());
        manifest.insert("license".to_owned(), "MIT".into());
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            published: None,
            files: Vec::new(),
            manifest,
            extra: Map::new(),
            generated: None,
            raw: None,
            tarball_url: None,
            dist: Dist::default(),
            attested: false,
        }
    }

    pub fn attested(mut self) -> Self {
        self.attested = true;
        self
    }

    pub fn file(mut self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.files.push((path.to_owned(), content.as_ref().to_vec()));
        self
    }

    /// An RFC 3339 date; by default each version is a day after the one before.
    pub fn published(mut self, at: &str) -> Self {
        self.published = Some(at.to_owned());
        self
    }

    pub fn deprecated(mut self, message: &str) -> Self {
        self.extra.insert("deprecated".to_owned(), message.into());
        self
    }

    pub fn dependency(self, name: &str, range: &str) -> Self {
        self.entry("dependencies", name, range)
    }

    pub fn optional_dependency(self, name: &str, range: &str) -> Self {
        self.entry("optionalDependencies", name, range)
    }

    pub fn peer_dependency(self, name: &str, range: &str) -> Self {
        self.entry("peerDependencies", name, range)
    }

    pub fn bin(self, name: &str, path: &str) -> Self {
        self.entry("bin", name, path)
    }

    pub fn script(self, name: &str, command: &str) -> Self {
        self.entry("scripts", name, command)
    }

    /// Any other field of package.json.
    pub fn field(mut self, name: &str, value: Value) -> Self {
        self.manifest.insert(name.to_owned(), value);
        self
    }

    /// A field of the packument that the archive's own manifest does not have.
    pub fn registry_field(mut self, name: &str, value: Value) -> Self {
        self.extra.insert(name.to_owned(), value);
        self
    }

    /// Generated bytes in place of a real archive. Publishing reads them once for their digest.
    pub fn generated(mut self, length: u64) -> Self {
        self.generated = Some(Generated::new(length, 42));
        self
    }

    /// These bytes in place of an archive made from the files.
    pub fn raw_tarball(mut self, bytes: impl Into<Bytes>) -> Self {
        self.raw = Some(bytes.into());
        self
    }

    /// The packument says that the tarball is there.
    pub fn tarball_url(mut self, url: &str) -> Self {
        self.tarball_url = Some(url.to_owned());
        self
    }

    /// The packument promises this, whatever the bytes are.
    pub fn integrity(mut self, text: &str) -> Self {
        self.dist.integrity = Promise::Other(text.to_owned());
        self
    }

    pub fn shasum(mut self, hex: &str) -> Self {
        self.dist.shasum = Promise::Other(hex.to_owned());
        self
    }

    /// Only a sha1, as very old packages have.
    pub fn without_integrity(mut self) -> Self {
        self.dist.integrity = Promise::Absent;
        self
    }

    pub fn without_shasum(mut self) -> Self {
        self.dist.shasum = Promise::Absent;
        self
    }

    fn entry(mut self, table: &str, name: &str, value: &str) -> Self {
        let table = self.manifest.entry(table).or_insert_with(|| json!({}));
        table[name] = value.into();
        self
    }

    fn finish(self, nth: usize) -> Version {
        let basename = self.name.rsplit('/').next().unwrap_or(&self.name);
        let path = format!("/{}/-/{basename}-{}.tgz", self.name, self.version);
        let tarball = match (self.generated, self.raw) {
            (Some(generated), _) => Tarball::of_generated(path, generated),
            (None, Some(bytes)) => Tarball::of_bytes(path, bytes),
            (None, None) => {
                let manifest = serde_json::to_vec_pretty(&self.manifest).expect("plain JSON");
                let mut files = vec![("package.json".to_owned(), manifest)];
                files.extend(self.files);
                Tarball::of_bytes(path, pack(&files))
            }
        };
        let published = self.published.unwrap_or_else(|| {
            let first: jiff::Timestamp = "2024-01-01T00:00:00Z".parse().expect("a date");
            let days = i64::try_from(nth).expect("fewer versions than that");
            let at = first + jiff::SignedDuration::from_hours(24 * days);
            format!("{at:.3}")
        });
        Version {
            number: self.version,
            published,
            manifest: self.manifest,
            extra: self.extra,
            tarball,
            tarball_url: self.tarball_url,
            dist: self.dist,
            attested: self.attested,
        }
    }
}
