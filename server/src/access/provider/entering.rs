//! Somebody who has proved who they are becomes somebody who is logged in.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::person::Known;
use super::{Answer, BEGUN_LIFE, Finished, ProviderError, Then, challenge_of};
use crate::access::Access;
use crate::access::login::LoginError;
use crate::access::register::Created;
use crate::access::secret::{Hash, NoRandomness};
use crate::config::ProviderConfig;

/// From the way back to the command that waits for it.
const CODE_LIFE: SignedDuration = SignedDuration::from_mins(2);
const CODE: &str = "code of a login";

/// Somebody whom a provider lets in, and what is made of them where they are not known here.
#[derive(Clone, Copy, Debug)]
pub struct Entrant<'a> {
    pub known: &'a Known,
    pub provider: &'a ProviderConfig,
}

/// What the browser is told.
#[derive(Debug)]
pub enum Entered {
    Session {
        created: Box<Created>,
        path: String,
    },
    /// It hands this code to the command that listens there.
    Command {
        port: u16,
        code: String,
    },
}

/// Who a code is of. It is worth nothing to whoever did not begin.
#[derive(Debug, Serialize, Deserialize)]
struct Code {
    name: String,
    provider: String,
    challenge: String,
    team: Option<String>,
    /// The hash of the beginning: it counts once.
    once: String,
    /// Nothing that was begun then comes later.
    over: Timestamp,
    until: Timestamp,
}

impl Access {
    /// The way back from a provider. `kept` is what the browser kept of the beginning.
    pub async fn enter(
        &self,
        provider: &str,
        kept: Option<&str>,
        answer: &Answer,
        now: Timestamp,
    ) -> Result<Entered, ProviderError> {
        let Finished { begun, known, config } =
            self.providers.finish(provider, kept, answer).await?;
        let name = self.register.enter(Entrant { known: &known, provider: config }).await?;
        // However the same beginning comes back, it is known by the same.
        let once = Hash::of(format!("login at a provider\n{}", begun.state).as_bytes());
        let over = begun.at.checked_add(BEGUN_LIFE + CODE_LIFE).unwrap_or(begun.at);
        match begun.then {
            Then::Page(path) => {
                let created = self.enter_once(&name, None, provider, (once, over)).await?;
                Ok(Entered::Session { created: Box::new(created), path })
            }
            Then::Command { port, challenge, team } => {
                let until = now.checked_add(CODE_LIFE).unwrap_or(now);
                let (provider, once) = (provider.to_owned(), once.to_hex());
                let code = Code { name, provider, challenge, team, once, over, until };
                Ok(Entered::Command { port, code: self.providers.seal(&code)? })
            }
        }
    }

    /// The login for which a command has waited.
    pub async fn redeem(
        &self,
        code: &str,
        verifier: &str,
        now: Timestamp,
    ) -> Result<Created, ProviderError> {
        let code: Code = self.providers.open(code).ok_or(ProviderError::NotTaken)?;
        let once = Hash::from_hex(&code.once).ok_or(ProviderError::NotTaken)?;
        if code.until <= now || challenge_of(verifier) != code.challenge {
            return Err(ProviderError::NotTaken);
        }
        let once = (once, code.over);
        self.enter_once(&code.name, code.team.as_deref(), &code.provider, once).await
    }

    async fn enter_once(
        &self,
        name: &str,
        team: Option<&str>,
        provider: &str,
        once: (Hash, Timestamp),
    ) -> Result<Created, ProviderError> {
        let origin = format!("provider {provider}");
        match self.begin_session(name, team, &origin, Some(once)).await {
            Err(LoginError::Register(crate::access::register::RegisterError::Replayed)) => {
                tracing::warn!(provider, name, "a login at a provider was sent again");
                Err(ProviderError::NotTaken)
            }
            done => Ok(done?),
        }
    }
}

impl super::Providers {
    fn seal<T: Serialize>(&self, value: &T) -> Result<String, NoRandomness> {
        let inner = self.0.as_ref().ok_or(NoRandomness)?;
        inner.seal.seal(CODE, value)
    }

    fn open<T: for<'a> Deserialize<'a>>(&self, sealed: &str) -> Option<T> {
        self.0.as_ref()?.seal.open_sealed(CODE, sealed)
    }
}
