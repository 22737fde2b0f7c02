//! The row of npm.

use bytes::Bytes;
use support::upstream::ScriptedUpstream;

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
    endpoints: &[
        Endpoint {
            documented: "GET /{package}",
            spellings: &[
                "/npm/@garden/seed",
                "/npm/@garden%2fseed",
                "/npm/@garden%2Fseed",
                "/npm/%40garden/seed",
                "/npm/%40garden%2fseed",
                "/npm//@garden/seed",
                "/npm/@garden/seed/",
            ],
            gated: true,
        },
        Endpoint {
            documented: "GET /{package}/{version or tag}",
            spellings: &[
                "/npm/@garden/seed/1.0.0",
                "/npm/@garden/seed/latest",
                "/npm/@garden%2fseed/1.0.0",
                "/npm/%40garden%2Fseed/latest",
                "/npm/@garden/seed/1%2e0%2e0",
            ],
            gated: true,
        },
        Endpoint {
            documented: "GET /{package}/-/{file}",
            spellings: &[
                "/npm/@garden/seed/-/seed-1.0.0.tgz",
                "/npm/@garden%2fseed/-/seed-1.0.0.tgz",
                "/npm/@garden%2Fseed/-/seed-1.0.0.tgz",
                "/npm/%40garden/seed/-/seed-1.0.0.tgz",
                "/npm//@garden/seed/-/seed-1.0.0.tgz",
                "/npm/@garden/seed/-/@garden/seed-1.0.0.tgz",
                "/npm/@garden/seed/%2d/seed-1.0.0.tgz",
                "/npm/@garden/seed/-/seed%2d1.0.0.tgz",
            ],
            gated: true,
        },
        Endpoint { documented: "GET /-/ping", spellings: &["/npm/-/ping"], gated: false },
    ],
};

fn publish(up: &ScriptedUpstream) {
    up.npm("@garden/seed").plain_version("1.0.0").publish();
    up.npm("weed").plain_version("1.0.0").publish();
}

fn bytes(up: &ScriptedUpstream) -> Bytes {
    up.tarball("@garden/seed", "1.0.0").bytes()
}
