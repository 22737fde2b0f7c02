//! The register of people, teams, roles and tokens: made, rotated, revoked; durable before they count, and in
//! memory for whoever is asked about one.
//!
//! Nobody makes a token that can do more than their own: no right beyond theirs, no other team than
//! theirs where they have one, no longer life. Changing a token of somebody else takes the right to
//! administer, and to be given its new secret takes all that it can do.

mod change;
mod entering;
mod roles;
mod sessions;
mod teams;
#[cfg(test)]
mod tests;
mod users;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::sync::Mutex;

use super::secret::{Hash, NoRandomness};
use super::table::{Gone, Table, Token, Whose};
use crate::clock::Clock;
use crate::metadata::records::{
    Key, LoginRecord, Prefix, Record, RoleRecord, TeamRecord, TokenRecord, TokenUseRecord,
    UnitRecord, UserRecord, decode,
};
use crate::metadata::{Batch, Metadata, MetadataError};
use crate::person::rights::{Place, Right, Rights};

pub use change::{Created, DEFAULT_GRACE, DEFAULT_LIFE, Life, MAX_GRACE, NewToken};
pub use roles::{Holder, NewRole, RoleFound};
pub use sessions::NewSession;
pub use users::{NewUser, UserChange, UserFound};

/// What is revoked and expired included.
pub const MAX_TOKENS: usize = 50_000;
pub const MAX_TEAMS: usize = 10_000;
pub const MAX_ROLES: usize = 1000;
/// Those that were removed included.
pub const MAX_USERS: usize = 50_000;
const PAGE: usize = 1000;
/// How exactly it is kept when a token was last used.
const USE_SECONDS: i64 = 600;
const LOOK: Duration = Duration::from_mins(1);
/// Uses that one look writes; the others wait for the next one.
const USES_AT_ONCE: usize = 500;

/// By what the caller answers.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    #[error("{field}: {message}")]
    Invalid { field: &'static str, message: String },
    #[error("there is no team {team:?}{}; garth team create makes one", meant(near.as_deref()))]
    NoSuchTeam { team: String, near: Option<String> },
    #[error("there is no token {name:?}{}", meant(near.as_deref()))]
    NoSuchToken { name: String, near: Option<String> },
    #[error("there is no role {name:?}{}; garth role list shows those that there are", meant(near.as_deref()))]
    NoSuchRole { name: String, near: Option<String> },
    #[error("there is nobody called {name:?} here{}; garth user list shows who is", meant(near.as_deref()))]
    NoSuchUser { name: String, near: Option<String> },
    /// What was sent as a proof was sent before.
    #[error("this was exchanged already")]
    Replayed,
    /// Whoever asks may not.
    #[error("{0}")]
    Beyond(String),
    /// Something else is in its place.
    #[error("{0}")]
    Taken(String),
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    #[error(transparent)]
    Metadata(#[from] MetadataError),
}

fn meant(near: Option<&str>) -> String {
    near.map(|near| format!("; did you mean {near:?}?")).unwrap_or_default()
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Register(Arc<Inner>);

struct Inner {
    metadata: Arc<dyn Metadata>,
    clock: Clock,
    table: RwLock<Table>,
    /// Held by whoever changes something; asking never waits for it.
    turn: Mutex<()>,
}

impl std::fmt::Debug for Register {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tokens = self.0.table.read().tokens().len();
        f.debug_struct("Register").field("tokens", &tokens).finish()
    }
}

impl Register {
    /// Reads everything. A record that can not be read is nobody's token, and no team.
    pub async fn open(metadata: Arc<dyn Metadata>, clock: Clock) -> Result<Self, MetadataError> {
        let mut table = Table::default();
        let store = metadata.as_ref();
        for (key, team) in read_all::<TeamRecord>(store).await? {
            table.put_team(&key.parts().join("/"), team);
        }
        for (key, unit) in read_all::<UnitRecord>(store).await? {
            table.put_unit(&name_of(&key), unit);
        }
        for (key, user) in read_all::<UserRecord>(store).await? {
            table.put_user(&name_of(&key), user);
        }
        for (key, role) in read_all::<RoleRecord>(store).await? {
            table.put_role(&name_of(&key), role);
        }
        let uses = read_all::<TokenUseRecord>(store).await?;
        let uses: std::collections::HashMap<String, TokenUseRecord> =
            uses.into_iter().map(|(key, used)| (name_of(&key), used)).collect();
        for (key, token) in read_all::<TokenRecord>(store).await? {
            let name = name_of(&key);
            table.put(Token::new(&name, token, uses.get(&name).map(|used| used.at)));
        }
        for (key, login) in read_all::<LoginRecord>(store).await? {
            table.put(Token::new(&name_of(&key), login.0, None));
        }
        let (table, turn) = (RwLock::new(table), Mutex::default());
        Ok(Self(Arc::new(Inner { metadata, clock, table, turn })))
    }

    /// Whose token has this hash. A look-up in memory, and the same for every wrong one.
    pub fn whose(&self, hash: Hash) -> Whose {
        self.0.table.read().whose(hash, self.0.clock.now())
    }

    /// Every token, sorted by name, and what became of it.
    pub fn tokens(&self) -> Vec<(Arc<Token>, Option<Gone>)> {
        let (table, now) = (self.0.table.read(), self.0.clock.now());
        table.tokens().map(|token| (Arc::clone(token), table.ended(token, now))).collect()
    }

    /// What each valid token of a service gives, or of a person who is no user.
    pub fn rights_of_owner(&self, owner: &str) -> Vec<Rights> {
        let (table, now) = (self.0.table.read(), self.0.clock.now());
        let valid = table.tokens().filter(|token| table.ended(token, now).is_none());
        let of_owner = valid.filter(|token| token.record.owner == owner);
        of_owner.map(|token| table.directory().rights_of(token)).collect()
    }

    /// Every team, sorted by name, with how many valid tokens it has.
    pub fn teams(&self) -> Vec<(Arc<str>, TeamRecord, usize)> {
        let (table, now) = (self.0.table.read(), self.0.clock.now());
        let mut counts = std::collections::HashMap::<&str, usize>::new();
        for token in table.tokens().filter(|token| table.ended(token, now).is_none()) {
            if let Some(team) = token.record.team.as_deref() {
                *counts.entry(team).or_default() += 1;
            }
        }
        let count = |team: &str| counts.get(team).copied().unwrap_or_default();
        let teams = table.directory().teams.iter();
        teams.map(|(name, team)| (name.clone(), team.clone(), count(name))).collect()
    }

    /// One team, with how many valid tokens it has.
    pub fn team(&self, name: &str) -> Result<(TeamRecord, usize), RegisterError> {
        let found = self.teams().into_iter().find(|(known, ..)| **known == *name);
        found.map(|(_, team, tokens)| (team, tokens)).ok_or_else(|| self.no_such_team(name))
    }

    /// Writes now and then when tokens were used, for as long as somebody holds the register.
    pub fn watch(&self) {
        let inner = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK).await;
                let Some(inner) = inner.upgrade() else { return };
                let register = Self(inner);
                register.keep_uses(USE_SECONDS).await;
                register.forget_passed().await;
            }
        });
    }

    /// Before the store is closed.
    pub async fn close(&self) {
        self.keep_uses(0).await;
    }

    /// Those that are newer than the stored ones by so many seconds.
    async fn keep_uses(&self, seconds: i64) {
        let uses: Vec<(Arc<Token>, i64)> = self
            .0
            .table
            .read()
            .tokens()
            .filter_map(|token| Some((Arc::clone(token), token.unkept(seconds)?)))
            .take(USES_AT_ONCE)
            .collect();
        if uses.is_empty() {
            return;
        }
        let batch = uses.iter().fold(Batch::default(), |batch, (token, used)| {
            let Ok(at) = jiff::Timestamp::from_second(*used) else { return batch };
            batch.put_record(&TokenUseRecord::key(&token.name), &TokenUseRecord { at })
        });
        match self.0.metadata.commit(batch).await {
            Ok(()) => uses.iter().for_each(|(token, used)| token.set_kept(*used)),
            Err(fault) => tracing::warn!(%fault, "when tokens were last used could not be kept"),
        }
    }
}

fn name_of<R: Record>(key: &Key<R>) -> String {
    key.parts().concat()
}

/// Page by page; what is damaged is left out, and said.
async fn read_all<R: Record>(store: &dyn Metadata) -> Result<Vec<(Key<R>, R)>, MetadataError> {
    let (prefix, mut found) = (Prefix::<R>::all(), Vec::new());
    let mut after = None;
    loop {
        let page = store.scan(prefix.as_bytes(), after.as_deref(), PAGE).await?;
        let is_last = page.len() < PAGE;
        after = page.last().map(|entry| entry.key.to_vec());
        for entry in page {
            match (Key::parse(&entry.key), decode(&entry.key, &entry.value)) {
                (Some(key), Ok(record)) => found.push((key, record)),
                (None, _) => tracing::error!(kind = R::KIND, "a record of access has no such key"),
                (_, Err(fault)) => {
                    tracing::error!(%fault, "a record of access can not be read, and does not count");
                }
            }
        }
        if is_last {
            return Ok(found);
        }
    }
}

/// Tokens and teams are for whoever may administer.
fn check_administers(by: &super::Person) -> Result<(), RegisterError> {
    by.check(Right::Administer, &Place::default()).map_err(RegisterError::Beyond)
}
