//! Every kind of record, a line each. What is not here is not taken over by a rebuild, and a check
//! calls it unknown.

#[allow(clippy::wildcard_imports, reason = "all of them are listed")]
use super::*;

macro_rules! kinds {
    ($($record:ty,)*) => {
        /// The first parts of all keys; `meta` has single values.
        pub const KINDS: &[&str] = &[$(<$record as Record>::KIND,)* "meta"];

        /// Whether this code can read what is stored under `key`; single values are not looked into.
        pub fn check_value(key: &[u8], value: &[u8]) -> Result<(), MetadataError> {
            match parse_key(key).as_ref().map(|(kind, _)| kind.as_str()) {
                $(Some(<$record as Record>::KIND) => typed::<$record>(key, value),)*
                Some("meta") => Ok(()),
                _ => Err(unknown_key(key)),
            }
        }
    };
}

kinds! {
    DocumentRecord,
    VersionsRecord,
    ArtifactRecord,
    InsideRecord,
    Observation,
    SummaryRecord,
    OwnRecord,
    UnpublishingRecord,
    RuleRecord,
    RulePackages,
    AdvisoryRecord,
    AdvisoriesRecord,
    AnswerRecord,
    TeamRecord,
    UnitRecord,
    UserRecord,
    RoleRecord,
    LoginRecord,
    ExchangedRecord,
    TokenRecord,
    TokenUseRecord,
    RecordedRecord,
    RevisionRecord,
    RevisionRules,
    RulesBlock,
    RequestRecord,
    RequestComment,
    RequestVersions,
    RequestsRecord,
    EndingsRecord,
    WaitingRecord,
    AuditEntries,
    AuditIndex,
    AuditIndexed,
    AuditHashes,
    AuditHead,
    SettingRecord,
    HeldRecord,
    HoldsRecord,
    HitRecord,
    HitsRecord,
    WebhookRecord,
    WebhookCursor,
    DeliveryRecord,
}

fn typed<R: Record>(key: &[u8], value: &[u8]) -> Result<(), MetadataError> {
    if Key::<R>::parse(key).is_none() {
        return Err(unknown_key(key));
    }
    decode::<R>(key, value).map(|_| ())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::disallowed_methods)]
mod tests {
    use super::*;

    /// The sources are asked, because nothing else knows of a kind that was left out.
    #[test]
    fn every_kind_of_record_is_listed_once() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/metadata");
        let mut sources = vec![std::fs::read_to_string(format!("{folder}/records.rs")).unwrap()];
        for entry in std::fs::read_dir(format!("{folder}/records")).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                sources.push(std::fs::read_to_string(path).unwrap());
            }
        }
        let begins = "const KIND: &'static str = \"";
        let mut found = vec!["meta".to_owned()];
        for source in &sources {
            let kinds = source.split(begins).skip(1).filter_map(|rest| rest.split('"').next());
            // This file has the words above.
            found.extend(kinds.filter(|kind| !kind.contains('\\')).map(str::to_owned));
        }
        let mut listed: Vec<String> = KINDS.iter().map(|kind| (*kind).to_owned()).collect();
        found.sort();
        listed.sort();
        assert_eq!(listed, found);
    }
}
