//! Making, rotating and revoking tokens.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use policies::asker::is_word;
use policies::rules::nearest;

use super::{MAX_TOKENS, Register, RegisterError, check_administers};
use crate::access::rights::{Grant, Right, Rights};
use crate::access::secret::{Secret, TokenKind};
use crate::access::table::Token;
use crate::access::{ADMIN, Person};
use crate::audit::{Action, Entry};
use crate::metadata::Batch;
use crate::metadata::records::{
    RevokedRecord, SecretRecord, TeamRecord, TokenRecord, TokenUseRecord, UserRecord, read_stored,
};

/// A token that nobody gave an end ends by itself.
pub const DEFAULT_LIFE: SignedDuration = SignedDuration::from_hours(365 * 24);
/// How long the secret of before stays valid beside a new one.
pub const DEFAULT_GRACE: SignedDuration = SignedDuration::from_hours(24);
pub const MAX_GRACE: SignedDuration = SignedDuration::from_hours(30 * 24);
const MAX_OWNER: usize = 100;
/// Bytes of what one token or role may, as it is written.
const MAX_RIGHTS: usize = 6 * 1024;
/// Valid ones at once.
const MAX_SECRETS: usize = 4;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct NewToken {
    pub name: String,
    pub kind: TokenKind,
    /// Who, or which service.
    pub owner: String,
    pub team: Option<String>,
    /// To read is among them, unless they or the roles say what.
    pub rights: Rights,
    pub roles: Vec<String>,
    pub life: Life,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Life {
    /// [`DEFAULT_LIFE`], or as long as that of whoever makes it.
    #[default]
    Usual,
    Until(Timestamp),
    Endless,
}

/// A token with its secret, which is shown now or never.
#[derive(Debug)]
pub struct Created {
    pub token: Arc<Token>,
    pub secret: Secret,
    /// Until when the secrets of before are valid.
    pub before_until: Option<Timestamp>,
}

impl Register {
    pub async fn create(&self, by: &Person, new: NewToken) -> Result<Created, RegisterError> {
        check_administers(by)?;
        let _turn = self.0.turn.lock().await;
        let now = self.0.clock.now();
        check_names(&new)?;
        let team = self.check_team(by, new.team.as_deref())?;
        let user = self.owner_of(&new)?;
        let team = match (&new.team, &user) {
            (None, Some(user)) => self.check_team(by, user.teams.first().map(String::as_str))?,
            _ => team,
        };
        let given = self.given_by_roles(&new.roles)?;
        let rights = if given.has_some(Right::Read) { new.rights } else { new.rights.with_read() };
        check_rights(by, &rights.and(&given))?;
        check_size(&rights)?;
        if let Some(user) = &user {
            self.check_within_user(&new.owner, user, team.as_deref(), &rights.and(&given))?;
        }
        let expires = expiry(by, new.life, now)?;
        let store = self.0.metadata.as_ref();
        let key = TokenRecord::key(&new.name);
        let before = read_stored(store, &key).await?;
        if let Some(before) = &before {
            let before = Token::new(&new.name, before.record.clone(), None);
            if self.0.table.read().ended(&before, now).is_none() {
                return Err(RegisterError::Taken(format!(
                    "there is a token {} already, of {}; garth token rotate gives it a new secret",
                    new.name, before.record.owner
                )));
            }
        } else if self.0.table.read().tokens().len() >= MAX_TOKENS {
            return Err(RegisterError::Taken(format!(
                "there are {MAX_TOKENS} tokens already; a name of one that is revoked or expired \
                 can be taken again"
            )));
        }
        let secret = Secret::make(new.kind)?;
        let record = TokenRecord {
            kind: new.kind.as_str().to_owned(),
            owner: new.owner,
            team,
            rights: rights.texts(),
            roles: new.roles,
            of_user: user.is_some(),
            origin: None,
            secrets: vec![secret_record(&secret, now)],
            expires,
            created: now,
            created_by: by.name.to_string(),
            revoked: None,
        };
        let mut batch = Batch::default()
            .expect_unchanged(&key, before.as_ref())
            .put_record(&key, &record)
            .remove_record(&TokenUseRecord::key(&new.name));
        batch = self.expecting_those(batch, &record).await?;
        let entry = entry(Action::TokenMade, by, &new.name, &record);
        store.commit(batch.note(entry, now)).await?;
        let token = self.0.table.write().put(Token::new(&new.name, record, None));
        let record = &token.record;
        tracing::info!(token = %token.name, owner = %record.owner, team = record.team.as_deref(), rights = %token.rights(), roles = record.roles.join(" "), by = %by.name, "token made");
        Ok(Created { token, secret, before_until: None })
    }

    /// A new secret, beside those of before for as long as `grace`. Whoever has the token may; one
    /// whose own secret ends may not, because the new one would outlive it.
    pub async fn rotate(
        &self,
        by: &Person,
        name: &str,
        grace: SignedDuration,
    ) -> Result<Created, RegisterError> {
        let is_own = by.token.as_deref() == Some(name);
        if !is_own {
            check_administers(by)?;
        }
        if self.is_login(name) {
            return Err(RegisterError::Taken(format!("{name} is a login, and ends: log in again")));
        }
        if grace.is_negative() || grace > MAX_GRACE {
            let message = format!("at most {} days", MAX_GRACE.as_hours() / 24);
            return Err(RegisterError::Invalid { field: "grace", message });
        }
        let _turn = self.0.turn.lock().await;
        let now = self.0.clock.now();
        let key = TokenRecord::key(name);
        let stored = read_stored(self.0.metadata.as_ref(), &key).await?;
        let Some(stored) = stored else { return Err(self.no_such_token(name)) };
        let token = Token::new(name, stored.record.clone(), None);
        let ended = self.0.table.read().ended(&token, now);
        if let Some(gone) = ended {
            return Err(RegisterError::Taken(format!("{gone}: make a new one")));
        }
        // It may no more by a new secret than by the one that asks.
        if !is_own {
            check_rights(by, &self.rights_of(&token))?;
            check_other_team(by, token.record.team.as_deref())?;
        }
        check_life(by, token.record.expires)?;
        let kind = TokenKind::parse(&token.record.kind).unwrap_or(TokenKind::Service);
        let secret = Secret::make(kind)?;
        let mut record = token.record.clone();
        let until = now.checked_add(grace).unwrap_or(Timestamp::MAX);
        record.secrets.retain(|secret| secret.until.is_none_or(|until| now < until));
        if record.secrets.len() >= MAX_SECRETS && grace.is_positive() {
            return Err(RegisterError::Taken(format!(
                "{MAX_SECRETS} secrets of the token {name} are valid at once; rotate it with no \
                 grace to end them"
            )));
        }
        for before in &mut record.secrets {
            before.until = Some(before.until.map_or(until, |earlier| earlier.min(until)));
        }
        // Who still has one of them is told what became of it.
        record.secrets.truncate(MAX_SECRETS - 1);
        record.secrets.insert(0, secret_record(&secret, now));
        let batch =
            Batch::default().expect_unchanged(&key, Some(&stored)).put_record(&key, &record);
        let entry = entry(Action::TokenRotated, by, name, &record);
        let entry = entry.detail("before-until", &until);
        self.0.metadata.commit(batch.note(entry, now)).await?;
        let token = self.0.table.write().change(name, record);
        tracing::info!(token = name, by = %by.name, %until, "token rotated");
        Ok(Created { token, secret, before_until: Some(until) })
    }

    /// From the next request on nobody has it. Done again it says when that was.
    pub async fn revoke(&self, by: &Person, name: &str) -> Result<Arc<Token>, RegisterError> {
        if by.token.as_deref() != Some(name) {
            check_administers(by)?;
            let team = self.0.table.read().token(name).map(|token| token.record.team.clone());
            team.map_or(Ok(()), |team| check_ends(by, team.as_deref()))?;
        }
        if self.is_login(name)
            && let Some(ended) = self.end(by, name).await?
        {
            return Ok(ended);
        }
        let _turn = self.0.turn.lock().await;
        let key = TokenRecord::key(name);
        let stored = read_stored(self.0.metadata.as_ref(), &key).await?;
        let Some(stored) = stored else { return Err(self.no_such_token(name)) };
        let mut record = stored.record.clone();
        if record.revoked.is_none() {
            record.revoked =
                Some(RevokedRecord { at: self.0.clock.now(), by: by.name.to_string() });
            let batch =
                Batch::default().expect_unchanged(&key, Some(&stored)).put_record(&key, &record);
            let entry = entry(Action::TokenRevoked, by, name, &record);
            self.0.metadata.commit(batch.note(entry, self.0.clock.now())).await?;
            tracing::info!(token = name, by = %by.name, "token revoked");
        }
        Ok(self.0.table.write().change(name, record))
    }

    /// A team or a person that goes meanwhile takes the token with it.
    pub(super) async fn expecting_those(
        &self,
        mut batch: Batch,
        record: &TokenRecord,
    ) -> Result<Batch, RegisterError> {
        let store = self.0.metadata.as_ref();
        if let Some((unit, team)) = record.team.as_deref().and_then(|team| team.split_once('/')) {
            let key = TeamRecord::key(unit, team);
            let stored = read_stored(store, &key).await?;
            let Some(stored) = stored else {
                return Err(self.no_such_team(&format!("{unit}/{team}")));
            };
            batch = batch.expect_unchanged(&key, Some(&stored));
        }
        if record.of_user {
            let key = UserRecord::key(&record.owner);
            let stored = read_stored(store, &key).await?;
            let Some(stored) = stored.filter(|user| user.record.removed.is_none()) else {
                return Err(self.no_such_user(&record.owner));
            };
            batch = batch.expect_unchanged(&key, Some(&stored));
        }
        Ok(batch)
    }

    /// Who is known here by the name of the owner.
    fn owner_of(&self, new: &NewToken) -> Result<Option<UserRecord>, RegisterError> {
        let table = self.0.table.read();
        let Some(user) = table.directory().users.get(new.owner.as_str()) else { return Ok(None) };
        let invalid = |message| Err(RegisterError::Invalid { field: "owner", message });
        let owner = &new.owner;
        if user.removed.is_some() {
            return invalid(format!("{owner} was removed here; garth user create makes one anew"));
        }
        if user.disabled.is_some() {
            return invalid(format!("{owner} is disabled here: garth user enable {owner}"));
        }
        if user.kind != new.kind.as_str() {
            return invalid(format!("{owner} is a {} here", user.kind));
        }
        if let Some(team) = new.team.as_ref().filter(|team| !user.teams.contains(*team)) {
            return invalid(format!("{owner} is not in the team {team}"));
        }
        Ok(Some(user.clone()))
    }

    /// What would never count is not given.
    fn check_within_user(
        &self,
        owner: &str,
        user: &UserRecord,
        team: Option<&str>,
        rights: &Rights,
    ) -> Result<(), RegisterError> {
        let may = self.0.table.read().directory().rights_of_user(user, team);
        let beyond: Vec<String> = rights.beyond(&may).map(Grant::to_string).collect();
        if beyond.is_empty() {
            return Ok(());
        }
        let message = format!("{owner} may only: {may}; not {}", beyond.join(", "));
        Err(RegisterError::Invalid { field: "rights", message })
    }

    fn no_such_token(&self, name: &str) -> RegisterError {
        let table = self.0.table.read();
        let names: Vec<&str> = table.tokens().map(|token| &*token.name).collect();
        let near = nearest(name, &names).map(str::to_owned);
        RegisterError::NoSuchToken { name: name.chars().take(MAX_OWNER).collect(), near }
    }

    /// The team of a new token: one that is there, and no other than that of whoever makes it.
    fn check_team(&self, by: &Person, team: Option<&str>) -> Result<Option<String>, RegisterError> {
        let team = team.or(by.team.as_deref());
        if let Some(team) = team
            && !self.0.table.read().directory().teams.contains_key(team)
        {
            return Err(self.no_such_team(team));
        }
        check_other_team(by, team)?;
        Ok(team.map(str::to_owned))
    }
}

/// What was done to a token. What it is made of is in no entry.
fn entry(action: Action, by: &Person, name: &str, record: &TokenRecord) -> Entry {
    Entry::new(action)
        .by_person(by)
        .subject(name)
        .detail("kind", &record.kind)
        .detail("owner", &record.owner)
        .detail_if("token-team", record.team.as_ref())
        .detail("rights", &record.rights.join(", "))
        .detail_if(
            "roles",
            Some(record.roles.join(", ")).filter(|roles| !roles.is_empty()).as_ref(),
        )
        .detail_if("expires", record.expires.as_ref())
}

pub(super) fn check_other_team(by: &Person, team: Option<&str>) -> Result<(), RegisterError> {
    match by.team.as_deref() {
        Some(own) if team != Some(own) => Err(RegisterError::Beyond(format!(
            "your token is of the team {own}, so it gives none of {}",
            team.unwrap_or("no team")
        ))),
        _ => Ok(()),
    }
}

/// Whoever is of a team ends nothing of another one.
pub(super) fn check_ends(by: &Person, team: Option<&str>) -> Result<(), RegisterError> {
    match by.team.as_deref() {
        Some(own) if team != Some(own) => Err(RegisterError::Beyond(format!(
            "your token is of the team {own}, so it ends nothing of {}",
            team.unwrap_or("no team")
        ))),
        _ => Ok(()),
    }
}

/// Nobody gives what they have not.
pub(super) fn check_rights(by: &Person, rights: &Rights) -> Result<(), RegisterError> {
    let beyond = by.beyond(rights);
    if beyond.is_empty() {
        return Ok(());
    }
    Err(RegisterError::Beyond(format!(
        "your token has not the right {} itself, so it gives none that has",
        beyond.join(", ")
    )))
}

/// So that it fits into a record, with much to spare.
pub(super) fn check_size(rights: &Rights) -> Result<(), RegisterError> {
    if rights.texts().iter().map(String::len).sum::<usize>() <= MAX_RIGHTS {
        return Ok(());
    }
    let message = format!("these rights are longer than {MAX_RIGHTS} bytes");
    Err(RegisterError::Invalid { field: "rights", message })
}

fn check_life(by: &Person, expires: Option<Timestamp>) -> Result<(), RegisterError> {
    match by.expires {
        Some(own) if expires.is_none_or(|expires| expires > own) => Err(RegisterError::Beyond(
            format!("your own secret ends {own:.0}, so it gives none that lasts longer"),
        )),
        _ => Ok(()),
    }
}

fn expiry(by: &Person, life: Life, now: Timestamp) -> Result<Option<Timestamp>, RegisterError> {
    let expires = match life {
        Life::Endless => None,
        Life::Until(at) if at <= now => {
            let message = format!("{at:.0} is over already");
            return Err(RegisterError::Invalid { field: "expires", message });
        }
        Life::Until(at) => Some(at),
        Life::Usual => {
            let usual = now.checked_add(DEFAULT_LIFE).unwrap_or(Timestamp::MAX);
            Some(by.expires.map_or(usual, |own| own.min(usual)))
        }
    };
    check_life(by, expires)?;
    Ok(expires)
}

fn check_names(new: &NewToken) -> Result<(), RegisterError> {
    let invalid =
        |field, message: &str| Err(RegisterError::Invalid { field, message: message.to_owned() });
    if !is_word(&new.name) {
        return invalid(
            "name",
            "use up to 100 letters, digits, `-`, `_` and `.`, beginning with a letter or digit",
        );
    }
    let owner = new.owner.trim();
    let is_line =
        owner == new.owner && owner.chars().all(|c| c.is_alphanumeric() || "-_.@+ ".contains(c));
    if owner.is_empty() || owner.len() > MAX_OWNER || !is_line {
        return invalid("owner", "say who it is for: up to 100 letters, digits and `-_.@+`");
    }
    if new.name.eq_ignore_ascii_case("exchange") {
        return invalid("name", "`exchange` is taken by the address at which tokens are exchanged");
    }
    if [&new.name, owner].iter().any(|name| name.eq_ignore_ascii_case(ADMIN)) {
        return invalid("name", "`admin` is whoever has the first admin token");
    }
    Ok(())
}

pub(super) fn secret_record(secret: &Secret, now: Timestamp) -> SecretRecord {
    SecretRecord { hash: secret.hash().to_hex(), created: now, until: None }
}
