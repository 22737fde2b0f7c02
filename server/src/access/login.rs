//! Logging in: a name and a password, or a token in the place of one, become a token for some hours.
//!
//! Whoever is not let in is told one thing, whatever was wrong, and as much work is done for each.

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::http::header::HeaderMap;
use jiff::{SignedDuration, Timestamp};

use super::attempts::{Attempt, Wait};
use super::passwords::PasswordError;
use super::register::{Created, NewSession, RegisterError};
use super::secret::{Hash, TokenKind};
use super::table::{Gone, Whose};
use super::{Access, Person};
use crate::audit::{Action, Entry};
use crate::person::rights::Rights;

/// The word for a token that came of a password.
pub const LOGIN: &str = "login";

/// From where a login comes.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    pub peer: Option<IpAddr>,
    pub headers: &'a HeaderMap,
}

impl<'a> Origin<'a> {
    pub fn of(request: &'a HttpRequest) -> Self {
        let peer = request.peer_addr().map(|peer| peer.ip());
        Self { peer, headers: request.headers() }
    }
}

/// By what the caller answers.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// No such name, another password, or nobody who may log in.
    #[error("this name and this password do not belong together here")]
    Wrong,
    /// It was a token in the place of a password, and is valid no more.
    #[error("{0}")]
    Gone(Gone),
    /// Whatever it is, it is not tried now.
    #[error(transparent)]
    Wait(#[from] Wait),
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error(transparent)]
    Register(#[from] RegisterError),
}

/// What the audit log is told of somebody who was not let in.
pub fn login_failed(name: &str, fault: &LoginError) -> Entry {
    let why = match fault {
        LoginError::Gone(gone) => Some(gone.to_string()),
        LoginError::Wrong => None,
        fault => Some(fault.to_string()),
    };
    Entry::new(Action::LoginFailed).by_claim(name).why(why.as_deref())
}

/// Who is let in, and by what.
#[derive(Debug)]
pub enum Admitted {
    /// What was sent is a token, and goes on being one.
    ByToken(std::sync::Arc<Person>),
    ByPassword(Box<Created>),
}

impl Access {
    pub fn session(&self) -> SignedDuration {
        self.session
    }

    /// A password, or a token in its place under any name.
    pub async fn admit(
        &self,
        name: &str,
        password: &str,
        from: &Origin<'_>,
    ) -> Result<Admitted, LoginError> {
        match self.whose_token(password.trim().as_bytes()) {
            Whose::Of(person) => Ok(Admitted::ByToken(person)),
            Whose::Gone(gone) => Err(LoginError::Gone(gone)),
            Whose::Nobodys => {
                let created = self.log_in(name, password, None, from).await?;
                Ok(Admitted::ByPassword(Box::new(created)))
            }
        }
    }

    /// As one of `team`, or of the first one of theirs.
    pub async fn log_in(
        &self,
        name: &str,
        password: &str,
        team: Option<&str>,
        from: &Origin<'_>,
    ) -> Result<Created, LoginError> {
        let attempt = self.begin_attempt(name, from)?;
        let hash = self.register.password_of(name);
        if !self.passwords.is(password, hash.as_deref()).await? {
            return Err(LoginError::Wrong);
        }
        // It may have been changed meanwhile, or its owner disabled.
        if self.register.password_of(name) != hash {
            return Err(LoginError::Wrong);
        }
        if let (Some(attempts), Some(attempt)) = (&self.attempts, &attempt) {
            attempts.succeeded(attempt);
        }
        self.begin_session(name, team, LOGIN, None).await
    }

    fn begin_attempt(&self, name: &str, from: &Origin<'_>) -> Result<Option<Attempt>, Wait> {
        let Some(attempts) = &self.attempts else { return Ok(None) };
        let address = attempts.from(from.peer, from.headers);
        attempts.begin(address, name).map(Some)
    }

    /// For somebody who has proved who they are; `once` is what the proof is known by.
    pub async fn begin_session(
        &self,
        name: &str,
        team: Option<&str>,
        origin: &str,
        once: Option<(Hash, Timestamp)>,
    ) -> Result<Created, LoginError> {
        let teams = self.register.teams_of(name)?;
        let team = match team {
            Some(team) if !teams.iter().any(|own| own == team) => {
                let message = format!("{name} is not in the team {team}");
                return Err(RegisterError::Invalid { field: "team", message }.into());
            }
            Some(team) => Some(team.to_owned()),
            None => teams.into_iter().next(),
        };
        let new = NewSession {
            kind: TokenKind::Person,
            name: name.to_owned(),
            once,
            owner: name.to_owned(),
            team,
            // As far as they may themselves.
            rights: Rights::all(),
            origin: origin.to_owned(),
            life: self.session,
            of_user: true,
        };
        Ok(self.register.begin(new).await?)
    }

    /// Whether it is theirs. As much is done where they have none.
    pub async fn is_password(
        &self,
        name: &str,
        password: &str,
        from: &Origin<'_>,
    ) -> Result<bool, LoginError> {
        let attempt = self.begin_attempt(name, from)?;
        let hash = self.register.password_of(name);
        let is = self.passwords.is(password, hash.as_deref()).await?;
        if let (true, Some(attempts), Some(attempt)) = (is, &self.attempts, &attempt) {
            attempts.succeeded(attempt);
        }
        Ok(is)
    }

    /// An error is told to whoever chose it.
    pub async fn hash_password(&self, password: &str) -> Result<String, PasswordError> {
        self.passwords.hash(password).await
    }
}
