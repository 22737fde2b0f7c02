//! What an issuer says of itself, its keys above all: asked for where garth.toml says that it is, kept
//! for an hour, and asked for again when a token names a key that is not among them, once a minute at
//! most.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use parking_lot::RwLock;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use url::Url;

use super::{Doubt, Failure, jwt};
use crate::clock::Clock;
use crate::upstream::{
    ArtifactTarget, Credentials, DocumentAnswer, Upstream, UpstreamBody, UpstreamError,
};

/// After this they are asked for again before one is believed.
const FRESH: SignedDuration = SignedDuration::from_hours(1);
/// While the issuer does not answer, those of before hold for so long.
const KEPT: SignedDuration = SignedDuration::from_hours(24);
/// Between two attempts, whatever is sent.
const PAUSE: SignedDuration = SignedDuration::from_secs(60);
const MAX_KEYS: usize = 100;
pub const MAX_DOCUMENT: u64 = 256 * 1024;
const WELL_KNOWN: &str = ".well-known/openid-configuration";
const JSON: &str = "application/json, application/jwk-set+json";

pub struct Issuer {
    /// As its tokens say it.
    name: String,
    upstream: Upstream,
    clock: Clock,
    known: RwLock<Known>,
    /// Held by whoever asks the issuer; all others who need it wait for the answer.
    turn: Mutex<()>,
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Issuer").field(&self.name).finish()
    }
}

#[derive(Default)]
struct Known {
    keys: Arc<[Key]>,
    endpoints: Arc<Endpoints>,
    /// When they were given.
    since: Option<Timestamp>,
    /// When the issuer was last asked.
    asked: Option<Timestamp>,
    fault: Option<UpstreamError>,
}

struct Key {
    kid: Option<String>,
    /// What it may sign by.
    algorithms: Vec<Algorithm>,
    public: Arc<DecodingKey>,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: Url,
    #[serde(flatten)]
    endpoints: Endpoints,
}

/// Where people log in, and how their answers are taken. An issuer that is for pipelines alone says
/// nothing of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Endpoints {
    #[serde(default, rename = "authorization_endpoint")]
    pub authorization: Option<String>,
    #[serde(default, rename = "token_endpoint")]
    pub token: Option<String>,
    /// It says with each answer who it is (RFC 9207).
    #[serde(default, rename = "authorization_response_iss_parameter_supported")]
    pub says_issuer: bool,
    /// How a client proves who it is; none is said for the usual one, which is basic.
    #[serde(default, rename = "token_endpoint_auth_methods_supported")]
    pub client_proofs: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

impl Issuer {
    pub fn new(name: String, upstream: Upstream, clock: Clock) -> Self {
        let (known, turn) = (RwLock::default(), Mutex::default());
        Self { name, upstream, clock, known, turn }
    }

    /// The key of this name for this algorithm. Without a name the only one that would do.
    pub async fn key(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Arc<DecodingKey>, Failure> {
        if self.is_fresh(FRESH)
            && let Some(key) = self.known.read().pick(kid, algorithm)
        {
            return Ok(key);
        }
        self.refresh().await;
        if let Some(key) = self.known.read().pick(kid, algorithm).filter(|_| self.is_fresh(KEPT)) {
            return Ok(key);
        }
        let fault = self.known.read().fault.clone();
        Err(match fault {
            Some(fault) => Failure::NoKeys(fault),
            None => Doubt::Key.into(),
        })
    }

    /// What it says of where people log in.
    pub async fn endpoints(&self) -> Result<Arc<Endpoints>, UpstreamError> {
        if !self.is_fresh(FRESH) {
            self.refresh().await;
        }
        let known = self.known.read();
        if self.is_recent(known.since, KEPT) {
            return Ok(Arc::clone(&known.endpoints));
        }
        let fault = known.fault.clone();
        Err(fault.unwrap_or_else(|| self.broken("it has not answered yet")))
    }

    /// Its name, letter by letter.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sends a form to one of its endpoints, once.
    pub async fn submit<T: serde::de::DeserializeOwned>(
        &self,
        endpoint: Url,
        form: String,
        credentials: Option<Credentials>,
    ) -> Result<T, UpstreamError> {
        let answer =
            self.upstream.submit(endpoint, "application/json", form.into(), credentials).await?;
        self.read(answer).await
    }

    /// For a fault of what it says.
    pub fn broken(&self, cause: &str) -> UpstreamError {
        UpstreamError::Broken { upstream: self.upstream.name().to_owned(), cause: cause.to_owned() }
    }

    fn is_fresh(&self, within: SignedDuration) -> bool {
        let since = self.known.read().since;
        self.is_recent(since, within)
    }

    fn is_recent(&self, since: Option<Timestamp>, within: SignedDuration) -> bool {
        since.is_some_and(|since| self.clock.now().duration_since(since) < within)
    }

    async fn refresh(&self) {
        let _turn = self.turn.lock().await;
        let now = self.clock.now();
        let was_asked = |asked: Timestamp| now.duration_since(asked).abs() < PAUSE;
        if self.known.read().asked.is_some_and(was_asked) {
            return;
        }
        self.known.write().asked = Some(now);
        match self.fetch().await {
            Ok((keys, endpoints)) => {
                tracing::info!(issuer = self.name, keys = keys.len(), "keys of an issuer read");
                let mut known = self.known.write();
                (known.keys, known.since, known.fault) = (keys.into(), Some(now), None);
                known.endpoints = Arc::new(endpoints);
            }
            Err(fault) => {
                tracing::warn!(issuer = self.name, %fault, "the keys of an issuer can not be read");
                self.known.write().fault = Some(fault);
            }
        }
    }

    async fn fetch(&self) -> Result<(Vec<Key>, Endpoints), UpstreamError> {
        let answer = self.upstream.document(WELL_KNOWN, JSON, None).await?;
        let DocumentAnswer::Found(body) = answer else {
            return Err(self.broken("nothing was known to be unchanged"));
        };
        let discovery: Discovery = self.read(body).await?;
        if discovery.issuer != self.name {
            return Err(self.broken("it says that it is another issuer"));
        }
        let target = ArtifactTarget::Url(discovery.jwks_uri);
        let set: KeySet = self.read(self.upstream.artifact(target).await?).await?;
        // What is of no use here is left out, not the rest with it.
        let keys = set.keys.into_iter().take(MAX_KEYS);
        let keys = keys.filter_map(|key| read_key(serde_json::from_value(key).ok()?)).collect();
        Ok((keys, discovery.endpoints))
    }

    async fn read<T: serde::de::DeserializeOwned>(
        &self,
        mut body: UpstreamBody,
    ) -> Result<T, UpstreamError> {
        let mut bytes = Vec::new();
        while let Some(piece) = body.chunk().await? {
            bytes.extend_from_slice(&piece);
        }
        serde_json::from_slice(&bytes).map_err(|_| self.broken("not the JSON that belongs there"))
    }
}

impl Known {
    fn pick(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<Arc<DecodingKey>> {
        let mut fitting = self.keys.iter().filter(|key| {
            key.algorithms.contains(&algorithm)
                && kid.is_none_or(|kid| key.kid.as_deref() == Some(kid))
        });
        let found = fitting.next()?;
        fitting.next().is_none().then(|| Arc::clone(&found.public))
    }
}

/// A public key for signatures, and the algorithms that its kind has.
fn read_key(jwk: Jwk) -> Option<Key> {
    if jwk.common.public_key_use.as_ref().is_some_and(|of| *of != PublicKeyUse::Signature) {
        return None;
    }
    let of_kind: &[Algorithm] = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => &[
            Algorithm::RS256,
            Algorithm::RS384,
            Algorithm::RS512,
            Algorithm::PS256,
            Algorithm::PS384,
            Algorithm::PS512,
        ],
        AlgorithmParameters::EllipticCurve(curve) => match curve.curve {
            EllipticCurve::P256 => &[Algorithm::ES256],
            EllipticCurve::P384 => &[Algorithm::ES384],
            _ => return None,
        },
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
            &[Algorithm::EdDSA]
        }
        _ => return None,
    };
    // A key that says by what it signs signs by nothing else.
    let algorithms = match jwk.common.key_algorithm {
        Some(named) => {
            let named = jwt::algorithm(&named.to_string())?;
            of_kind.iter().copied().filter(|algorithm| *algorithm == named).collect()
        }
        None => of_kind.to_vec(),
    };
    let public = Arc::new(DecodingKey::from_jwk(&jwk).ok()?);
    Some(Key { kid: jwk.common.key_id, algorithms, public })
}
