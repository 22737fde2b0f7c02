//! From where a request comes: who is connected, or whom a proxy that is trusted saw.
//!
//! What a client writes about itself into such a header stands left of what proxies add, so it is read
//! from the right, and only as far as trusted proxies go. Two headers that disagree were not both
//! written by proxies, and neither counts.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use actix_web::http::header::{FORWARDED, HeaderMap, HeaderName};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Behind trusted proxies the address that the outermost of them saw.
pub fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    let peer = peer.to_canonical();
    if !is_trusted(&peer) {
        return peer;
    }
    let read = |name: &HeaderName, entry: fn(&str) -> Option<IpAddr>| {
        let values: Vec<&str> =
            headers.get_all(name).map(|value| value.to_str().unwrap_or_default()).collect();
        if values.is_empty() {
            return None;
        }
        let entries: Vec<&str> = values.iter().flat_map(|value| value.split(',')).collect();
        let mut seen = peer;
        for text in entries.into_iter().rev() {
            let Some(address) = entry(text.trim()) else { break };
            seen = address.to_canonical();
            if !is_trusted(&seen) {
                break;
            }
        }
        Some(seen)
    };
    match (read(&FORWARDED, of_forwarded), read(&X_FORWARDED_FOR, of_text)) {
        (Some(one), Some(other)) if one != other => peer,
        (Some(seen), _) | (None, Some(seen)) => seen,
        (None, None) => peer,
    }
}

/// What counts as one place: who has one address of the newer kind has as many of its network as they
/// like.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)))
        }
        IpAddr::V4(address) => IpAddr::V4(address),
    }
}

/// `for=192.0.2.60;proto=http`, `for="[2001:db8::1]:4711"`
fn of_forwarded(entry: &str) -> Option<IpAddr> {
    let pairs = entry.split(';').filter_map(|pair| pair.split_once('='));
    let mut of = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case("for"));
    let (_, node) = of.next()?;
    of_text(node.trim().trim_matches('"'))
}

fn of_text(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn check(peer: &str, headers: &[(&str, &str)], expected: &str) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.parse().unwrap(), HeaderValue::from_str(value).unwrap());
        }
        let trusted = ["10.0.0.0/8".parse().unwrap(), "2001:db8:aaaa::/48".parse().unwrap()];
        let found = client_address(peer.parse().unwrap(), &map, &trusted);
        assert_eq!(found, expected.parse::<IpAddr>().unwrap(), "{peer} {headers:?}");
    }

    #[test]
    fn only_what_trusted_proxies_add_counts() {
        let xff = "x-forwarded-for";
        check("192.0.2.1", &[], "192.0.2.1");
        check("192.0.2.1", &[(xff, "198.51.100.7")], "192.0.2.1");
        check("10.0.0.1", &[], "10.0.0.1");
        check("10.0.0.1", &[(xff, "198.51.100.7")], "198.51.100.7");
        // What the client says of itself stands on the left.
        check("10.0.0.1", &[(xff, "203.0.113.9, 198.51.100.7")], "198.51.100.7");
        check("10.0.0.1", &[(xff, "203.0.113.9, 198.51.100.7, 10.2.3.4")], "198.51.100.7");
        check("10.0.0.1", &[(xff, "203.0.113.9"), (xff, "198.51.100.7")], "198.51.100.7");
        check("10.0.0.1", &[(xff, "203.0.113.9, nonsense")], "10.0.0.1");
        check("10.0.0.1", &[(xff, "203.0.113.9, unknown, 10.2.3.4")], "10.2.3.4");
        check("10.0.0.1", &[(xff, "10.9.9.9, 10.2.3.4")], "10.9.9.9");
        check("::ffff:10.0.0.1", &[(xff, "::ffff:198.51.100.7")], "198.51.100.7");
        let forwarded = "forwarded";
        check("10.0.0.1", &[(forwarded, "for=198.51.100.7;proto=https")], "198.51.100.7");
        check("10.0.0.1", &[(forwarded, "For=\"[2001:db8::1]:4711\"")], "2001:db8::1");
        check(
            "2001:db8:aaaa::1",
            &[(forwarded, "for=192.0.2.60, for=198.51.100.7")],
            "198.51.100.7",
        );
        // A header that the proxy does not write passes through it as the client wrote it.
        let forged = [(forwarded, "for=203.0.113.9"), (xff, "198.51.100.7")];
        check("10.0.0.1", &forged, "10.0.0.1");
        let agreed = [(forwarded, "for=198.51.100.7"), (xff, "198.51.100.7")];
        check("10.0.0.1", &agreed, "198.51.100.7");
    }
}
