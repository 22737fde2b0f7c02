//! The row of npm.

mod tricks;

use bytes::Bytes;
use policies::facts::Fact;
use serde_json::{Value, json};
use server::registries::npm::names::{self, parse_path};
use support::http::Asked;
use support::upstream::ScriptedUpstream;
use url::form_urlencoded;

use super::Behind::{Gate, NotOffered, Nothing, Token, Told};
use super::kinds::Trait;
use super::{Endpoint, Format, Place, Release, Subject};

pub(super) const NPM: Format = Format {
    name: "npm",
    publish,
    package: "npm:@garden/seed",
    document: Place { here: "/npm/@garden/seed", upstream: "/@garden/seed" },
    artifact: Place {
        here: "/npm/@garden/seed/-/seed-1.0.0.tgz",
        upstream: "/@garden/seed/-/seed-1.0.0.tgz",
    },
    lists_refused: false,
    never_stated: &[Fact::Description, Fact::Repository, Fact::RustVersion],
    looks_for: &[],
    advised_as: "npm",
    range: |range| range,
    bytes,
    unknown: &[
        "/npm/never-there",
        "/npm/@garden/never-there",
        "/npm/never-there/1.0.0",
        "/npm/never-there/latest",
        "/npm/never-there/-/never-there-1.0.0.tgz",
    ],
    endpoints: ENDPOINTS,
    endpoint_of,
    spellings,
    name_of,
    look_alikes: &["expres", "minimatchh", "semverr", "debugg"],
    release,
    fetched_of,
    artifact_of: |up, Subject { name, version }| up.tarball(name, version).bytes(),
    forms: &["application/vnd.npm.install-v1+json", "application/json"],
    beside,
    listings: &[
        "/npm/-/v1/search?size=250",
        "/npm/-/v1/search?size=250&text=seed",
        "/npm/-/v1/search?size=250&text=words%20of%20maintainer:ann",
    ],
    another: "/npm/weed/-/weed-1.0.0.tgz",
    tricks: tricks::tricks,
    with_bodies: || {
        let audit = "/npm/-/npm/v1/security/advisories/bulk";
        vec![
            Asked::new("POST", audit),
            Asked::new("PUT", "/npm/-/user/org.couchdb.user:ann"),
            Asked::new("PUT", "/npm/weed"),
            Asked::new("GET", "/npm/never-there"),
        ]
    },
};

macro_rules! endpoints {
    ($($endpoint:ident $methods:tt $paths:tt)*) => {
        pub const ENDPOINTS: &[Endpoint] = &[$(
            Endpoint {
                name: stringify!($endpoint),
                methods: &$methods,
                paths: &$paths,
            }
        ),*];

        fn endpoint_of(path: &str) -> Option<&'static str> {
            match parse_path(path).ok()? {
                $(names::Endpoint::$endpoint { .. } => Some(stringify!($endpoint)),)*
            }
        }
    };
}

endpoints! {
    Packument [("GET", Gate), ("PUT", Token)] [
        "/npm/{package}",
        "/npm//{package}",
        "/npm/{package}/",
        "/npm/{package}?write=true",
    ]
    Manifest [("GET", Gate)] [
        "/npm/{package}/{version}",
        "/npm/{package}/{version}/",
        "/npm/{package}/latest",
    ]
    Tarball [("GET", Gate)] [
        "/npm/{package}/-/{file}",
        "/npm//{package}/-/{file}",
        "/npm/{package}/%2d/{file}",
        "/npm/{package}/-/{file}/",
        "/npm/{package}/-/{file}?cache=0",
    ]
    Revision [("PUT", Token), ("DELETE", Token)] ["/npm/{package}/-rev/1-a"]
    TarballRevision [("DELETE", Token)] ["/npm/{package}/-/{file}/-rev/1-a"]
    Tags [("GET", Gate)] ["/npm/-/package/{package}/dist-tags", "/npm/-/package/{package}/dist-tags/"]
    Tag [("PUT", Token), ("POST", Token), ("DELETE", Token)] ["/npm/-/package/{package}/dist-tags/latest"]
    Search [("GET", Nothing)] ["/npm/-/v1/search", "/npm/-/v1/search?text={package}&size=250"]
    Ping [("GET", Nothing)] ["/npm/-/ping", "/npm/-/ping?write=true"]
    Reason [("GET", Told)] ["/npm/-/reason/403/npm:@garden/seed_is_denied", "/npm/-/reason/403/x/y"]
    WhoAmI [("GET", Token)] ["/npm/-/whoami"]
    LegacyLogin [("GET", NotOffered), ("PUT", Nothing)] ["/npm/-/user/org.couchdb.user:ann"]
    WebLogin [("POST", Nothing)] ["/npm/-/v1/login"]
    Logout [("DELETE", Nothing)] ["/npm/-/user/token/secret"]
    Profile [("GET", NotOffered), ("POST", NotOffered), ("PUT", NotOffered), ("DELETE", NotOffered)] ["/npm/-/npm/v1/user"]
    Tokens [("GET", NotOffered), ("POST", NotOffered), ("PUT", NotOffered), ("DELETE", NotOffered)] ["/npm/-/npm/v1/tokens", "/npm/-/npm/v1/tokens/token/x"]
    Stage [("GET", NotOffered), ("POST", NotOffered), ("DELETE", NotOffered)] ["/npm/-/stage", "/npm/-/stage/package/{package}"]
    AuditBulk [("POST", Nothing)] ["/npm/-/npm/v1/security/advisories/bulk"]
    AuditTree [("POST", Nothing)] ["/npm/-/npm/v1/security/audits", "/npm/-/npm/v1/security/audits/quick"]
    Keys [("GET", Nothing)] ["/npm/-/npm/v1/keys"]
    Attestations [("GET", Gate)] [
        "/npm/-/npm/v1/attestations/{package}@{version}",
        "/npm/-/npm/v1/attestations/{package}%40{version}",
        "/npm/npm/-/npm/v1/attestations/{package}@{version}",
    ]
}

/// A package is one place, whatever its spelling, and so is a file.
fn spellings(subject: &Subject, place: &str) -> Vec<String> {
    let Subject { name, version } = subject;
    // Each letter may be written as an escape; one is enough to be another text.
    let escaped = |text: &str, c: char| text.replacen(c, &format!("%{:02x}", u32::from(c)), 1);
    let unscoped = name.rsplit('/').next().unwrap_or(name);
    let first = unscoped.chars().next().expect("a name");
    let mut all = match place {
        "{package}" => vec![name.clone(), escaped(name, first)],
        "{version}" => vec![(*version).to_owned(), version.replace('.', "%2e")],
        _ => {
            let file = format!("{unscoped}-{version}.tgz");
            vec![file.clone(), escaped(&file, '-'), file.replace(".tgz", "%2Etgz")]
        }
    };
    if let Some((scope, unscoped)) = name.split_once('/') {
        match place {
            "{package}" => {
                let at = scope.replace('@', "%40");
                all.extend(["%2f", "%2F"].map(|slash| format!("{scope}{slash}{unscoped}")));
                all.extend(["/", "%2f"].map(|slash| format!("{at}{slash}{unscoped}")));
                let scope = escaped(&scope[1..], scope.chars().nth(1).expect("a scope"));
                all.push(format!("%40{scope}%2F{}", escaped(unscoped, first)));
            }
            // Some servers wrote the scope again in front of the file.
            "{file}" => {
                let again = ["/", "%2f"].map(|slash| format!("{scope}{slash}{}", all[0]));
                all.extend(again);
            }
            _ => {}
        }
    }
    all
}

fn name_of(row: &str, in_group: bool) -> String {
    if in_group { format!("@garden-{row}/seed-{row}") } else { format!("seed-{row}") }
}

fn release(up: &ScriptedUpstream, name: &str, releases: &[Release]) {
    let mut package = up.npm(name);
    for Release { version, is, marker } in releases {
        let statement = format!("{{\"attestations\":[{{\"predicateType\":\"{marker}\"}}]}}");
        let attested = format!("/-/npm/v1/attestations/{name}@{version}");
        up.place(&attested, "application/json", statement);
        package = package.version(version, |draft| {
            let user = |name: &str| json!({ "name": name, "email": "x@example.com" });
            let draft = draft
                .file("index.js", marker)
                .field("description", marker.as_str().into())
                .registry_field("_npmUser", user("ann"));
            match is {
                Trait::Plain | Trait::Described => draft,
                Trait::Copyleft => draft.field("license", "GPL-3.0-only".into()),
                Trait::NoLicence => draft.field("license", "SEE LICENSE IN LICENSE".into()),
                Trait::Undated => draft.published("some day"),
                Trait::Young => draft.published("2200-01-01T00:00:00Z"),
                Trait::Deprecated => draft.deprecated("use another"),
                Trait::Scripts => draft.script("postinstall", "node -e 0"),
                Trait::Attested => draft.attested(),
                Trait::ByAnother => draft.registry_field("_npmUser", user("eve")),
                Trait::ByNobody => draft.registry_field("_npmUser", Value::Null),
                Trait::Dependent => draft.dependency("a", "1").dependency("b", "1"),
                Trait::Lying => {
                    draft.script("postinstall", "node -e 0").registry_field("scripts", json!({}))
                }
            }
        });
    }
    // A registry shows that of the newest version at the top.
    let readme = releases.last().map(|release| release.marker.clone());
    package.readme(&readme.unwrap_or_default()).publish();
}

fn fetched_of(Subject { name, version }: &Subject) -> Vec<String> {
    let unscoped = name.rsplit('/').next().unwrap_or(name);
    vec![
        format!("/{name}/-/{unscoped}-{version}.tgz"),
        format!("/-/npm/v1/attestations/{name}@{version}"),
    ]
}

fn beside(Subject { name, version }: &Subject) -> Vec<Asked> {
    let text: String = form_urlencoded::byte_serialize(name.as_bytes()).collect();
    let mut all = vec![Asked::get(&format!("/npm/-/v1/search?text={text}"))];
    let bulk = json!({ name: [version] }).to_string();
    let tree = json!({
        "name": "shop", "version": "1.0.0", "requires": { name: version },
        "dependencies": { name: { "version": version } },
    });
    for (path, body) in [
        ("advisories/bulk", bulk),
        ("audits", tree.to_string()),
        ("audits/quick", tree.to_string()),
    ] {
        let path = format!("/npm/-/npm/v1/security/{path}");
        all.push(Asked::new("POST", &path).header("Content-Type", "application/json").body(body));
    }
    all
}

fn publish(up: &ScriptedUpstream) {
    let keys = "{\"keys\":[{\"keyid\":\"SHA256:x\"}]}";
    up.place("/-/npm/v1/keys", "application/json", keys);
    let attested = "/-/npm/v1/attestations/@garden/seed@1.0.0";
    up.place(attested, "application/json", "{\"attestations\":[]}");
    up.npm("@garden/seed").plain_version("1.0.0").publish();
    up.npm("weed").plain_version("1.0.0").publish();
}

fn bytes(up: &ScriptedUpstream) -> Bytes {
    up.tarball("@garden/seed", "1.0.0").bytes()
}
