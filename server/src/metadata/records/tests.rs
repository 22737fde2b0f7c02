#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn timestamp() -> Timestamp {
    "2026-11-20T10:00:00Z".parse().unwrap()
}

fn digest(byte: u8) -> Digest {
    Digest::new(policies::package::Algorithm::Sha256, &[byte; 32]).unwrap()
}

fn artifact() -> ArtifactRecord {
    ArtifactRecord {
        blob: digest(1),
        size: 10,
        digests: vec![digest(2)],
        version: "1.0.0".to_owned(),
        source: None,
        fetched: timestamp(),
        own: false,
    }
}

#[test]
fn keys_look_as_the_drawing_says() {
    let rows = [
        (
            DocumentRecord::key("npm", "@acme/x", "packument").to_bytes(),
            "document/npm/@acme%2Fx/packument",
        ),
        (VersionsRecord::key("npm", "x", 12).to_bytes(), "versions/npm/x/000012"),
        (ArtifactRecord::key("npm", "x", "x-1.0.0.tgz").to_bytes(), "artifact/npm/x/x-1.0.0.tgz"),
        (Observation::key("npm", "x", 42).to_bytes(), "observation/npm/x/00000000000000000042"),
        (RuleRecord::key("100%/sure").to_bytes(), "rule/100%25%2Fsure"),
        (RulePackages::key("sure", 3).to_bytes(), "rule-packages/sure/000003"),
        (TeamRecord::key("web", "shop").to_bytes(), "team/web/shop"),
        (TokenRecord::key("ci-shop").to_bytes(), "token/ci-shop"),
        (TokenUseRecord::key("ci-shop").to_bytes(), "token-use/ci-shop"),
        (RequestRecord::key(Stage::Open, 12).to_bytes(), "request/open/00000000000000000012"),
        (RequestComment::key(12, 3).to_bytes(), "request-comment/00000000000000000012/000003"),
        (RequestsRecord::key().to_bytes(), "requests/state"),
        (EndingsRecord::key().to_bytes(), "endings/state"),
        (AuditEntries::key(12).to_bytes(), "audit/00000000000000000012"),
        (
            AuditIndex::key("package", "npm:@acme/x", 12).to_bytes(),
            "audit-by/package/npm:@acme%2Fx/18446744073709551603",
        ),
        (WaitingRecord::key(timestamp(), "x").to_bytes(), "audit-waiting/00001795168800000000-x"),
        (AuditHead::key().to_bytes(), "audit-head/state"),
        (AuditIndexed::key().to_bytes(), "audit-indexed/state"),
    ];
    for (key, expected) in rows {
        assert_eq!(key, expected);
    }
}

#[test]
fn package_prefix_does_not_cover_a_longer_name() {
    let prefix = VersionsRecord::of_package("npm", "react");
    let inside = VersionsRecord::key("npm", "react", 0);
    let outside = VersionsRecord::key("npm", "react-dom", 0);
    let nested = VersionsRecord::key("npm", "react/x", 0);
    assert!(inside.as_bytes().starts_with(prefix.as_bytes()));
    assert!(!outside.as_bytes().starts_with(prefix.as_bytes()));
    assert!(!nested.as_bytes().starts_with(prefix.as_bytes()));
}

#[test]
fn unknown_encoding_is_refused_by_name() {
    let key = ArtifactRecord::key("npm", "x", "x.tgz");
    let good = encode(&artifact());
    let rows: [(&[u8], &str); 4] = [
        (b"", "empty"),
        (b"\x02{}", "version 2"),
        (b"\x01{}", "missing field"),
        (&good[..good.len() - 1], "EOF"),
    ];
    for (value, says) in rows {
        let error = decode::<ArtifactRecord>(key.as_bytes(), value).unwrap_err().to_string();
        assert!(error.contains(says) && error.contains("artifact/npm/x/x.tgz"), "{error}");
    }
    assert_eq!(decode::<ArtifactRecord>(key.as_bytes(), &good).unwrap(), artifact());
}

#[test]
fn key_of_another_kind_or_spelling_is_not_parsed() {
    for key in ["rule/x", "artifact/npm/x", "artifact/npm/x/y/z", "artifact/npm/x/%79", "artifact"]
    {
        assert!(Key::<ArtifactRecord>::parse(key.as_bytes()).is_none(), "{key}");
    }
    assert!(Key::<ArtifactRecord>::parse(b"artifact/npm/x/\xff").is_none());
}

#[test]
fn every_kind_of_observation_round_trips() {
    let kinds = [
        ObservationKind::Appeared,
        ObservationKind::Vanished,
        ObservationKind::Returned,
        ObservationKind::Deprecated,
        ObservationKind::Undeprecated,
        ObservationKind::Yanked,
        ObservationKind::Unyanked,
        ObservationKind::TagMoved { tag: "latest".into(), from: None, to: Some("1".into()) },
        ObservationKind::BytesChanged { from: vec![digest(1)], to: vec![digest(2)] },
        ObservationKind::Contradicts {
            differences: vec![Difference {
                field: "bin".into(),
                artifact: "a".into(),
                upstream: "b".into(),
            }],
        },
        ObservationKind::Unreadable { why: "it is no archive".into() },
    ];
    let key = Observation::key("npm", "x", 0);
    for what in kinds {
        let observation = Observation { at: timestamp(), what, version: Some("1.0.0".into()) };
        let value = encode(&observation);
        assert_eq!(decode::<Observation>(key.as_bytes(), &value).unwrap(), observation);
        check_value(key.as_bytes(), &value).unwrap();
    }
}

#[test]
fn referred_blob_is_found_in_every_kind_that_has_one() {
    let key = ArtifactRecord::key("npm", "x", "x.tgz");
    let found = referred_blob(key.as_bytes(), &encode(&artifact())).unwrap();
    assert_eq!(found, Some((digest(1), 10)));
    assert_eq!(referred_blob(FORMAT_KEY, FORMAT).unwrap(), None);
    assert!(check_value(b"unheard/of", b"\x01{}").is_err());
}

proptest! {
    #[test]
    fn keys_round_trip_and_never_collide(
        parts in prop::collection::vec([".{0,12}", "[/%@.]{0,4}", "[a-b/]{0,3}"], 2..40),
    ) {
        let mut seen: HashMap<Bytes, Vec<String>> = HashMap::new();
        for parts in parts {
            let key = ArtifactRecord::key(&parts[0], &parts[1], &parts[2]);
            prop_assert_eq!(key.parts(), parts.to_vec());
            let parsed = Key::<ArtifactRecord>::parse(key.as_bytes());
            prop_assert_eq!(parsed.as_ref(), Some(&key));
            prop_assert_eq!(key.as_bytes().split(|byte| *byte == b'/').count(), 4);
            if let Some(other) = seen.insert(key.to_bytes(), parts.to_vec()) {
                prop_assert_eq!(other, parts.to_vec(), "two records under one key");
            }
        }
    }

    #[test]
    fn any_bytes_are_parsed_or_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = parse_key(&bytes);
        let _ = check_value(&bytes, &bytes);
        if let Some(key) = Key::<ArtifactRecord>::parse(&bytes) {
            prop_assert_eq!(key.as_bytes(), &bytes[..]);
        }
    }

    #[test]
    fn observations_are_ordered_as_their_numbers(a in any::<u64>(), b in any::<u64>()) {
        let (key_a, key_b) = (Observation::key("r", "p", a), Observation::key("r", "p", b));
        prop_assert_eq!(key_a.as_bytes().cmp(key_b.as_bytes()), a.cmp(&b));
    }
}
