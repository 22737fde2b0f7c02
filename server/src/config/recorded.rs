//! What is kept of recorded use: how long, and how much.

use std::time::Duration;

use super::read::Reader;
use super::setting::{GIB, Kind, MIB, SettingDoc};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedConfig {
    pub keep: Duration,
    pub max: u64,
}

pub(super) const SETTINGS: &[SettingDoc] = &[
    SettingDoc {
        key: "recorded.keep",
        kind: Kind::duration(3600, 3650 * 86_400),
        default: Some("90d"),
        text: "How long it is kept what was asked for and decided, and by which rules.",
    },
    SettingDoc {
        key: "recorded.max",
        kind: Kind::Size { min: MIB, max: 1024 * GIB },
        default: Some("256MiB"),
        text: "How much of it is kept. Of more, the oldest goes before its time, which is logged.",
    },
];

pub(super) fn read(reader: &mut Reader<'_>) -> RecordedConfig {
    RecordedConfig { keep: reader.duration("recorded.keep"), max: reader.size("recorded.max") }
}
