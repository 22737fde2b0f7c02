//! Where metadata and blobs are kept.

use super::read::Reader;
use super::setting::{GIB, Kind, MIB, SettingDoc};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreConfig {
    Sled { cache_bytes: u64 },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlobsConfig {
    Disk,
}

pub(super) const SETTINGS: &[SettingDoc] = &[
    SettingDoc {
        key: "store.kind",
        kind: Kind::Choice(&["sled"]),
        default: Some("sled"),
        text: "The engine for metadata: \"sled\" keeps it in a directory below `data`.",
    },
    SettingDoc {
        key: "store.cache",
        kind: Kind::Size { min: MIB, max: 64 * GIB },
        default: Some("16MiB"),
        text: "How much metadata the engine keeps in memory. Count on twice as much in use.",
    },
    SettingDoc {
        key: "blobs.kind",
        kind: Kind::Choice(&["disk"]),
        default: Some("disk"),
        text: "The engine for blobs: \"disk\" keeps them in a directory below `data`.",
    },
];

pub(super) fn read(reader: &mut Reader<'_>) -> (StoreConfig, BlobsConfig) {
    let cache_bytes = reader.size("store.cache");
    let store = reader
        .choice("store.kind", |name| (name == "sled").then_some(StoreConfig::Sled { cache_bytes }));
    let blobs = reader.choice("blobs.kind", |name| (name == "disk").then_some(BlobsConfig::Disk));
    (store.unwrap_or(StoreConfig::Sled { cache_bytes }), blobs.unwrap_or(BlobsConfig::Disk))
}
