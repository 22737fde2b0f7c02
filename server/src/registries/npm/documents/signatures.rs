//! Signatures as npm's registry makes them, and the keys to verify them with. Pure.
//!
//! A version is signed over `name@version:integrity`; clients take the key whose `keyid` the
//! signature names from the registry's list of keys.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use policies::package::{Package, Version};
use serde_json::{Value, json};

use crate::signing::{PublicKey, SigningError, SigningKey};

/// What stands in `dist.signatures` of an own version; `integrity` is what stands in
/// `dist.integrity`, letter by letter.
pub fn sign(
    key: &SigningKey,
    package: &Package,
    version: &Version,
    integrity: &str,
) -> Result<Value, SigningError> {
    let signature = key.sign(format!("{}@{version}:{integrity}", package.name()).as_bytes())?;
    Ok(json!([{ "keyid": key.public().id, "sig": STANDARD.encode(signature) }]))
}

/// Whether this is a list of keys; an error says why not.
pub fn check_keys(bytes: &[u8]) -> Result<(), String> {
    read_keys(bytes).map(|_| ())
}

fn read_keys(bytes: &[u8]) -> Result<Vec<Value>, String> {
    let document: Value = serde_json::from_slice(bytes).map_err(|fault| fault.to_string())?;
    match &document["keys"] {
        Value::Array(keys) if keys.iter().all(|key| key["keyid"].is_string()) => Ok(keys.clone()),
        _ => Err("it has no list of keys with their names".to_owned()),
    }
}

/// The upstream's keys, and ours among them. An upstream's key that bears our key's name is not
/// ours, and could vouch for what is not from here.
pub fn join_keys(theirs: Option<&[u8]>, ours: Option<&PublicKey>) -> Result<Value, String> {
    let mut keys = theirs.map(read_keys).transpose()?.unwrap_or_default();
    if let Some(ours) = ours {
        keys.retain(|key| key["keyid"] != ours.id.as_str());
        keys.push(json!({
            "expires": null,
            "keyid": ours.id,
            "keytype": "ecdsa-sha2-nistp256",
            "scheme": "ecdsa-sha2-nistp256",
            "key": ours.der,
        }));
    }
    Ok(json!({ "keys": keys }))
}

/// Whether these are attestations; an error says why not.
pub fn check_attestations(bytes: &[u8]) -> Result<(), String> {
    let document: Value = serde_json::from_slice(bytes).map_err(|fault| fault.to_string())?;
    match document["attestations"] {
        Value::Array(_) => Ok(()),
        _ => Err("it has no list of attestations".to_owned()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use policies::package::Ecosystem;

    use super::*;

    #[test]
    fn our_key_joins_those_of_the_upstream_and_none_passes_for_it() {
        let home = tempfile::tempdir().unwrap();
        let key = SigningKey::open(home.path()).unwrap();
        let ours = key.public();
        let theirs = json!({ "keys": [
            { "keyid": "SHA256:theirs", "key": "x", "expires": "2025-01-29T00:00:00.000Z" },
            { "keyid": ours.id, "key": "forged" },
        ] });
        let joined = join_keys(Some(theirs.to_string().as_bytes()), Some(ours)).unwrap();
        let keys = joined["keys"].as_array().unwrap();
        assert_eq!(keys.len(), 2);
        assert_eq!(keys[0], theirs["keys"][0], "as it came");
        assert_eq!((&keys[1]["keyid"], &keys[1]["key"]), (&json!(ours.id), &json!(ours.der)));
        assert_eq!(join_keys(None, Some(ours)).unwrap()["keys"][0]["key"], ours.der);
        for bad in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[1]}"#, "<html>"] {
            assert!(check_keys(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(check_attestations(br#"{"attestations":[]}"#).is_ok());
        for bad in ["", "[]", "{}", r#"{"attestations":{}}"#, r#"{"error":"x"}"#] {
            assert!(check_attestations(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_own_version_is_signed_over_its_name_version_and_integrity() {
        use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
        let home = tempfile::tempdir().unwrap();
        let key = SigningKey::open(home.path()).unwrap();
        let package = Package::new(Ecosystem::Npm, "@acme/ui").unwrap();
        let version = Version::new("1.0.0").unwrap();
        let signed = sign(&key, &package, &version, "sha512-abc").unwrap();
        assert_eq!(signed[0]["keyid"], key.public().id);
        let signature = STANDARD.decode(signed[0]["sig"].as_str().unwrap()).unwrap();
        let der = STANDARD.decode(&key.public().der).unwrap();
        let verifier = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, der);
        assert!(verifier.verify(b"@acme/ui@1.0.0:sha512-abc", &signature).is_ok());
    }
}
