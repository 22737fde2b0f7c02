//! Settings at a start: what differs from those of the last one is in the log.

use std::collections::BTreeMap;

use super::entry::{Action, Entry};
use crate::clock::Clock;
use crate::metadata::records::{self, Key, Prefix, SettingRecord};
use crate::metadata::{Batch, Change, Metadata, MetadataError};
use crate::observability::escape::bounded;

/// Settings of more registries than anybody has.
const MOST: usize = 5000;
/// Changes of one commit.
const AT_ONCE: usize = 200;
/// The longest value that is compared whole.
const LONGEST: usize = 1000;
/// Told like a setting.
const VERSION: &str = "version of garth";
const DEFAULT: &str = "(default)";

/// Compares, and tells of each setting that is another one than at the last start. `given` holds no
/// secrets.
pub async fn note_settings(
    metadata: &dyn Metadata,
    given: &BTreeMap<String, String>,
    clock: &Clock,
) -> Result<(), MetadataError> {
    let mut before: BTreeMap<String, String> = BTreeMap::new();
    for (key, record) in
        records::scan(metadata, &Prefix::<SettingRecord>::all(), None, MOST).await?
    {
        before.insert(name_of(&key), record.value);
    }
    let now = clock.now();
    let mut given = given.clone();
    given.insert(VERSION.to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    let mut batches = vec![Batch::default()];
    let names = given.keys().chain(before.keys().filter(|name| !given.contains_key(*name)));
    for name in names.take(MOST) {
        let value = given.get(name).map(|value| bounded(value, LONGEST).into_owned());
        if value.as_ref() == before.get(name) {
            continue;
        }
        let key = SettingRecord::key(name);
        let change = match &value {
            Some(value) => Change::put_record(&key, &SettingRecord { value: value.clone() }),
            None => Change::remove_record(&key),
        };
        let entry = Entry::by_garth(Action::SettingsChanged)
            .subject(name)
            .detail("before", &before.get(name).map_or(DEFAULT, String::as_str))
            .detail("now", &value.as_deref().unwrap_or(DEFAULT));
        if batches.last().is_some_and(|batch| batch.changes.len() >= AT_ONCE) {
            batches.push(Batch::default());
        }
        if let Some(batch) = batches.last_mut() {
            batch.changes.push(change);
            let order = batch.changes.len();
            batch.changes.extend(entry.changes(now, order));
        }
    }
    for batch in batches.into_iter().filter(|batch| !batch.changes.is_empty()) {
        metadata.commit(batch).await?;
    }
    Ok(())
}

fn name_of(key: &Key<SettingRecord>) -> String {
    key.parts().concat()
}
