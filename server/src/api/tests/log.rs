//! The audit log, page by page.

use super::*;

#[actix_web::test]
async fn the_log_is_read_page_by_page_and_proved() {
    let (_home, api) = api().await;
    for name in ["a", "b", "c"] {
        let rule = json!({ "name": name, "effect": "deny", "packages": ["npm:x"] });
        check(&api, "POST", "/api/v1/rules", Some(&rule), (201, "")).await;
        // The clock of these tests stands still: so each has its number before the next.
        api.log.settle().await.unwrap();
    }
    let subjects = |page: &Value| -> Vec<String> {
        let entries = page["entries"].as_array().unwrap().iter();
        entries.map(|entry| entry["subject"].as_str().unwrap().to_owned()).collect()
    };
    let page = check(&api, "GET", "/api/v1/log?package=npm:x&limit=2", None, (200, "")).await;
    assert_eq!((subjects(&page), &page["size"]), (vec!["c".into(), "b".into()], &json!(3)));
    let next = format!("/api/v1/log?package=npm:x&limit=2&after={}", page["next"]);
    let page = check(&api, "GET", &next, None, (200, "")).await;
    assert_eq!((subjects(&page), &page["next"]), (vec!["a".into()], &Value::Null));
    let oldest = "/api/v1/log?order=oldest&person=admin&action=rule-made&since=1d";
    let page = check(&api, "GET", oldest, None, (200, "")).await;
    assert_eq!(subjects(&page), ["a", "b", "c"]);
    let head = check(&api, "GET", "/api/v1/log/checkpoint", None, (200, "")).await;
    assert_eq!((&head["size"], &head["origin"]), (&json!(3), &json!("log")));
    let key = head["key"].as_str().unwrap();
    let note = head["checkpoint"].as_str().unwrap();
    let head = crate::audit::checkpoint::Checkpoint::read(note, key).unwrap();
    let proof = "/api/v1/log/proofs/inclusion?n=1";
    let proof: crate::audit::InclusionProof =
        serde_json::from_value(check(&api, "GET", proof, None, (200, "")).await).unwrap();
    let line = api.log.entry(1).await.unwrap().unwrap().line;
    assert!(proof.holds(&line, &head));
    let proof = check(&api, "GET", "/api/v1/log/proofs/consistency?from=2", None, (200, "")).await;
    assert_eq!((&proof["from"], &proof["to"]), (&json!(2), &json!(3)));
    for (path, code) in [
        ("/api/v1/log?action=rule-maed", "unknown-action"),
        ("/api/v1/log?since=yesterday", "invalid-since"),
        ("/api/v1/log?colour=red", "invalid-query"),
        ("/api/v1/log?after=x", "invalid-query"),
        ("/api/v1/log/proofs/inclusion?n=3", "out-of-range"),
        ("/api/v1/log/proofs/consistency?from=0", "out-of-range"),
    ] {
        check(&api, "GET", path, None, (400, code)).await;
    }
    check(&api, "GET", "/api/v1/log?limit=999999999999", None, (200, "")).await;
    check(&api, "DELETE", "/api/v1/log", None, (405, "wrong-method")).await;
}
