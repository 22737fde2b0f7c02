//! The OpenAPI document, and the page on which a person reads it. Both are made once, of the route
//! table, and open to all: they are the same in every garth of this version.

mod page;

pub(super) use page::escape;

use std::sync::LazyLock;

use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::BASES;
use super::openapi::document;
use super::table::{Endpoint, Needs, get};

pub fn endpoints() -> Vec<Endpoint> {
    let nothing = Needs::Nothing;
    vec![
        get("openapi", "/openapi.json", nothing, "The OpenAPI document of the API", openapi)
            .answers_text("application/json", "The document."),
        get("docs", "/docs", nothing, "The same for a person to read", docs)
            .answers_text("text/html", "A page that needs nothing from elsewhere."),
    ]
}

/// What is served of one base.
struct Made {
    json: Bytes,
    page: Bytes,
    policy: String,
    tag: String,
}

static MADE: LazyLock<[Made; BASES.len()]> = LazyLock::new(|| BASES.map(make));

fn make(base: &str) -> Made {
    let document = document(base);
    // Plain data, so it can always be written.
    let json = serde_json::to_vec_pretty(&document).unwrap_or_default();
    let tag = format!("\"{}\"", &hex::encode(Sha256::digest(&json))[..32]);
    let page = page::render(&document, base);
    Made { json: json.into(), page: page.into(), policy: page::policy(), tag }
}

/// Of the base that was asked.
fn made(request: &HttpRequest) -> &'static Made {
    let place = BASES.iter().position(|base| request.path().starts_with(base));
    &MADE[place.unwrap_or_default()]
}

pub async fn openapi(request: HttpRequest) -> HttpResponse {
    let made = made(&request);
    let mut response = HttpResponse::Ok();
    if is_held(&request, &made.tag) {
        response = HttpResponse::NotModified();
    }
    response.insert_header((CACHE_CONTROL, "no-cache")).insert_header((ETAG, made.tag.as_str()));
    if is_held(&request, &made.tag) {
        return response.finish();
    }
    response.content_type("application/json").body(made.json.clone())
}

fn is_held(request: &HttpRequest, tag: &str) -> bool {
    let asked = request.headers().get_all(IF_NONE_MATCH);
    asked.filter_map(|value| value.to_str().ok()).any(|value| value.contains(tag))
}

pub async fn docs(request: HttpRequest) -> HttpResponse {
    let made = made(&request);
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header((CONTENT_SECURITY_POLICY, made.policy.as_str()))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .content_type("text/html; charset=utf-8")
        .body(made.page.clone())
}
