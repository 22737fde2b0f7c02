//! What was sent → a version that may be published, or the reason why not.

use bytes::Bytes;
use policies::package::{Ecosystem, Package, Version};

use super::archive;
use super::described::Described;
use super::frame::SentCrate;
use super::sources::Indexes;
use super::spelling;

/// What cargo's own registry bounds too.
const DEPENDENCIES_AT_MOST: usize = 2000;
const FEATURES_AT_MOST: usize = 2000;
const FEATURE_AT_MOST: usize = 128;
/// A description, a licence.
const TEXT_AT_MOST: usize = 8 << 10;
const LIST_AT_MOST: usize = 100;

/// What the JSON of a publish says, and which package that is.
#[derive(Debug)]
pub struct Announced {
    pub package: Package,
    pub version: Version,
    sent: Described,
}

impl Announced {
    /// As far as it can be told without the crate. The error is a sentence of its own.
    pub fn read(json: &Bytes) -> Result<Self, String> {
        let sent = Described::sent(json).map_err(|why| format!("nothing is published: {why}"))?;
        let shown = || sent.name.chars().take(80).collect::<String>();
        let package = Package::new(Ecosystem::Cargo, &sent.name)
            .map_err(|fault| format!("{:?} can not be the name of a crate: {fault}", shown()))?;
        let malformed = |why: String| format!("{package} is not published: {why}");
        if let Some(fault) = spelling::name_fault(&sent.name) {
            return Err(malformed(fault.to_owned()));
        }
        let shown = || sent.version.chars().take(80).collect::<String>();
        spelling::version(&sent.version).map_err(|fault| {
            malformed(format!("the version {:?} can not be used: {fault}", shown()))
        })?;
        let version = Version::new(&sent.version).map_err(|fault| malformed(fault.to_string()))?;
        check_bounds(&sent).map_err(malformed)?;
        Ok(Self { package, version, sent })
    }

    /// Blocks: the crate is opened, which has to say what was said beside it.
    pub fn check(&self, arrived: &SentCrate, indexes: &Indexes) -> Result<Described, String> {
        let malformed = |why: String| format!("{} is not published: {why}", self.package);
        let root = format!("{}-{}", self.sent.name, self.sent.version);
        let length = arrived.digests.len;
        let opened = archive::open(arrived.stage.open(), length, &root).map_err(malformed)?;
        let packed = Described::packed(opened.manifest()).map_err(malformed)?;
        if let Some(field) = self.sent.difference(&packed) {
            return Err(malformed(format!(
                "{field} is not what the Cargo.toml in the crate says, and cargo resolves by one and builds by the other"
            )));
        }
        check_dependencies(&packed).map_err(malformed)?;
        let dependencies = indexes.check(&self.sent, &packed).map_err(malformed)?;
        Ok(Described { dependencies, ..packed })
    }
}

fn check_bounds(sent: &Described) -> Result<(), String> {
    let said = &sent.said;
    let texts = [
        ("description", &said.description),
        ("homepage", &said.homepage),
        ("documentation", &said.documentation),
        ("repository", &said.repository),
        ("license", &said.license),
        ("license-file", &said.license_file),
        ("links", &sent.links),
        ("rust-version", &sent.rust_version),
    ];
    for (field, text) in texts {
        if text.as_ref().is_some_and(|text| text.len() > TEXT_AT_MOST) {
            return Err(format!("its {field} has more than {TEXT_AT_MOST} bytes"));
        }
    }
    for (field, list) in [("keywords", &said.keywords), ("categories", &said.categories)] {
        if list.len() > LIST_AT_MOST || list.iter().any(|one| one.len() > FEATURE_AT_MOST) {
            return Err(format!("it has more {field}, or longer ones, than are taken"));
        }
    }
    if sent.dependencies.len() > DEPENDENCIES_AT_MOST {
        return Err(format!("it has more than {DEPENDENCIES_AT_MOST} dependencies"));
    }
    if sent.features.len() > FEATURES_AT_MOST {
        return Err(format!("it has more than {FEATURES_AT_MOST} features"));
    }
    for feature in sent.features.keys() {
        let is_plain = |char: char| char.is_alphanumeric() || "_-+.".contains(char);
        if feature.is_empty() || feature.len() > FEATURE_AT_MOST || !feature.chars().all(is_plain) {
            let feature: String = feature.chars().take(80).collect();
            return Err(format!("{feature:?} can not be the name of a feature"));
        }
    }
    if let Some(version) = &sent.rust_version
        && !is_rust_version(version)
    {
        return Err("its rust-version is none, such as 1.85".to_owned());
    }
    Ok(())
}

/// One, two or three numbers.
fn is_rust_version(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    let is_number = |part: &&str| part.len() <= 9 && part.parse::<u32>().is_ok();
    (1..=3).contains(&parts.len()) && parts.iter().all(is_number)
}

fn check_dependencies(packed: &Described) -> Result<(), String> {
    for dependency in &packed.dependencies {
        let shown: String = dependency.name.chars().take(80).collect();
        if Package::new(Ecosystem::Cargo, dependency.of()).is_err()
            || Package::new(Ecosystem::Cargo, &dependency.name).is_err()
        {
            return Err(format!("{shown:?} can not be the name of a dependency"));
        }
        if semver::VersionReq::parse(&dependency.requirement).is_err() {
            return Err(format!(
                "what it wants of its dependency {shown:?} is no range of versions"
            ));
        }
        let long =
            |text: &Option<String>| text.as_ref().is_some_and(|text| text.len() > TEXT_AT_MOST);
        if long(&dependency.target) || long(&dependency.index) {
            return Err(format!("what it says of its dependency {shown:?} is too long"));
        }
    }
    Ok(())
}
