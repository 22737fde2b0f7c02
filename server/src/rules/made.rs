//! Rules made through the API: from their records, and back.
//!
//! A rule is one record, and some more behind it where it names more packages than a value holds.
//! They are written and removed in one batch, and read back whole or not at all.
//!
//! A record is checked again when it is read, by the same code as a file's text. One that does not
//! pass makes the whole load fail: it may have been a deny.

use std::sync::Arc;

use policies::rules::{Draft, MAX_RULES_IN_FORCE, Origin, Rule};

use crate::metadata::records::{self, Key, OwnRecord, Prefix, RulePackages, RuleRecord, RuleTerms};
use crate::metadata::{Batch, MAX_BATCH_BYTES, MAX_VALUE, Metadata, MetadataError};

const PAGE: usize = 500;
/// Bytes of patterns in one record. JSON may double them.
const PACKAGES: usize = MAX_VALUE / 4;
/// Bytes of what else a rule says: condition, teams, owner. JSON may double them, too.
pub(super) const MAX_TERMS: usize = MAX_VALUE / 8;
/// Bytes of patterns in one rule, so that it is written in one batch, with the entries of the audit
/// log that name all of them. A file has room for more.
pub const MAX_MADE: usize = MAX_BATCH_BYTES * 3 / 8;
/// Most records behind a rule, with much to spare.
const MAX_PARTS: usize = 2 * MAX_MADE / PACKAGES;

/// All of them.
pub(super) async fn load(metadata: &dyn Metadata) -> Result<Vec<Rule>, MetadataError> {
    let mut rules = Vec::new();
    let mut after: Option<Key<RuleRecord>> = None;
    loop {
        let page = records::scan(metadata, &Prefix::all(), after.as_ref(), PAGE).await?;
        let last = page.len() < PAGE;
        for (key, record) in page {
            rules.push(rule_of(&key, read_whole(metadata, &key, record).await?)?);
            after = Some(key);
        }
        if last {
            return Ok(rules);
        }
        if rules.len() > MAX_RULES_IN_FORCE {
            let key = String::from("rule/");
            let cause = format!("there are more than {MAX_RULES_IN_FORCE} rules");
            return Err(MetadataError::Damaged { key, cause });
        }
    }
}

/// The names of what is published here, sorted.
pub(super) async fn own_names(metadata: &dyn Metadata) -> Result<Arc<[String]>, MetadataError> {
    let (mut names, mut after) = (Vec::new(), None);
    loop {
        let page =
            records::scan(metadata, &Prefix::<OwnRecord>::all(), after.as_ref(), PAGE).await?;
        let last = page.len() < PAGE;
        for (key, record) in page {
            names.push(record.package);
            after = Some(key);
        }
        if last {
            names.sort_unstable();
            names.dedup();
            return Ok(names.into());
        }
    }
}

fn rule_of(key: &Key<RuleRecord>, record: RuleRecord) -> Result<Rule, MetadataError> {
    let origin = Origin::Api { by: record.created_by.as_str().into(), at: record.created };
    draft_of(name_of(key), record).check(origin).map_err(|complaints| {
        let cause: Vec<String> = complaints.iter().map(ToString::to_string).collect();
        MetadataError::Damaged { key: records::show_key(key.as_bytes()), cause: cause.join("; ") }
    })
}

/// As it was written.
pub(super) fn draft_of(name: String, record: RuleRecord) -> Draft {
    let terms = record.terms;
    Draft {
        name: Some(name),
        effect: Some(record.effect.to_string()),
        packages: record.packages,
        versions: record.versions,
        reason: record.reason,
        expires: record.expires.map(|expires| expires.to_string()),
        when: terms.when,
        teams: Some(terms.teams).filter(|teams| !teams.is_empty()),
        environments: Some(terms.environments).filter(|environments| !environments.is_empty()),
        owner: terms.owner,
        link: terms.link,
        starts: terms.starts.map(|starts| starts.to_string()),
        observe: Some(terms.observe).filter(|observe| *observe),
        waives: terms.waives,
    }
}

/// The record with all its packages.
async fn read_whole(
    metadata: &dyn Metadata,
    key: &Key<RuleRecord>,
    mut record: RuleRecord,
) -> Result<RuleRecord, MetadataError> {
    if record.more == 0 {
        return Ok(record);
    }
    let name = name_of(key);
    let parts = records::scan(metadata, &RulePackages::of_rule(&name), None, MAX_PARTS + 1).await?;
    let expected = (0..record.more).map(|n| RulePackages::key(&name, n));
    if !expected.eq(parts.iter().map(|(key, _)| key.clone())) {
        let cause = format!(
            "{} of the {} records with more of its packages are there",
            parts.len(),
            record.more
        );
        return Err(MetadataError::Damaged { key: records::show_key(key.as_bytes()), cause });
    }
    record.packages.extend(parts.into_iter().flat_map(|(_, part)| part.packages));
    Ok(record)
}

fn name_of(key: &Key<RuleRecord>) -> String {
    key.parts().pop().unwrap_or_default()
}

/// Bytes of the rule's patterns as they are stored.
pub(super) fn size(rule: &Rule) -> usize {
    rule.patterns.iter().map(|pattern| weight(&pattern.to_string())).sum()
}

/// Bytes of what else it says.
pub(super) fn size_of_terms(rule: &Rule) -> usize {
    let terms = RuleTerms::of(rule);
    let texts = [&terms.when, &terms.owner, &terms.link, &terms.waives].into_iter().flatten();
    texts.chain(&terms.teams).chain(&terms.environments).map(|text| weight(text)).sum()
}

/// With its quotes and its comma.
fn weight(pattern: &str) -> usize {
    pattern.len() + 3
}

/// Writes a rule that was made by `by` at `at` where none of its name is, in one batch.
pub(super) fn making(rule: &Rule, by: &str, at: jiff::Timestamp) -> Batch {
    let mut parts = vec![Vec::new()];
    let mut room = PACKAGES;
    for pattern in rule.patterns.iter().map(ToString::to_string) {
        let weight = weight(&pattern);
        if weight > room {
            parts.push(Vec::new());
            room = PACKAGES;
        }
        room = room.saturating_sub(weight);
        if let Some(part) = parts.last_mut() {
            part.push(pattern);
        }
    }
    let mut parts = parts.into_iter();
    let packages = parts.next().unwrap_or_default();
    let mut batch = Batch::default();
    let mut more = 0;
    for (n, packages) in (0..).zip(parts) {
        batch = batch.put_record(&RulePackages::key(&rule.name, n), &RulePackages { packages });
        more = n + 1;
    }
    let record = RuleRecord { packages, more, ..record_of(rule, by, at) };
    let key = RuleRecord::key(&rule.name);
    batch.expect_absent(&key).put_record(&key, &record)
}

/// What it says, but for its packages.
pub(super) fn record_of(rule: &Rule, by: &str, at: jiff::Timestamp) -> RuleRecord {
    RuleRecord {
        effect: rule.effect,
        packages: Vec::new(),
        more: 0,
        versions: rule.versions.as_ref().map(|versions| versions.text.to_string()),
        reason: rule.reason.as_deref().map(str::to_owned),
        expires: rule.expires,
        terms: RuleTerms::of(rule),
        created: at,
        created_by: by.to_owned(),
    }
}

/// Removes the rule and all that belongs to it, readable or not. `None`: there is none.
pub(super) async fn removing(
    metadata: &dyn Metadata,
    name: &str,
) -> Result<Option<Batch>, MetadataError> {
    let key = RuleRecord::key(name);
    let Some(stored) = metadata.get(key.as_bytes()).await? else { return Ok(None) };
    let batch = Batch::default().expect(key.to_bytes(), Some(stored)).remove_record(&key);
    let parts = RulePackages::of_rule(name);
    let parts = metadata.scan(parts.as_bytes(), None, MAX_PARTS).await?;
    Ok(Some(parts.into_iter().fold(batch, |batch, part| batch.remove(part.key))))
}
