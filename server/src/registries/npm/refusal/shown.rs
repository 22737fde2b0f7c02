//! Where the clients that do not print our body have a place for the reason.
//!
//! | client | prints of a refusal |
//! |---|---|
//! | npm, yarn 1 below 500 | the `error` of the body |
//! | pnpm, yarn from 2 on | the words of the status line |
//! | bun | the number and the address, after a redirect that which it led to |
//!
//! All of them print the address, so the words of the status line need not name the package.

use actix_web::http::header::{CACHE_CONTROL, HeaderValue, LOCATION, USER_AGENT};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::edge;
use crate::registries::Registry;

/// Longer addresses are cut by some proxies, and read by nobody.
const LONGEST: usize = 400;

/// The same refusal, told where the asking client shows it too.
pub fn also(
    mut response: HttpResponse,
    registry: &Registry,
    req: &HttpRequest,
    line: &str,
    status_text: &str,
) -> HttpResponse {
    // It hangs on who asks.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let agent = req.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok());
    match agent.unwrap_or_default() {
        // It prints the body too, and would say all of it twice.
        agent if agent.starts_with("npm/") => {}
        agent if agent.starts_with("Bun/") && req.method() == Method::GET => {
            if let Some(location) = reason_address(registry, req, response.status(), line) {
                response.headers_mut().insert(LOCATION, location);
                *response.status_mut() = StatusCode::FOUND;
            }
        }
        _ => edge::set_status_text(&mut response, status_text),
    }
    response
}

/// An address below the registry that ends in the reason, and that answers with the status.
fn reason_address(
    registry: &Registry,
    req: &HttpRequest,
    status: StatusCode,
    line: &str,
) -> Option<HeaderValue> {
    let garden = &registry.garden;
    let base = edge::base_url(req, garden.public_url.as_ref(), &garden.trusted_proxies).ok()?;
    let (name, status) = (&registry.name, status.as_u16());
    let location = format!("{base}/{name}/-/reason/{status}/{}", in_a_path(line));
    HeaderValue::from_str(&location).ok()
}

/// As readable as a path can be, and nothing in it that a path reads in its own way.
fn in_a_path(line: &str) -> String {
    const ESCAPED: &AsciiSet = CONTROLS;
    let mut plain = String::new();
    for c in line.chars().take(LONGEST) {
        let odd = matches!(c, ' ' | '"' | '#' | '%' | '<' | '>' | '?' | '[' | ']' | '\\' | '^')
            || matches!(c, '`' | '{' | '|' | '}')
            || c.is_control();
        // No empty segment, and none of dots alone.
        let apart = plain.ends_with('/') && matches!(c, '/' | '.');
        plain.push(if odd || apart { '_' } else { c });
    }
    utf8_percent_encode(plain.trim_end_matches('/'), ESCAPED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registries::npm::names::{Endpoint, parse_path};

    #[test]
    fn whatever_a_reason_says_its_address_is_read_as_a_reason() {
        for (line, path) in [
            ("npm:@s/n@1.0.0 is denied", "npm:@s/n@1.0.0_is_denied"),
            ("see https://wiki.example/a?b#c", "see_https:/_wiki.example/a_b_c"),
            ("50% \\ ../.. /./ //", "50____../_._/_/_/_"),
            ("größer", "gr%C3%B6%C3%9Fer"),
            ("a\r\nb", "a__b"),
        ] {
            assert_eq!(in_a_path(line), path);
            let read = parse_path(&format!("/-/reason/403/{path}"));
            assert_eq!(read, Ok(Endpoint::Reason(403)), "{line}");
        }
        assert!(in_a_path(&"x".repeat(9000)).len() <= LONGEST);
    }
}
