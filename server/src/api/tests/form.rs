//! The form that all endpoints share.

use actix_web::http::StatusCode;
use actix_web::{App, test, web};
use serde_json::json;

use super::super::{BASES, routes};
use super::{GOOD, api, send};

#[actix_web::test]
async fn the_document_and_its_page_are_there_for_everybody_and_need_nothing_from_elsewhere() {
    let (_home, api) = api().await;
    for base in BASES {
        let (status, headers, document) =
            send(&api, "GET", &format!("{base}/openapi.json"), None, None).await;
        assert_eq!((status, &document["openapi"]), (StatusCode::OK, &json!("3.1.0")));
        assert_eq!(document["servers"][0]["url"], base);
        assert_eq!(document["paths"]["/rules"]["post"]["x-garth-right"], "administer");
        assert!(headers.contains_key("etag"));
        let app = App::new().app_data(web::Data::new(api.clone())).configure(routes);
        let app = test::init_service(app).await;
        let docs = test::TestRequest::with_uri(&format!("{base}/docs")).to_request();
        let response = test::call_service(&app, docs).await;
        let policy = response.headers().get("content-security-policy").unwrap().to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        let page = String::from_utf8(test::read_body(response).await.to_vec()).unwrap();
        for path in document["paths"].as_object().unwrap().keys() {
            assert!(page.contains(&format!("</span>{path}</code>")), "{path} is not on the page");
        }
        for foreign in ["<script", "<img", "<link", "src=", "url(", "=\"http", "=\"//"] {
            assert!(!page.contains(foreign), "the page has {foreign}");
        }
        assert!(page.contains("id=\"schema-RuleDraft\""));
    }
    let (status, _, problem) = send(&api, "POST", "/api/docs", None, None).await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::METHOD_NOT_ALLOWED, &json!("wrong-method"))
    );
}

#[actix_web::test]
async fn a_method_that_is_not_there_is_told_which_are() {
    let (_home, api) = api().await;
    for (path, allowed) in [
        ("/api/v1/rules", "GET, HEAD, POST"),
        ("/api/v1/rules/x", "GET, HEAD, DELETE"),
        ("/api/v1/requests/approve", "POST"),
    ] {
        let (status, headers, _) = send(&api, "PATCH", path, Some(GOOD), None).await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(headers.get("allow").unwrap(), allowed, "{path}");
    }
}
