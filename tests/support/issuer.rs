//! An issuer of signed tokens on a real socket: real RSA and EC keys, discovery, and a key set that
//! changes as keys rotate.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::upstream::ScriptedUpstream;

pub enum Key {
    Rsa(String, Box<RsaKeyPair>),
    Ec(String, EcdsaKeyPair),
}

impl Key {
    pub fn rsa(kid: &str) -> Self {
        Self::Rsa(kid.to_owned(), Box::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()))
    }

    pub fn ec(kid: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self::Ec(kid.to_owned(), pair)
    }

    pub fn kid(&self) -> &str {
        match self {
            Self::Rsa(kid, _) | Self::Ec(kid, _) => kid,
        }
    }

    pub const fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(..) => "RS256",
            Self::Ec(..) => "ES256",
        }
    }

    /// As it stands in a key set.
    pub fn jwk(&self) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Rsa(kid, pair) => {
                let public = pair.public_key();
                let n = public.modulus().big_endian_without_leading_zero();
                let e = public.exponent().big_endian_without_leading_zero();
                json!({ "kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, "n": encode(n), "e": encode(e) })
            }
            Self::Ec(kid, pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = (encode(&point[1..33]), encode(&point[33..65]));
                json!({ "kty": "EC", "use": "sig", "crv": "P-256", "kid": kid, "x": x, "y": y })
            }
        }
    }

    fn sign_bytes(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(_, pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
            Self::Ec(_, pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
        }
    }

    pub fn sign(&self, claims: &Value) -> String {
        let header = json!({ "alg": self.algorithm(), "typ": "JWT", "kid": self.kid() });
        self.sign_with(&header, claims)
    }

    /// Whatever the header says.
    pub fn sign_with(&self, header: &Value, claims: &Value) -> String {
        let message = unsigned(header, claims);
        let signature = URL_SAFE_NO_PAD.encode(self.sign_bytes(message.as_bytes()));
        format!("{message}.{signature}")
    }
}

/// The two parts that are signed.
pub fn unsigned(header: &Value, claims: &Value) -> String {
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    format!("{}.{}", encode(header), encode(claims))
}

/// Seconds, as tokens say them.
pub fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

/// Where keys are published; it stops when it is dropped.
pub struct Issuer {
    pub up: ScriptedUpstream,
    /// As tokens say it.
    pub url: String,
}

pub const JWKS: &str = "/keys";
pub const DISCOVERY: &str = "/.well-known/openid-configuration";

impl Issuer {
    pub async fn start(keys: &[&Key]) -> Self {
        let up = ScriptedUpstream::start().await;
        let url = up.url().to_string().trim_end_matches('/').to_owned();
        let issuer = Self { up, url };
        issuer.discover(&json!({}));
        issuer.publish(keys);
        issuer
    }

    /// The usual document, with this in place of what it says.
    pub fn discover(&self, other: &Value) {
        let mut document = json!({
            "issuer": self.url,
            "jwks_uri": self.up.at(JWKS),
            "authorization_endpoint": self.up.at("/authorize"),
            "token_endpoint": self.up.at("/token"),
        });
        for (name, value) in other.as_object().unwrap() {
            document[name] = value.clone();
        }
        self.up.place(DISCOVERY, "application/json", document.to_string());
    }

    /// The keys that count from now on.
    pub fn publish(&self, keys: &[&Key]) {
        let keys: Vec<Value> = keys.iter().map(|key| key.jwk()).collect();
        let set = json!({ "keys": keys });
        self.up.place(JWKS, "application/json", set.to_string());
    }
}
