//! People, teams, units and roles: what a token may, by whom it is for and what they hold.
//!
//! A token of somebody who is known here may what was given to it, and never more than they may: what
//! their own roles say, and those of the team that the token is of, and of its unit. Nothing of this
//! is kept with the token, so whatever changes here counts at its next request.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::Person;
use super::roles;
use super::table::{Ending, Gone, Token};
use crate::metadata::records::{RoleRecord, SecretRecord, TeamRecord, UnitRecord, UserRecord};
use crate::person::rights::Rights;

#[derive(Debug, Default)]
pub struct Directory {
    pub teams: BTreeMap<Arc<str>, TeamRecord>,
    pub units: BTreeMap<Arc<str>, UnitRecord>,
    pub users: BTreeMap<Arc<str>, UserRecord>,
    /// Those that were made here.
    pub roles: BTreeMap<Arc<str>, Role>,
}

#[derive(Clone, Debug)]
pub struct Role {
    pub record: RoleRecord,
    pub rights: Rights,
}

impl Directory {
    /// What all of these give; one that is not there gives nothing.
    pub fn give(&self, names: &[String]) -> Rights {
        let given = names.iter().filter_map(|name| self.role_rights(name));
        given.fold(Rights::none(), |all, more| all.and(&more))
    }

    /// What a role gives, a built-in one too.
    pub fn role_rights(&self, name: &str) -> Option<Rights> {
        roles::built_in(name).or_else(|| self.roles.get(name).map(|role| role.rights.clone()))
    }

    /// All that somebody may, as one of this team.
    pub fn rights_of_user(&self, user: &UserRecord, team: Option<&str>) -> Rights {
        let own = self.give(&user.roles);
        let Some(team) = team else { return own };
        let of_team = self.teams.get(team).map(|team| self.give(&team.roles));
        let unit = team.split_once('/').and_then(|(unit, _)| self.units.get(unit));
        let of_unit = unit.map(|unit| self.give(&unit.roles));
        [of_team, of_unit].into_iter().flatten().fold(own, |all, more| all.and(&more))
    }

    /// All that was given to a token, whatever its owner may.
    pub fn rights_of(&self, token: &Token) -> Rights {
        token.rights().and(&self.give(&token.record.roles))
    }

    /// Who asks with this secret.
    pub fn person(&self, token: &Token, secret: &SecretRecord) -> Person {
        let record = &token.record;
        let team = record.team.as_deref();
        let user = self.users.get(record.owner.as_str());
        Person {
            name: record.owner.as_str().into(),
            token: Some(Arc::clone(&token.name)),
            team: team.map(Arc::from),
            rights: self.rights_of(token),
            ceiling: user.map(|user| self.rights_of_user(user, team)),
            expires: token.until(secret),
            used: token.allowance.clone(),
        }
    }

    /// What became of a token by what became of those whom it is for.
    pub fn ended(&self, token: &Token) -> Option<Gone> {
        let record = &token.record;
        let gone = |how, at| Some(Gone { token: Arc::clone(&token.name), how, at });
        if let Some(team) = record.team.as_deref() {
            match self.teams.get(team) {
                None => return gone(Ending::TeamRemoved, None),
                // Another one of the same name.
                Some(team) if team.created > record.created => {
                    return gone(Ending::TeamRemoved, Some(team.created));
                }
                Some(_) => {}
            }
        }
        let Some(user) = self.users.get(record.owner.as_str()) else {
            return record.of_user.then(|| gone(Ending::OwnerRemoved, None)).flatten();
        };
        let is_of_before =
            user.password_set.filter(|at| token.is_passing() && record.created <= *at);
        let is_anothers = |until: Timestamp| record.created <= until;
        match (&user.removed, &user.disabled, user.not_before) {
            (Some(removed), ..) => gone(Ending::OwnerRemoved, Some(removed.at)),
            (_, _, Some(until)) if is_anothers(until) => gone(Ending::OwnerRemoved, Some(until)),
            (_, Some(disabled), _) => gone(Ending::OwnerDisabled, Some(disabled.at)),
            _ if is_of_before.is_some() => gone(Ending::PasswordSet, is_of_before),
            _ => match &record.team {
                Some(team) if !user.teams.contains(team) => gone(Ending::LeftTeam, None),
                _ => None,
            },
        }
    }
}
