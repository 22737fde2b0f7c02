//! Tokens that nobody makes: they come of a login or an exchange, live for hours at most, and are
//! forgotten after their end.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::change::secret_record;
use super::{Created, Register, RegisterError};
use crate::access::Person;
use crate::access::rights::Rights;
use crate::access::secret::{Hash, Secret, TokenKind};
use crate::access::table::Token;
use crate::audit::{Action, Entry};
use crate::metadata::records::{
    self, ExchangedRecord, LoginRecord, Prefix, Record as _, RevokedRecord, TokenRecord,
    read_stored,
};
use crate::metadata::{Batch, MetadataError};

/// Those whose end is not forgotten yet included. Pipelines take no room from people.
const fn most(kind: TokenKind) -> usize {
    match kind {
        TokenKind::Person => 5_000,
        TokenKind::Service => 15_000,
    }
}

/// The oldest one makes room for the newest.
const fn most_of_one(kind: TokenKind) -> usize {
    match kind {
        TokenKind::Person => 50,
        TokenKind::Service => 1_000,
    }
}

/// How long whoever has one is told what became of it.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(1);
/// Of one commit.
const FORGOTTEN_AT_ONCE: usize = 200;

/// Who is known from now on, and as what.
#[derive(Clone, Debug)]
pub struct NewSession {
    pub kind: TokenKind,
    /// What its name begins with.
    pub name: String,
    pub owner: String,
    pub team: Option<String>,
    /// Of somebody who is known here these count as far as they may themselves.
    pub rights: Rights,
    /// A word for what it came of.
    pub origin: String,
    pub life: SignedDuration,
    /// The owner has to be somebody here.
    pub of_user: bool,
    /// What proved it is known by, and until when it could be sent again.
    pub once: Option<(Hash, Timestamp)>,
}

impl Register {
    pub async fn begin(&self, new: NewSession) -> Result<Created, RegisterError> {
        let _turn = self.0.turn.lock().await;
        let now = self.0.clock.now();
        let secret = Secret::make(new.kind)?;
        let name = format!("{}.{}", new.name, &crate::random::name()[..12]);
        let record = TokenRecord {
            kind: new.kind.as_str().to_owned(),
            owner: new.owner,
            team: new.team,
            rights: new.rights.texts(),
            roles: Vec::new(),
            of_user: new.of_user,
            origin: Some(new.origin),
            secrets: vec![secret_record(&secret, now)],
            expires: Some(now.checked_add(new.life).unwrap_or(now)),
            created: now,
            created_by: String::new(),
            revoked: None,
        };
        let record = TokenRecord { created_by: record.owner.clone(), ..record };
        let oldest = self.make_room(new.kind, &record)?;
        let key = LoginRecord::key(&name);
        let kept = LoginRecord(record.clone());
        let mut batch = Batch::default().expect_absent(&key).put_record(&key, &kept);
        if let Some(oldest) = &oldest {
            batch = batch.remove_record(&LoginRecord::key(oldest));
        }
        let batch = self.expecting_those(batch, &record).await?;
        let entry = entry(Action::Login, &name, &record);
        let mut batch = batch.note(entry.by(&record.owner).team(record.team.as_deref()), now);
        if let Some((hash, until)) = &new.once {
            let key = ExchangedRecord::key(*until, &hash.to_hex());
            batch = batch.expect_absent(&key).put_record(&key, &ExchangedRecord {});
        }
        match self.0.metadata.commit(batch).await {
            Err(MetadataError::Conflict { key }) if key.starts_with(ExchangedRecord::KIND) => {
                return Err(RegisterError::Replayed);
            }
            done => done?,
        }
        let mut table = self.0.table.write();
        if let Some(oldest) = oldest {
            table.remove(&oldest);
        }
        let token = table.put(Token::new(&name, record, None));
        drop(table);
        let record = &token.record;
        tracing::info!(token = %token.name, owner = record.owner, team = record.team.as_deref(), rights = %token.rights(), origin = record.origin.as_deref(), "logged in");
        Ok(Created { token, secret, before_until: None })
    }

    /// Ends one of these before its time; `None` where there is none of this name.
    pub async fn end(&self, by: &Person, name: &str) -> Result<Option<Arc<Token>>, RegisterError> {
        let _turn = self.0.turn.lock().await;
        let key = LoginRecord::key(name);
        let stored = read_stored(self.0.metadata.as_ref(), &key).await?;
        let Some(stored) = stored else { return Ok(None) };
        let now = self.0.clock.now();
        let mut record = stored.record.0.clone();
        if record.revoked.is_none() {
            record.revoked = Some(RevokedRecord { at: now, by: by.name.to_string() });
            let entry = entry(Action::TokenRevoked, name, &record).by_person(by);
            let batch = Batch::default()
                .expect_unchanged(&key, Some(&stored))
                .put_record(&key, &LoginRecord(record.clone()))
                .note(entry, now);
            self.0.metadata.commit(batch).await?;
            tracing::info!(token = name, owner = record.owner, by = %by.name, "login ended");
        }
        Ok(Some(self.0.table.write().change(name, record)))
    }

    pub(super) fn is_login(&self, name: &str) -> bool {
        self.0.table.read().token(name).is_some_and(|token| token.is_passing())
    }

    /// The name of one that has to go for this one.
    fn make_room(
        &self,
        kind: TokenKind,
        new: &TokenRecord,
    ) -> Result<Option<String>, RegisterError> {
        let table = self.0.table.read();
        let passing =
            table.tokens().filter(|token| token.is_passing() && token.record.kind == new.kind);
        let (mut count, mut own, mut oldest) = (0, 0, None::<&Token>);
        for token in passing {
            count += 1;
            if token.record.owner == new.owner {
                own += 1;
                let is_older =
                    oldest.is_none_or(|oldest| token.record.created < oldest.record.created);
                oldest = if is_older { Some(token) } else { oldest };
            }
        }
        if own >= most_of_one(kind) {
            return Ok(oldest.map(|oldest| oldest.name.to_string()));
        }
        if count >= most(kind) {
            return Err(RegisterError::Taken(format!(
                "{count} are logged in, and more are not at once: try again in a while"
            )));
        }
        Ok(None)
    }

    /// What can not be sent again, because it has expired, needs no remembering.
    async fn forget_exchanged(&self, now: Timestamp) -> Result<(), MetadataError> {
        let prefix = Prefix::<ExchangedRecord>::all();
        let store = self.0.metadata.as_ref();
        let oldest = records::scan(store, &prefix, None, FORGOTTEN_AT_ONCE).await?;
        let passed = oldest.iter().filter(|(key, _)| ExchangedRecord::until(key) < Some(now));
        let batch = passed.fold(Batch::default(), |batch, (key, _)| batch.remove_record(key));
        if batch.changes.is_empty() { Ok(()) } else { store.commit(batch).await }
    }

    /// Takes away those that ended a while ago.
    pub(super) async fn forget_passed(&self) {
        if let Err(fault) = self.forget_exchanged(self.0.clock.now()).await {
            tracing::warn!(%fault, "what pipelines exchanged could not be forgotten yet");
        }
        let _turn = self.0.turn.lock().await;
        let now = self.0.clock.now();
        let Ok(before) = now.checked_sub(REMEMBERED) else { return };
        let passed: Vec<String> = {
            let table = self.0.table.read();
            let has_passed = |token: &&Arc<Token>| {
                let revoked = token.record.revoked.as_ref().map(|revoked| revoked.at);
                let end = [revoked, token.record.expires].into_iter().flatten().min();
                token.is_passing() && end.is_some_and(|end| end < before)
            };
            let passed = table.tokens().filter(has_passed).take(FORGOTTEN_AT_ONCE);
            passed.map(|token| token.name.to_string()).collect()
        };
        if passed.is_empty() {
            return;
        }
        let batch = passed
            .iter()
            .fold(Batch::default(), |batch, name| batch.remove_record(&LoginRecord::key(name)));
        match self.0.metadata.commit(batch).await {
            Ok(()) => {
                let mut table = self.0.table.write();
                for name in &passed {
                    table.remove(name);
                }
            }
            Err(fault) => tracing::warn!(%fault, "logins that ended could not be forgotten yet"),
        }
    }
}

/// What was done to a login.
fn entry(action: Action, name: &str, record: &TokenRecord) -> Entry {
    Entry::new(action)
        .subject(name)
        .detail("kind", &record.kind)
        .detail("owner", &record.owner)
        .detail_if("token-team", record.team.as_ref())
        .detail_if("by", record.origin.as_ref())
        .detail_if("expires", record.expires.as_ref())
}
