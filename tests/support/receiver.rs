//! A receiver of webhooks, which verifies by the specification alone: nothing of garth signs here.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::upstream::{Answer, Recorded, Script, ScriptedUpstream};

const PATH: &str = "/hook";

pub struct Receiver {
    up: ScriptedUpstream,
}

/// An event that arrived, signed as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    pub id: String,
    pub kind: String,
    pub event: Value,
}

impl Receiver {
    /// Answers nothing yet that a sender would be content with.
    pub async fn start() -> Self {
        Self { up: ScriptedUpstream::start().await }
    }

    pub async fn start_tls() -> Self {
        Self { up: ScriptedUpstream::start_tls().await }
    }

    pub fn url(&self) -> String {
        self.up.at(PATH)
    }

    /// `127.0.0.1:1234`
    pub fn authority(&self) -> String {
        self.up.address().to_string()
    }

    pub fn upstream(&self) -> &ScriptedUpstream {
        &self.up
    }

    /// What happens to what is sent, in the order in which it is scripted.
    pub fn script(&self) -> Script<'_> {
        self.up.on(PATH)
    }

    /// From now on, or after what was scripted, everything is welcome.
    pub fn welcome(&self) {
        self.script().answer(Answer::empty(204));
    }

    /// At once, whatever was scripted.
    pub fn heal(&self) {
        self.up.heal();
        self.welcome();
    }

    /// Everything that was posted, whatever came of it.
    pub fn posted(&self) -> Vec<Recorded> {
        let all = self.up.recorded();
        all.into_iter().filter(|request| request.path == PATH).collect()
    }

    /// The same, verified by this secret; each has to be signed well.
    pub fn arrived(&self, secret: &str) -> Vec<Arrived> {
        self.posted().iter().map(|request| arrived(request, secret)).collect()
    }
}

fn arrived(request: &Recorded, secret: &str) -> Arrived {
    assert_eq!(request.method, "POST");
    assert_eq!(request.header("content-type"), Some("application/json"));
    for header in ["authorization", "cookie", "proxy-authorization"] {
        assert_eq!(request.header(header), None, "{header}");
    }
    assert!(is_signed(request, secret), "{request:?}");
    let event: Value = serde_json::from_slice(&request.body).unwrap();
    let kind = event["type"].as_str().unwrap().to_owned();
    Arrived { id: request.header("webhook-id").unwrap().to_owned(), kind, event }
}

/// Whether one of the signatures is by this secret, and the time is now.
pub fn is_signed(request: &Recorded, secret: &str) -> bool {
    let key = BASE64_STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let [id, timestamp, signatures] = ["webhook-id", "webhook-timestamp", "webhook-signature"]
        .map(|name| request.header(name).unwrap_or_else(|| panic!("{name} is missing")));
    let now = jiff::Timestamp::now().as_second();
    let age = now - timestamp.parse::<i64>().unwrap();
    assert!((-5..300).contains(&age), "it was sent {age} seconds ago");
    let mut signed = format!("{id}.{timestamp}.").into_bytes();
    signed.extend_from_slice(&request.body);
    let expected = format!("v1,{}", BASE64_STANDARD.encode(hmac_sha256(&key, &signed)));
    signatures.split(' ').any(|signature| signature == expected)
}

/// RFC 2104.
fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0_u8; 64];
    block[..key.len()].copy_from_slice(key);
    let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(message);
    let outer = Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c));
    outer.chain_update(inner.finalize()).finalize().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mac_is_that_of_the_rfcs_examples() {
        let mac = hmac_sha256(b"Jefe", b"what do ya want for nothing?");
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hex::encode(mac), expected);
    }
}
