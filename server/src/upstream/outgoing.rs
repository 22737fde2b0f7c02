//! Sending to places that people name at run time: webhooks.
//!
//! Nobody who administers garth should thereby reach what only this machine can: an address that is
//! not public is refused unless the configuration allows the host, at the moment of connecting, and
//! no redirect is followed. What comes back is cut short.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_TYPE, RETRY_AFTER, VIA};
pub use reqwest::header::{HeaderMap, HeaderValue};
use url::Url;

use super::addresses::{Configured, check_literal};
use super::causes::{Fault, fault_of};
use super::clients::Clients;
use super::error::place;
use super::exchange::text_header;
use super::retry::parse_retry_after;
use super::settings::UpstreamSettings;
use super::via::our_via;
use crate::observability::escape::bounded;

/// So much of an answer is read, and shown.
const READ: usize = 2048;
const SHOWN: usize = 300;
const CONNECT: Duration = Duration::from_secs(10);

/// Clients for it, within one set of bounds.
#[derive(Debug)]
pub struct Outgoing {
    clients: Clients,
    allowed: Configured,
    total: Duration,
    longest_pause: Duration,
}

#[derive(Clone, Debug)]
pub struct OutgoingSettings {
    /// Hosts, or `host:port`, that may have a private address, and be asked without TLS.
    pub allow_hosts: Vec<String>,
    /// From connecting to the last byte of the answer that is read.
    pub total: Duration,
    /// The longest `Retry-After` that is believed.
    pub longest_pause: Duration,
    /// Certificates (PEM) that are trusted beside the system's.
    pub extra_roots: Vec<Vec<u8>>,
}

/// An answer, whatever it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    pub status: u16,
    /// Where it asks to be left in peace for so long.
    pub pause: Option<Duration>,
    /// The beginning of the body, on one line.
    pub said: String,
}

impl Outgoing {
    /// The error says what is wrong, without any URL.
    pub fn new(settings: &OutgoingSettings) -> Result<Self, String> {
        // It is never asked: who is asked is said each time.
        let nowhere = Url::parse("https://webhooks.invalid/").map_err(|fault| fault.to_string())?;
        let mut of = UpstreamSettings::new("webhooks", nowhere);
        of.extra_roots.clone_from(&settings.extra_roots);
        of.deadlines.connect = CONNECT.min(settings.total);
        of.limits.concurrent = 2;
        Ok(Self {
            clients: Clients::new(&of)?,
            allowed: Configured::hosts(&settings.allow_hosts),
            total: settings.total,
            longest_pause: settings.longest_pause,
        })
    }

    /// Why nothing is ever sent there, as far as the URL itself says so.
    pub fn check(&self, url: &Url) -> Result<(), String> {
        let allow =
            "if that is meant, whoever runs this garth adds the host to webhooks.allow_hosts";
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err("it is neither an http nor an https URL".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(
                "a URL with a user name or password in it would be kept readable".to_owned()
            );
        }
        if url.fragment().is_some() {
            return Err("what follows a # is never sent".to_owned());
        }
        if self.allowed.names(url) {
            return Ok(());
        }
        check_literal(url).map_err(|refused| format!("{refused}; {allow}"))?;
        if url.scheme() == "http" {
            return Err(format!("it is not https; {allow}"));
        }
        Ok(())
    }

    /// One try. An error says why there is no answer, fit to be shown.
    pub async fn post(
        &self,
        url: &Url,
        headers: HeaderMap,
        body: Bytes,
        now: Timestamp,
    ) -> Result<Answered, String> {
        self.check(url)?;
        match tokio::time::timeout(self.total, self.exchange(url, headers, body, now)).await {
            Ok(answered) => answered,
            Err(_) => Err(format!("{} did not answer within {:?}", host(url), self.total)),
        }
    }

    async fn exchange(
        &self,
        url: &Url,
        headers: HeaderMap,
        body: Bytes,
        now: Timestamp,
    ) -> Result<Answered, String> {
        let client = self.clients.for_url(url, &self.allowed).await;
        let client = client.map_err(|refused| refused.to_string())?;
        let request = client
            .post(url.clone())
            .headers(headers)
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT_ENCODING, "identity")
            .header(VIA, our_via())
            .body(body);
        let mut response = request.send().await.map_err(|error| told(url, &error))?;
        let status = response.status().as_u16();
        let pause = text_header(response.headers(), &RETRY_AFTER);
        let pause = pause.and_then(|text| parse_retry_after(&text, now, self.longest_pause));
        let mut read = Vec::new();
        // The status is what counts: a body that breaks off changes nothing.
        while let Ok(Some(piece)) = response.chunk().await {
            read.extend_from_slice(&piece[..piece.len().min(READ - read.len())]);
            if read.len() >= READ {
                break;
            }
        }
        let said = bounded(String::from_utf8_lossy(&read).trim(), SHOWN).into_owned();
        Ok(Answered { status, pause, said })
    }
}

/// The host alone: a path may be a secret by itself.
pub fn host(url: &Url) -> String {
    let mut bare = url.clone();
    bare.set_path("");
    place(&bare).trim_end_matches('/').to_owned()
}

fn told(url: &Url, error: &reqwest::Error) -> String {
    let host = host(url);
    match fault_of(error) {
        Fault::Forbidden(forbidden) => forbidden.to_string(),
        Fault::Tls(cause) => format!("{host} can not be trusted: {cause}"),
        Fault::TimedOut(cause) => format!("{host} did not answer in time: {cause}"),
        Fault::Connection(cause) => format!("{host} can not be reached: {cause}"),
        Fault::Malformed(cause) => format!("{host} did not answer as HTTP does: {cause}"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn outgoing(allow: &[&str]) -> Outgoing {
        let second = Duration::from_secs(1);
        Outgoing::new(&OutgoingSettings {
            allow_hosts: allow.iter().map(|&host| host.to_owned()).collect(),
            total: second,
            longest_pause: second,
            extra_roots: Vec::new(),
        })
        .unwrap()
    }

    #[test]
    fn only_public_places_with_tls_are_sent_to_unless_they_are_allowed() {
        let none = outgoing(&[]);
        for (url, refused) in [
            ("https://hooks.example.com/a?b=c", ""),
            ("http://hooks.example.com/", "not https"),
            ("ftp://hooks.example.com/", "neither an http"),
            ("https://ann:pw@hooks.example.com/", "user name"),
            ("https://hooks.example.com/#x", "#"),
            ("https://127.0.0.1/", "not a public address"),
            ("https://localhost/", "not a public address"),
            ("https://2130706433/", "not a public address"),
            ("https://[::ffff:10.0.0.1]/", "not a public address"),
            ("https://169.254.169.254/latest", "not a public address"),
        ] {
            let found = none.check(&url.parse().unwrap());
            match refused {
                "" => assert_eq!(found, Ok(()), "{url}"),
                said => assert!(found.clone().unwrap_err().contains(said), "{url}: {found:?}"),
            }
        }
        let some = outgoing(&["127.0.0.1:8080", "hooks.corp.example"]);
        assert!(some.check(&"http://127.0.0.1:8080/x".parse().unwrap()).is_ok());
        assert!(some.check(&"http://127.0.0.1:8081/x".parse().unwrap()).is_err());
        assert!(some.check(&"http://hooks.corp.example/x".parse().unwrap()).is_ok());
        assert!(some.check(&"http://ann@127.0.0.1:8080/x".parse().unwrap()).is_err());
    }

    #[tokio::test]
    async fn a_name_that_means_a_private_address_is_refused_where_it_is_resolved() {
        // Not written as an address, so only the resolver can tell.
        let name = "https://ip6-localhost:1/";
        let (outgoing, url) = (outgoing(&[]), name.parse().unwrap());
        let sent = outgoing.post(&url, HeaderMap::new(), Bytes::new(), Timestamp::UNIX_EPOCH);
        let fault = sent.await.unwrap_err();
        let refused =
            fault.contains("not a public address") || fault.contains("can not be reached");
        assert!(refused, "{fault}");
    }

    #[test]
    fn a_host_is_told_without_its_path() {
        let url = "https://hooks.example.com:8443/T00/secret?x=1".parse().unwrap();
        assert_eq!(host(&url), "hooks.example.com:8443");
    }
}
