//! Packuments as a registry has them: each version a whole manifest, most of it like the one before,
//! with digests and signatures that nothing compresses.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::random::Random;

/// How much there is of everything.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    versions: usize,
    dependencies: usize,
    maintainers: usize,
    readme: usize,
}

impl Shape {
    pub fn with_versions(self, versions: usize) -> Self {
        Self { versions, ..self }
    }

    /// One that does little.
    pub fn tiny() -> Self {
        Self { versions: 1, dependencies: 2, maintainers: 1, readme: 200 }
    }

    /// Abbreviated, 15 KB.
    pub fn small() -> Self {
        Self { versions: 19, dependencies: 4, maintainers: 2, readme: 4_000 }
    }

    /// Whole, more than 5 MB.
    pub fn large() -> Self {
        Self { versions: 2_500, dependencies: 16, maintainers: 3, readme: 12_000 }
    }
}

/// A version whose tarball exists.
#[derive(Debug)]
pub struct Published {
    pub version: String,
    pub sha512: Vec<u8>,
    pub sha1: Vec<u8>,
}

const WORDS: [&str; 24] = [
    "array", "async", "buffer", "cache", "color", "config", "core", "date", "event", "file",
    "glob", "hash", "icon", "json", "loader", "map", "node", "parse", "path", "plugin", "query",
    "stream", "string", "util",
];

/// The full form. Versions are 1.0.0, 1.0.1 and so on, and the last one is the latest.
pub fn packument(
    name: &str,
    origin: &str,
    shape: &Shape,
    published: &[Published],
    random: &mut Random,
) -> String {
    let dependencies: Vec<String> = (0..shape.dependencies)
        .map(|n| {
            let word = |random: &mut Random| WORDS[random.below(WORDS.len())];
            let (one, other) = (word(random), word(random));
            if n % 3 == 0 { format!("@{one}/{other}-{n}") } else { format!("{one}-{other}-{n}") }
        })
        .collect();
    let maker = Maker { name, origin, shape, dependencies: &dependencies };
    let (mut versions, mut time) = (Map::new(), Map::new());
    time.insert("created".to_owned(), json!("2015-01-01T00:00:00.000Z"));
    time.insert("modified".to_owned(), json!("2026-01-01T00:00:00.000Z"));
    let mut latest = String::new();
    for n in 0..shape.versions {
        let version = format!("1.{}.{}", n / 100, n % 100);
        let known = published.iter().find(|known| known.version == version);
        versions.insert(version.clone(), maker.manifest(n, &version, known, random));
        let (year, month, day) = (2015 + n / 300, 1 + n / 25 % 12, 1 + n % 25);
        let date = format!("{year}-{month:02}-{day:02}T08:{:02}:00.{:03}Z", n % 60, n % 1000);
        time.insert(version.clone(), json!(date));
        latest = version;
    }
    let readme: Vec<&str> =
        (0..shape.readme / 6).map(|_| WORDS[random.below(WORDS.len())]).collect();
    let whole = json!({
        "_id": name,
        "_rev": format!("{}-{}", shape.versions, hex::encode(random.bytes(16))),
        "name": name,
        "description": "Made for measuring, and nothing else",
        "dist-tags": { "latest": latest },
        "versions": versions,
        "time": time,
        "maintainers": maker.maintainers(),
        "license": "MIT",
        "readme": readme.join(" "),
        "readmeFilename": "README.md",
    });
    whole.to_string()
}

struct Maker<'a> {
    name: &'a str,
    origin: &'a str,
    shape: &'a Shape,
    dependencies: &'a [String],
}

impl Maker<'_> {
    fn manifest(
        &self,
        n: usize,
        version: &str,
        published: Option<&Published>,
        random: &mut Random,
    ) -> Value {
        let name = self.name;
        let sha512 = published.map_or_else(|| random.bytes(64), |known| known.sha512.clone());
        let sha1 = published.map_or_else(|| random.bytes(20), |known| known.sha1.clone());
        json!({
            "name": name,
            "version": version,
            "description": "Made for measuring, and nothing else",
            "main": "dist/index.js",
            "module": "dist/index.mjs",
            "types": "dist/index.d.ts",
            "license": "MIT",
            "author": { "name": "Somebody", "email": "somebody@example.com" },
            "homepage": format!("https://www.example.com/{name}"),
            "repository": { "type": "git", "url": format!("git+https://git.example.com/{name}.git") },
            "bugs": { "url": format!("https://git.example.com/{name}/issues") },
            "scripts": { "build": "tsc -p .", "test": "node --test", "prepack": "npm run build" },
            "engines": { "node": ">=18" },
            "dependencies": self.ranges(n, 0, random),
            "devDependencies": self.ranges(n, self.shape.dependencies / 2, random),
            "gitHead": hex::encode(random.bytes(20)),
            "_id": format!("{name}@{version}"),
            "_nodeVersion": "20.11.0",
            "_npmVersion": "10.2.4",
            "_npmUser": { "name": "somebody", "email": "somebody@example.com" },
            "_hasShrinkwrap": false,
            "maintainers": self.maintainers(),
            "dist": {
                "integrity": format!("sha512-{}", STANDARD.encode(sha512)),
                "shasum": hex::encode(sha1),
                "tarball": format!("{}{}", self.origin, super::tarball_path(name, version)),
                "fileCount": 20 + n % 7,
                "unpackedSize": 100_000 + random.below(50_000),
                "signatures": [{
                    "keyid": "SHA256:0000000000000000000000000000000000000000000",
                    "sig": STANDARD.encode(random.bytes(71)),
                }],
            },
        })
    }

    /// Dependencies from one on; now and then one of them moves on.
    fn ranges(&self, n: usize, from: usize, random: &mut Random) -> Value {
        let ranges = self.dependencies.iter().enumerate().skip(from).map(|(at, dependency)| {
            let (major, minor) = (1 + at % 5, (n + at) / 20);
            let patch = if random.below(20) == 0 { random.below(9) } else { 0 };
            (dependency.clone(), json!(format!("^{major}.{minor}.{patch}")))
        });
        Value::Object(ranges.collect())
    }

    fn maintainers(&self) -> Value {
        let people = (0..self.shape.maintainers).map(
            |n| json!({ "name": format!("maintainer-{n}"), "email": format!("m{n}@example.com") }),
        );
        people.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_packument_has_the_size_of_a_real_one() {
        let shape = Shape::large();
        let text = packument(
            "large-framework",
            "http://127.0.0.1:50000",
            &shape,
            &[],
            &mut Random::new(1),
        );
        assert!(text.len() > 5_000_000 && text.len() < 8_000_000, "{}", text.len());
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["versions"].as_object().unwrap().len(), shape.versions);
    }

    #[test]
    fn a_published_version_promises_its_own_digests() {
        let published =
            Published { version: "1.0.0".to_owned(), sha512: vec![7; 64], sha1: vec![9; 20] };
        let text = packument(
            "one",
            "http://example.com",
            &Shape::tiny(),
            &[published],
            &mut Random::new(1),
        );
        let value: Value = serde_json::from_str(&text).unwrap();
        let dist = &value["versions"]["1.0.0"]["dist"];
        assert_eq!(dist["shasum"], "09".repeat(20));
        assert_eq!(dist["tarball"], "http://example.com/one/-/one-1.0.0.tgz");
    }
}
