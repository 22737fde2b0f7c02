//! Whoever a provider lets in: known here already, or made known, and in those teams and roles that the
//! provider has a say in.
//!
//! With the first login somebody is bound to what the provider knows them by. A name that goes to
//! another person there is not theirs here.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Register;
use super::users::{MAX_TEAMS_OF_ONE, NewUser, entry};
use crate::access::Person;
use crate::access::provider::person::Known;
use crate::access::provider::{Entrant, ProviderError};
use crate::access::rights::Rights;
use crate::access::secret::TokenKind;
use crate::audit::Action;
use crate::config::ProviderConfig;
use crate::metadata::records::UserRecord;
use crate::person::meter::Used;

impl Register {
    /// By which name they are logged in.
    pub async fn enter(&self, entrant: Entrant<'_>) -> Result<String, ProviderError> {
        let Entrant { known, provider } = entrant;
        if let Some(name) = self.name_like(&known.name) {
            self.enter_known(&name, entrant).await?;
            return Ok(name);
        }
        if !provider.create {
            return Err(ProviderError::NotMeant(format!(
                "{} says that you are {}, who is nobody here yet: whoever runs this garth makes you \
                 known by garth user create {} --no-password",
                provider.name, known.name, known.name
            )));
        }
        let (teams, roles) = self.there(known, provider);
        let new = NewUser {
            name: known.name.clone(),
            kind: TokenKind::Person,
            teams: teams.unwrap_or_default(),
            roles: roles.unwrap_or_else(|| provider.roles.clone()),
            password: None,
            bound: bound(known, provider),
        };
        let found = self.create_user(&by(provider), new).await?;
        Ok(found.name.to_string())
    }

    /// Names that differ in case alone are one person's, here and at providers.
    fn name_like(&self, name: &str) -> Option<String> {
        let table = self.0.table.read();
        let mut users = table.directory().users.iter().filter(|(_, user)| user.removed.is_none());
        users
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(known, _)| known.to_string())
    }

    async fn enter_known(&self, name: &str, entrant: Entrant<'_>) -> Result<(), ProviderError> {
        let Entrant { known, provider } = entrant;
        let _turn = self.0.turn.lock().await;
        let stored = self.stored_user(name).await?;
        check_may_enter(name, &stored.record, entrant)?;
        let mut record = stored.record.clone();
        record.bound.extend(bound(known, provider));
        let (teams, roles) = self.there(known, provider);
        record.teams = teams.unwrap_or(record.teams);
        record.roles = roles.unwrap_or(record.roles);
        if record == stored.record {
            return Ok(());
        }
        let by = by(provider);
        let entry = entry(Action::UserChanged, &by, name, &record);
        tracing::info!(user = name, teams = record.teams.join(" "), roles = record.roles.join(" "), by = %by.name, "user changed");
        Ok(self.keep_user(name, &stored, record, entry).await?)
    }

    /// Of the teams and roles that the provider says, those that there are.
    fn there(
        &self,
        known: &Known,
        provider: &ProviderConfig,
    ) -> (Option<Vec<String>>, Option<Vec<String>>) {
        let table = self.0.table.read();
        let directory = table.directory();
        let is_team = |team: &String| directory.teams.contains_key(team.as_str());
        let is_role = |role: &String| directory.role_rights(role).is_some();
        let kept = |said: &Option<Vec<String>>, is_there: &dyn Fn(&String) -> bool| {
            let (there, missing): (Vec<String>, Vec<String>) =
                said.clone()?.into_iter().partition(is_there);
            if !missing.is_empty() {
                tracing::warn!(
                    provider = provider.name,
                    missing = missing.join(" "),
                    "groups of a provider lead to teams or roles that are not there"
                );
            }
            Some(there)
        };
        let mut teams = kept(&known.teams, &is_team);
        if let Some(teams) = &mut teams {
            teams.truncate(MAX_TEAMS_OF_ONE);
        }
        (teams, kept(&known.roles, &is_role))
    }
}

fn check_may_enter(
    name: &str,
    user: &UserRecord,
    Entrant { known, provider }: Entrant<'_>,
) -> Result<(), ProviderError> {
    let refused = |why: String| Err(ProviderError::NotMeant(why));
    if user.kind != TokenKind::Person.as_str() {
        return refused(format!("{name} is a service here, and services do not log in"));
    }
    if user.disabled.is_some() {
        return refused(format!(
            "{name} is disabled here: garth user enable {name} is for whoever runs this garth"
        ));
    }
    match user.bound.get(&provider.issuer) {
        Some(subject) if *subject != known.subject => refused(format!(
            "{} says that you are {name}, and somebody else there was {name} before. If the name is \
             yours now, whoever runs this garth removes the one of before (garth user remove {name}) and \
             makes you known",
            provider.name
        )),
        _ => Ok(()),
    }
}

fn bound(known: &Known, provider: &ProviderConfig) -> BTreeMap<String, String> {
    BTreeMap::from([(provider.issuer.clone(), known.subject.clone())])
}

/// Garth.toml gives a provider this power, so nothing bounds it but what stands there. Nobody is called so.
fn by(provider: &ProviderConfig) -> Person {
    let name: Arc<str> = format!("provider:{}", provider.name).into();
    let (token, team, ceiling, expires) = (None, None, None, None);
    Person { name, token, team, rights: Rights::all(), ceiling, expires, used: Used::default() }
}
