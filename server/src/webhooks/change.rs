//! Webhooks come, change and go; each change is in the audit log, in the same commit.

use std::time::Duration;

use jiff::Timestamp;
use policies::asker::is_team;
use url::Url;

use super::queue::later;
use super::secret::Secret;
use super::{MAX_WEBHOOKS, Message, Shown, WebhookError, Webhooks, parse_url, read_deliveries};
use crate::access::Person;
use crate::audit::{Action, Entry};
use crate::events::parse_kinds;
use crate::metadata::records::{
    self, AttemptRecord, DeliveryRecord, DeliveryState, Stored, WebhookCursor, WebhookRecord,
};
use crate::metadata::{Batch, MetadataError};
use crate::upstream::outgoing::host;

/// For how long the secret of before goes on signing, where nothing is said.
pub const DEFAULT_GRACE: Duration = Duration::from_hours(24);
pub const MAX_GRACE: Duration = Duration::from_hours(30 * 24);
const MAX_URL: usize = 2000;
const MAX_NAME: usize = 60;
const ATTEMPTS: usize = 5;

/// A webhook that is to be made.
#[derive(Clone, Debug)]
pub struct NewWebhook {
    /// Left out, the host's.
    pub name: Option<String>,
    pub url: String,
    /// Empty: every kind.
    pub kinds: Vec<String>,
    pub team: Option<String>,
}

impl Webhooks {
    /// Durable, with the secret, which is shown this once. It is told of what happens from now on.
    pub async fn create(
        &self,
        by: &Person,
        new: NewWebhook,
    ) -> Result<(Shown, Secret), WebhookError> {
        let parts = &self.0.parts;
        let _turn = self.0.turn.lock().await;
        let url = parse_url(&new.url)?;
        if new.url.len() > MAX_URL {
            return Err(invalid("url", format!("it is longer than {MAX_URL} characters")));
        }
        parts.outgoing.check(&url).map_err(|why| invalid("url", why))?;
        let kinds = parse_kinds(new.kinds.iter().map(String::as_str))?;
        if new.team.as_deref().is_some_and(|team| !is_team(team)) {
            return Err(invalid("team", "write a team as web/shop"));
        }
        let all = self.list().await?;
        if all.len() >= MAX_WEBHOOKS {
            let why =
                format!("there are {MAX_WEBHOOKS} webhooks, which is as many as there may be");
            return Err(WebhookError::Taken(why));
        }
        let is_taken = |name: &str| all.iter().any(|shown| shown.name == name);
        let name = match new.name {
            Some(name) if !is_name(&name) => {
                let why = format!(
                    "a name is up to {MAX_NAME} lower-case letters, digits and hyphens, and begins with \
                     a letter or digit"
                );
                return Err(invalid("name", why));
            }
            Some(name) if is_taken(&name) => {
                return Err(WebhookError::Taken(format!("there is a webhook {name} already")));
            }
            Some(name) => name,
            None => free_name(&url, is_taken),
        };
        let now = parts.clock.now();
        let (secret, stored) = parts.key.make(&name, now)?;
        let record = WebhookRecord {
            url: url.into(),
            kinds,
            team: new.team,
            secrets: vec![stored],
            created: now,
            created_by: by.name.to_string(),
            stopped: None,
        };
        parts.log.settle().await?;
        let cursor = WebhookCursor { next: parts.log.size().await?, ..WebhookCursor::default() };
        let key = WebhookRecord::key(&name);
        let batch = Batch::default()
            .expect_absent(&key)
            .put_record(&key, &record)
            .put_record(&WebhookCursor::key(&name), &cursor);
        let entry = entry(Action::WebhookMade, by, &name, &record);
        parts.metadata.commit(batch.note(entry, now)).await?;
        tracing::info!(webhook = name, by = %by.name, "webhook made");
        self.0.see_to_workers().await?;
        Ok((Shown { name, record, cursor, waiting: 0 }, secret))
    }

    /// With all that waits.
    pub async fn remove(&self, by: &Person, name: &str) -> Result<(), WebhookError> {
        self.change(name, |shown, batch| {
            let batch = shown
                .deliveries
                .iter()
                .fold(batch, |batch, (n, _)| batch.remove_record(&DeliveryRecord::key(name, *n)));
            let batch = batch
                .remove_record(&WebhookRecord::key(name))
                .remove_record(&WebhookCursor::key(name));
            let entry = entry(Action::WebhookRemoved, by, name, &shown.webhook);
            Ok((batch.note(entry, shown.now), ()))
        })
        .await?;
        tracing::info!(webhook = name, by = %by.name, "webhook removed");
        Ok(())
    }

    /// A new secret. The one of before signs beside it until `grace` is over; older ones end.
    pub async fn rotate(
        &self,
        by: &Person,
        name: &str,
        grace: Duration,
    ) -> Result<(Shown, Secret, Timestamp), WebhookError> {
        if grace > MAX_GRACE {
            return Err(invalid("grace_seconds", "at most 30 days"));
        }
        let (secret, until) = self
            .change(name, |shown, batch| {
                let (secret, stored) = self.0.parts.key.make(name, shown.now)?;
                let until = later(shown.now, grace);
                let mut webhook = shown.webhook.clone();
                webhook.secrets.truncate(1);
                for before in &mut webhook.secrets {
                    before.until = Some(before.until.map_or(until, |own| own.min(until)));
                }
                webhook.secrets.insert(0, stored);
                let entry = entry(Action::WebhookRotated, by, name, &webhook);
                let batch = batch.put_record(&WebhookRecord::key(name), &webhook);
                let batch = shown.touch(name, batch, |_| {});
                Ok((batch.note(entry.detail("before-until", &until), shown.now), (secret, until)))
            })
            .await?;
        tracing::info!(webhook = name, by = %by.name, %until, "the secret of a webhook was rotated");
        Ok((self.get(name).await?, secret, until))
    }

    /// Sends again what was stopped, beginning with what waits; or, `from_now`, gives that up and goes on
    /// with what happens from now on.
    pub async fn resume(
        &self,
        by: &Person,
        name: &str,
        from_now: bool,
    ) -> Result<Shown, WebhookError> {
        self.0.parts.log.settle().await?;
        let size = self.0.parts.log.size().await?;
        self.change(name, |shown, mut batch| {
            if shown.webhook.stopped.is_none() {
                let why = format!("the webhook {name} is not stopped");
                return Err(WebhookError::State(why));
            }
            let webhook = WebhookRecord { stopped: None, ..shown.webhook.clone() };
            for (n, delivery) in shown.waiting() {
                let (since, next) = (shown.now, shown.now);
                let state = if from_now { DeliveryState::GivenUp } else { DeliveryState::Waiting };
                let again = DeliveryRecord { state, since, next, ..delivery.clone() };
                batch = batch.put_record(&DeliveryRecord::key(name, *n), &again);
            }
            let entry = entry(Action::WebhookResumed, by, name, &webhook);
            let entry = entry.detail_if("from-now", from_now.then_some(&"yes"));
            let batch = batch.put_record(&WebhookRecord::key(name), &webhook);
            let batch = shown.touch(name, batch, |cursor| {
                cursor.failing = None;
                if from_now {
                    cursor.next = cursor.next.max(size);
                }
            });
            Ok((batch.note(entry, shown.now), ()))
        })
        .await?;
        tracing::info!(webhook = name, by = %by.name, from_now, "webhook resumed");
        self.get(name).await
    }

    /// Sends something that did not happen, at once and once, and says what came of it. What was sent is
    /// on record before it leaves.
    pub async fn test(&self, by: &Person, name: &str) -> Result<AttemptRecord, WebhookError> {
        let webhook = self.get(name).await?.record;
        let (parts, now) = (&self.0.parts, self.0.parts.clock.now());
        let entry = entry(Action::WebhookTested, by, name, &webhook);
        parts.metadata.commit(Batch::default().note(entry, now)).await?;
        Ok(self.0.post(name, &webhook, Message::trial(name, &by.name, now)).await.0)
    }

    /// Once more, and as long as a new one.
    pub async fn redeliver(
        &self,
        by: &Person,
        name: &str,
        n: u64,
    ) -> Result<DeliveryRecord, WebhookError> {
        self.change(name, |shown, batch| {
            if let Some(stopped) = &shown.webhook.stopped {
                return Err(WebhookError::State(format!(
                    "the webhook {name} is stopped ({}): `garth webhook resume {name}` first",
                    stopped.why
                )));
            }
            let found = shown.deliveries.iter().find(|(number, _)| *number == n);
            let Some((_, delivery)) = found else {
                return Err(WebhookError::NoSuchDelivery { webhook: name.to_owned(), n });
            };
            let (since, next, state) = (shown.now, shown.now, DeliveryState::Waiting);
            let again = DeliveryRecord { since, next, state, attempts: 0, ..delivery.clone() };
            let entry = entry(Action::WebhookRedelivered, by, name, &shown.webhook);
            let entry = entry.detail("event", &n).detail("kind", &delivery.kind);
            let batch = batch.put_record(&DeliveryRecord::key(name, n), &again);
            Ok((shown.touch(name, batch, |_| {}).note(entry, shown.now), again))
        })
        .await
    }

    /// Commits what `make` makes of the webhook as it is now, and wakes its task.
    async fn change<T>(
        &self,
        name: &str,
        mut make: impl FnMut(&Whole, Batch) -> Result<(Batch, T), WebhookError>,
    ) -> Result<T, WebhookError> {
        let _turn = self.0.turn.lock().await;
        let store = self.0.parts.metadata.as_ref();
        for _ in 0..ATTEMPTS {
            // It also says which one is meant where there is none.
            let webhook = self.get(name).await?.record;
            let key = WebhookCursor::key(name);
            let cursor = records::read_stored(store, &key).await?;
            let deliveries = read_deliveries(store, name).await?;
            let batch = Batch::default().expect_unchanged(&key, cursor.as_ref());
            let now = self.0.parts.clock.now();
            let (batch, made) = make(&Whole { webhook, cursor, deliveries, now }, batch)?;
            match store.commit(batch).await {
                // The task has written what came of a try.
                Err(MetadataError::Conflict { .. }) => {}
                done => {
                    done?;
                    self.0.wake(name);
                    return Ok(made);
                }
            }
        }
        let why = format!("the webhook {name} is changing all the time: try again");
        Err(WebhookError::State(why))
    }
}

/// All that is stored of a webhook.
struct Whole {
    webhook: WebhookRecord,
    cursor: Option<Stored<WebhookCursor>>,
    deliveries: Vec<(u64, DeliveryRecord)>,
    now: Timestamp,
}

impl Whole {
    fn waiting(&self) -> impl Iterator<Item = &(u64, DeliveryRecord)> {
        self.deliveries.iter().filter(|(_, delivery)| delivery.state == DeliveryState::Waiting)
    }

    /// Changes the cursor, so that the webhook's task sees that something else changed.
    fn touch(&self, name: &str, batch: Batch, change: impl FnOnce(&mut WebhookCursor)) -> Batch {
        let mut cursor =
            self.cursor.as_ref().map(|stored| stored.record.clone()).unwrap_or_default();
        cursor.changes += 1;
        change(&mut cursor);
        batch.put_record(&WebhookCursor::key(name), &cursor)
    }
}

fn invalid(field: &'static str, message: impl Into<String>) -> WebhookError {
    WebhookError::Invalid { field, message: message.into() }
}

/// The host alone is told: the rest of a URL may be a secret.
fn entry(action: Action, by: &Person, name: &str, record: &WebhookRecord) -> Entry {
    let kinds = if record.kinds.is_empty() { "*".to_owned() } else { record.kinds.join(", ") };
    let host = record.url.parse::<Url>().map(|url| host(&url)).unwrap_or_default();
    Entry::new(action)
        .by_person(by)
        .subject(name)
        .detail("host", &host)
        .detail("events", &kinds)
        .detail_if("webhook-team", record.team.as_ref())
}

fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=MAX_NAME).contains(&name.len())
        && name.bytes().next().is_some_and(allowed)
        && name.bytes().all(|byte| allowed(byte) || byte == b'-')
}

/// After the host: `hooks-example-com`, and with a number behind it where that is taken.
fn free_name(url: &Url, is_taken: impl Fn(&str) -> bool) -> String {
    let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let base: String = host.chars().map(plain).take(MAX_NAME - 4).collect();
    let base = base.trim_matches('-');
    let base = if base.is_empty() { "webhook" } else { base };
    let numbered = (2..).map(|n| format!("{base}-{n}"));
    let mut names = std::iter::once(base.to_owned()).chain(numbered);
    names.find(|name| !is_taken(name)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_made_of_the_host() {
        let of = |url: &str, taken: &[&str]| {
            let url = Url::parse(url).expect("a URL");
            free_name(&url, |name| taken.contains(&name))
        };
        assert_eq!(of("https://Hooks.example.com/x", &[]), "hooks-example-com");
        assert_eq!(of("https://a.example/", &["a-example", "a-example-2"]), "a-example-3");
        assert_eq!(of("http://[::1]:80/", &[]), "1");
        assert!(is_name(&of(&format!("https://{}.example/", "x".repeat(60)), &[])));
        for name in ["", "-a", "A", "a_b", "a b", "ü", &"x".repeat(61)] {
            assert!(!is_name(name), "{name:?}");
        }
    }
}
