//! garth's own TLS.

use std::path::PathBuf;

use super::faults::ConfigFault;
use super::read::Reader;
use super::setting::{Kind, SettingDoc};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

pub(super) const SETTINGS: &[SettingDoc] = &[
    SettingDoc {
        key: "tls.certificate",
        kind: Kind::Path,
        default: None,
        text: "A PEM file with the certificate and its chain. With `tls.key` it makes garth speak https; \
               a changed file is taken up without a restart.",
    },
    SettingDoc {
        key: "tls.key",
        kind: Kind::Path,
        default: None,
        text: "A PEM file with the certificate's private key.",
    },
];

/// Both settings or neither; each names a file that is there.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<TlsConfig> {
    let certificate = existing_file(reader, "tls.certificate");
    let key = existing_file(reader, "tls.key");
    match (certificate, key) {
        (Some(certificate), Some(key)) => Some(TlsConfig { certificate, key }),
        (Some(_), None) => {
            lonely(reader, "tls.certificate", "tls.key");
            None
        }
        (None, Some(_)) => {
            lonely(reader, "tls.key", "tls.certificate");
            None
        }
        (None, None) => None,
    }
}

/// The path that `key` gives, with a fault if no file is there.
pub(super) fn existing_file(reader: &mut Reader<'_>, key: &str) -> Option<PathBuf> {
    let path = reader.path(key)?;
    if let Some(place) = reader.place(key)
        && !path.is_file()
    {
        let what = if path.exists() { "is not a file" } else { "does not exist" };
        reader.fault(ConfigFault::new(&place, format!("{} {what}", path.display())));
    }
    Some(path)
}

fn lonely(reader: &mut Reader<'_>, given: &str, missing: &str) {
    // A missing partner that was given, but wrongly, has had its fault.
    if let (Some(place), None) = (reader.place(given), reader.place(missing)) {
        reader.missing(
            ConfigFault::new(&place, format!("{given} needs {missing} beside it"))
                .remedy("set both, or neither to speak plain http"),
        );
    }
}
