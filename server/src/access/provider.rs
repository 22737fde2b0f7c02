//! People who log in at a provider: `OpenID` Connect's authorization code flow, with PKCE.
//!
//! 1. [`Providers::begin`]: the browser goes to the provider, and keeps what it has to come back with
//!    ([`Begun`], [`sealed`]) in a cookie. Garth itself keeps nothing.
//! 2. It comes back with a code. What it kept has to be there and to fit, and where the provider says
//!    who it is, that too, before the code is sent anywhere ([`Providers::finish`]).
//! 3. The code is exchanged at the provider, and the ID token that comes for it is checked: signature,
//!    issuer, for whom, since when, and that it answers this very login ([`person`]).
//! 4. [`entering`]: they are somebody here, and a login of theirs is made, once for each beginning: in
//!    a cookie for a browser, or for the command that began it.
//!
//! Up to the signature everybody is told the same, and the log says more. Behind it, a person is told
//! why they are not let in.

mod entering;
pub mod person;
pub mod sealed;

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use url::{Url, form_urlencoded};

use self::person::{Asked, Known, check, known};
use self::sealed::{Seal, secret_word};
use super::issuer::{Doubt, Endpoints, Failure, Issuer, Sent};
use super::login::LoginError;
use super::register::RegisterError;
use super::secret::NoRandomness;
use super::session::Sessions;
use crate::clock::Clock;
use crate::config::{ProviderConfig, is_safe};
use crate::upstream::{Credentials, Upstream, UpstreamError};

pub use entering::{Entered, Entrant};

/// From the beginning of a login to the way back.
pub const BEGUN_LIFE: SignedDuration = SignedDuration::from_mins(10);
const BEGUN: &str = "login that was begun";
/// The longest code and state that are looked at.
const LONGEST: usize = 4096;

/// Cheap to clone. Empty where garth.toml names none.
#[derive(Clone, Debug, Default)]
pub struct Providers(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    all: Vec<Provider>,
    seal: Seal,
    /// `https://garth.example.com`, as garth.toml says it; a request has no word in it.
    base: String,
    sessions: Sessions,
    clock: Clock,
}

#[derive(Debug)]
struct Provider {
    config: ProviderConfig,
    issuer: Issuer,
}

/// What a login leads to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Then {
    /// The browser has a session, and goes to this path of ours.
    Page(String),
    /// A command on the same machine listens at this port, and knows what the challenge is of.
    Command { port: u16, challenge: String, team: Option<String> },
}

/// What the browser keeps, and has to come back with.
#[derive(Debug, Serialize, Deserialize)]
struct Begun {
    provider: String,
    state: String,
    nonce: String,
    verifier: String,
    at: Timestamp,
    then: Then,
}

/// Where the browser goes, and what it keeps meanwhile.
#[derive(Debug)]
pub struct Beginning {
    pub location: Url,
    /// The value of a cookie.
    pub sealed: String,
}

/// With what it comes back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub code: Option<String>,
    pub state: Option<String>,
    /// Who the provider says that it is.
    pub issuer: Option<String>,
    /// In place of a code.
    pub error: Option<String>,
}

/// By what the caller answers.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    #[error(
        "this garth has no provider {0:?}; GET /api/v1/login/providers lists those that there are"
    )]
    NoSuchProvider(String),
    /// Not by this browser, for this provider, or of now.
    #[error(
        "this login was not begun in this browser, or it took longer than {} minutes, or another one was \
         begun meanwhile: begin anew",
        BEGUN_LIFE.as_mins()
    )]
    NotBegun,
    /// Nothing that is told apart: it proves nothing.
    #[error(
        "what came back from the provider does not prove who you are: begin anew, and if it stays so \
             ask whoever runs this garth, whose log says why"
    )]
    NotTaken,
    /// The provider's own word.
    #[error("{provider} did not let you in: {error}")]
    Refused { provider: String, error: String },
    /// They are who they are, and may not.
    #[error("{0}")]
    NotMeant(String),
    #[error("the provider can not be asked: {0}")]
    Unavailable(UpstreamError),
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    #[error(transparent)]
    Login(#[from] LoginError),
}

impl From<RegisterError> for ProviderError {
    fn from(fault: RegisterError) -> Self {
        Self::Login(fault.into())
    }
}

/// Somebody who has proved who they are.
struct Finished<'a> {
    begun: Begun,
    known: Known,
    config: &'a ProviderConfig,
}

/// The answer of the token endpoint.
#[derive(Deserialize)]
struct Tokens {
    id_token: Option<String>,
    error: Option<String>,
}

impl Providers {
    pub fn new(
        configs: &[ProviderConfig],
        public_url: &Url,
        seal: Seal,
        clock: &Clock,
        upstream: impl Fn(&ProviderConfig) -> Result<Upstream, String>,
    ) -> Result<Self, String> {
        let all = configs.iter().map(|config| {
            let issuer = Issuer::new(config.issuer.clone(), upstream(config)?, clock.clone());
            Ok(Provider { config: config.clone(), issuer })
        });
        let all = all.collect::<Result<Vec<_>, String>>()?;
        let base = public_url.as_str().trim_end_matches('/').to_owned();
        let sessions = Sessions::of(public_url);
        Ok(Self(Some(Arc::new(Inner { all, seal, base, sessions, clock: clock.clone() }))))
    }

    /// None where nobody has one, because there is no provider.
    pub fn sessions(&self) -> Option<&Sessions> {
        self.0.as_ref().map(|inner| &inner.sessions)
    }

    /// Each with the address at which a browser begins.
    pub fn list(&self) -> Vec<(String, String)> {
        let Some(inner) = &self.0 else { return Vec::new() };
        let address = |provider: &Provider| {
            let name = &provider.config.name;
            (name.clone(), format!("{}/api/v1/login/providers/{name}", inner.base))
        };
        inner.all.iter().map(address).collect()
    }

    /// The address of a path of ours, for a browser.
    pub fn address(&self, path: &str) -> String {
        let base = self.0.as_ref().map(|inner| inner.base.as_str()).unwrap_or_default();
        format!("{base}{path}")
    }

    pub async fn begin(&self, name: &str, then: Then) -> Result<Beginning, ProviderError> {
        let (inner, provider) = self.find(name)?;
        let endpoints = provider.endpoints().await?;
        let mut location = provider.place(endpoints.authorization.as_deref())?;
        let begun = Begun {
            provider: name.to_owned(),
            state: secret_word()?,
            nonce: secret_word()?,
            verifier: secret_word()?,
            at: inner.clock.now(),
            then,
        };
        location
            .query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &provider.config.client_id)
            .append_pair("redirect_uri", &inner.redirect_uri(name))
            .append_pair("scope", &provider.config.scopes.join(" "))
            .append_pair("state", &begun.state)
            .append_pair("nonce", &begun.nonce)
            .append_pair("code_challenge", &challenge_of(&begun.verifier))
            .append_pair("code_challenge_method", "S256");
        Ok(Beginning { location, sealed: inner.seal.seal(BEGUN, &begun)? })
    }

    /// Who has come back, by what the browser kept.
    async fn finish(
        &self,
        name: &str,
        kept: Option<&str>,
        answer: &Answer,
    ) -> Result<Finished<'_>, ProviderError> {
        let (inner, provider) = self.find(name)?;
        let begun = inner.begun(name, kept, answer).ok_or(ProviderError::NotBegun)?;
        let endpoints = provider.endpoints().await?;
        let code = provider.code(&endpoints, answer)?;
        let redirect_uri = inner.redirect_uri(name);
        let token = provider.redeem(&endpoints, code, &begun.verifier, &redirect_uri).await?;
        let claims = match provider.verify(&token, &begun, inner.clock.now()).await {
            Ok(claims) => claims,
            Err(Failure::Doubt(doubt)) => return Err(provider.doubted(&doubt)),
            Err(Failure::NoKeys(fault)) => return Err(ProviderError::Unavailable(fault)),
        };
        let known = known(&claims, &provider.config).map_err(ProviderError::NotMeant)?;
        Ok(Finished { begun, known, config: &provider.config })
    }

    fn find(&self, name: &str) -> Result<(&Inner, &Provider), ProviderError> {
        let no_such = || ProviderError::NoSuchProvider(name.chars().take(60).collect());
        let inner = self.0.as_ref().ok_or_else(no_such)?;
        let mut all = inner.all.iter();
        let provider = all.find(|provider| provider.config.name == name).ok_or_else(no_such)?;
        Ok((inner, provider))
    }
}

impl Inner {
    /// As it is registered there: garth.toml says the host, never a request.
    fn redirect_uri(&self, name: &str) -> String {
        format!("{}/api/v1/login/providers/{name}/callback", self.base)
    }

    /// What this browser began, if this is the way back from it.
    fn begun(&self, name: &str, kept: Option<&str>, answer: &Answer) -> Option<Begun> {
        let begun: Begun = self.seal.open_sealed(BEGUN, kept?)?;
        let age = self.clock.now().duration_since(begun.at).abs();
        let is_this = begun.provider == name && answer.state.as_ref() == Some(&begun.state);
        (is_this && age <= BEGUN_LIFE).then_some(begun)
    }
}

impl Provider {
    async fn endpoints(&self) -> Result<Arc<Endpoints>, ProviderError> {
        self.issuer.endpoints().await.map_err(|fault| self.unavailable(fault))
    }

    /// The code, if it comes from this provider (RFC 9207: no other one's code is sent to it).
    fn code<'a>(
        &self,
        endpoints: &Endpoints,
        answer: &'a Answer,
    ) -> Result<&'a str, ProviderError> {
        match &answer.issuer {
            Some(issuer) if *issuer != self.config.issuer => {
                return Err(self.doubted(&Doubt::Claim("the answer is of another issuer")));
            }
            None if endpoints.says_issuer => {
                let doubt = Doubt::Claim("the answer does not say whose it is, and should");
                return Err(self.doubted(&doubt));
            }
            _ => {}
        }
        if let Some(error) = &answer.error {
            let provider = self.config.name.clone();
            return Err(ProviderError::Refused { provider, error: shown(error) });
        }
        let code = answer.code.as_deref().filter(|code| !code.is_empty() && code.len() <= LONGEST);
        code.ok_or_else(|| self.doubted(&Doubt::Claim("the answer has no code")))
    }

    /// The ID token that the provider gives for a code.
    async fn redeem(
        &self,
        endpoints: &Endpoints,
        code: &str,
        verifier: &str,
        redirect_uri: &str,
    ) -> Result<String, ProviderError> {
        let endpoint = self.place(endpoints.token.as_deref())?;
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("code_verifier", verifier);
        let client = &self.config.client_id;
        let secret = self.config.client_secret.as_ref();
        let takes = |way: &str| {
            endpoints.client_proofs.as_ref().is_some_and(|all| all.iter().any(|one| one == way))
        };
        let by_form = takes("client_secret_post") && !takes("client_secret_basic");
        let credentials = match secret {
            Some(secret) if !by_form => {
                // As RFC 6749 has it, both are written as in a form first.
                let written = |text: &str| {
                    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>()
                };
                let basic = Credentials::basic(&written(client), &written(secret.reveal()));
                Some(basic.map_err(|_| self.doubted(&Doubt::Claim("client_id can not be sent")))?)
            }
            secret => {
                form.append_pair("client_id", client);
                if let Some(secret) = secret {
                    form.append_pair("client_secret", secret.reveal());
                }
                None
            }
        };
        let answer = self.issuer.submit::<Tokens>(endpoint, form.finish(), credentials).await;
        match answer.map_err(|fault| self.unavailable(fault))? {
            Tokens { error: Some(error), .. } => {
                let error = shown(&error);
                tracing::warn!(
                    provider = self.config.name,
                    error,
                    "the provider takes a code not, or client_id and client_secret"
                );
                Err(ProviderError::NotTaken)
            }
            Tokens { id_token: Some(token), .. } => Ok(token),
            Tokens { .. } => Err(self.doubted(&Doubt::Claim("there is no ID token in the answer"))),
        }
    }

    /// What a genuine ID token says that answers this login.
    async fn verify(
        &self,
        token: &str,
        begun: &Begun,
        now: Timestamp,
    ) -> Result<serde_json::Map<String, serde_json::Value>, Failure> {
        let sent = Sent::parse(token)?;
        if sent.issuer != self.config.issuer {
            return Err(Doubt::Issuer.into());
        }
        if sent.is_access_token {
            return Err(Doubt::Shape("it is no ID token").into());
        }
        let key = self.issuer.key(sent.kid.as_deref(), sent.algorithm).await?;
        let claims = sent.verify(&key)?;
        let asked = Asked { client_id: &self.config.client_id, nonce: &begun.nonce, at: begun.at };
        check(&claims, &asked, now)?;
        Ok(claims)
    }

    /// An endpoint that the issuer names, if nobody reads along there.
    fn place(&self, said: Option<&str>) -> Result<Url, ProviderError> {
        let url = said.and_then(|said| Url::parse(said).ok());
        let url = url.filter(|url| url.host_str().is_some() && is_safe(url));
        url.ok_or_else(|| {
            let cause = "it does not say where people log in, or not by https";
            self.unavailable(self.issuer.broken(cause))
        })
    }

    fn unavailable(&self, fault: UpstreamError) -> ProviderError {
        tracing::warn!(provider = self.config.name, %fault, "a provider can not be asked");
        ProviderError::Unavailable(fault)
    }

    fn doubted(&self, doubt: &Doubt) -> ProviderError {
        tracing::warn!(provider = self.config.name, %doubt, "what came back from a provider is not taken");
        ProviderError::NotTaken
    }
}

/// What proves, later, that it was the same one who asks (RFC 7636, S256).
pub fn challenge_of(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()))
}

/// A code of an error, and nothing else that somebody could write there.
fn shown(error: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    error.chars().take(60).map(plain).collect()
}
