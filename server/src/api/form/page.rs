//! Pages: how many are asked for, and where the next one is.

use std::borrow::Cow;

use actix_web::http::header::LINK;
use actix_web::{HttpRequest, HttpResponse};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use url::form_urlencoded;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// How many of a list are asked for. Any whole number is taken: what is more than there may be of
/// one page, or less than one, is brought to what is nearest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit(u64);

impl Limit {
    /// From 1 to `most`, which it also is where nothing was asked for.
    pub fn of(limit: Option<Self>, most: usize) -> usize {
        Self::usually(limit, most, most)
    }

    pub fn usually(limit: Option<Self>, usual: usize, most: usize) -> usize {
        let asked = limit.map(|Self(limit)| usize::try_from(limit).unwrap_or(usize::MAX));
        asked.unwrap_or(usual).clamp(1, most)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(from)?;
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text.strip_prefix('+').unwrap_or(&text)),
        };
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(D::Error::custom("limit is a whole number"));
        }
        let number = digits.parse().unwrap_or(u64::MAX);
        Ok(Self(if negative { 0 } else { number }))
    }
}

/// Any whole number: of what is too much, as much is given as there may be.
impl PartialSchema for Limit {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::Integer).build().into()
    }
}

impl ToSchema for Limit {}

/// Where a page of a listing begins, and how long it is.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// Begin behind this name: the `next` of the page before.
    pub after: Option<String>,
    /// Of one page, at most; more than 1000 is 1000.
    #[param(inline)]
    pub limit: Option<Limit>,
}

/// Of what was found, with one more than goes on a page: this page, and what the next one is behind.
pub fn cut<T>(found: &mut Vec<T>, limit: usize, name: impl Fn(&T) -> String) -> Option<String> {
    let more = found.len() > limit;
    found.truncate(limit);
    found.last().filter(|_| more).map(name)
}

/// The page; where there is a next one, `Link` says where.
pub fn answer(
    request: &HttpRequest,
    page: &impl Serialize,
    next: Option<&dyn ToString>,
) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    if let Some(next) = next {
        let asked = form_urlencoded::parse(request.query_string().as_bytes());
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(asked.filter(|(name, _)| name != "after"));
        query.append_pair("after", &next.to_string());
        let link = format!("<{}?{}>; rel=\"next\"", request.path(), query.finish());
        response.insert_header((LINK, link));
    }
    response.json(page)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Query {
        limit: Option<Limit>,
    }

    #[test]
    fn whatever_number_is_asked_for_is_brought_into_bounds() {
        let rows = [
            ("", Some(100)),
            ("limit=7", Some(7)),
            ("limit=0", Some(1)),
            ("limit=-1", Some(1)),
            ("limit=-99999999999999999999999", Some(1)),
            ("limit=1000000000000", Some(100)),
            ("limit=99999999999999999999999999", Some(100)),
            ("limit=%2B5", Some(5)),
            ("limit=", None),
            ("limit=five", None),
            ("limit=1e3", None),
            ("limit=-", None),
        ];
        for (text, expected) in rows {
            let query = actix_web::web::Query::<Query>::from_query(text).ok();
            let found = query.map(|query| Limit::of(query.limit, 100));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn the_next_page_is_what_was_asked_for_but_for_its_beginning() {
        let request = actix_web::test::TestRequest::with_uri(
            "/api/v1/rules?package=npm%3A%40a%2Fb&after=x&limit=2",
        );
        let response = answer(&request.to_http_request(), &(), Some(&"a b\">,"));
        assert_eq!(
            response.headers().get(LINK).unwrap(),
            "</api/v1/rules?package=npm%3A%40a%2Fb&limit=2&after=a+b%22%3E%2C>; rel=\"next\""
        );
        let response = answer(&request_without().to_http_request(), &(), None);
        assert!(!response.headers().contains_key(LINK));
    }

    fn request_without() -> actix_web::test::TestRequest {
        actix_web::test::TestRequest::with_uri("/api/v1/rules")
    }
}
