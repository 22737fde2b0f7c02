//! Whether an answer is what the client has already, and whether what it changes is still what it
//! saw. A tag is a hash of what is answered, so equal tags mean equal answers.

use actix_web::HttpResponse;
use actix_web::body::BoxBody;
use actix_web::http::header::{ETAG, HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use actix_web::http::{Method, StatusCode};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// With its quotes.
pub fn of(answer: &[u8]) -> String {
    format!("\"{}\"", &hex::encode(Sha256::digest(answer))[..32])
}

/// The tag of what would be answered.
pub fn of_view(view: &impl Serialize) -> String {
    // Views are plain data with text keys, which can always be written.
    of(&serde_json::to_vec(view).unwrap_or_default())
}

/// Gives an answer its tag, or says that it is the one that the client has.
pub fn tag(method: &Method, asked: &HeaderMap, response: HttpResponse) -> HttpResponse {
    if *method != Method::GET && *method != Method::HEAD || response.status() != StatusCode::OK {
        return response;
    }
    let (mut head, body) = response.into_parts();
    match actix_web::body::MessageBody::try_into_bytes(body) {
        // It comes as a stream: nobody knows it before it is sent.
        Err(body) => head.set_body(body),
        Ok(bytes) => {
            let tag = of(&bytes);
            let is_held = names(asked, IF_NONE_MATCH, &tag);
            // Of digits and quotes.
            if let Ok(tag) = HeaderValue::try_from(tag) {
                head.headers_mut().insert(ETAG, tag);
            }
            if is_held {
                *head.status_mut() = StatusCode::NOT_MODIFIED;
                return head.set_body(BoxBody::new(()));
            }
            head.set_body(BoxBody::new(bytes))
        }
    }
}

/// Whether the client asks that nothing be changed unless it is as it saw it.
pub fn is_conditional(asked: &HeaderMap) -> bool {
    asked.contains_key(IF_MATCH)
}

/// Whether what is there is what the client saw.
pub fn matches(asked: &HeaderMap, tag: &str) -> bool {
    names(asked, IF_MATCH, tag)
}

/// A weak tag is as good as a strong one where the answer is not taken in pieces.
fn names(asked: &HeaderMap, header: HeaderName, tag: &str) -> bool {
    let values = asked.get_all(header).filter_map(|value| value.to_str().ok());
    let mut tags = values.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_compared_one_by_one() {
        let tag = of(b"{}");
        let rows = [
            (tag.clone(), true),
            ("*".to_owned(), true),
            (format!("W/{tag}"), true),
            (format!("\"other\", {tag}"), true),
            ("\"other\"".to_owned(), false),
            (tag.trim_matches('"').to_owned(), false),
            (String::new(), false),
        ];
        for (value, expected) in rows {
            let mut headers = HeaderMap::new();
            headers.insert(IF_MATCH, value.parse().unwrap());
            assert_eq!(matches(&headers, &tag), expected, "{value}");
        }
        assert!(!matches(&HeaderMap::new(), &tag));
    }
}
