//! Who asks: what a request's `Authorization` says, whatever client sent it.
//!
//! Clients send the same token in different ways: as a bearer token, as the password of a basic
//! login under any user name, or as it stands. All mean the same here. What is neither, or no token
//! of ours, is told apart from nothing at all: a client that sends a wrong token is not served as if
//! it had sent none where a token is needed. A token of ours that is not valid is refused
//! everywhere: whoever has it means to be somebody, and would take what nobody gets for their own.
//!
//! To know a token is a look-up in memory, of its hash ([`table`]). [`rights`] says what it may do,
//! [`register`] how tokens come and go.

pub mod admin_token;
pub mod attempts;
pub mod directory;
pub mod identity;
pub mod issuer;
pub mod login;
pub mod passwords;
pub mod provider;
pub mod rates;
pub mod register;
pub mod roles;
pub mod secret;
pub mod session;
pub mod table;

use std::sync::Arc;

use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use policies::asker::Asking;

use self::admin_token::AdminToken;
use self::attempts::Attempts;
use self::identity::{ExchangeError, Exchanged, Identities};
use self::login::Origin;
use self::passwords::Passwords;
use self::provider::Providers;
use self::rates::{Doing, Rates, TooOften};
use self::register::Register;
use self::secret::Hash;
use self::session::Sessions;
use self::table::{Gone, Whose};
use crate::observability::redact::PREFIX;

pub use crate::person::{ADMIN, Person, rights};

/// A longer login is none of ours.
const LOGIN_AT_MOST: usize = 1024;

/// Who sent a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// It says nothing of who sent it.
    Anonymous,
    Known(Arc<Person>),
    /// It carries credentials that are not ours.
    Unknown,
    /// It carries what looks like a token of ours and is not valid; what became of it, if it was.
    Invalid(Option<Gone>),
}

impl Caller {
    /// As the gate is told.
    pub fn asking(&self) -> Asking {
        let team = match self {
            Self::Known(person) => person.team.clone(),
            Self::Anonymous | Self::Unknown | Self::Invalid(_) => None,
        };
        Asking { team, environment: None }
    }
}

/// Knows the tokens.
#[derive(Clone, Debug)]
pub struct Access {
    admin: AdminToken,
    admin_person: Arc<Person>,
    register: Register,
    passwords: Passwords,
    /// How long somebody is logged in.
    session: SignedDuration,
    identities: Identities,
    providers: Providers,
    attempts: Option<Attempts>,
    rates: Option<Rates>,
}

impl Access {
    pub fn new(admin: AdminToken, register: Register, session: SignedDuration) -> Self {
        let (admin_person, passwords) = (Arc::new(Person::admin()), Passwords::default());
        let (identities, providers) = (Identities::default(), Providers::default());
        let (attempts, rates) = (None, None);
        Self {
            admin,
            admin_person,
            register,
            passwords,
            session,
            identities,
            providers,
            attempts,
            rates,
        }
    }

    /// Counts who tries passwords.
    pub fn with_attempts(self, attempts: Attempts) -> Self {
        Self { attempts: Some(attempts), ..self }
    }

    /// Lets nobody ask more often than this.
    pub fn with_rates(self, rates: Rates) -> Self {
        Self { rates: Some(rates), ..self }
    }

    /// Counts a request against whoever sent it, once for each. Who asks too often is told how long to
    /// wait.
    pub fn count(
        &self,
        caller: &Caller,
        origin: &Origin<'_>,
        doing: Doing,
    ) -> Result<(), TooOften> {
        self.rates.as_ref().map_or(Ok(()), |rates| rates.count(caller, origin, doing))
    }

    /// Knows these pipelines, too.
    pub fn with_identities(self, identities: Identities) -> Self {
        Self { identities, ..self }
    }

    /// Lets people log in there, too.
    pub fn with_providers(self, providers: Providers) -> Self {
        Self { providers, ..self }
    }

    pub fn providers(&self) -> &Providers {
        &self.providers
    }

    /// A token for one of a pipeline's own system.
    pub async fn exchange(
        &self,
        token: &str,
        identity: Option<&str>,
        now: Timestamp,
    ) -> Result<Exchanged, ExchangeError> {
        self.identities.exchange(&self.register, token, identity, now).await
    }

    /// Where tokens and teams are made.
    pub fn register(&self) -> &Register {
        &self.register
    }

    pub fn caller(&self, headers: &HeaderMap) -> Caller {
        let mut sent = headers.get_all(AUTHORIZATION);
        let caller = match (sent.next(), sent.next()) {
            (None, _) => Caller::Anonymous,
            (Some(header), None) => self.caller_of(header.as_bytes()),
            // Two of them could be read as two people.
            (Some(_), Some(_)) => Caller::Unknown,
        };
        note(&caller);
        caller
    }

    /// Who sent a request to the API: by a token, or else by the session of a browser, which is not
    /// enough by itself for a change.
    pub fn caller_or_session(&self, headers: &HeaderMap) -> (Caller, Option<&Sessions>) {
        let by_token = self.caller(headers);
        let Some(sessions) = self.providers.sessions() else { return (by_token, None) };
        match (by_token, sessions.token(headers)) {
            (Caller::Anonymous, Some(token)) => {
                let caller = self.caller_by(token.as_bytes());
                note(&caller);
                (caller, Some(sessions))
            }
            (by_token, _) => (by_token, None),
        }
    }

    fn caller_of(&self, header: &[u8]) -> Caller {
        let mut login = [0; LOGIN_AT_MOST];
        let Some(token) = token_in(header, &mut login) else { return Caller::Unknown };
        self.caller_by(token)
    }

    fn caller_by(&self, token: &[u8]) -> Caller {
        match self.whose_token(token) {
            Whose::Of(person) => Caller::Known(person),
            Whose::Gone(gone) => Caller::Invalid(Some(gone)),
            Whose::Nobodys if token.starts_with(PREFIX.as_bytes()) => Caller::Invalid(None),
            Whose::Nobodys => Caller::Unknown,
        }
    }

    /// Who has this token. Takes the same time for every wrong one.
    pub fn whose_token(&self, token: &[u8]) -> Whose {
        let hash = Hash::of(token);
        let (is_admin, whose) = (self.admin.is(&hash), self.register.whose(hash));
        if is_admin { Whose::Of(Arc::clone(&self.admin_person)) } else { whose }
    }
}

/// For the access line, and for what is written into the audit log.
fn note(caller: &Caller) {
    if let (Caller::Known(person), Some(request)) = (caller, crate::edge::current()) {
        request.set_person(person);
    }
}

/// The token in a header: `Bearer TOKEN`, the password in `Basic NAME:TOKEN`, or a token of ours
/// as it stands. A login is decoded into `room`.
fn token_in<'a>(header: &'a [u8], room: &'a mut [u8; LOGIN_AT_MOST]) -> Option<&'a [u8]> {
    if let Some(token) = after_scheme(header, b"Bearer ") {
        return Some(token);
    }
    let Some(login) = after_scheme(header, b"Basic ") else {
        let token = header.trim_ascii();
        return token.starts_with(PREFIX.as_bytes()).then_some(token);
    };
    let length = STANDARD.decode_slice(login, room).ok()?;
    let login = &room[..length];
    let colon = login.iter().position(|byte| *byte == b':')?;
    Some(&login[colon + 1..])
}

fn after_scheme<'a>(header: &'a [u8], scheme: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = header.split_at_checked(scheme.len())?;
    head.eq_ignore_ascii_case(scheme).then(|| rest.trim_ascii())
}

#[cfg(test)]
mod tests;
