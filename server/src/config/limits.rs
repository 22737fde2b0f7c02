//! What a client may send, how much of it, and how long it may take.

use std::time::Duration;

use super::read::Reader;
use super::setting::{GIB, KIB, Kind, MIB, SettingDoc};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitsConfig {
    pub header_bytes: u64,
    pub uri_length: u64,
    pub body_bytes: u64,
    pub publish_bytes: u64,
    pub connections: u64,
    pub connections_per_address: u64,
    pub connections_per_trusted_address: u64,
    pub header_timeout: Duration,
    pub body_timeout: Duration,
    pub idle_timeout: Duration,
    pub write_timeout: Duration,
    pub shutdown_grace: Duration,
    pub memory_cache: u64,
    pub closure_packages: u64,
    pub closure_time: Duration,
    /// A second; 0 is as many as anybody likes.
    pub requests_per_token: u64,
    pub requests_per_address: u64,
    pub changes_per_caller: u64,
    pub burst: Duration,
}

pub(super) const SETTINGS: &[SettingDoc] = &[
    SettingDoc {
        key: "limits.header_bytes",
        kind: Kind::Size { min: 4 * KIB, max: 64 * KIB },
        default: Some("32KiB"),
        text: "The largest head of a request: its first line and all its headers.",
    },
    SettingDoc {
        key: "limits.uri_length",
        kind: Kind::Size { min: 256, max: 32 * KIB },
        default: Some("8KiB"),
        text: "The longest path with query of a request.",
    },
    SettingDoc {
        key: "limits.body_bytes",
        kind: Kind::Size { min: KIB, max: GIB },
        default: Some("1MiB"),
        text: "The largest body of a request that is not a publish.",
    },
    SettingDoc {
        key: "limits.publish_bytes",
        kind: Kind::Size { min: KIB, max: 64 * GIB },
        default: Some("256MiB"),
        text: "The largest body of a publish; npm packs a package's file into it a third larger than it is.",
    },
    SettingDoc {
        key: "limits.connections",
        kind: Kind::Count { min: 1, max: 1_000_000 },
        default: Some("10000"),
        text: "How many connections may be open at once.",
    },
    SettingDoc {
        key: "limits.connections_per_address",
        kind: Kind::Count { min: 1, max: 1_000_000 },
        default: Some("512"),
        text: "How many connections one client address may have open at once.",
    },
    SettingDoc {
        key: "limits.connections_per_trusted_address",
        kind: Kind::Count { min: 1, max: 1_000_000 },
        default: Some("8192"),
        text: "The same for this machine and for `trusted_proxies`, behind which many clients stand.",
    },
    SettingDoc {
        key: "limits.header_timeout",
        kind: Kind::duration(1, 600),
        default: Some("10s"),
        text: "How long a client may take to send the head of a request, TLS handshake included.",
    },
    SettingDoc {
        key: "limits.body_timeout",
        kind: Kind::duration(1, 3600),
        default: Some("30m"),
        text: "How long a client may take to send the whole body of a request.",
    },
    SettingDoc {
        key: "limits.idle_timeout",
        kind: Kind::duration(1, 3600),
        default: Some("60s"),
        text: "How long a connection may stay open between two requests.",
    },
    SettingDoc {
        key: "limits.write_timeout",
        kind: Kind::duration(1, 3600),
        default: Some("30s"),
        text: "How long a client may take nothing of what it is sent.",
    },
    SettingDoc {
        key: "limits.shutdown_grace",
        kind: Kind::duration(0, 3600),
        default: Some("30s"),
        text: "How long running transfers may go on when garth is told to stop.",
    },
    SettingDoc {
        key: "limits.memory_cache",
        kind: Kind::Size { min: MIB, max: 1024 * GIB },
        default: Some("40MiB"),
        text: "How many bytes of finished answers are kept in memory.",
    },
    SettingDoc {
        key: "limits.closure_packages",
        kind: Kind::Count { min: 1, max: 100_000 },
        default: Some("5000"),
        text: "How many packages are looked at for one closure, or for one lockfile.",
    },
    SettingDoc {
        key: "limits.closure_time",
        kind: Kind::duration(1, 3600),
        default: Some("5m"),
        text: "How long working out one closure may take, fetching its documents included.",
    },
    SettingDoc {
        key: "limits.requests_per_token",
        kind: Kind::Count { min: 0, max: 1_000_000 },
        default: Some("0"),
        text: "How many requests a second are taken from one token; 0 is as many as it sends.",
    },
    SettingDoc {
        key: "limits.requests_per_address",
        kind: Kind::Count { min: 0, max: 1_000_000 },
        default: Some("0"),
        text: "How many requests a second without a valid token are taken from one address (a /64 of the newer kind); 0 is as many as it sends.",
    },
    SettingDoc {
        key: "limits.changes_per_caller",
        kind: Kind::Count { min: 0, max: 1_000_000 },
        default: Some("100"),
        text: "How many changes a second by the API are taken from one token, or from one address without; 0 is as many as it sends.",
    },
    SettingDoc {
        key: "limits.burst",
        kind: Kind::duration(1, 600),
        default: Some("30s"),
        text: "How much of these may come at once after a pause: what would come in this time.",
    },
];

pub(super) fn read(reader: &mut Reader<'_>) -> LimitsConfig {
    LimitsConfig {
        header_bytes: reader.size("limits.header_bytes"),
        uri_length: reader.size("limits.uri_length"),
        body_bytes: reader.size("limits.body_bytes"),
        publish_bytes: reader.size("limits.publish_bytes"),
        connections: reader.count("limits.connections"),
        connections_per_address: reader.count("limits.connections_per_address"),
        connections_per_trusted_address: reader.count("limits.connections_per_trusted_address"),
        header_timeout: reader.duration("limits.header_timeout"),
        body_timeout: reader.duration("limits.body_timeout"),
        idle_timeout: reader.duration("limits.idle_timeout"),
        write_timeout: reader.duration("limits.write_timeout"),
        shutdown_grace: reader.duration("limits.shutdown_grace"),
        memory_cache: reader.size("limits.memory_cache"),
        closure_packages: reader.count("limits.closure_packages"),
        closure_time: reader.duration("limits.closure_time"),
        requests_per_token: reader.count("limits.requests_per_token"),
        requests_per_address: reader.count("limits.requests_per_address"),
        changes_per_caller: reader.count("limits.changes_per_caller"),
        burst: reader.duration("limits.burst"),
    }
}
