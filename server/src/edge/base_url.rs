//! The URL under which the asker reaches us, for the links in our answers.
//!
//! `public_url` wins over everything; else a trusted proxy's word; else the request's own Host,
//! which must be a plain `host[:port]`, since it ends up in documents that others read.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header::{FORWARDED, HOST, HeaderMap, HeaderName};
use ipnet::IpNet;
use url::{Host, Url};

use super::connections::Connection;
use super::problem::Problem;

const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Without a slash at the end. The answer depends on headers where `public_url` is not set, so it
/// must then be part of the key of anything that is kept.
pub fn base_url(
    req: &HttpRequest,
    public_url: Option<&Url>,
    trusted_proxies: &[IpNet],
) -> Result<String, Problem> {
    if let Some(public_url) = public_url {
        return Ok(public_url.as_str().trim_end_matches('/').to_owned());
    }
    let connection = req.conn_data::<Arc<Connection>>();
    let seen = Seen {
        peer: req.peer_addr().map(|peer| peer.ip()),
        tls: connection.is_some_and(|connection| connection.is_tls()),
        authority: req.uri().authority().map(actix_web::http::uri::Authority::as_str),
        headers: req.headers(),
    };
    choose(&seen, trusted_proxies)
}

/// All that [`base_url`] goes by without a `public_url`: whether it was asked by TLS, and the Host.
/// `None` where a proxy has a word in it.
pub fn asked_host<'a>(req: &'a HttpRequest, trusted_proxies: &[IpNet]) -> Option<(bool, &'a str)> {
    if req.peer_addr().is_some_and(|peer| is_trusted(peer.ip(), trusted_proxies)) {
        return None;
    }
    let tls = req.conn_data::<Arc<Connection>>().is_some_and(|connection| connection.is_tls());
    let authority = req.uri().authority().map(actix_web::http::uri::Authority::as_str);
    Some((tls, authority.or_else(|| header(req.headers(), &HOST))?))
}

struct Seen<'a> {
    peer: Option<IpAddr>,
    tls: bool,
    /// Of HTTP/2, or of a request in absolute form.
    authority: Option<&'a str>,
    headers: &'a HeaderMap,
}

fn choose(seen: &Seen<'_>, trusted_proxies: &[IpNet]) -> Result<String, Problem> {
    let own_scheme = if seen.tls { "https" } else { "http" };
    let forwarded = if seen.peer.is_some_and(|peer| is_trusted(peer, trusted_proxies)) {
        forwarded(seen.headers, trusted_proxies)
    } else {
        Forwarded::default()
    };
    let scheme = match forwarded.proto.as_deref() {
        None => own_scheme,
        Some(proto) if proto.eq_ignore_ascii_case("https") => "https",
        Some(proto) if proto.eq_ignore_ascii_case("http") => "http",
        Some(_) => return Err(bad("the proxy forwarded a scheme other than http and https")),
    };
    let own_host = || seen.authority.or_else(|| header(seen.headers, &HOST));
    let host = forwarded.host.as_deref().or_else(own_host);
    match host {
        Some(host) if is_host(host) => Ok(format!("{scheme}://{}", host.to_ascii_lowercase())),
        Some(_) => Err(bad("the Host of the request is not a plain host with an optional port")),
        None => Err(bad("the request names no Host")),
    }
}

fn bad(message: &'static str) -> Problem {
    Problem::bad_request("bad-host", message)
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    // Bytes that are no text are no host either; an empty one says so further on.
    headers.get(name).map(|value| value.to_str().unwrap_or_default())
}

fn is_trusted(address: IpAddr, trusted_proxies: &[IpNet]) -> bool {
    let address = address.to_canonical();
    trusted_proxies.iter().any(|proxies| proxies.contains(&address))
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Forwarded {
    proto: Option<String>,
    host: Option<String>,
}

/// `Forwarded` is asked first. Each proxy appends, so the last element is our neighbour's; where
/// that one in turn had it from a trusted proxy, the element before counts.
fn forwarded(headers: &HeaderMap, trusted_proxies: &[IpNet]) -> Forwarded {
    let elements: Vec<Vec<(String, String)>> = headers
        .get_all(FORWARDED)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| split_quoted(value, ','))
        .map(|element| {
            split_quoted(&element, ';').iter().filter_map(|pair| parameter(pair)).collect()
        })
        .collect();
    if elements.is_empty() {
        let last = |name: &HeaderName| {
            let value = headers.get_all(name).last()?.to_str().unwrap_or_default();
            Some(value.rsplit(',').next().unwrap_or_default().trim().to_owned())
        };
        return Forwarded { proto: last(&X_FORWARDED_PROTO), host: last(&X_FORWARDED_HOST) };
    }
    let find = |element: &[(String, String)], name: &str| {
        element.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    };
    let mut found = Forwarded::default();
    for element in elements.iter().rev() {
        found.proto = find(element, "proto").or(found.proto);
        found.host = find(element, "host").or(found.host);
        let came_from = find(element, "for").and_then(|node| node_address(&node));
        if !came_from.is_some_and(|address| is_trusted(address, trusted_proxies)) {
            break;
        }
    }
    found
}

/// The address in `192.0.2.1:80`, `[2001:db8::1]:80` or without their ports.
fn node_address(node: &str) -> Option<IpAddr> {
    if let Some(rest) = node.strip_prefix('[') {
        return rest.split(']').next()?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    }
    node.split(':').next()?.parse().ok()
}

fn parameter(pair: &str) -> Option<(String, String)> {
    let (name, value) = pair.split_once('=')?;
    let value = value.trim();
    let value = match value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) {
        Some(quoted) => quoted.replace('\\', ""),
        None => value.to_owned(),
    };
    Some((name.trim().to_ascii_lowercase(), value))
}

/// Splits at `at` outside quotes.
fn split_quoted(text: &str, at: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let (mut quoted, mut escaped) = (false, false);
    for character in text.chars() {
        if character == at && !quoted {
            parts.push(String::new());
            continue;
        }
        if character == '"' && !escaped {
            quoted = !quoted;
        }
        escaped = character == '\\' && !escaped;
        if let Some(part) = parts.last_mut() {
            part.push(character);
        }
    }
    parts
}

/// `host[:port]`: a name of letters, digits, `-`, `_` and dots, an IPv4 address, or an IPv6
/// address in brackets.
fn is_host(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let Some((address, port)) = rest.split_once(']') else { return false };
            if address.parse::<Ipv6Addr>().is_err() {
                return false;
            }
            (None, if port.is_empty() { None } else { Some(port.strip_prefix(':')) })
        }
        None => match text.split_once(':') {
            Some((host, port)) => (Some(host), Some(Some(port))),
            None => (Some(text), None),
        },
    };
    let port_holds = match port {
        None => true,
        Some(Some(port)) => {
            port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
        }
        Some(None) => false,
    };
    port_holds && host.is_none_or(is_name)
}

fn is_name(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    // A browser reads `0x7f.1` and `a.0` as numbers; what it would change or refuse is no name.
    let reads_the_same =
        || Host::parse(host).is_ok_and(|read| read.to_string().eq_ignore_ascii_case(host));
    (1..=253).contains(&host.len())
        && host.strip_suffix('.').unwrap_or(host).split('.').all(label)
        && reads_the_same()
}

#[cfg(test)]
#[path = "base_url_tests.rs"]
mod tests;
