//! Pipelines: a token that their own system has signed becomes one of garth, for an hour.
//!
//! 1. What is sent is read without believing it: its shape, its algorithm, and by whom it says that it
//!    was issued ([`Sent`]).
//! 2. Its signature has to be by a key of that [`Issuer`].
//! 3. With the signature checked, the claims are held against each identity of that issuer.
//! 4. What is given in exchange is written together with the token's number, so that nobody exchanges
//!    it a second time.
//!
//! Up to the signature everybody is told the same. Behind it, whoever sent it is told which claim is
//! not what is asked for: it is their own pipeline.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::issuer::claims::{LEEWAY, audiences, check_times, moment, says};
use super::issuer::{Doubt, Failure, Issuer, Sent};
use super::register::{Created, NewSession, Register, RegisterError};
use super::secret::{Hash, TokenKind};
use crate::clock::Clock;
use crate::config::IdentityConfig;
use crate::upstream::{Upstream, UpstreamError};

const MAX_SUBJECT: usize = 90;

/// Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Identities(Arc<[Identity]>);

/// Who is meant by one part of garth.toml.
#[derive(Debug)]
struct Identity {
    config: IdentityConfig,
    issuer: Arc<Issuer>,
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

impl Identities {
    /// Of one issuer the keys are asked for once.
    pub fn new(
        configs: &[IdentityConfig],
        clock: &Clock,
        upstream: impl Fn(&IdentityConfig) -> Result<Upstream, String>,
    ) -> Result<Self, String> {
        let mut known: BTreeMap<String, Arc<Issuer>> = BTreeMap::new();
        let mut identities = Vec::new();
        for config in configs {
            let issuer = if let Some(issuer) = known.get(&config.issuer) {
                Arc::clone(issuer)
            } else {
                let issuer =
                    Arc::new(Issuer::new(config.issuer.clone(), upstream(config)?, clock.clone()));
                known.insert(config.issuer.clone(), Arc::clone(&issuer));
                issuer
            };
            identities.push(Identity { config: config.clone(), issuer });
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
        let key = first.issuer.key(sent.kid.as_deref(), sent.algorithm).await?;
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
