//! Credentials, and the one origin that may see them.
//!
//! A [`Pinned`] holds them together with the origin of the configured base URL; the only way to get
//! the header out is to name the URL that is about to be asked. A redirect, a realm in a 401 or a
//! tarball URL elsewhere gets nothing, at every hop anew.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::percent_decode_str;
use reqwest::header::HeaderValue;
use url::Url;

/// The finished `Authorization` header; the value is not readable and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials(HeaderValue);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("credentials hold a character that cannot be sent in a header")]
pub struct UnsendableCredentials;

impl Credentials {
    pub fn basic(username: &str, password: &str) -> Result<Self, UnsendableCredentials> {
        if username.contains(':') {
            return Err(UnsendableCredentials);
        }
        Self::of(&format!("Basic {}", BASE64_STANDARD.encode(format!("{username}:{password}"))))
    }

    /// A bearer token: npm's `_authToken` among them.
    pub fn bearer(token: &str) -> Result<Self, UnsendableCredentials> {
        if token.is_empty() || token.contains(|c: char| !c.is_ascii_graphic()) {
            return Err(UnsendableCredentials);
        }
        Self::of(&format!("Bearer {token}"))
    }

    /// A token as it stands, without a scheme: cargo sends it so.
    pub fn bare(token: &str) -> Result<Self, UnsendableCredentials> {
        if token.is_empty() || token.contains(|c: char| !c.is_ascii_graphic()) {
            return Err(UnsendableCredentials);
        }
        Self::of(token)
    }

    /// The userinfo of a URL, if it has any.
    pub fn of_url(url: &Url) -> Result<Option<Self>, UnsendableCredentials> {
        if url.username().is_empty() && url.password().is_none() {
            return Ok(None);
        }
        let decoded = |part: &str| {
            percent_decode_str(part)
                .decode_utf8()
                .map(std::borrow::Cow::into_owned)
                .map_err(|_| UnsendableCredentials)
        };
        let password = decoded(url.password().unwrap_or_default())?;
        Self::basic(&decoded(url.username())?, &password).map(Some)
    }

    /// For a request to the one place that they are meant for.
    pub(super) fn header(&self) -> HeaderValue {
        self.0.clone()
    }

    fn of(header: &str) -> Result<Self, UnsendableCredentials> {
        let mut value = HeaderValue::from_str(header).map_err(|_| UnsendableCredentials)?;
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(***)")
    }
}

/// Credentials with the scheme, host and port that they belong to.
#[derive(Debug)]
pub struct Pinned {
    credentials: Option<Credentials>,
    home: url::Origin,
}

impl Pinned {
    pub fn new(credentials: Option<Credentials>, base: &Url) -> Self {
        Self { credentials, home: base.origin() }
    }

    pub fn exist(&self) -> bool {
        self.credentials.is_some()
    }

    pub fn is_home(&self, url: &Url) -> bool {
        url.origin() == self.home
    }

    /// The header for a request to exactly this URL.
    pub fn header_for(&self, url: &Url) -> Option<HeaderValue> {
        self.credentials.as_ref().filter(|_| self.is_home(url)).map(|kept| kept.0.clone())
    }
}

/// The URL without userinfo: what reqwest would otherwise turn into a header of its own.
pub fn without_userinfo(mut url: Url) -> Url {
    // Both calls fail only for URLs that cannot hold userinfo to begin with.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn credentials_go_to_their_own_origin_only() {
        let pinned = Pinned::new(
            Some(Credentials::bearer("token").unwrap()),
            &url("https://npm.example.com/registry/"),
        );
        for (target, sent) in [
            ("https://npm.example.com/left-pad", true),
            ("https://npm.example.com:443/left-pad", true),
            ("https://NPM.example.com/left-pad", true),
            ("http://npm.example.com/left-pad", false),
            ("http://npm.example.com:443/left-pad", false),
            ("https://npm.example.com:8443/left-pad", false),
            ("https://npm.example.com./left-pad", false),
            ("https://npm.example.com.evil.example/left-pad", false),
            ("https://cdn.npm.example.com/left-pad", false),
            ("https://npm.example.com@evil.example/left-pad", false),
        ] {
            assert_eq!(pinned.header_for(&url(target)).is_some(), sent, "{target}");
        }
    }

    #[test]
    fn credentials_are_never_printed() {
        let credentials = Credentials::basic("ann", "s3cret").unwrap();
        let pinned = Pinned::new(Some(credentials), &url("https://npm.example.com/"));
        assert_eq!(
            format!("{:?}", pinned.credentials),
            "Some(Credentials(***))",
            "neither plain nor encoded"
        );
    }

    #[test]
    fn userinfo_becomes_basic_credentials() {
        let found = Credentials::of_url(&url("https://ann:p%40ss@h.example/")).unwrap().unwrap();
        assert_eq!(found, Credentials::basic("ann", "p@ss").unwrap());
        assert_eq!(Credentials::of_url(&url("https://h.example/")).unwrap(), None);
        assert_eq!(
            without_userinfo(url("https://ann:p@h.example/x")).as_str(),
            "https://h.example/x"
        );
    }

    #[test]
    fn a_token_that_could_split_a_header_is_refused() {
        for token in ["", "a\r\nX: y", "a b", "é"] {
            assert_eq!(Credentials::bearer(token), Err(UnsendableCredentials), "{token:?}");
        }
    }
}
