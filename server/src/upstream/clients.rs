//! The two HTTP clients behind one upstream, and which of them may be used for a URL.

use std::time::Duration;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::{Client, ClientBuilder, Proxy};
use rustls::ClientConfig;
use url::Url;

use super::addresses::{Configured, ForbiddenAddress, PublicOnly, check_literal, check_name};
use super::settings::{ProxySetting, UpstreamSettings};
use super::trust;

#[derive(Debug)]
pub struct Clients {
    /// Connects anywhere, through the proxy if there is one.
    anywhere: Client,
    /// Connects to public addresses only, and never through a proxy.
    public_only: Client,
    proxies: Option<Matcher>,
}

impl Clients {
    /// The error says what is wrong, without any URL.
    pub fn new(settings: &UpstreamSettings) -> Result<Self, String> {
        let made = |builder: ClientBuilder| {
            builder.build().map_err(|error| error.without_url().to_string())
        };
        let tls = trust::tls(&settings.extra_roots)?;
        let public_only = plain(settings, tls.clone()).no_proxy().dns_resolver(PublicOnly);
        Ok(Self {
            anywhere: made(proxied(plain(settings, tls), &settings.proxy)?)?,
            public_only: made(public_only)?,
            proxies: matcher(&settings.proxy),
        })
    }

    /// The client that may connect to where this URL leads.
    pub async fn for_url(
        &self,
        url: &Url,
        configured: &Configured,
    ) -> Result<&Client, ForbiddenAddress> {
        if configured.names(url) {
            return Ok(&self.anywhere);
        }
        check_literal(url)?;
        if self.goes_through_proxy(url) {
            check_name(url).await?;
            return Ok(&self.anywhere);
        }
        Ok(&self.public_only)
    }

    fn goes_through_proxy(&self, url: &Url) -> bool {
        let target = url.as_str().parse().ok();
        let pair = self.proxies.as_ref().zip(target.as_ref());
        pair.is_some_and(|(proxies, target)| proxies.intercept(target).is_some())
    }
}

/// What both have in common.
fn plain(settings: &UpstreamSettings, tls: ClientConfig) -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("garth/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .gzip(false)
        .connect_timeout(settings.deadlines.connect)
        .pool_idle_timeout(Duration::from_mins(1))
        .pool_max_idle_per_host(settings.limits.concurrent)
        .tcp_nodelay(true)
        .tcp_keepalive(Duration::from_secs(30))
        .http2_adaptive_window(true)
        .http2_keep_alive_interval(Duration::from_secs(20))
        .http2_keep_alive_timeout(Duration::from_secs(10))
        .tls_backend_preconfigured(tls)
}

fn proxied(builder: ClientBuilder, setting: &ProxySetting) -> Result<ClientBuilder, String> {
    match setting {
        ProxySetting::Environment => Ok(builder),
        ProxySetting::Direct => Ok(builder.no_proxy()),
        ProxySetting::Url(url) => {
            let proxy = Proxy::all(url.clone()).map_err(|_| "the proxy is no URL".to_owned())?;
            Ok(builder.proxy(proxy))
        }
    }
}

/// Reads the proxy settings as reqwest does, to know which requests go through one.
fn matcher(setting: &ProxySetting) -> Option<Matcher> {
    match setting {
        ProxySetting::Environment => Some(Matcher::from_system()),
        ProxySetting::Direct => None,
        ProxySetting::Url(url) => Some(Matcher::builder().all(url.to_string()).build()),
    }
}
