//! What a person sees whose browser was not let in: a program is told the same as JSON.

use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::{HttpRequest, HttpResponse};

use crate::api::docs::escape;
use crate::api::problem::Problem;

/// Nothing is loaded, run or framed.
const POLICY: &str =
    "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

pub fn answer(request: &HttpRequest, problem: &Problem) -> HttpResponse {
    let accepts = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
    if !accepts.is_some_and(|accepts| accepts.contains("text/html")) {
        return problem.response();
    }
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_REQUEST);
    HttpResponse::build(status)
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .content_type("text/html; charset=utf-8")
        .body(written(problem))
}

fn written(problem: &Problem) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Not logged in</title></head>\n\
         <body><h1>Not logged in</h1>\n<p>{}</p>\n<p><code>{}</code></p></body></html>\n",
        escape(&problem.detail),
        escape(&problem.code)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_provider_says_is_text_and_nothing_else() {
        let page =
            written(&Problem::bad_request("login-not-begun", "<script>alert('1')</script>&\""));
        assert!(!page.contains("<script"), "{page}");
        assert!(page.contains("&lt;script&gt;alert('1')&lt;/script&gt;&amp;&quot;"), "{page}");
    }
}
