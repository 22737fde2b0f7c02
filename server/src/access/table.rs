//! The tokens that there are, in memory: whom a hash belongs to is one look-up.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;

use super::Person;
use super::directory::{Directory, Role};
use super::secret::Hash;
use crate::metadata::records::{
    RoleRecord, SecretRecord, TeamRecord, TokenRecord, UnitRecord, UserRecord,
};
use crate::person::meter::Used;
use crate::person::rights::Rights;

/// When nothing is known of a use.
const NEVER: i64 = i64::MIN;

/// A token, as it is stored, and when it was used.
#[derive(Debug)]
pub struct Token {
    pub name: Arc<str>,
    pub record: TokenRecord,
    uses: Arc<Uses>,
    /// Likewise, how much was asked by it of late.
    pub(super) allowance: Used,
}

/// When it was last used, in seconds: of a token, whatever becomes of its record.
#[derive(Debug)]
struct Uses {
    used: AtomicI64,
    /// The same, as it is stored.
    kept: AtomicI64,
}

impl Token {
    pub fn new(name: &str, record: TokenRecord, used: Option<Timestamp>) -> Self {
        let used = used.map_or(NEVER, Timestamp::as_second);
        let uses = Uses { used: AtomicI64::new(used), kept: AtomicI64::new(used) };
        let allowance = Used::default();
        Self { name: name.into(), record, uses: Arc::new(uses), allowance }
    }

    pub fn used(&self) -> Option<Timestamp> {
        let used = self.uses.used.load(Ordering::Relaxed);
        Timestamp::from_second(used).ok().filter(|_| used != NEVER)
    }

    /// The use that is not stored yet, where the stored one is older than it by so many seconds. Of
    /// one that is soon forgotten none is.
    pub fn unkept(&self, seconds: i64) -> Option<i64> {
        let used = self.uses.used.load(Ordering::Relaxed);
        let kept = self.uses.kept.load(Ordering::Relaxed);
        let is_newer = used != NEVER && used.saturating_sub(kept) > seconds;
        (is_newer && !self.is_passing()).then_some(used)
    }

    pub fn set_kept(&self, used: i64) {
        self.uses.kept.store(used, Ordering::Relaxed);
    }

    /// Its own, beside what its roles give.
    pub fn rights(&self) -> Rights {
        Rights::stored(self.record.rights.iter().map(String::as_str))
    }

    /// Nobody made it: it came of a login or an exchange, and is forgotten after its end.
    pub fn is_passing(&self) -> bool {
        self.record.origin.is_some()
    }

    /// Nobody can use it any more, whatever secret they have.
    pub fn gone(&self, now: Timestamp) -> Option<Gone> {
        let gone = |how, at| Some(Gone { token: Arc::clone(&self.name), how, at: Some(at) });
        match (&self.record.revoked, self.record.expires) {
            (Some(revoked), _) => gone(Ending::Revoked, revoked.at),
            (None, Some(at)) if at <= now => gone(Ending::Expired, at),
            (None, _) => None,
        }
    }

    /// As long as this secret of it is valid, unless it is revoked.
    pub fn until(&self, secret: &SecretRecord) -> Option<Timestamp> {
        [self.record.expires, secret.until].into_iter().flatten().min()
    }
}

/// What became of a token. Only whoever has it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    pub token: Arc<str>,
    pub how: Ending,
    /// Since when, where that is known.
    pub at: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Revoked,
    Expired,
    /// It was rotated, and the time for which both were valid is over.
    Replaced,
    OwnerDisabled,
    OwnerRemoved,
    /// It came of a login, and the password was changed since.
    PasswordSet,
    TeamRemoved,
    /// Its owner is of its team no more.
    LeftTeam,
}

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { token, how, at } = self;
        match how {
            Ending::Revoked => write!(f, "the token {token} was revoked"),
            Ending::Expired => write!(f, "the token {token} expired"),
            Ending::Replaced => {
                write!(f, "the token {token} was rotated, and this secret of it ended")
            }
            Ending::OwnerDisabled => {
                write!(f, "the token {token} is of somebody who was disabled here")
            }
            Ending::OwnerRemoved => {
                write!(f, "the token {token} is of somebody who was removed here")
            }
            Ending::PasswordSet => write!(f, "the login {token} ended with a new password"),
            Ending::TeamRemoved => write!(f, "the token {token} is of a team that was removed"),
            Ending::LeftTeam => {
                write!(f, "the token {token} is of a team that its owner is in no more")
            }
        }?;
        at.map_or(Ok(()), |at| write!(f, " {at:.0}"))
    }
}

/// Whose token it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    Nobodys,
    Of(Arc<Person>),
    Gone(Gone),
}

#[derive(Debug, Default)]
pub struct Table {
    tokens: BTreeMap<Arc<str>, Arc<Token>>,
    by_hash: HashMap<Hash, Entry>,
    directory: Directory,
}

#[derive(Debug)]
struct Entry {
    token: Arc<Token>,
    secret: SecretRecord,
    person: Arc<Person>,
    /// What became of it by what became of others.
    ended: Option<Gone>,
}

impl Table {
    pub fn whose(&self, hash: Hash, now: Timestamp) -> Whose {
        let Some(Entry { token, person, ended, .. }) = self.by_hash.get(&hash) else {
            return Whose::Nobodys;
        };
        if let Some(gone) = token.gone(now).or_else(|| ended.clone()) {
            return Whose::Gone(gone);
        }
        if let Some(at) = person.expires.filter(|until| *until <= now) {
            let token = Arc::clone(&token.name);
            return Whose::Gone(Gone { token, how: Ending::Replaced, at: Some(at) });
        }
        token.uses.used.store(now.as_second(), Ordering::Relaxed);
        Whose::Of(Arc::clone(person))
    }

    /// Nobody can use it any more, by itself or by what became of those whom it is for.
    pub fn ended(&self, token: &Token, now: Timestamp) -> Option<Gone> {
        token.gone(now).or_else(|| self.directory.ended(token))
    }

    /// In the place of the one of that name.
    pub fn put(&mut self, token: Token) -> Arc<Token> {
        self.remove(&token.name);
        let token = Arc::new(token);
        for secret in &token.record.secrets {
            // What is no hash is nobody's.
            let Some(hash) = Hash::from_hex(&secret.hash) else { continue };
            let person = Arc::new(self.directory.person(&token, secret));
            let ended = self.directory.ended(&token);
            let (token, secret) = (Arc::clone(&token), secret.clone());
            self.by_hash.insert(hash, Entry { token, secret, person, ended });
        }
        self.tokens.insert(Arc::clone(&token.name), Arc::clone(&token));
        token
    }

    /// The same token, of which something else is known now.
    pub fn change(&mut self, name: &str, record: TokenRecord) -> Arc<Token> {
        let mut token = Token::new(name, record, None);
        if let Some(before) = self.tokens.get(name) {
            token.uses = Arc::clone(&before.uses);
            token.allowance = before.allowance.clone();
        }
        self.put(token)
    }

    pub fn remove(&mut self, name: &str) {
        let Some(before) = self.tokens.remove(name) else { return };
        for hash in before.record.secrets.iter().filter_map(|secret| Hash::from_hex(&secret.hash)) {
            self.by_hash.remove(&hash);
        }
    }

    /// Sorted by name.
    pub fn tokens(&self) -> impl ExactSizeIterator<Item = &Arc<Token>> {
        self.tokens.values()
    }

    pub fn token(&self, name: &str) -> Option<&Arc<Token>> {
        self.tokens.get(name)
    }

    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    pub fn put_team(&mut self, team: &str, record: TeamRecord) {
        self.directory.teams.insert(team.into(), record);
        self.settle(|token| token.team.as_deref() == Some(team));
    }

    pub fn remove_team(&mut self, team: &str) {
        self.directory.teams.remove(team);
        self.settle(|token| token.team.as_deref() == Some(team));
    }

    pub fn put_unit(&mut self, unit: &str, record: UnitRecord) {
        self.directory.units.insert(unit.into(), record);
        self.settle(|token| {
            let of = token.team.as_deref().and_then(|team| team.split_once('/'));
            of.is_some_and(|(of, _)| of == unit)
        });
    }

    pub fn put_user(&mut self, name: &str, record: UserRecord) {
        self.directory.users.insert(name.into(), record);
        self.settle(|token| token.owner == name);
    }

    /// Whoever holds it has from now on what it says.
    pub fn put_role(&mut self, name: &str, record: RoleRecord) {
        let rights = Rights::stored(record.rights.iter().map(String::as_str));
        self.directory.roles.insert(name.into(), Role { record, rights });
        // By their people, teams and units others may hold it than tokens.
        self.settle(|_| true);
    }

    pub fn remove_role(&mut self, name: &str) {
        self.directory.roles.remove(name);
        self.settle(|_| true);
    }

    /// Finds out anew whose these tokens are and what they may.
    fn settle(&mut self, concerns: impl Fn(&TokenRecord) -> bool) {
        for entry in self.by_hash.values_mut().filter(|entry| concerns(&entry.token.record)) {
            entry.person = Arc::new(self.directory.person(&entry.token, &entry.secret));
            entry.ended = self.directory.ended(&entry.token);
        }
    }
}
