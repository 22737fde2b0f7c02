//! The row of npm.

use bytes::Bytes;
use server::registries::npm::names::{self, parse_path};
use support::upstream::ScriptedUpstream;

use super::Behind::{Gate, NotOffered, Nothing, Token, Told};
use super::{Endpoint, Format, Place};

pub const NPM: Format = Format {
    name: "npm",
    publish,
    package: "npm:@garden/seed",
    document: Place { here: "/npm/@garden/seed", upstream: "/@garden/seed" },
    artifact: Place {
        here: "/npm/@garden/seed/-/seed-1.0.0.tgz",
        upstream: "/@garden/seed/-/seed-1.0.0.tgz",
    },
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
};

macro_rules! endpoints {
    ($($endpoint:ident $methods:tt $spellings:tt)*) => {
        const ENDPOINTS: &[Endpoint] = &[$(
            Endpoint {
                name: stringify!($endpoint),
                methods: &$methods,
                spellings: &$spellings,
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
        "/npm/@garden/seed",
        "/npm/@garden%2fseed",
        "/npm/@garden%2Fseed",
        "/npm/%40garden/seed",
        "/npm/%40garden%2fseed",
        "/npm/%40%67arden/see%64",
        "/npm//@garden/seed",
        "/npm/@garden/seed/",
        "/npm/@garden/seed?write=true",
    ]
    Manifest [("GET", Gate)] [
        "/npm/@garden/seed/1.0.0",
        "/npm/@garden/seed/latest",
        "/npm/@garden%2fseed/1.0.0",
        "/npm/%40garden%2Fseed/latest",
        "/npm/@garden/seed/1%2e0%2e0",
        "/npm/@garden/seed/1.0.0/",
    ]
    Tarball [("GET", Gate)] [
        "/npm/@garden/seed/-/seed-1.0.0.tgz",
        "/npm/@garden%2fseed/-/seed-1.0.0.tgz",
        "/npm/@garden%2Fseed/-/seed-1.0.0.tgz",
        "/npm/%40garden/seed/-/seed-1.0.0.tgz",
        "/npm//@garden/seed/-/seed-1.0.0.tgz",
        "/npm/@garden/seed/-/@garden/seed-1.0.0.tgz",
        "/npm/@garden/seed/-/@garden%2fseed-1.0.0.tgz",
        "/npm/@garden/seed/%2d/seed-1.0.0.tgz",
        "/npm/@garden/seed/-/seed%2d1.0.0.tgz",
        "/npm/@garden/seed/-/seed-1.0.0.tgz/",
        "/npm/@garden/seed/-/seed-1.0.0.tgz?cache=0",
    ]
    Revision [("PUT", Token), ("DELETE", Token)] [
        "/npm/@garden/seed/-rev/1-a",
        "/npm/@garden%2fseed/-rev/1-a",
    ]
    TarballRevision [("DELETE", Token)] [
        "/npm/@garden/seed/-/seed-1.0.0.tgz/-rev/1-a",
        "/npm/@garden/seed/-/@garden/seed-1.0.0.tgz/-rev/1-a",
    ]
    Tags [("GET", Gate)] [
        "/npm/-/package/@garden%2fseed/dist-tags",
        "/npm/-/package/@garden/seed/dist-tags",
        "/npm/-/package/%40garden%2Fseed/dist-tags/",
    ]
    Tag [("PUT", Token), ("POST", Token), ("DELETE", Token)] [
        "/npm/-/package/@garden%2fseed/dist-tags/latest",
        "/npm/-/package/@garden/seed/dist-tags/latest",
    ]
    Search [("GET", Nothing)] ["/npm/-/v1/search", "/npm/-/v1/search?text=seed"]
    Ping [("GET", Nothing)] ["/npm/-/ping", "/npm/-/ping?write=true"]
    Reason [("GET", Told)] ["/npm/-/reason/403/npm:@garden/seed_is_denied", "/npm/-/reason/403/x/y"]
    WhoAmI [("GET", Token)] ["/npm/-/whoami"]
    LegacyLogin [("GET", NotOffered), ("PUT", Nothing)] ["/npm/-/user/org.couchdb.user:ann"]
    WebLogin [("POST", Nothing)] ["/npm/-/v1/login"]
    Logout [("DELETE", Nothing)] ["/npm/-/user/token/secret"]
    Profile [("GET", NotOffered), ("POST", NotOffered), ("PUT", NotOffered), ("DELETE", NotOffered)] ["/npm/-/npm/v1/user"]
    Tokens [("GET", NotOffered), ("POST", NotOffered), ("PUT", NotOffered), ("DELETE", NotOffered)] ["/npm/-/npm/v1/tokens", "/npm/-/npm/v1/tokens/token/x"]
    Stage [("GET", NotOffered), ("POST", NotOffered), ("DELETE", NotOffered)] ["/npm/-/stage", "/npm/-/stage/package/@garden%2fseed"]
    AuditBulk [("POST", Nothing)] ["/npm/-/npm/v1/security/advisories/bulk"]
    AuditTree [("POST", Nothing)] ["/npm/-/npm/v1/security/audits", "/npm/-/npm/v1/security/audits/quick"]
    Keys [("GET", Nothing)] ["/npm/-/npm/v1/keys"]
    Attestations [("GET", Gate)] [
        "/npm/-/npm/v1/attestations/@garden%2fseed@1.0.0",
        "/npm/-/npm/v1/attestations/%40garden%2Fseed%401%2e0.0",
        "/npm/-/npm/v1/attestations/@garden/seed@1.0.0",
    ]
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
