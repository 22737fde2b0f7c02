//! How garth asks upstreams: deadlines, bounds, and how often it tries again.

use std::time::Duration;

use super::read::Reader;
use super::setting::{GIB, KIB, Kind, MIB, SettingDoc};

/// Holds for each upstream by itself: one that is slow takes nothing from the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamConfig {
    pub connect_timeout: Duration,
    pub header_timeout: Duration,
    pub idle_timeout: Duration,
    pub document_timeout: Duration,
    pub artifact_timeout: Duration,
    pub max_concurrent: u64,
    pub max_document: u64,
    pub max_artifact: u64,
    pub retry_percent: u64,
    pub absent_age: Duration,
}

pub(super) const SETTINGS: &[SettingDoc] = &[
    SettingDoc {
        key: "upstream.connect_timeout",
        kind: Kind::duration(1, 300),
        default: Some("10s"),
        text: "How long a connection to an upstream, TLS included, may take.",
    },
    SettingDoc {
        key: "upstream.header_timeout",
        kind: Kind::duration(1, 600),
        default: Some("30s"),
        text: "How long an upstream may take until the headers of its answer are there.",
    },
    SettingDoc {
        key: "upstream.idle_timeout",
        kind: Kind::duration(1, 600),
        default: Some("30s"),
        text: "How long an upstream may be silent within a body.",
    },
    SettingDoc {
        key: "upstream.document_timeout",
        kind: Kind::duration(1, 3600),
        default: Some("2m"),
        text: "How long a whole document (such as a packument) may take.",
    },
    SettingDoc {
        key: "upstream.artifact_timeout",
        kind: Kind::duration(1, 86_400),
        default: Some("30m"),
        text: "How long a whole artifact (such as a tarball) may take.",
    },
    SettingDoc {
        key: "upstream.max_concurrent",
        kind: Kind::Count { min: 1, max: 10_000 },
        default: Some("64"),
        text: "How many requests one upstream gets at once; more wait.",
    },
    SettingDoc {
        key: "upstream.max_document",
        kind: Kind::Size { min: 64 * KIB, max: 4 * GIB },
        default: Some("128MiB"),
        text: "The largest document that is taken from an upstream, unpacked.",
    },
    SettingDoc {
        key: "upstream.max_artifact",
        kind: Kind::Size { min: MIB, max: 1024 * GIB },
        default: Some("8GiB"),
        text: "The largest artifact that is taken from an upstream.",
    },
    SettingDoc {
        key: "upstream.retry_percent",
        kind: Kind::Count { min: 0, max: 100 },
        default: Some("10"),
        text: "The retry budget: how many of a hundred recent requests to an upstream may be repeats of \
               failed ones.",
    },
    SettingDoc {
        key: "upstream.absent_age",
        kind: Kind::duration(0, 86_400),
        default: Some("1m"),
        text: "How long an upstream's \"there is no such package\" is believed without asking again.",
    },
];

pub(super) fn read(reader: &mut Reader<'_>) -> UpstreamConfig {
    UpstreamConfig {
        connect_timeout: reader.duration("upstream.connect_timeout"),
        header_timeout: reader.duration("upstream.header_timeout"),
        idle_timeout: reader.duration("upstream.idle_timeout"),
        document_timeout: reader.duration("upstream.document_timeout"),
        artifact_timeout: reader.duration("upstream.artifact_timeout"),
        max_concurrent: reader.count("upstream.max_concurrent"),
        max_document: reader.size("upstream.max_document"),
        max_artifact: reader.size("upstream.max_artifact"),
        retry_percent: reader.count("upstream.retry_percent"),
        absent_age: reader.duration("upstream.absent_age"),
    }
}
