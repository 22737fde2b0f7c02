//! Paths that are no spelling of the seed, though some reader could take them for one.

const VERSIONS: &[&str] = &[
    "v1.0.0",
    "=1.0.0",
    "1.0.0+build",
    "01.0.0",
    "1.0",
    "1",
    "1.x",
    "^1.0.0",
    "~1",
    "*",
    "x",
    ">=0",
    "1.0.0%20",
    "%201.0.0",
    "1.0.0%00",
    "1.0.0%0a",
    "1.0.0%0d%0a",
    "1.0.0%252f",
    "1%252e0%252e0",
    "1.0.0-",
    "1.0.0.0",
    "LATEST",
    "latest%00",
    "latest/",
    "..%2f1.0.0",
    "%2e%2e",
    "..",
    ".",
    "1.0.0;x=1",
    "1.0.0%3fx",
    "1.0.0%23x",
    "1.0.0%2f..",
    "%EF%BC%91.0.0",
];

const NAMES: &[&str] = &[
    "@Garden/seed",
    "@garden/Seed",
    "@garden/SEED",
    "@garden/seed.",
    "@garden./seed",
    "@garden/seed%20",
    "@garden/%20seed",
    "@garden/seed%00",
    "@garden/seed%0a",
    "@garden/seed;x",
    "@garden/seed%3fx",
    "@garden/seed%23",
    "@garden/seed%5c",
    "@garden%5cseed",
    "@garden%252fseed",
    "%2540garden/seed",
    "@garden%2f%2fseed",
    "@garden//seed",
    "@garden/./seed",
    "@garden/../@garden/seed",
    "@garden%2f.%2fseed",
    "@garden/%2e/seed",
    "weed/../@garden/seed",
    "weed/%2e%2e/@garden/seed",
    "..%2f@garden%2fseed",
    "@garden/se%EF%BD%85d",
    "@garden/se%E2%80%8Bed",
    "@garden/s%C3%A9ed",
    "@garden/%ff",
    "@garden%2fseed%2f",
    "@%67arden%252fseed",
    "npm/@garden/seed",
    "npm:@garden/seed",
    "pkg:npm/@garden/seed",
    "@garden@seed",
    "garden/seed",
    "%00@garden/seed",
    "@garden/seed%2f-%2fseed-1.0.0.tgz",
];

const FILES: &[&str] = &[
    "seed-v1.0.0.tgz",
    "seed-=1.0.0.tgz",
    "seed-1.0.0.tar.gz",
    "seed-1.0.0.tgz.sig",
    "seed-1.0.0.TGZ",
    "Seed-1.0.0.tgz",
    "seed-1.0.0",
    "seed-01.0.0.tgz",
    "seed-1.0.0+x.tgz",
    "seed-1.0.0%00.tgz",
    "seed-1.0.0.tgz%00",
    "seed-1.0.0.tgz%20",
    "seed-1.0.0.tgz;x",
    "seed-1.0.0.tgz%3fx",
    "..%2fseed-1.0.0.tgz",
    "seed-1.0.0%252etgz",
    "seed%252d1.0.0.tgz",
    ".%2fseed-1.0.0.tgz",
    "seed-latest.tgz",
    "seed.tgz",
    "-1.0.0.tgz",
    "garden-seed-1.0.0.tgz",
    "@other/seed-1.0.0.tgz",
    "x%5cseed-1.0.0.tgz",
    "weed-1.0.0.tgz",
];

/// The file of one package under another, and other ways to this registry.
const PATHS: &[&str] = &[
    "/npm/weed/-/seed-1.0.0.tgz",
    "/npm/weed/-/@garden/seed-1.0.0.tgz",
    "/npm/weed/-/..%2f..%2f@garden%2fseed%2f-%2fseed-1.0.0.tgz",
    "/npm/weed/-/../../@garden/seed/-/seed-1.0.0.tgz",
    "/npm/@garden/weed/-/seed-1.0.0.tgz",
    "/npm/@garden/seed/@garden/seed/-/seed-1.0.0.tgz",
    "/NPM/@garden/seed/-/seed-1.0.0.tgz",
    "/%6epm/@garden/seed/-/seed-1.0.0.tgz",
    "/npm%2f@garden%2fseed/-/seed-1.0.0.tgz",
    "/npm/%2e%2e/npm/@garden/seed",
    "/npm/../npm/@garden/seed",
    "/./npm/@garden/seed",
    "/npm;x/@garden/seed",
    "/npm.json/@garden/seed",
    "/api/../npm/@garden/seed",
    "/healthz/../npm/@garden/seed",
    "/npm/npm/@garden/seed/-/seed-1.0.0.tgz",
    "/npm/-/@garden/seed/-/seed-1.0.0.tgz",
    "/npm/-/all",
    "/npm/-/all/since",
    "/npm/-/_view/fieldsInUse",
    "/npm/_all_docs",
    "/npm/_changes?include_docs=true",
    "/npm/@garden%2fseed?rev=1-a&attachments=true/../x",
];

pub fn tricks() -> Vec<String> {
    let mut all: Vec<String> =
        VERSIONS.iter().map(|version| format!("/npm/@garden/seed/{version}")).collect();
    for name in NAMES {
        all.push(format!("/npm/{name}"));
        all.push(format!("/npm/{name}/1.0.0"));
        all.push(format!("/npm/{name}/-/seed-1.0.0.tgz"));
        all.push(format!("/npm/-/package/{name}/dist-tags"));
        all.push(format!("/npm/-/npm/v1/attestations/{name}@1.0.0"));
    }
    for file in FILES {
        all.push(format!("/npm/@garden/seed/-/{file}"));
        all.push(format!("/npm/@garden/seed/-/x/{file}"));
    }
    for version in ["v1.0.0", "latest", "1.0.0+x", "*", "1.0.0%00", "..%2f1.0.0"] {
        all.push(format!("/npm/-/npm/v1/attestations/@garden%2fseed@{version}"));
    }
    all.extend(PATHS.iter().map(|path| (*path).to_owned()));
    all
}
