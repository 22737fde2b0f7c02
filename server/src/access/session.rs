//! The session of a browser: a login that lies in a cookie, where no script reads it.
//!
//! The API takes it where it takes a token; no registry does. A browser sends a cookie whoever wrote the
//! page that asks, so what changes something has to come from a page of this garth, and say so.

use actix_web::http::Method;
use actix_web::http::header::{COOKIE, HeaderMap, HeaderName, ORIGIN};
use jiff::SignedDuration;
use url::Url;

/// The login itself.
const SESSION: &str = "garth-session";
/// A login that was begun.
const BEGUN: &str = "garth-login";
/// What the login lies in where the public URL begins with https; elsewhere without what is before `garth`.
pub const SAFE: &str = "__Host-garth-session";
/// A browser takes such a cookie only with `Secure`, and from no neighbour of this host.
const HOST: &str = "__Host-";
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// How cookies are set and read by the garth of one public URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sessions {
    origin: String,
    is_secure: bool,
}

/// A cookie came along with a change, and not from a page of ours as far as anybody can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "what changes something by the session of a browser has to come from a page of this garth: another \
     site's page asks here, or something that does not say where it comes from. A program sends a \
     token as `Authorization: Bearer ...`"
)]
pub struct ForeignOrigin;

impl Sessions {
    pub fn of(public_url: &Url) -> Self {
        let origin = public_url.origin().ascii_serialization();
        Self { origin, is_secure: public_url.scheme() == "https" }
    }

    /// The token of a session; `None` where none or more than one was sent.
    pub fn token<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        self.cookie(headers, SESSION)
    }

    /// What was set by [`Self::set_begun`].
    pub fn begun<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        self.cookie(headers, BEGUN)
    }

    pub fn set(&self, token: &str, life: SignedDuration) -> String {
        self.written(SESSION, token, life)
    }

    pub fn set_begun(&self, sealed: &str, life: SignedDuration) -> String {
        self.written(BEGUN, sealed, life)
    }

    /// Ends the session in the browser.
    pub fn clear(&self) -> String {
        self.written(SESSION, "", SignedDuration::ZERO)
    }

    pub fn clear_begun(&self) -> String {
        self.written(BEGUN, "", SignedDuration::ZERO)
    }

    /// What only looks is not asked from where: nobody else's page can read the answer.
    pub fn check(&self, method: &Method, headers: &HeaderMap) -> Result<(), ForeignOrigin> {
        if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
            return Ok(());
        }
        // Each that is sent has to fit, and one of them has to be.
        let fits = |name: &HeaderName, expected: &str| {
            let mut sent = headers.get_all(name);
            match (sent.next(), sent.next()) {
                (None, _) => None,
                (Some(value), None) => Some(value.as_bytes() == expected.as_bytes()),
                (Some(_), Some(_)) => Some(false),
            }
        };
        match (fits(&SEC_FETCH_SITE, "same-origin"), fits(&ORIGIN, &self.origin)) {
            (None, None) | (Some(false), _) | (_, Some(false)) => Err(ForeignOrigin),
            _ => Ok(()),
        }
    }

    /// Lax, so that somebody who comes back from the provider is known on the page that they wanted.
    fn written(&self, name: &str, value: &str, life: SignedDuration) -> String {
        let name = self.name(name);
        let secure = if self.is_secure { "; Secure" } else { "" };
        let seconds = life.as_secs().max(0);
        format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}")
    }

    fn name(&self, name: &str) -> String {
        if self.is_secure { format!("{HOST}{name}") } else { name.to_owned() }
    }

    fn cookie<'a>(&self, headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
        let name = self.name(name);
        let mut found = headers
            .get_all(COOKIE)
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(known, _)| *known == name)
            .map(|(_, value)| value);
        let value = found.next().filter(|value| !value.is_empty())?;
        // Two of them could be two people.
        found.next().is_none().then_some(value)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn sessions(url: &str) -> Sessions {
        Sessions::of(&Url::parse(url).unwrap())
    }

    fn headers(sent: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn a_cookie_is_bound_to_this_host_and_hidden_from_scripts() {
        let safe = sessions("https://garth.example.com/below");
        assert_eq!(
            safe.set("garth_person_x", SignedDuration::from_hours(1)),
            "__Host-garth-session=garth_person_x; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax; Secure"
        );
        assert!(safe.clear().starts_with("__Host-garth-session=; Path=/; Max-Age=0;"));
        let here = sessions("http://127.0.0.1:8642").set("x", SignedDuration::ZERO);
        assert!(here.starts_with("garth-session=x;") && !here.contains("Secure"), "{here}");
        assert_eq!(safe.name(SESSION), SAFE);
    }

    #[test]
    fn one_session_is_read_and_two_are_none() {
        let safe = sessions("https://garth.example.com");
        for (sent, expected) in [
            (vec!["a=b; __Host-garth-session=x; c=d"], Some("x")),
            (vec!["a=b", "__Host-garth-session=x"], Some("x")),
            (vec!["__Host-garth-session=x; __Host-garth-session=y"], None),
            (vec!["__Host-garth-session=x", "__Host-garth-session=y"], None),
            (vec!["garth-session=x"], None),
            (vec!["__Host-garth-session="], None),
            (vec!["__host-garth-session=x"], None),
            (vec![], None),
        ] {
            let sent: Vec<_> = sent.into_iter().map(|value| ("cookie", value)).collect();
            assert_eq!(safe.token(&headers(&sent)), expected, "{sent:?}");
        }
    }

    #[test]
    fn a_change_comes_from_our_own_page_and_says_so() {
        let safe = sessions("https://garth.example.com");
        for (sent, comes) in [
            (vec![("origin", "https://garth.example.com")], true),
            (vec![("sec-fetch-site", "same-origin")], true),
            (
                vec![("origin", "https://garth.example.com"), ("sec-fetch-site", "same-origin")],
                true,
            ),
            (vec![], false),
            (vec![("origin", "null")], false),
            (vec![("origin", "https://evil.example")], false),
            (vec![("origin", "http://garth.example.com")], false),
            (vec![("origin", "https://garth.example.com:8443")], false),
            (vec![("origin", "https://garth.example.com.evil.example")], false),
            (vec![("sec-fetch-site", "same-site")], false),
            (vec![("sec-fetch-site", "cross-site")], false),
            (vec![("sec-fetch-site", "none")], false),
            (
                vec![("origin", "https://garth.example.com"), ("sec-fetch-site", "cross-site")],
                false,
            ),
            (vec![("origin", "https://evil.example"), ("sec-fetch-site", "same-origin")], false),
            (
                vec![("origin", "https://garth.example.com"), ("origin", "https://evil.example")],
                false,
            ),
        ] {
            let headers = headers(&sent);
            for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
                assert_eq!(safe.check(&method, &headers).is_ok(), comes, "{method} {sent:?}");
            }
            assert!(safe.check(&Method::GET, &headers).is_ok());
        }
    }
}
