//! Roles come and go, and what one gives is changed for all who hold it.

use std::fmt;

use jiff::Timestamp;
use policies::asker::is_word;
use policies::rules::nearest;

use super::change::{check_other_team, check_rights, check_size};
use super::teams::{check_description, split};
use super::{MAX_ROLES, Register, RegisterError, check_administers};
use crate::access::Person;
use crate::access::rights::{Right, Rights};
use crate::access::roles::{BUILT_IN, built_in};
use crate::access::table::{Table, Token};
use crate::audit::{Action, Entry};
use crate::metadata::Batch;
use crate::metadata::records::{RoleRecord, TeamRecord, UnitRecord, read_stored};

/// Roles of one holder.
const MAX_HELD: usize = 20;
/// Names in a message.
const MAX_SHOWN: usize = 5;

/// Whose people hold roles.
#[derive(Clone, Copy, Debug)]
pub enum Holder<'a> {
    /// `unit/team`
    Team(&'a str),
    /// Every team of it.
    Unit(&'a str),
}

impl fmt::Display for Holder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Team(name) => write!(f, "the team {name}"),
            Self::Unit(name) => write!(f, "the unit {name}"),
        }
    }
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct NewRole {
    pub name: String,
    pub description: Option<String>,
    /// To read is among them, unless they say what.
    pub rights: Rights,
}

/// A role as it is told.
#[derive(Clone, Debug)]
pub struct RoleFound {
    pub name: String,
    pub description: Option<String>,
    pub rights: Rights,
    /// Absent: it is built in.
    pub record: Option<RoleRecord>,
    /// Who holds it, those that are valid no more left out.
    pub holders: usize,
}

impl Register {
    /// The built-in ones first, then by name.
    pub fn roles(&self) -> Vec<RoleFound> {
        let (table, now) = (self.0.table.read(), self.0.clock.now());
        let mut counts = std::collections::HashMap::<&str, usize>::new();
        for (_, roles) in holders(&table, now) {
            for role in roles {
                *counts.entry(role).or_default() += 1;
            }
        }
        let count = |name: &str| counts.get(name).copied().unwrap_or_default();
        let built_in = BUILT_IN.iter().map(|(name, rights, about)| RoleFound {
            name: (*name).to_owned(),
            description: Some((*about).to_owned()),
            rights: Rights::stored(rights.iter().copied()),
            record: None,
            holders: count(name),
        });
        let made = table.directory().roles.iter().map(|(name, role)| RoleFound {
            name: name.to_string(),
            description: role.record.description.clone(),
            rights: role.rights.clone(),
            record: Some(role.record.clone()),
            holders: count(name),
        });
        built_in.chain(made).collect()
    }

    pub async fn create_role(&self, by: &Person, new: NewRole) -> Result<RoleFound, RegisterError> {
        check_administers(by)?;
        check_new(&new)?;
        let rights = new.rights.with_read();
        check_rights(by, &rights)?;
        check_size(&rights)?;
        let _turn = self.0.turn.lock().await;
        {
            let table = self.0.table.read();
            let roles = &table.directory().roles;
            if roles.len() >= MAX_ROLES {
                return Err(RegisterError::Taken(format!("there are {MAX_ROLES} roles already")));
            }
            if let Some(taken) = roles.keys().find(|taken| taken.eq_ignore_ascii_case(&new.name)) {
                return Err(RegisterError::Taken(format!(
                    "there is a role {taken} already; garth role change says anew what it gives"
                )));
            }
        }
        // Whoever held one of this name that is gone would have this one without being given it.
        self.check_unheld(&new.name, "give it another name, or revoke those first")?;
        let record = RoleRecord {
            description: new.description,
            rights: rights.texts(),
            created: self.0.clock.now(),
            created_by: by.name.to_string(),
            changed: None,
            changed_by: None,
        };
        let key = RoleRecord::key(&new.name);
        let entry = entry(Action::RoleMade, by, &new.name, &record);
        let batch = Batch::default().expect_absent(&key).put_record(&key, &record);
        self.0.metadata.commit(batch.note(entry, record.created)).await?;
        self.0.table.write().put_role(&new.name, record);
        tracing::info!(role = new.name, %rights, by = %by.name, "role made");
        self.role(&new.name)
    }

    /// Whoever holds it has what it says now, from the next request on.
    pub async fn change_role(
        &self,
        by: &Person,
        name: &str,
        rights: Rights,
        description: Option<String>,
    ) -> Result<RoleFound, RegisterError> {
        check_administers(by)?;
        check_made(name)?;
        check_description(description.as_deref())?;
        let rights = rights.with_read();
        check_rights(by, &rights)?;
        check_size(&rights)?;
        let _turn = self.0.turn.lock().await;
        let key = RoleRecord::key(name);
        let stored = read_stored(self.0.metadata.as_ref(), &key).await?;
        let Some(stored) = stored else { return Err(self.no_such_role(name)) };
        let record = RoleRecord {
            description: description.or_else(|| stored.record.description.clone()),
            rights: rights.texts(),
            changed: Some(self.0.clock.now()),
            changed_by: Some(by.name.to_string()),
            ..stored.record.clone()
        };
        let batch =
            Batch::default().expect_unchanged(&key, Some(&stored)).put_record(&key, &record);
        let before = stored.record.rights.join(", ");
        let entry = entry(Action::RoleChanged, by, name, &record).detail("before", &before);
        self.0.metadata.commit(batch.note(entry, self.0.clock.now())).await?;
        self.0.table.write().put_role(name, record);
        tracing::info!(role = name, %rights, by = %by.name, "role changed");
        self.role(name)
    }

    /// Not while somebody holds it, unless it is taken from all of them.
    pub async fn remove_role(
        &self,
        by: &Person,
        name: &str,
        from_all: bool,
    ) -> Result<(), RegisterError> {
        check_administers(by)?;
        check_made(name)?;
        let _turn = self.0.turn.lock().await;
        let key = RoleRecord::key(name);
        let stored = read_stored(self.0.metadata.as_ref(), &key).await?;
        let Some(role) = &stored else { return Err(self.no_such_role(name)) };
        let entry = entry(Action::RoleRemoved, by, name, &role.record);
        if !from_all {
            let remedy =
                "garth role remove --from-all takes it from all of them, at their next request";
            self.check_unheld(name, remedy)?;
        }
        let batch = Batch::default().expect_unchanged(&key, stored.as_ref()).remove_record(&key);
        let entry = entry.detail_if("from-all", from_all.then_some(&"yes"));
        self.0.metadata.commit(batch.note(entry, self.0.clock.now())).await?;
        self.0.table.write().remove_role(name);
        tracing::info!(role = name, by = %by.name, from_all, "role removed");
        Ok(())
    }

    /// Says which roles the people of a team or a unit hold, all of them.
    pub async fn set_roles(
        &self,
        by: &Person,
        holder: Holder<'_>,
        roles: Vec<String>,
    ) -> Result<(), RegisterError> {
        check_administers(by)?;
        check_rights(by, &self.given_by_roles(&roles)?)?;
        let _turn = self.0.turn.lock().await;
        let store = self.0.metadata.as_ref();
        let entry = Entry::new(Action::RolesSet).by_person(by).subject(&holder.to_string());
        let (entry, now) = (entry.detail("roles", &roles.join(", ")), self.0.clock.now());
        match holder {
            Holder::Team(name) => {
                check_other_team(by, Some(name))?;
                let (unit, team) = split(name)?;
                let key = TeamRecord::key(unit, team);
                let stored = read_stored(store, &key).await?;
                let Some(stored) = stored else { return Err(self.no_such_team(name)) };
                let record = TeamRecord { roles: roles.clone(), ..stored.record.clone() };
                let batch = Batch::default()
                    .expect_unchanged(&key, Some(&stored))
                    .put_record(&key, &record);
                self.0.metadata.commit(batch.note(entry, now)).await?;
                self.0.table.write().put_team(name, record);
            }
            Holder::Unit(name) => {
                check_other_team(by, None)?;
                let is_in = |team: &str| team.split_once('/').is_some_and(|(unit, _)| unit == name);
                let is_there = self.0.table.read().directory().teams.keys().any(|team| is_in(team));
                if !is_there {
                    return Err(self.no_such_team(name));
                }
                let key = UnitRecord::key(name);
                let stored = read_stored(store, &key).await?;
                let record = UnitRecord { roles: roles.clone() };
                let batch = Batch::default()
                    .expect_unchanged(&key, stored.as_ref())
                    .put_record(&key, &record);
                self.0.metadata.commit(batch.note(entry, now)).await?;
                self.0.table.write().put_unit(name, record);
            }
        }
        tracing::info!(%holder, roles = roles.join(" "), by = %by.name, "roles set");
        Ok(())
    }

    /// What the people of a team or a unit hold, by the names of roles.
    pub fn held_roles(&self, holder: Holder<'_>) -> Result<Vec<String>, RegisterError> {
        let table = self.0.table.read();
        let directory = table.directory();
        let held = match holder {
            Holder::Team(name) => directory.teams.get(name).map(|team| team.roles.clone()),
            Holder::Unit(name) => {
                let is_in = |team: &str| team.split_once('/').is_some_and(|(unit, _)| unit == name);
                let is_there = directory.teams.keys().any(|team| is_in(team));
                let roles = || directory.units.get(name).map(|unit| unit.roles.clone());
                is_there.then(|| roles().unwrap_or_default())
            }
        };
        drop(table);
        held.ok_or_else(|| {
            let (Holder::Team(name) | Holder::Unit(name)) = holder;
            self.no_such_team(name)
        })
    }

    pub fn role(&self, name: &str) -> Result<RoleFound, RegisterError> {
        let found = self.roles().into_iter().find(|role| role.name == name);
        found.ok_or_else(|| self.no_such_role(name))
    }

    /// What roles give that are about to be held; each has to be there.
    pub(super) fn given_by_roles(&self, names: &[String]) -> Result<Rights, RegisterError> {
        if names.len() > MAX_HELD {
            let message = format!("at most {MAX_HELD} roles at once");
            return Err(RegisterError::Invalid { field: "roles", message });
        }
        names.iter().try_fold(Rights::none(), |all, name| {
            let given = self.0.table.read().directory().role_rights(name);
            given.map(|given| all.and(&given)).ok_or_else(|| self.no_such_role(name))
        })
    }

    pub(super) fn rights_of(&self, token: &Token) -> Rights {
        self.0.table.read().directory().rights_of(token)
    }

    fn check_unheld(&self, name: &str, remedy: &str) -> Result<(), RegisterError> {
        let (table, now) = (self.0.table.read(), self.0.clock.now());
        let holders: Vec<String> = holders(&table, now)
            .filter(|(_, roles)| roles.iter().any(|role| role == name))
            .map(|(holder, _)| holder)
            .collect();
        if holders.is_empty() {
            return Ok(());
        }
        let shown = holders.iter().take(MAX_SHOWN).cloned().collect::<Vec<_>>().join(", ");
        let more = if holders.len() > MAX_SHOWN { ", …" } else { "" };
        Err(RegisterError::Taken(format!(
            "the role {name} is held by {} ({shown}{more}): {remedy}",
            holders.len()
        )))
    }

    fn no_such_role(&self, name: &str) -> RegisterError {
        let table = self.0.table.read();
        let built_in = BUILT_IN.iter().map(|(name, ..)| *name);
        let names: Vec<&str> =
            built_in.chain(table.directory().roles.keys().map(|name| &**name)).collect();
        let near = nearest(name, &names).map(str::to_owned);
        RegisterError::NoSuchRole { name: name.chars().take(100).collect(), near }
    }
}

/// What was done to a role.
fn entry(action: Action, by: &Person, name: &str, record: &RoleRecord) -> Entry {
    Entry::new(action)
        .by_person(by)
        .subject(name)
        .detail("rights", &record.rights.join(", "))
        .detail_if("description", record.description.as_ref())
}

/// Who holds roles, those that are valid no more left out.
fn holders(table: &Table, now: Timestamp) -> impl Iterator<Item = (String, &[String])> {
    let directory = table.directory();
    let users = directory.users.iter().filter(|(_, user)| user.removed.is_none());
    let users = users.map(|(name, user)| (name.to_string(), user.roles.as_slice()));
    let teams = directory.teams.iter();
    let teams = teams.map(|(name, team)| (Holder::Team(name).to_string(), team.roles.as_slice()));
    let units = directory.units.iter();
    let units = units.map(|(name, unit)| (Holder::Unit(name).to_string(), unit.roles.as_slice()));
    let tokens = table.tokens().filter(move |token| table.ended(token, now).is_none());
    let tokens =
        tokens.map(|token| (format!("the token {}", token.name), token.record.roles.as_slice()));
    users.chain(teams).chain(units).chain(tokens)
}

fn check_new(new: &NewRole) -> Result<(), RegisterError> {
    if !is_word(&new.name) {
        let message = "use up to 100 letters, digits, `-`, `_` and `.`, beginning with a letter \
                       or digit";
        return Err(RegisterError::Invalid { field: "name", message: message.to_owned() });
    }
    // A role that is called like a right would be read as the right.
    if Right::parse(&new.name).is_some() {
        let message = format!("`{}` is the name of a right", new.name);
        return Err(RegisterError::Invalid { field: "name", message });
    }
    check_made(&new.name)?;
    check_description(new.description.as_deref())
}

fn check_made(name: &str) -> Result<(), RegisterError> {
    if built_in(&name.to_ascii_lowercase()).is_none() {
        return Ok(());
    }
    Err(RegisterError::Taken(format!("the role {name} is built in, and stays as it is")))
}
