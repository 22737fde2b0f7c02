//! Which addresses an upstream's answers may lead us to.
//!
//! The configured upstream may live anywhere: somebody put its URL into the configuration. What it
//! then points at (a redirect, a tarball's URL) was chosen by others and must not reach what only
//! this machine or this network can: loopback, private ranges, the metadata service. The check is
//! on the address that is connected to: names are resolved by [`PublicOnly`], whose answers are the
//! addresses that the connector uses, so a name cannot change its address between check and use.
//! Addresses in URLs never meet a resolver and are checked as the `url` crate reads them, which
//! makes `2130706433`, `0x7f.1` and `127.0.0.1.` all the same.
//!
//! Through a proxy it is the proxy that connects. Then addresses in URLs are checked, and names are
//! checked by what they mean to us, where they mean something; the proxy's own rules are the rest.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::LazyLock;

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use thiserror::Error;
use url::{Host, Url};

#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{host} is at {address}, which is not a public address")]
pub struct ForbiddenAddress {
    pub host: String,
    pub address: IpAddr,
}

/// Not reachable from the outside, or not a single machine.
static SPECIAL: LazyLock<Vec<IpNet>> = LazyLock::new(|| {
    [
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/127",
        "100::/64",
        "2001::/32",
        "2001:2::/48",
        "2001:db8::/32",
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    ]
    .iter()
    .map(|net| net.parse().expect("the ranges above are written correctly"))
    .collect()
});

/// Whether anybody on the internet could reach this address as well.
pub fn is_public(address: IpAddr) -> bool {
    let outside = |address: IpAddr| !SPECIAL.iter().any(|net| net.contains(&address));
    match address {
        IpAddr::V4(_) => outside(address),
        IpAddr::V6(v6) => outside(address) && embedded_v4(v6).is_none_or(|v4| outside(v4.into())),
    }
}

/// The IPv4 address that an IPv6 one stands for: mapped, compatible, NAT64 or 6to4.
fn embedded_v4(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let of = |high: u16, low: u16| Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match v6.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, .., high, low]
        | [0x2002, high, low, ..] => of(high, low),
        _ => None,
    }
}

/// The host of a URL in one spelling: lower case, without a trailing dot.
fn spelled(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

/// The places that were named in the configuration and may therefore have any address.
#[derive(Debug)]
pub struct Configured {
    host: String,
    /// The base's own port, and that of https for an upstream that moves its clients there.
    ports: [u16; 2],
    allowed: Vec<(String, Option<u16>)>,
    /// Ends of names, with their dot: what is below them may be asked, at public addresses alone.
    sites: Vec<String>,
}

impl Configured {
    pub fn new(base: &Url, allow_hosts: &[String]) -> Self {
        Self {
            host: spelled(base.host_str().unwrap_or_default()),
            ports: [base.port_or_known_default().unwrap_or_default(), 443],
            ..Self::hosts(allow_hosts)
        }
    }

    /// Of no upstream: these hosts alone.
    pub fn hosts(allow_hosts: &[String]) -> Self {
        let site = |entry: &String| entry.strip_prefix('*').map(spelled);
        let (sites, hosts): (Vec<_>, Vec<_>) =
            allow_hosts.iter().partition(|entry| entry.starts_with("*."));
        let allowed = hosts.into_iter().map(|entry| parse_allowed(entry)).collect();
        let sites = sites.into_iter().filter_map(site).collect();
        Self { host: String::new(), ports: [0; 2], allowed, sites }
    }

    /// Whether a document may lead there. What it is named by alone decides nothing about its
    /// address.
    pub fn permits(&self, url: &Url) -> bool {
        let below = |host: &str| {
            let host = spelled(host);
            self.sites.iter().any(|site| host.ends_with(site.as_str()))
        };
        self.names(url) || url.domain().is_some_and(below)
    }

    pub fn names(&self, url: &Url) -> bool {
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return false;
        };
        let host = spelled(host);
        (host == self.host && self.ports.contains(&port))
            || self
                .allowed
                .iter()
                .any(|(name, only)| *name == host && only.is_none_or(|only| only == port))
    }
}

fn parse_allowed(entry: &str) -> (String, Option<u16>) {
    // An IPv6 address may come with or without its brackets.
    if entry.parse::<Ipv6Addr>().is_ok() {
        return (format!("[{}]", entry.to_ascii_lowercase()), None);
    }
    match entry.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') => match port.parse() {
            Ok(port) => (spelled(host), Some(port)),
            Err(_) => (spelled(entry), None),
        },
        _ => (spelled(entry), None),
    }
}

/// Refuses a URL whose host is written as an address that is not public. Other names than
/// `localhost` pass: they are checked where they are resolved.
pub fn check_literal(url: &Url) -> Result<(), ForbiddenAddress> {
    let address = match url.host() {
        Some(Host::Ipv4(v4)) => IpAddr::V4(v4),
        Some(Host::Ipv6(v6)) => IpAddr::V6(v6),
        // The one name that means an address by standard, whether or not the resolver knows so.
        Some(Host::Domain(name)) if is_localhost(name) => Ipv4Addr::LOCALHOST.into(),
        _ => return Ok(()),
    };
    if is_public(address) {
        return Ok(());
    }
    Err(ForbiddenAddress { host: url.host_str().unwrap_or_default().to_owned(), address })
}

fn is_localhost(name: &str) -> bool {
    let name = spelled(name);
    name == "localhost" || name.ends_with(".localhost")
}

/// Looks the name up as [`PublicOnly`] would; for a name that only the proxy knows this is no
/// objection.
pub async fn check_name(url: &Url) -> Result<(), ForbiddenAddress> {
    let Some(Host::Domain(name)) = url.host() else { return Ok(()) };
    match resolve(name).await {
        Ok(addresses) => public_of(name, addresses).map(|_| ()),
        Err(_) => Ok(()),
    }
}

/// A resolver that knows only public addresses.
#[derive(Debug)]
pub struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let addresses = resolve(name.as_str()).await?;
            let public = public_of(name.as_str(), addresses)?;
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

async fn resolve(name: &str) -> io::Result<Vec<SocketAddr>> {
    // The resolver calls us with a bare name; the connector sets the port.
    Ok(tokio::net::lookup_host((name, 0)).await?.collect())
}

fn public_of(host: &str, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, ForbiddenAddress> {
    let (public, special): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|address| is_public(address.ip()));
    match (public.is_empty(), special.first()) {
        (true, Some(address)) => {
            Err(ForbiddenAddress { host: host.to_owned(), address: address.ip() })
        }
        _ => Ok(public),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_special_address_is_refused() {
        for text in [
            "http://localhost/",
            "http://LocalHost./",
            "http://x.localhost/",
            "http://127.0.0.1/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://017700000001/",
            "http://127.0.0.1./",
            "http://%31%32%37.0.0.1/",
            "http://１２７.0.0.1/",
            "http://[::1]/",
            "http://[::]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]/",
            "http://[::127.0.0.1]/",
            "http://[::ffff:0:127.0.0.1]/",
            "http://[64:ff9b::169.254.169.254]/",
            "http://[64:ff9b:1::10.0.0.1]/",
            "http://[2002:7f00:1::]/",
            "http://169.254.169.254/latest/meta-data",
            "http://2852039166/",
            "http://[fd00:ec2::254]/",
            "http://[fe80::1]/",
            "http://[ff02::1]/",
            "http://10.1.2.3/",
            "http://172.16.0.1/",
            "http://172.31.255.255/",
            "http://192.168.1.1/",
            "http://100.64.0.1/",
            "http://100.100.100.200/",
            "http://0.0.0.0/",
            "http://0/",
            "http://224.0.0.1/",
            "http://255.255.255.255/",
        ] {
            let url = Url::parse(text).unwrap();
            assert!(check_literal(&url).is_err(), "{text} is {:?}", url.host());
        }
    }

    #[test]
    fn public_addresses_and_names_pass_the_literal_check() {
        for text in [
            "http://1.1.1.1/",
            "http://172.32.0.1/",
            "http://100.128.0.1/",
            "http://[2606:4700::1111]/",
            "http://[::ffff:1.1.1.1]/",
            "http://npm.example.com/",
            "http://localhost.example.com/",
        ] {
            assert_eq!(check_literal(&Url::parse(text).unwrap()), Ok(()), "{text}");
        }
    }

    #[test]
    fn only_what_was_configured_may_be_private() {
        let base = Url::parse("http://10.0.0.5:4873/npm/").unwrap();
        let allowed =
            ["cdn.corp.example".to_owned(), "10.0.0.9:8080".to_owned(), "fd00::1".to_owned()];
        let configured = Configured::new(&base, &allowed);
        for (target, named) in [
            ("http://10.0.0.5:4873/x", true),
            ("http://10.0.0.5.:4873/x", true),
            ("https://10.0.0.5/x", true),
            ("http://10.0.0.5:22/x", false),
            ("http://10.0.0.5/x", false),
            ("http://10.0.0.6:4873/x", false),
            ("https://CDN.corp.example./x", true),
            ("https://cdn.corp.example:9000/x", true),
            ("https://evil.cdn.corp.example/x", false),
            ("http://10.0.0.9:8080/x", true),
            ("http://10.0.0.9/x", false),
            ("http://[fd00::1]/x", true),
        ] {
            assert_eq!(configured.names(&Url::parse(target).unwrap()), named, "{target}");
        }
    }

    #[test]
    fn what_lies_below_an_allowed_name_may_be_asked_where_everybody_could() {
        let base = Url::parse("https://index.crates.example/").unwrap();
        let configured = Configured::new(&base, &["*.Crates.example".to_owned()]);
        for (target, permitted) in [
            ("https://index.crates.example/x", true),
            ("https://static.crates.example/x", true),
            ("https://STATIC.crates.example./x", true),
            ("https://a.b.crates.example/x", true),
            ("https://crates.example/x", false),
            ("https://evilcrates.example/x", false),
            ("https://static.crates.example.evil.example/x", false),
            ("https://10.0.0.1/x", false),
        ] {
            let target = Url::parse(target).unwrap();
            assert_eq!(configured.permits(&target), permitted, "{target}");
            let is_base = target.host_str() == base.host_str();
            assert_eq!(configured.names(&target), is_base, "{target}: any address");
        }
    }

    #[tokio::test]
    async fn a_name_that_means_this_machine_is_refused() {
        let refused = PublicOnly.resolve("localhost".parse().unwrap()).await;
        let error = refused.err().expect("localhost is not public");
        assert!(error.downcast_ref::<ForbiddenAddress>().is_some(), "{error}");
        // Whether this one means anything depends on the machine; it never means an address.
        assert!(PublicOnly.resolve("localhost.".parse().unwrap()).await.is_err());
    }
}
