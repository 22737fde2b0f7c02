//! A registry's own key: signs every version that is shown, and is listed among its keys.

use std::collections::BTreeSet;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde_json::{Value, json};

pub struct Signer {
    pair: EcdsaKeyPair,
    /// `name@version` of what it signs wrongly.
    forged: BTreeSet<String>,
}

impl Signer {
    pub fn new() -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random);
        Self::of_pkcs8(pkcs8.expect("a key").as_ref())
    }

    /// The key in a file of `-----BEGIN PRIVATE KEY-----`.
    pub fn of_pem(text: &str) -> Self {
        let encoded: String = text.lines().filter(|line| !line.starts_with('-')).collect();
        Self::of_pkcs8(&STANDARD.decode(encoded).expect("base64"))
    }

    fn of_pkcs8(pkcs8: &[u8]) -> Self {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8);
        Self { pair: pair.expect("a key"), forged: BTreeSet::new() }
    }

    pub fn forge(&mut self, subject: &str) {
        self.forged.insert(subject.to_owned());
    }

    fn der(&self) -> Vec<u8> {
        let der: PublicKeyX509Der<'_> = self.pair.public_key().as_der().expect("a public key");
        der.as_ref().to_owned()
    }

    fn id(&self) -> String {
        format!("SHA256:{}", STANDARD_NO_PAD.encode(digest(&SHA256, &self.der())))
    }

    pub fn signatures(&self, subject: &str, integrity: &str) -> Value {
        let forged = if self.forged.contains(subject) { "other bytes" } else { "" };
        let message = format!("{subject}:{integrity}{forged}");
        let signature = self.pair.sign(&SystemRandom::new(), message.as_bytes());
        let signature = STANDARD.encode(signature.expect("a signature"));
        json!([{ "keyid": self.id(), "sig": signature }])
    }

    pub fn keys(&self) -> Value {
        json!({ "keys": [{
            "expires": null,
            "keyid": self.id(),
            "keytype": "ecdsa-sha2-nistp256",
            "scheme": "ecdsa-sha2-nistp256",
            "key": STANDARD.encode(self.der()),
        }] })
    }
}
