//! Where checkpoints of the audit log are put, so that nobody can make the log anew unnoticed.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::faults::ConfigFault;
use super::parse;
use super::read::Reader;
use super::setting::{Kind, SettingDoc};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditConfig {
    pub files: Vec<PathBuf>,
    pub urls: Vec<Url>,
    pub every: Duration,
    /// What the log is called in its checkpoints; absent: a name that nothing else has.
    pub origin: Option<String>,
}

pub(super) const SETTINGS: &[SettingDoc] = &[
    SettingDoc {
        key: "audit.checkpoints",
        kind: Kind::Texts,
        default: None,
        text: "Where the newest signed checkpoint of the audit log is put: paths of files, which are replaced, and \
               http or https URLs, to which it is sent by POST. Choose a place that whoever runs this machine can \
               not change.",
    },
    SettingDoc {
        key: "audit.every",
        kind: Kind::duration(1, 30 * 86_400),
        default: Some("1m"),
        text: "How often a new checkpoint is put there, if there are new entries.",
    },
    SettingDoc {
        key: "audit.origin",
        kind: Kind::Text,
        default: None,
        text: "The name of the log in its checkpoints, like \"garth.example.com/log\". It counts when the key of the \
               log is made, at the first start, and stays. Left out, a random one is made.",
    },
];

pub(super) fn read(reader: &mut Reader<'_>) -> AuditConfig {
    let mut config =
        AuditConfig { every: reader.duration("audit.every"), ..AuditConfig::default() };
    for (place, text) in reader.texts("audit.checkpoints") {
        if !text.contains("://") {
            if text.is_empty() || text.contains('\0') {
                reader.fault(ConfigFault::new(
                    &place,
                    "expected a path or a URL, found an empty text",
                ));
            } else {
                config.files.push(reader.base.join(text));
            }
        } else if let Ok(mut url) = parse::base_url(&text) {
            let path = url.path().trim_end_matches('/').to_owned();
            url.set_path(&path);
            config.urls.push(url);
        } else {
            // Not repeated: it may hold a secret.
            let fault = ConfigFault::new(&place, "expected an http or https URL, or a path");
            reader.fault(
                fault.remedy("write it as \"https://anchor.example.com/garth\", without query"),
            );
        }
    }
    let place = reader.place("audit.origin");
    config.origin = reader.text("audit.origin");
    if let (Some(place), Some(origin)) = (place, &config.origin)
        && (origin.is_empty() || origin.len() > 100 || !origin.chars().all(is_of_name))
    {
        let fault = ConfigFault::new(&place, "expected a name without blanks and `+`");
        reader.fault(fault.remedy("write it as \"garth.example.com/log\""));
    }
    config
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._/:".contains(c)
}
