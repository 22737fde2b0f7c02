//! Pipelines: a token that their own system has signed becomes one of garth, for an hour.
//!
//! 1. [`jwt`] reads what is sent without believing it: its shape, its algorithm, and for whom it says
//!    that it was issued by whom.
//! 2. [`keys`] has the issuer's keys, fetched from where garth.toml says that the issuer is and from
//!    nowhere else. What the token says of keys of its own is a reason to refuse it.
//! 3. With the signature checked, the claims are held against each identity of that issuer.
//! 4. What is given in exchange is written together with the token's number, so that nobody exchanges
//!    it a second time.
//!
//! Up to the signature everybody is told the same. Behind it, whoever sent it is told which claim is
//! not what is asked for: it is their own pipeline.

mod jwt;
mod keys;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use self::jwt::Sent;
use self::keys::Keys;
pub use self::keys::MAX_DOCUMENT;
use super::register::{Created, NewSession, Register, RegisterError};
use super::secret::{Hash, TokenKind};
use crate::clock::Clock;
use crate::config::IdentityConfig;
use crate::upstream::{Upstream, UpstreamError};

/// Clocks differ by so much.
const LEEWAY: SignedDuration = SignedDuration::from_secs(30);
const MAX_SUBJECT: usize = 90;

/// Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Identities(Arc<[Identity]>);

/// Who is meant by one part of garth.toml.
#[derive(Debug)]
struct Identity {
    config: IdentityConfig,
    keys: Arc<Keys>,
}

/// By what the caller answers.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// Nothing that is told apart: whoever sends it proves nothing.
    #[error(
        "this token is not taken here: it is no token of a system that garth.toml names, or not \
         valid any more, or was exchanged already"
    )]
    NotTaken,
    /// It is genuine, and of nobody who is meant.
    #[error("{0}")]
    NotMeant(String),
    /// Nobody can say.
    #[error("the keys of the issuer can not be had: {0}")]
    NoKeys(UpstreamError),
    #[error(transparent)]
    Register(#[from] RegisterError),
}

/// Why a token is not taken, for the log.
#[derive(Debug, thiserror::Error)]
enum Doubt {
    #[error("{0}")]
    Shape(&'static str),
    #[error("its issuer is none of garth.toml")]
    Issuer,
    #[error("no key of the issuer fits")]
    Key,
    #[error("its signature is not the issuer's")]
    Signature,
    #[error("{0}")]
    Claim(&'static str),
}

impl Identities {
    /// Of one issuer the keys are asked for once.
    pub fn new(
        configs: &[IdentityConfig],
        clock: &Clock,
        upstream: impl Fn(&IdentityConfig) -> Result<Upstream, String>,
    ) -> Result<Self, String> {
        let mut known: BTreeMap<String, Arc<Keys>> = BTreeMap::new();
        let mut identities = Vec::new();
        for config in configs {
            let keys = if let Some(keys) = known.get(&config.issuer) {
                Arc::clone(keys)
            } else {
                let keys =
                    Arc::new(Keys::new(config.issuer.clone(), upstream(config)?, clock.clone()));
                known.insert(config.issuer.clone(), Arc::clone(&keys));
                keys
            };
            identities.push(Identity { config: config.clone(), keys });
        }
        Ok(Self(identities.into()))
    }

    /// A token of garth for one of a pipeline's own system; `name` says as which identity, where
    /// several would do.
    pub async fn exchange(
        &self,
        register: &Register,
        token: &str,
        name: Option<&str>,
        now: Timestamp,
    ) -> Result<Exchanged, ExchangeError> {
        let claims = match self.verify(token, now).await {
            Ok(claims) => claims,
            Err(Failure::Doubt(doubt)) => {
                tracing::info!(%doubt, "a token of a pipeline is not taken");
                return Err(ExchangeError::NotTaken);
            }
            Err(Failure::NoKeys(fault)) => {
                tracing::warn!(%fault, "the keys of an issuer can not be had");
                return Err(ExchangeError::NoKeys(fault));
            }
        };
        let identity = self.meant(&claims, name)?;
        let config = &identity.config;
        let subject = shown(claims.get("sub").and_then(Value::as_str).unwrap_or("pipeline"));
        let new = NewSession {
            kind: TokenKind::Service,
            name: config.name.clone(),
            owner: format!("{}:{subject}", config.name),
            team: config.team.clone(),
            rights: config.rights.clone(),
            origin: format!("identity {}", config.name),
            life: SignedDuration::try_from(config.life).unwrap_or(SignedDuration::ZERO),
            of_user: false,
            once: once(&claims, now),
        };
        let created = match register.begin(new).await {
            Err(RegisterError::Replayed) => {
                tracing::warn!(
                    identity = config.name,
                    subject,
                    "a token of a pipeline was sent again"
                );
                return Err(ExchangeError::NotTaken);
            }
            created => created?,
        };
        Ok(Exchanged { created, identity: config.name.clone() })
    }

    /// What a genuine token says.
    async fn verify(&self, token: &str, now: Timestamp) -> Result<Map<String, Value>, Failure> {
        let sent = Sent::parse(token)?;
        let issuer = sent.issuer.clone();
        let mut of_issuer = self.0.iter().filter(|identity| identity.config.issuer == issuer);
        let Some(first) = of_issuer.next() else { return Err(Doubt::Issuer.into()) };
        let key = first.keys.find(sent.kid.as_deref(), sent.algorithm).await?;
        let claims = sent.verify(&key)?;
        check_times(&claims, now)?;
        let audiences = audiences(&claims);
        let mut all = std::iter::once(first).chain(of_issuer);
        if !all.any(|identity| audiences.contains(&identity.config.audience.as_str())) {
            return Err(Doubt::Claim("it is for somebody else").into());
        }
        Ok(claims)
    }

    /// The identity whose claims these are.
    fn meant(
        &self,
        claims: &Map<String, Value>,
        name: Option<&str>,
    ) -> Result<&Identity, ExchangeError> {
        let issuer = claims.get("iss").and_then(Value::as_str).unwrap_or_default();
        let audiences = audiences(claims);
        let mut wanting = Vec::new();
        let mut fitting = Vec::new();
        for identity in self.0.iter() {
            let config = &identity.config;
            let is_asked = name.is_none_or(|name| config.name == name)
                && config.issuer == issuer
                && audiences.contains(&config.audience.as_str());
            if !is_asked {
                continue;
            }
            match config.claims.iter().find(|(claim, texts)| !says(claims, claim, texts)) {
                None => fitting.push(identity),
                Some((claim, _)) => wanting.push(format!("{} by `{claim}`", config.name)),
            }
        }
        match fitting.as_slice() {
            [one] => Ok(*one),
            [] if wanting.is_empty() => Err(ExchangeError::NotMeant(
                "no identity of this garth is called so, or has this issuer and audience"
                    .to_owned(),
            )),
            [] => Err(ExchangeError::NotMeant(format!(
                "the token is genuine, and of no pipeline that is meant here: it is not {}",
                wanting.join(", not ")
            ))),
            several => {
                let names: Vec<&str> =
                    several.iter().map(|identity| identity.config.name.as_str()).collect();
                Err(ExchangeError::NotMeant(format!(
                    "it could be exchanged as {}: say as which, by `identity`",
                    names.join(" or ")
                )))
            }
        }
    }
}

#[derive(Debug)]
pub struct Exchanged {
    pub created: Created,
    pub identity: String,
}

enum Failure {
    Doubt(Doubt),
    NoKeys(UpstreamError),
}

impl From<Doubt> for Failure {
    fn from(doubt: Doubt) -> Self {
        Self::Doubt(doubt)
    }
}

/// By our own clock, not by the library's.
fn check_times(claims: &Map<String, Value>, now: Timestamp) -> Result<(), Doubt> {
    let at = |name: &str| claims.get(name).map(|value| moment(value).ok_or(()));
    let late = now.checked_sub(LEEWAY).unwrap_or(now);
    let early = now.checked_add(LEEWAY).unwrap_or(now);
    match at("exp") {
        Some(Ok(end)) if end > late => {}
        Some(Ok(_)) => return Err(Doubt::Claim("it has expired")),
        _ => return Err(Doubt::Claim("it does not say when it ends")),
    }
    for name in ["nbf", "iat"] {
        match at(name) {
            None => {}
            Some(Ok(begin)) if begin <= early => {}
            Some(_) => return Err(Doubt::Claim("it is not valid yet")),
        }
    }
    Ok(())
}

fn moment(value: &Value) -> Option<Timestamp> {
    let seconds = value.as_i64().or_else(|| {
        let seconds = value.as_f64().filter(|seconds| seconds.abs() < 1e12)?;
        #[allow(clippy::cast_possible_truncation, reason = "bounded above")]
        Some(seconds.floor() as i64)
    })?;
    Timestamp::from_second(seconds).ok()
}

fn audiences(claims: &Map<String, Value>) -> Vec<&str> {
    match claims.get("aud") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// Whether the claim is there, and one of these texts. What is no text is nothing that is asked for,
/// but for a number and a flag as they are written.
fn says(claims: &Map<String, Value>, claim: &str, texts: &[String]) -> bool {
    let said = match claims.get(claim) {
        Some(Value::String(said)) => said.clone(),
        Some(Value::Bool(said)) => said.to_string(),
        Some(Value::Number(said)) => said.to_string(),
        _ => return false,
    };
    texts.iter().any(|text| is_like(text, &said))
}

/// Anchored; `*` is any run of characters.
fn is_like(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut left) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    // Taking each middle part at its earliest place leaves the most for those behind it.
    for part in parts {
        let Some(place) = left.find(part) else { return false };
        left = &left[place + part.len()..];
    }
    left.ends_with(last)
}

/// By what it is known when it comes again, and how long it could.
fn once(claims: &Map<String, Value>, now: Timestamp) -> Option<(Hash, Timestamp)> {
    let number = claims.get("jti").and_then(Value::as_str)?;
    let issuer = claims.get("iss").and_then(Value::as_str).unwrap_or_default();
    let end = claims.get("exp").and_then(moment).unwrap_or(now);
    let end = end.checked_add(LEEWAY).and_then(|end| end.checked_add(LEEWAY)).unwrap_or(end);
    Some((Hash::of(format!("{issuer}\n{number}").as_bytes()), end))
}

/// The subject as an owner's name: one line of plain characters.
fn shown(subject: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.@+/:".contains(c) { c } else { '-' };
    subject.chars().take(MAX_SUBJECT).map(plain).collect()
}

#[cfg(test)]
mod tests;
