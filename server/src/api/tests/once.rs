//! What is asked for twice is done once.

use super::super::form::once::IDEMPOTENCY_KEY;
use super::*;
use crate::metadata::records::AnswerRecord;
use crate::metadata::refusing::Refusing;

async fn post(api: &Api, path: &str, key: &str, body: &Value) -> (u16, HeaderMap, Value) {
    let app = App::new().app_data(web::Data::new(api.clone())).configure(routes);
    let app = test::init_service(app).await;
    let request = test::TestRequest::post()
        .uri(path)
        .insert_header(("authorization", GOOD))
        .insert_header((IDEMPOTENCY_KEY, key))
        .set_json(body);
    let response = test::call_service(&app, request.to_request()).await;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = test::read_body(response).await;
    (status, headers, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

#[actix_web::test]
async fn the_same_key_is_answered_as_the_first_time() {
    let (_home, api) = api().await;
    let rule = json!({ "name": "once", "effect": "deny", "packages": ["npm:x"] });
    let first = post(&api, "/api/v1/rules", "k1", &rule).await;
    let again = post(&api, "/api/v1/rules", "k1", &rule).await;
    assert_eq!((first.0, &first.2), (201, &again.2));
    assert_eq!((again.0, again.1.get("location")), (201, first.1.get("location")));
    assert_eq!(again.1.get("idempotency-replayed").unwrap(), "true");
    assert!(!first.1.contains_key("idempotency-replayed"));
    let other = json!({ "name": "other", "effect": "deny", "packages": ["npm:y"] });
    let (status, _, problem) = post(&api, "/api/v1/rules", "k1", &other).await;
    assert_eq!((status, &problem["code"]), (422, &json!("key-used-otherwise")));
    let (status, _, problem) = post(&api, "/api/v1/rules", "k2", &rule).await;
    assert_eq!(
        (status, &problem["code"]),
        (409, &json!("name-taken")),
        "a new key is a new change"
    );
    for key in ["", "two words", &"x".repeat(256)] {
        let (status, _, problem) = post(&api, "/api/v1/rules", key, &other).await;
        assert_eq!((status, &problem["code"]), (400, &json!("invalid-key")), "{key:?}");
    }
    // What failed changed nothing, so the key is free for it still.
    let broken = json!({ "effect": "perhaps", "packages": ["npm:y"] });
    assert_eq!(post(&api, "/api/v1/rules", "k3", &broken).await.0, 400);
    assert_eq!(post(&api, "/api/v1/rules", "k3", &other).await.0, 201);
}

#[actix_web::test]
async fn a_secret_is_not_kept_with_its_answer() {
    let (_home, api) = api().await;
    let asked = json!({ "name": "ci" });
    let (status, _, made) = post(&api, "/api/v1/tokens", "k1", &asked).await;
    assert_eq!(status, 201);
    let (status, _, problem) = post(&api, "/api/v1/tokens", "k1", &asked).await;
    assert_eq!((status, &problem["code"]), (409, &json!("done-already")), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("token ci"), "{problem}");
    let kept = api.memory.metadata.scan(AnswerRecord::all().as_bytes(), None, 10).await.unwrap();
    let secret = made["secret"].as_str().unwrap();
    assert_eq!(kept.len(), 1);
    assert!(!String::from_utf8_lossy(&kept[0].value).contains(secret));
}

/// The server dies between the change and the note of its answer.
#[actix_web::test]
async fn after_a_crash_it_is_not_done_twice() {
    let home = tempfile::tempdir().unwrap();
    let store = Sled::open(&home.path().join("store"), SledOptions::default()).unwrap();
    let store = Refusing::new(store);
    let is_answer = |key: &[u8]| key.starts_with(b"answer/");
    store.refuse_commits(move |batch| batch.changes.iter().all(|change| is_answer(&change.key)));
    let rule = json!({ "effect": "deny", "packages": ["npm:x"] });
    let team = json!({ "name": "web/shop" });
    let wish = json!({ "package": "npm:left-pad", "reason": "padding" });
    let api = api_over(home.path(), Arc::clone(&store) as Arc<dyn Metadata>).await;
    let made = post(&api, "/api/v1/rules", "k1", &rule).await;
    assert_eq!(post(&api, "/api/v1/teams", "k2", &team).await.0, 201);
    let asked = post(&api, "/api/v1/requests", "k3", &wish).await;
    assert_eq!((made.0, asked.0), (201, 201));
    let api = api_over(home.path(), Arc::clone(&store) as Arc<dyn Metadata>).await;
    let again = post(&api, "/api/v1/rules", "k1", &rule).await;
    assert_eq!((again.0, &again.2), (201, &made.2), "as it was answered");
    let again = post(&api, "/api/v1/teams", "k2", &team).await;
    assert_eq!((again.0, &again.2["code"]), (409, &json!("done-already")));
    let again = post(&api, "/api/v1/requests", "k3", &wish).await;
    assert_eq!((again.0, &again.2["request"]), (201, &asked.2["request"]), "{}", again.2);
    let other = post(&api, "/api/v1/rules", "k1", &team).await;
    assert_eq!(other.0, 422);
}
