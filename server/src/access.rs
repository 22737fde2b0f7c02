//! Who asks: what a request's `Authorization` says, whatever client sent it.
//!
//! Clients send the same token in different ways: as a bearer token, or as the password of a basic
//! login under any user name. Both mean the same here, and what is neither, or no token of ours, is
//! told apart from nothing at all: a client that sends a wrong token is not served as if it had
//! sent none where a token is needed.

pub mod admin_token;

use std::sync::Arc;

use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use self::admin_token::AdminToken;

/// The name of whoever has the first admin token.
const ADMIN: &str = "admin";

/// Somebody who is known here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    pub name: Arc<str>,
}

/// Who sent a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// It says nothing of who sent it.
    Anonymous,
    Known(Person),
    /// It carries credentials that are not ours.
    Unknown,
}

/// Knows the tokens.
#[derive(Clone, Debug)]
pub struct Access {
    admin: AdminToken,
}

impl Access {
    pub fn new(admin: AdminToken) -> Self {
        Self { admin }
    }

    pub fn caller(&self, headers: &HeaderMap) -> Caller {
        let mut sent = headers.get_all(AUTHORIZATION);
        match (sent.next(), sent.next()) {
            (None, _) => Caller::Anonymous,
            (Some(header), None) => token_of(header)
                .and_then(|token| self.person_of_token(&token))
                .map_or(Caller::Unknown, Caller::Known),
            // Two of them could be read as two people.
            (Some(_), Some(_)) => Caller::Unknown,
        }
    }

    /// Who has this token. Takes the same time for every wrong one.
    pub fn person_of_token(&self, token: &[u8]) -> Option<Person> {
        self.admin.is(token).then(|| Person { name: ADMIN.into() })
    }
}

/// The token in a header: `Bearer TOKEN`, or the password in `Basic NAME:TOKEN`.
fn token_of(header: &HeaderValue) -> Option<Vec<u8>> {
    if let Some(token) = after_scheme(header.as_bytes(), b"Bearer ") {
        return Some(token.to_owned());
    }
    let login = STANDARD.decode(after_scheme(header.as_bytes(), b"Basic ")?).ok()?;
    let colon = login.iter().position(|byte| *byte == b':')?;
    Some(login[colon + 1..].to_owned())
}

fn after_scheme<'a>(header: &'a [u8], scheme: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = header.split_at_checked(scheme.len())?;
    head.eq_ignore_ascii_case(scheme).then(|| rest.trim_ascii())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_the_same_however_a_client_sends_it() {
        let access = Access::new(AdminToken::of("garth_secret"));
        let known = Caller::Known(Person { name: ADMIN.into() });
        let basic = |login: &str| format!("Basic {}", STANDARD.encode(login));
        let rows = [
            ("Bearer garth_secret".to_owned(), known.clone()),
            ("bearer  garth_secret ".to_owned(), known.clone()),
            (basic("anybody:garth_secret"), known.clone()),
            (basic(":garth_secret"), known),
            ("garth_secret".to_owned(), Caller::Unknown),
            ("Bearer garth_secre".to_owned(), Caller::Unknown),
            ("Bearer ".to_owned(), Caller::Unknown),
            (basic("garth_secret:"), Caller::Unknown),
            (basic("garth_secret"), Caller::Unknown),
            ("Basic %%%".to_owned(), Caller::Unknown),
            (String::new(), Caller::Unknown),
        ];
        for (header, expected) in rows {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_str(&header).unwrap());
            assert_eq!(access.caller(&headers), expected, "{header:?}");
            headers.append(AUTHORIZATION, HeaderValue::from_static("Bearer garth_secret"));
            assert_eq!(access.caller(&headers), Caller::Unknown, "{header:?} and another one");
        }
        assert_eq!(access.caller(&HeaderMap::new()), Caller::Anonymous);
    }
}
