//! A signed token as it is sent: read strictly, and believed only once its signature is checked.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Doubt;

/// Those of real systems have 1 to 4 KiB.
const LONGEST: usize = 16 * 1024;
const LONGEST_KID: usize = 200;

/// Public-key algorithms alone: none, and none with a shared secret, which a public key would do for.
const ALGORITHMS: [(&str, Algorithm); 9] = [
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

pub fn algorithm(name: &str) -> Option<Algorithm> {
    ALGORITHMS.iter().find(|(known, _)| *known == name).map(|(_, algorithm)| *algorithm)
}

/// The header. A field that is not here changes nothing about whose the signature is; those that
/// would are here to be refused.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
    b64: Option<Value>,
    jwk: Option<Value>,
    jku: Option<Value>,
    x5u: Option<Value>,
    x5c: Option<Value>,
    x5t: Option<Value>,
    #[serde(rename = "x5t#S256")]
    x5t256: Option<Value>,
    zip: Option<Value>,
    enc: Option<Value>,
}

/// What is sent, of which nothing is proved yet.
pub struct Sent<'a> {
    pub algorithm: Algorithm,
    pub kid: Option<String>,
    /// Who it says has issued it: by this its key is looked for.
    pub issuer: String,
    /// It says that it is for asking others, and no proof of who somebody is.
    pub is_access_token: bool,
    signed: &'a str,
    signature: &'a str,
    claims: Map<String, Value>,
}

impl<'a> Sent<'a> {
    pub fn parse(token: &'a str) -> Result<Self, Doubt> {
        if token.len() > LONGEST {
            return Err(Doubt::Shape("it is too long"));
        }
        let shape = || Doubt::Shape("it is no signed token");
        let (signed, signature) = token.rsplit_once('.').ok_or_else(shape)?;
        let (header, claims) = signed.split_once('.').ok_or_else(shape)?;
        let read = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| shape());
        let header: Header = serde_json::from_slice(&read(header)?).map_err(|_| shape())?;
        let claims: Map<String, Value> =
            serde_json::from_slice(&read(claims)?).map_err(|_| shape())?;
        if header.crit.is_some() || header.b64.is_some() {
            return Err(Doubt::Shape("it asks for what is not known here"));
        }
        let own = [&header.jwk, &header.jku, &header.x5u, &header.x5c, &header.x5t, &header.x5t256];
        if own.into_iter().any(Option::is_some) {
            return Err(Doubt::Shape("it brings a key of its own"));
        }
        if header.zip.is_some() || header.enc.is_some() {
            return Err(Doubt::Shape("it is packed or encrypted"));
        }
        let is_access_token = match header.typ.as_deref() {
            None | Some("JWT" | "jwt") => false,
            Some("at+jwt") => true,
            Some(_) => return Err(Doubt::Shape("it is of another type")),
        };
        let algorithm =
            algorithm(&header.alg).ok_or(Doubt::Shape("its algorithm is not taken here"))?;
        if header.kid.as_ref().is_some_and(|kid| kid.len() > LONGEST_KID) {
            return Err(Doubt::Shape("the name of its key is too long"));
        }
        let issuer = claims.get("iss").and_then(Value::as_str).ok_or(Doubt::Issuer)?.to_owned();
        Ok(Self { algorithm, kid: header.kid, issuer, is_access_token, signed, signature, claims })
    }

    /// Its claims, if the key is that of the signature.
    pub fn verify(self, key: &DecodingKey) -> Result<Map<String, Value>, Doubt> {
        let signed = self.signed.as_bytes();
        match crypto::verify(self.signature, signed, key, self.algorithm) {
            Ok(true) => Ok(self.claims),
            _ => Err(Doubt::Signature),
        }
    }
}
