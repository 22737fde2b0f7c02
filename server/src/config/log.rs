//! How garth writes its log.

use super::faults::ConfigFault;
use super::read::Reader;
use super::setting::{Kind, SettingDoc};
use crate::observability::logs::LogFormat;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    pub format: LogFormat,
    /// A filter that `tracing_subscriber::EnvFilter` accepts.
    pub level: String,
}

pub(super) const SETTINGS: &[SettingDoc] = &[
    SettingDoc {
        key: "log.format",
        kind: Kind::Choice(&["text", "json"]),
        default: Some("text"),
        text: "\"text\" for people, \"json\" for machines: one object a line.",
    },
    SettingDoc {
        key: "log.level",
        kind: Kind::Text,
        default: Some("info"),
        text: "\"error\", \"warn\", \"info\", \"debug\" or \"trace\"; also per part of garth, as in \
               \"info,server::upstream=debug\".",
    },
];

pub(super) fn read(reader: &mut Reader<'_>) -> LogConfig {
    let format = reader.choice("log.format", |name| match name {
        "text" => Some(LogFormat::Text),
        "json" => Some(LogFormat::Json),
        _ => None,
    });
    let level = reader.text("log.level").expect("the row of this setting has a default");
    if let Some(place) = reader.place("log.level")
        && tracing_subscriber::EnvFilter::try_new(&level).is_err()
    {
        reader.fault(
            ConfigFault::new(&place, format!("expected a log level, found {level:?}"))
                .remedy("the levels are error, warn, info, debug and trace"),
        );
    }
    LogConfig { format: format.unwrap_or(LogFormat::Text), level }
}
