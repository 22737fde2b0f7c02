//! Rules made through the API: from their records, and back.
//!
//! A record is checked again when it is read, by the same code as a file's text. One that does not
//! pass makes the whole load fail: it may have been a deny.

use policies::rules::{Draft, MAX_RULES_IN_FORCE, Origin, Rule};

use crate::metadata::records::{self, Key, Prefix, RuleRecord};
use crate::metadata::{Metadata, MetadataError};

const PAGE: usize = 500;

/// All of them.
pub(super) async fn load(metadata: &dyn Metadata) -> Result<Vec<Rule>, MetadataError> {
    let mut rules = Vec::new();
    let mut after: Option<Key<RuleRecord>> = None;
    loop {
        let page = records::scan(metadata, &Prefix::all(), after.as_ref(), PAGE).await?;
        let last = page.len() < PAGE;
        for (key, record) in page {
            rules.push(rule_of(&key, record)?);
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

fn rule_of(key: &Key<RuleRecord>, record: RuleRecord) -> Result<Rule, MetadataError> {
    let name = key.parts().pop().unwrap_or_default();
    let draft = Draft {
        name: Some(name),
        effect: Some(record.effect.to_string()),
        packages: record.packages,
        versions: record.versions,
        reason: record.reason,
        expires: record.expires.map(|expires| expires.to_string()),
    };
    let origin = Origin::Api { by: record.created_by.into(), at: record.created };
    draft.check(origin).map_err(|complaints| {
        let cause: Vec<String> = complaints.iter().map(ToString::to_string).collect();
        MetadataError::Damaged { key: records::show_key(key.as_bytes()), cause: cause.join("; ") }
    })
}

/// The record of a rule that was made by `by` at `at`.
pub(super) fn record_of(rule: &Rule, by: &str, at: jiff::Timestamp) -> RuleRecord {
    RuleRecord {
        effect: rule.effect,
        packages: rule.patterns.iter().map(ToString::to_string).collect(),
        versions: rule.versions.as_ref().map(|versions| versions.text.to_string()),
        reason: rule.reason.as_deref().map(str::to_owned),
        expires: rule.expires,
        created: at,
        created_by: by.to_owned(),
    }
}
