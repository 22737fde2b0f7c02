//! The documents of a package, as a registry writes them.

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Map, Value, json};

use super::Ground;
use super::answer::{Answer, Body};
use super::npm::{Dist, Package, Version};

const SHORT: &str = "application/vnd.npm.install-v1+json";

/// The fields of a version that the short form keeps.
const SHORT_FIELDS: &[&str] = &[
    "name",
    "version",
    "deprecated",
    "dependencies",
    "optionalDependencies",
    "devDependencies",
    "bundleDependencies",
    "peerDependencies",
    "peerDependenciesMeta",
    "bin",
    "directories",
    "engines",
    "os",
    "cpu",
    "hasInstallScript",
    "dist",
];

/// The answer for a packument or for one version of it, if the path names one.
pub fn answer(ground: &Ground, path: &str, accept: &str) -> Option<Answer> {
    let rest = path.strip_prefix('/')?;
    let shelf = ground.shelf.lock();
    if let Some(package) = shelf.package(rest) {
        let short = accept.contains(SHORT);
        let document = if short {
            short_form(ground, rest, package)
        } else {
            full_form(ground, rest, package)
        };
        let media_type = if short { SHORT } else { "application/json" };
        return Some(json_answer(media_type, &document, &package.modified));
    }
    let (name, wanted) = rest.rsplit_once('/')?;
    let package = shelf.package(name)?;
    let wanted = package.tags.get(wanted).map_or(wanted, String::as_str);
    let version = package.versions.iter().find(|known| known.number == wanted)?;
    let document = version_document(ground, version);
    Some(json_answer("application/json", &document, &package.modified))
}

fn json_answer(media_type: &str, document: &Value, modified: &str) -> Answer {
    let bytes = document.to_string();
    let etag = format!("\"{}\"", &hex::encode(digest(&SHA256, bytes.as_bytes()))[..32]);
    // A test may publish what is no date.
    let at: jiff::Timestamp = modified.parse().unwrap_or_default();
    let answer = Answer::ok(media_type, Body::Bytes(bytes.into()))
        .packable()
        .header("ETag", etag)
        .header("Vary", "Accept, Accept-Encoding")
        .header("Cache-Control", "public, max-age=300");
    answer.header("Last-Modified", at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
}

fn full_form(ground: &Ground, name: &str, package: &Package) -> Value {
    let mut time = Map::new();
    time.insert("created".to_owned(), package.created.clone().into());
    time.insert("modified".to_owned(), package.modified.clone().into());
    for version in &package.versions {
        time.insert(version.number.clone(), version.published.clone().into());
    }
    json!({
        "_id": name,
        "_rev": format!("{}-{:032x}", package.changes, package.changes),
        "name": name,
        "description": format!("The package {name}"),
        "dist-tags": package.tags,
        "versions": versions(package, |version| version_document(ground, version)),
        "time": time,
        "maintainers": [{ "name": "ann", "email": "ann@example.com" }],
        "license": "MIT",
        "readme": package.readme.clone().unwrap_or_else(|| format!("# {name}")),
        "readmeFilename": "README.md",
    })
}

fn short_form(ground: &Ground, name: &str, package: &Package) -> Value {
    json!({
        "name": name,
        "modified": package.modified,
        "dist-tags": package.tags,
        "versions": versions(package, |version| {
            let mut document = version_document(ground, version);
            if let Some(fields) = document.as_object_mut() {
                fields.retain(|field, _| SHORT_FIELDS.contains(&field.as_str()));
            }
            document
        }),
    })
}

fn versions(package: &Package, document: impl Fn(&Version) -> Value) -> Map<String, Value> {
    package.versions.iter().map(|known| (known.number.clone(), document(known))).collect()
}

fn version_document(ground: &Ground, version: &Version) -> Value {
    let mut document = version.manifest.clone();
    let name = document["name"].as_str().unwrap_or_default().to_owned();
    document.insert("_id".to_owned(), format!("{name}@{}", version.number).into());
    let installs = version.manifest.get("scripts").is_some_and(|scripts| {
        ["preinstall", "install", "postinstall"].iter().any(|name| scripts.get(name).is_some())
    });
    if installs {
        document.insert("hasInstallScript".to_owned(), true.into());
    }
    let path = version.tarball.path.trim_start_matches('/');
    let url = version.tarball_url.clone().unwrap_or_else(|| format!("{}{path}", ground.base));
    let mut dist = json!({ "tarball": url, "fileCount": 2, "unpackedSize": 1000 });
    let Dist { integrity, shasum } = &version.dist;
    if let Some(integrity) = integrity.or_true(Some(&version.tarball.integrity)) {
        dist["integrity"] = integrity.into();
    }
    if let Some(shasum) = shasum.or_true(version.tarball.shasum.as_deref()) {
        dist["shasum"] = shasum.into();
    }
    if let Some(signer) = ground.signer.lock().as_ref() {
        let integrity = dist["integrity"].as_str().unwrap_or_default();
        let subject = format!("{name}@{}", version.number);
        dist["signatures"] = signer.signatures(&subject, integrity);
    }
    if version.attested {
        let path = format!("-/npm/v1/attestations/{}@{}", name.replace('/', "%2f"), version.number);
        dist["attestations"] = json!({
            "url": format!("{}{path}", ground.base),
            "provenance": { "predicateType": "https://slsa.dev/provenance/v1" },
        });
    }
    document.insert("dist".to_owned(), dist);
    document.extend(version.extra.clone());
    document.into()
}
