//! People and services that are known by name: made, changed, disabled, removed.
//!
//! Whoever is disabled or removed has, from the next request on, no token that counts, whoever made
//! it. One who is removed stays on record, so that nobody who is called the same later has the tokens
//! of before.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use policies::rules::nearest;

use super::change::{check_other_team, check_rights};
use super::{MAX_USERS, Register, RegisterError, check_administers};
use crate::access::rights::Rights;
use crate::access::secret::TokenKind;
use crate::access::table::Token;
use crate::access::{ADMIN, Person};
use crate::audit::{Action, Entry};
use crate::metadata::Batch;
use crate::metadata::records::{RevokedRecord, Stored, UserRecord, read_stored};

const MAX_NAME: usize = 100;
/// Teams of one person.
pub(super) const MAX_TEAMS_OF_ONE: usize = 20;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct NewUser {
    pub name: String,
    pub kind: TokenKind,
    pub teams: Vec<String>,
    /// Empty: what everybody may, which is to read.
    pub roles: Vec<String>,
    /// Its hash.
    pub password: Option<String>,
    /// By issuer, what providers know them by.
    pub bound: BTreeMap<String, String>,
}

/// What is left out stays as it is.
#[derive(Clone, Debug, Default)]
pub struct UserChange {
    pub teams: Option<Vec<String>>,
    pub roles: Option<Vec<String>>,
    pub disabled: Option<bool>,
}

/// Somebody as they are told.
#[derive(Clone, Debug)]
pub struct UserFound {
    pub name: Arc<str>,
    pub record: UserRecord,
    /// As one of their first team.
    pub rights: Rights,
    /// Valid ones.
    pub tokens: usize,
}

impl Register {
    /// Those who are not removed, sorted by name.
    pub fn users(&self) -> Vec<UserFound> {
        let (table, now) = (self.0.table.read(), self.0.clock.now());
        let mut counts = HashMap::<&str, usize>::new();
        for token in table.tokens().filter(|token| table.ended(token, now).is_none()) {
            *counts.entry(token.record.owner.as_str()).or_default() += 1;
        }
        let users = table.directory().users.iter();
        let users = users.filter(|(_, user)| user.removed.is_none());
        let found = users.map(|(name, user)| UserFound {
            name: Arc::clone(name),
            record: user.clone(),
            rights: table.directory().rights_of_user(user, user.teams.first().map(String::as_str)),
            tokens: counts.get(&**name).copied().unwrap_or_default(),
        });
        found.collect()
    }

    pub fn user(&self, name: &str) -> Result<UserFound, RegisterError> {
        let found = self.users().into_iter().find(|user| *user.name == *name);
        found.ok_or_else(|| self.no_such_user(name))
    }

    /// The first one is theirs where they do not say which.
    pub fn teams_of(&self, name: &str) -> Result<Vec<String>, RegisterError> {
        let table = self.0.table.read();
        let user = table.directory().users.get(name).filter(|user| user.removed.is_none());
        let teams = user.map(|user| user.teams.clone());
        drop(table);
        teams.ok_or_else(|| self.no_such_user(name))
    }

    /// The hash of the password of somebody who may log in.
    pub fn password_of(&self, name: &str) -> Option<String> {
        let table = self.0.table.read();
        let user = table.directory().users.get(name)?;
        let may = user.removed.is_none() && user.disabled.is_none();
        user.password.clone().filter(|_| may)
    }

    pub async fn create_user(&self, by: &Person, new: NewUser) -> Result<UserFound, RegisterError> {
        check_administers(by)?;
        check_name(&new.name)?;
        if new.kind == TokenKind::Service && new.password.is_some() {
            let message = "a service has tokens, and no password".to_owned();
            return Err(RegisterError::Invalid { field: "password", message });
        }
        let _turn = self.0.turn.lock().await;
        let now = self.0.clock.now();
        let roles = if new.roles.is_empty() { vec!["reader".to_owned()] } else { new.roles };
        let key = UserRecord::key(&new.name);
        let before = read_stored(self.0.metadata.as_ref(), &key).await?;
        self.check_free(&new.name, before.as_ref())?;
        let record = UserRecord {
            kind: new.kind.as_str().to_owned(),
            teams: new.teams,
            roles,
            password: new.password,
            password_set: None,
            created: now,
            created_by: by.name.to_string(),
            disabled: None,
            removed: None,
            not_before: before.as_ref().map(|_| now),
            bound: new.bound,
        };
        self.check_place(by, &record)?;
        self.check_older_tokens(&new.name, &record)?;
        let batch =
            Batch::default().expect_unchanged(&key, before.as_ref()).put_record(&key, &record);
        let entry = entry(Action::UserMade, by, &new.name, &record);
        self.0.metadata.commit(batch.note(entry, now)).await?;
        self.0.table.write().put_user(&new.name, record.clone());
        tracing::info!(user = new.name, kind = record.kind, teams = record.teams.join(" "), roles = record.roles.join(" "), by = %by.name, "user made");
        self.user(&new.name)
    }

    pub async fn change_user(
        &self,
        by: &Person,
        name: &str,
        change: UserChange,
    ) -> Result<UserFound, RegisterError> {
        check_administers(by)?;
        let _turn = self.0.turn.lock().await;
        let stored = self.stored_user(name).await?;
        let mut record = stored.record.clone();
        check_teams_of(by, &record)?;
        let gives = change.teams.is_some() || change.roles.is_some();
        record.teams = change.teams.unwrap_or(record.teams);
        record.roles = change.roles.unwrap_or(record.roles);
        if gives || change.disabled == Some(false) {
            self.check_place(by, &record)?;
        }
        match change.disabled {
            Some(true) if record.disabled.is_none() => record.disabled = Some(self.ended_by(by)),
            Some(false) => record.disabled = None,
            _ => {}
        }
        let entry = entry(Action::UserChanged, by, name, &record);
        self.keep_user(name, &stored, record.clone(), entry).await?;
        let disabled = record.disabled.is_some();
        tracing::info!(user = name, teams = record.teams.join(" "), roles = record.roles.join(" "), disabled, by = %by.name, "user changed");
        self.user(name)
    }

    /// For good: who is called so later is somebody else.
    pub async fn remove_user(&self, by: &Person, name: &str) -> Result<(), RegisterError> {
        check_administers(by)?;
        let _turn = self.0.turn.lock().await;
        let stored = self.stored_user(name).await?;
        check_teams_of(by, &stored.record)?;
        let record = UserRecord {
            teams: Vec::new(),
            roles: Vec::new(),
            password: None,
            bound: BTreeMap::new(),
            removed: Some(self.ended_by(by)),
            ..stored.record.clone()
        };
        let entry = entry(Action::UserRemoved, by, name, &stored.record);
        self.keep_user(name, &stored, record, entry).await?;
        tracing::info!(user = name, by = %by.name, "user removed");
        Ok(())
    }

    /// An error says why whoever asks may not set this password, before work is done for it.
    pub fn check_sets_password(&self, by: &Person, name: &str) -> Result<(), RegisterError> {
        if *by.name == *name && by.ceiling.is_some() { Ok(()) } else { check_administers(by) }
    }

    /// Takes another password's hash. Whoever has it may do all that its owner may.
    pub async fn set_password(
        &self,
        by: &Person,
        name: &str,
        password: String,
    ) -> Result<(), RegisterError> {
        self.check_sets_password(by, name)?;
        let is_own = *by.name == *name && by.ceiling.is_some();
        let _turn = self.0.turn.lock().await;
        let stored = self.stored_user(name).await?;
        if stored.record.kind != TokenKind::Person.as_str() {
            let message = format!("{name} is a service: it has tokens, and no password");
            return Err(RegisterError::Invalid { field: "password", message });
        }
        if !is_own {
            check_teams_of(by, &stored.record)?;
            self.check_place(by, &stored.record)?;
        }
        let password_set = Some(self.0.clock.now());
        let record = UserRecord { password: Some(password), password_set, ..stored.record.clone() };
        let entry = Entry::new(Action::PasswordSet).by_person(by).subject(name);
        self.keep_user(name, &stored, record, entry).await?;
        tracing::info!(user = name, by = %by.name, "password set");
        Ok(())
    }

    pub(super) async fn keep_user(
        &self,
        name: &str,
        stored: &Stored<UserRecord>,
        record: UserRecord,
        entry: Entry,
    ) -> Result<(), RegisterError> {
        let key = UserRecord::key(name);
        let batch = Batch::default().expect_unchanged(&key, Some(stored)).put_record(&key, &record);
        self.0.metadata.commit(batch.note(entry, self.0.clock.now())).await?;
        self.0.table.write().put_user(name, record);
        Ok(())
    }

    pub(super) async fn stored_user(
        &self,
        name: &str,
    ) -> Result<Stored<UserRecord>, RegisterError> {
        let stored = read_stored(self.0.metadata.as_ref(), &UserRecord::key(name)).await?;
        let there = stored.filter(|stored| stored.record.removed.is_none());
        there.ok_or_else(|| self.no_such_user(name))
    }

    fn ended_by(&self, by: &Person) -> RevokedRecord {
        RevokedRecord { at: self.0.clock.now(), by: by.name.to_string() }
    }

    fn check_free(
        &self,
        name: &str,
        before: Option<&Stored<UserRecord>>,
    ) -> Result<(), RegisterError> {
        if before.is_some_and(|before| before.record.removed.is_none()) {
            return Err(RegisterError::Taken(format!("there is somebody called {name} already")));
        }
        let table = self.0.table.read();
        let users = &table.directory().users;
        let mut others = users.keys().filter(|other| ***other != *name);
        if let Some(other) = others.find(|other| other.eq_ignore_ascii_case(name)) {
            return Err(RegisterError::Taken(format!(
                "{other} is or was somebody here, and is not told from {name}: take another name"
            )));
        }
        if before.is_none() && users.len() >= MAX_USERS {
            return Err(RegisterError::Taken(format!("there are {MAX_USERS} users already")));
        }
        Ok(())
    }

    /// Teams and roles have to be there, and nobody gives more than they have.
    fn check_place(&self, by: &Person, user: &UserRecord) -> Result<(), RegisterError> {
        if user.teams.len() > MAX_TEAMS_OF_ONE {
            let message = format!("at most {MAX_TEAMS_OF_ONE} teams at once");
            return Err(RegisterError::Invalid { field: "teams", message });
        }
        for team in &user.teams {
            if !self.0.table.read().directory().teams.contains_key(team.as_str()) {
                return Err(self.no_such_team(team));
            }
        }
        check_teams_of(by, user)?;
        self.given_by_roles(&user.roles)?;
        let teams = user.teams.iter().map(|team| Some(team.as_str()));
        for team in std::iter::once(None).chain(teams) {
            let may = self.0.table.read().directory().rights_of_user(user, team);
            check_rights(by, &may)?;
        }
        Ok(())
    }

    /// What has this name as its owner already is theirs from now on, and has to fit.
    fn check_older_tokens(&self, name: &str, user: &UserRecord) -> Result<(), RegisterError> {
        if user.not_before.is_some() {
            return Ok(());
        }
        let (table, now) = (self.0.table.read(), self.0.clock.now());
        let mut older = table
            .tokens()
            .filter(|token| token.record.owner == name && table.ended(token, now).is_none());
        let fits = |token: &Arc<Token>| {
            let is_member = |team: &String| user.teams.contains(team);
            token.record.kind == user.kind && token.record.team.as_ref().is_none_or(is_member)
        };
        let Some(token) = older.find(|token| !fits(token)) else { return Ok(()) };
        let (kind, team) = (&token.record.kind, token.record.team.as_deref());
        let of = team.map(|team| format!(" of {team}")).unwrap_or_default();
        Err(RegisterError::Taken(format!(
            "{name} has the token {} already, as a {kind}{of}: make them that, or revoke the token",
            token.name
        )))
    }

    pub(super) fn no_such_user(&self, name: &str) -> RegisterError {
        let table = self.0.table.read();
        let users = table.directory().users.iter();
        let users = users.filter(|(_, user)| user.removed.is_none());
        let names: Vec<&str> = users.map(|(name, _)| &**name).collect();
        let near = nearest(name, &names).map(str::to_owned);
        RegisterError::NoSuchUser { name: name.chars().take(MAX_NAME).collect(), near }
    }
}

/// What was done to somebody.
pub(super) fn entry(action: Action, by: &Person, name: &str, user: &UserRecord) -> Entry {
    Entry::new(action)
        .by_person(by)
        .subject(name)
        .detail("kind", &user.kind)
        .detail("teams", &user.teams.join(", "))
        .detail("roles", &user.roles.join(", "))
        .detail_if("disabled", user.disabled.as_ref().map(|disabled| &disabled.at))
}

/// Whoever is of a team has a say over those alone who are of no other.
fn check_teams_of(by: &Person, user: &UserRecord) -> Result<(), RegisterError> {
    if user.teams.is_empty() {
        return check_other_team(by, None);
    }
    user.teams.iter().try_for_each(|team| check_other_team(by, Some(team)))
}

fn check_name(name: &str) -> Result<(), RegisterError> {
    let invalid =
        |message: &str| Err(RegisterError::Invalid { field: "name", message: message.to_owned() });
    let is_name = name.len() <= MAX_NAME
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.@+".contains(c));
    if !is_name {
        return invalid(
            "use up to 100 letters, digits and `-_.@+`, beginning with a letter or digit",
        );
    }
    if name.eq_ignore_ascii_case(ADMIN) {
        return invalid("`admin` is whoever has the first admin token");
    }
    Ok(())
}
