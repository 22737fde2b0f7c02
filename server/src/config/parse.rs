//! One value as written → one typed value, or what was expected instead. Pure.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use url::{Host, Url};

use super::setting::{GIB, KIB, MIB};

/// `"30s"`, `"5m"`, `"12h"`, `"7d"`; milliseconds as `"250ms"`.
pub fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split_unit(text)?;
    let scale = match unit {
        "ms" => return Some(Duration::from_millis(number)),
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    Some(Duration::from_secs(number.checked_mul(scale)?))
}

/// `"64KiB"`, `"128MiB"`, `"4GiB"`; decimal `"1MB"` too; a bare number is bytes.
pub(super) fn size(text: &str) -> Option<u64> {
    let (number, unit) = split_unit(text)?;
    let scale = match unit {
        "" | "B" => 1,
        "KiB" => KIB,
        "MiB" => MIB,
        "GiB" => GIB,
        "TiB" => GIB * 1024,
        "kB" | "KB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return None,
    };
    number.checked_mul(scale)
}

fn split_unit(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit.trim_start_matches(' ')))
}

/// An address with a port; `localhost` is the loopback address.
pub(super) fn address(text: &str) -> Option<SocketAddr> {
    text.parse().ok().or_else(|| {
        let port = text.strip_prefix("localhost:")?.parse().ok()?;
        Some(SocketAddr::from(([127, 0, 0, 1], port)))
    })
}

/// A network, or a single address as the network of itself.
pub(super) fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| Some(IpNet::from(text.parse::<IpAddr>().ok()?)))
}

/// A host, `host:port` or `*.host`, in the normal form of a URL's host.
pub(super) fn host_or_site(text: &str) -> Option<String> {
    let Some(site) = text.strip_prefix("*.") else { return host(text) };
    match Host::parse(site).ok()? {
        // All of a whole domain of the top is nobody's.
        Host::Domain(site) if site.contains('.') => Some(format!("*.{site}")),
        _ => None,
    }
}

/// A host, or `host:port`, in the normal form of a URL's host.
pub(super) fn host(text: &str) -> Option<String> {
    if let Ok(host) = Host::parse(text) {
        return Some(host.to_string());
    }
    let (host, port) = text.rsplit_once(':')?;
    Some(format!("{}:{}", Host::parse(host).ok()?, port.parse::<u16>().ok()?))
}

/// Why a URL cannot be one that garth asks or writes. The text is never repeated: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrongUrl {
    NotAUrl,
    Scheme,
    UserInfo,
    QueryOrFragment,
}

/// An http or https URL without credentials, query and fragment; its path ends in `/`, so that joining
/// a relative path to it adds and never replaces. One that names a document (the service index of `NuGet`)
/// stays as it is.
pub fn base_url(text: &str) -> Result<Url, WrongUrl> {
    let mut url = Url::parse(text).map_err(|_| WrongUrl::NotAUrl)?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(WrongUrl::Scheme);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(WrongUrl::UserInfo);
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(WrongUrl::QueryOrFragment);
    }
    if !url.path().ends_with('/') && !names_a_document(&url) {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

fn names_a_document(url: &Url) -> bool {
    std::path::Path::new(url.path()).extension().is_some_and(|extension| extension == "json")
}
