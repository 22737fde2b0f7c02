//! The tokens and teams that there are, in memory: whom a hash belongs to is one look-up.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;

use super::Person;
use super::rights::Rights;
use super::roles;
use super::secret::Hash;
use crate::metadata::records::{RoleRecord, SecretRecord, TeamRecord, TokenRecord};

/// When nothing is known of a use.
const NEVER: i64 = i64::MIN;

/// A token, as it is stored, and when it was used.
#[derive(Debug)]
pub struct Token {
    pub name: Arc<str>,
    pub record: TokenRecord,
    uses: Arc<Uses>,
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
        Self { name: name.into(), record, uses: Arc::new(uses) }
    }

    pub fn used(&self) -> Option<Timestamp> {
        let used = self.uses.used.load(Ordering::Relaxed);
        Timestamp::from_second(used).ok().filter(|_| used != NEVER)
    }

    /// The use that is not stored yet, where the stored one is older than it by so many seconds.
    pub fn unkept(&self, seconds: i64) -> Option<i64> {
        let used = self.uses.used.load(Ordering::Relaxed);
        let kept = self.uses.kept.load(Ordering::Relaxed);
        (used != NEVER && used.saturating_sub(kept) > seconds).then_some(used)
    }

    pub fn set_kept(&self, used: i64) {
        self.uses.kept.store(used, Ordering::Relaxed);
    }

    /// Its own, beside what its roles give.
    pub fn rights(&self) -> Rights {
        Rights::stored(self.record.rights.iter().map(String::as_str))
    }

    /// Nobody can use it any more, whatever secret they have.
    pub fn gone(&self, now: Timestamp) -> Option<Gone> {
        let gone = |how, at| Some(Gone { token: Arc::clone(&self.name), how, at });
        match (&self.record.revoked, self.record.expires) {
            (Some(revoked), _) => gone(Ending::Revoked, revoked.at),
            (None, Some(at)) if at <= now => gone(Ending::Expired, at),
            (None, _) => None,
        }
    }

    /// As long as this secret of it is valid, unless it is revoked.
    fn until(&self, secret: &SecretRecord) -> Option<Timestamp> {
        [self.record.expires, secret.until].into_iter().flatten().min()
    }
}

/// What became of a token. Only whoever has it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    pub token: Arc<str>,
    pub how: Ending,
    pub at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Revoked,
    Expired,
    /// It was rotated, and the time for which both were valid is over.
    Replaced,
}

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { token, how, at } = self;
        match how {
            Ending::Revoked => write!(f, "the token {token} was revoked {at:.0}"),
            Ending::Expired => write!(f, "the token {token} expired {at:.0}"),
            Ending::Replaced => {
                write!(f, "the token {token} was rotated, and this secret of it ended {at:.0}")
            }
        }
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
    teams: BTreeMap<Arc<str>, TeamRecord>,
    roles: Roles,
}

/// Those that were made here.
#[derive(Debug, Default)]
struct Roles(BTreeMap<Arc<str>, Role>);

#[derive(Clone, Debug)]
pub struct Role {
    pub record: RoleRecord,
    pub rights: Rights,
}

impl Roles {
    /// What all of these give; one that is not there gives nothing.
    fn give(&self, names: &[String]) -> Rights {
        names
            .iter()
            .filter_map(|name| self.rights(name))
            .fold(Rights::none(), |all, more| all.and(&more))
    }

    fn rights(&self, name: &str) -> Option<Rights> {
        roles::built_in(name).or_else(|| self.0.get(name).map(|role| role.rights.clone()))
    }

    fn person(&self, token: &Token, secret: &SecretRecord) -> Person {
        let record = &token.record;
        Person {
            name: record.owner.as_str().into(),
            token: Some(Arc::clone(&token.name)),
            team: record.team.as_deref().map(Arc::from),
            rights: token.rights().and(&self.give(&record.roles)),
            expires: token.until(secret),
        }
    }
}

#[derive(Debug)]
struct Entry {
    token: Arc<Token>,
    secret: SecretRecord,
    person: Arc<Person>,
}

impl Table {
    pub fn whose(&self, hash: Hash, now: Timestamp) -> Whose {
        let Some(Entry { token, person, .. }) = self.by_hash.get(&hash) else {
            return Whose::Nobodys;
        };
        if let Some(gone) = token.gone(now) {
            return Whose::Gone(gone);
        }
        if let Some(at) = person.expires.filter(|until| *until <= now) {
            let token = Arc::clone(&token.name);
            return Whose::Gone(Gone { token, how: Ending::Replaced, at });
        }
        token.uses.used.store(now.as_second(), Ordering::Relaxed);
        Whose::Of(Arc::clone(person))
    }

    /// In the place of the one of that name.
    pub fn put(&mut self, token: Token) -> Arc<Token> {
        self.remove(&token.name);
        let token = Arc::new(token);
        for secret in &token.record.secrets {
            // What is no hash is nobody's.
            let Some(hash) = Hash::from_hex(&secret.hash) else { continue };
            let person = Arc::new(self.roles.person(&token, secret));
            let entry = Entry { token: Arc::clone(&token), secret: secret.clone(), person };
            self.by_hash.insert(hash, entry);
        }
        self.tokens.insert(Arc::clone(&token.name), Arc::clone(&token));
        token
    }

    /// The same token, of which something else is known now.
    pub fn change(&mut self, name: &str, record: TokenRecord) -> Arc<Token> {
        let mut token = Token::new(name, record, None);
        if let Some(before) = self.tokens.get(name) {
            token.uses = Arc::clone(&before.uses);
        }
        self.put(token)
    }

    fn remove(&mut self, name: &str) {
        let Some(before) = self.tokens.remove(name) else { return };
        for hash in before.record.secrets.iter().filter_map(|secret| Hash::from_hex(&secret.hash)) {
            self.by_hash.remove(&hash);
        }
    }

    /// Sorted by name.
    pub fn tokens(&self) -> impl ExactSizeIterator<Item = &Arc<Token>> {
        self.tokens.values()
    }

    pub fn put_team(&mut self, team: &str, record: TeamRecord) {
        self.teams.insert(team.into(), record);
    }

    pub fn remove_team(&mut self, team: &str) {
        self.teams.remove(team);
    }

    /// Sorted by name.
    pub fn teams(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, &TeamRecord)> {
        self.teams.iter()
    }

    pub fn has_team(&self, team: &str) -> bool {
        self.teams.contains_key(team)
    }

    /// Whoever holds it has from now on what it says.
    pub fn put_role(&mut self, name: &str, record: RoleRecord) {
        let rights = Rights::stored(record.rights.iter().map(String::as_str));
        self.roles.0.insert(name.into(), Role { record, rights });
        self.settle(|token| token.roles.iter().any(|role| role == name));
    }

    pub fn remove_role(&mut self, name: &str) {
        self.roles.0.remove(name);
        self.settle(|token| token.roles.iter().any(|role| role == name));
    }

    /// Those that were made here, sorted by name.
    pub fn roles(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, &Role)> {
        self.roles.0.iter()
    }

    pub fn role(&self, name: &str) -> Option<&Role> {
        self.roles.0.get(name)
    }

    /// What a role gives, a built-in one too.
    pub fn role_rights(&self, name: &str) -> Option<Rights> {
        self.roles.rights(name)
    }

    /// All that a token may.
    pub fn rights_of(&self, token: &Token) -> Rights {
        token.rights().and(&self.roles.give(&token.record.roles))
    }

    /// Finds out anew what these tokens may.
    fn settle(&mut self, concerns: impl Fn(&TokenRecord) -> bool) {
        for entry in self.by_hash.values_mut().filter(|entry| concerns(&entry.token.record)) {
            entry.person = Arc::new(self.roles.person(&entry.token, &entry.secret));
        }
    }
}
