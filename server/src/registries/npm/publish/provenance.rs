//! The provenance that a publish may bring: a signed statement of what the tarball was built from.
//!
//! Pure. It is kept as it came, and is about this tarball or is refused. Whether its signatures
//! are to be believed is decided by whoever verifies it, as `npm audit signatures` does.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use policies::package::{Digest, PackageVersion};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::super::names::attestations_path;

#[derive(Deserialize)]
struct Bundle {
    #[serde(rename = "dsseEnvelope")]
    envelope: Envelope,
}

#[derive(Deserialize)]
struct Envelope {
    payload: String,
}

#[derive(Deserialize)]
struct Statement {
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate: String,
}

#[derive(Deserialize)]
struct Subject {
    name: String,
    digest: std::collections::BTreeMap<String, String>,
}

/// The kind of statement that a bundle makes about this tarball.
pub fn predicate_of(
    bundle: &str,
    subject: &PackageVersion,
    sha512: &Digest,
) -> Result<String, String> {
    let statement = read(bundle)?;
    let [about] = statement.subject.as_slice() else {
        return Err("its provenance is not about one package".to_owned());
    };
    if about.name != subject.purl() {
        return Err("its provenance is about another package".to_owned());
    }
    if about.digest.get("sha512").map(|digest| digest.to_ascii_lowercase()) != Some(sha512.hex()) {
        return Err("its provenance is about another tarball".to_owned());
    }
    Ok(statement.predicate)
}

fn read(bundle: &str) -> Result<Statement, String> {
    let unfit = || "its provenance is no bundle that npm would read".to_owned();
    let bundle: Bundle = serde_json::from_str(bundle).map_err(|_| unfit())?;
    let payload = STANDARD.decode(bundle.envelope.payload).map_err(|_| unfit())?;
    serde_json::from_slice(&payload).map_err(|_| unfit())
}

/// As the manifest names it. The address is below the registry, and is made whole where it is shown.
pub fn link(subject: &PackageVersion, predicate: &str) -> Value {
    json!({
        "url": attestations_path(&subject.package, &subject.version),
        "provenance": { "predicateType": predicate },
    })
}

/// What the registry answers where the link leads.
pub fn attestations(bundle: &str) -> Option<String> {
    let predicate = read(bundle).ok()?.predicate;
    let bundle: &RawValue = serde_json::from_str(bundle).ok()?;
    let predicate = Value::from(predicate);
    Some(format!(
        "{{\"attestations\":[{{\"predicateType\":{predicate},\"bundle\":{}}}]}}",
        bundle.get()
    ))
}
