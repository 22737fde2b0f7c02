//! Teams come and go.

use policies::asker::split_team;
use policies::rules::nearest;

use super::change::check_ends;
use super::{MAX_TEAMS, Register, RegisterError, check_administers};
use crate::access::Person;
use crate::audit::{Action, Entry};
use crate::metadata::Batch;
use crate::metadata::records::{TeamRecord, UserRecord, read_stored};

const MAX_DESCRIPTION: usize = 200;
/// Names in a message.
const MAX_SHOWN: usize = 5;

/// A team that was made.
#[derive(Clone, Debug)]
pub struct CreatedTeam {
    pub team: TeamRecord,
    /// It is the first one of its unit.
    pub is_new_unit: bool,
}

impl Register {
    pub async fn create_team(
        &self,
        by: &Person,
        name: &str,
        description: Option<String>,
    ) -> Result<CreatedTeam, RegisterError> {
        check_administers(by)?;
        let (unit, team) = split(name)?;
        check_description(description.as_deref())?;
        let _turn = self.0.turn.lock().await;
        let is_new_unit = {
            let table = self.0.table.read();
            let teams = &table.directory().teams;
            if teams.len() >= MAX_TEAMS {
                return Err(RegisterError::Taken(format!("there are {MAX_TEAMS} teams already")));
            }
            if let Some(taken) = teams.keys().find(|taken| taken.eq_ignore_ascii_case(name)) {
                return Err(RegisterError::Taken(format!("there is a team {taken} already")));
            }
            // Whoever was in one of this name that is gone would be in this one.
            let mut users = table.directory().users.iter();
            let is_in = |user: &UserRecord| {
                user.removed.is_none() && user.teams.iter().any(|team| team == name)
            };
            if let Some((user, _)) = users.find(|(_, user)| is_in(user)) {
                return Err(RegisterError::Taken(format!(
                    "{user} was in a team {name} that is gone, and would be in this one: say anew \
                     in which they are, with garth user change, or take another name"
                )));
            }
            let mut names = teams.keys().filter_map(|name| name.split_once('/'));
            !names.any(|(other, _)| other == unit)
        };
        let record = TeamRecord {
            description,
            roles: Vec::new(),
            created: self.0.clock.now(),
            created_by: by.name.to_string(),
        };
        let key = TeamRecord::key(unit, team);
        let entry = Entry::new(Action::TeamMade).by_person(by).subject(name);
        let entry = entry.detail_if("description", record.description.as_ref());
        let batch = Batch::default().expect_absent(&key).put_record(&key, &record);
        self.0.metadata.commit(batch.note(entry, record.created)).await?;
        self.0.table.write().put_team(name, record.clone());
        tracing::info!(team = name, by = %by.name, "team made");
        Ok(CreatedTeam { team: record, is_new_unit })
    }

    /// Not while it has tokens, unless they are to end with it: at their next request nobody has
    /// them.
    pub async fn remove_team(
        &self,
        by: &Person,
        name: &str,
        with_tokens: bool,
    ) -> Result<(), RegisterError> {
        check_administers(by)?;
        check_ends(by, Some(name))?;
        let (unit, team) = split(name)?;
        let _turn = self.0.turn.lock().await;
        let now = self.0.clock.now();
        let tokens: Vec<String> = {
            let table = self.0.table.read();
            let of_team = table.tokens().filter(|token| {
                token.record.team.as_deref() == Some(name) && table.ended(token, now).is_none()
            });
            of_team.map(|token| token.name.to_string()).collect()
        };
        if !tokens.is_empty() && !with_tokens {
            let shown = tokens.iter().take(MAX_SHOWN).cloned().collect::<Vec<_>>().join(", ");
            return Err(RegisterError::Taken(format!(
                "the team {name} has {} valid tokens ({shown}{}): revoke them first, or end them with it: garth team remove --with-tokens {name}",
                tokens.len(),
                if tokens.len() > MAX_SHOWN { ", …" } else { "" }
            )));
        }
        let key = TeamRecord::key(unit, team);
        let stored = read_stored(self.0.metadata.as_ref(), &key).await?;
        if stored.is_none() {
            return Err(self.no_such_team(name));
        }
        let batch = Batch::default().expect_unchanged(&key, stored.as_ref()).remove_record(&key);
        let entry = Entry::new(Action::TeamRemoved).by_person(by).subject(name);
        self.0.metadata.commit(batch.note(entry, now)).await?;
        self.0.table.write().remove_team(name);
        tracing::info!(team = name, by = %by.name, tokens = tokens.len(), "team removed");
        Ok(())
    }

    pub(super) fn no_such_team(&self, team: &str) -> RegisterError {
        let table = self.0.table.read();
        let names: Vec<&str> = table.directory().teams.keys().map(|name| &**name).collect();
        let near = nearest(team, &names).map(str::to_owned);
        RegisterError::NoSuchTeam { team: team.chars().take(200).collect(), near }
    }
}

/// `unit/team`
pub(super) fn split(name: &str) -> Result<(&str, &str), RegisterError> {
    split_team(name).ok_or_else(|| RegisterError::Invalid {
        field: "team",
        message: "write a team as unit/team, like web/shop, of letters, digits, `-`, `_` and `.`"
            .to_owned(),
    })
}

pub(super) fn check_description(description: Option<&str>) -> Result<(), RegisterError> {
    let is_line = description
        .is_none_or(|text| text.len() <= MAX_DESCRIPTION && !text.chars().any(char::is_control));
    if is_line {
        return Ok(());
    }
    let message = format!("one line of at most {MAX_DESCRIPTION} bytes");
    Err(RegisterError::Invalid { field: "description", message })
}
