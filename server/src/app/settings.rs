//! What the configuration means to the parts, in their own terms.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use actix_web::http::Method;
use url::Url;

use super::StartError;
use crate::access::issuer::MAX_DOCUMENT;
use crate::access::rates::RateSettings;
use crate::config::{self, Config, Format, IdentityConfig, ProviderConfig, RegistryConfig};
use crate::edge::{BodyLimit, EdgeSettings, Limits, TlsSettings};
use crate::observability::Lifecycle;
use crate::recorded::RecordedSettings;
use crate::registries::GardenSettings;
use crate::registries::closure::ClosureLimits;
use crate::upstream::outgoing::{Outgoing, OutgoingSettings};
use crate::upstream::{self, Credentials, Deadlines, Retries, UpstreamSettings};

pub fn edge(config: &Config, lifecycle: Lifecycle) -> EdgeSettings {
    let limits = &config.limits;
    let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let of = |bytes, setting| BodyLimit { bytes, setting: Some(setting) };
    let body = of(limits.body_bytes, "limits.body_bytes");
    let publish = of(limits.publish_bytes, "limits.publish_bytes");
    let registries: Vec<String> =
        config.registries.iter().map(|registry| format!("/{}/", registry.name)).collect();
    let body_limit = move |method: &Method, path: &str| {
        let is_publish =
            method == Method::PUT && registries.iter().any(|base| path.starts_with(base.as_str()));
        match crate::api::table::body_limit(method, path) {
            Some(more) => BodyLimit::fixed(more),
            None if is_publish => publish,
            None => body,
        }
    };
    let workers = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    EdgeSettings {
        listen: vec![config.listen],
        tls: config.tls.as_ref().map(|tls| TlsSettings::new(&tls.certificate, &tls.key)),
        limits: Limits {
            connections: count(limits.connections),
            connections_per_address: count(limits.connections_per_address),
            connections_per_trusted_address: count(limits.connections_per_trusted_address),
            trusted_proxies: config.trusted_proxies.clone(),
            head: limits.header_timeout,
            idle: limits.idle_timeout,
            body_total: limits.body_timeout,
            read_stall: limits.write_timeout,
            uri_bytes: count(limits.uri_length),
            header_bytes: count(limits.header_bytes),
            body_bytes: std::sync::Arc::new(body_limit),
            ..Limits::default()
        },
        workers,
        lifecycle,
    }
}

pub fn garden(config: &Config) -> GardenSettings {
    GardenSettings {
        memory: config.limits.memory_cache,
        kinds: kinds(config),
        document_room: config.upstream.max_document.saturating_mul(4),
        absent_age: config.upstream.absent_age,
        anonymous: config.anonymous,
        public_url: config.public_url.clone(),
        trusted_proxies: config.trusted_proxies.clone(),
    }
}

/// Formats that have a registry.
fn kinds(config: &Config) -> u64 {
    let formats: BTreeSet<_> = config.registries.iter().map(|registry| registry.format).collect();
    formats.len() as u64
}

pub fn closures(config: &Config) -> ClosureLimits {
    let packages = usize::try_from(config.limits.closure_packages).unwrap_or(usize::MAX);
    ClosureLimits { packages, time: config.limits.closure_time }
}

/// How often one caller may ask.
pub fn rates(config: &Config) -> RateSettings {
    let limits = &config.limits;
    let limit = |most: u64| (most > 0).then_some(most);
    RateSettings {
        token: limit(limits.requests_per_token),
        address: limit(limits.requests_per_address),
        changes: limit(limits.changes_per_caller),
        burst: limits.burst,
    }
}

pub fn recorded(config: &Config) -> RecordedSettings {
    RecordedSettings { keep: config.recorded.keep, max: config.recorded.max }
}

pub fn outgoing(config: &Config) -> Result<Outgoing, StartError> {
    let of = &config.webhooks;
    let roots = of.certificate_authority.as_deref().map(read_roots).transpose()?;
    let settings = OutgoingSettings {
        allow_hosts: of.allow_hosts.clone(),
        total: of.timeout,
        longest_pause: of.give_up,
        extra_roots: roots.into_iter().collect(),
    };
    Outgoing::new(&settings)
        .map_err(|fault| StartError::Failed(format!("webhooks can not be sent: {fault}")))
}

/// `None` for a registry of own packages alone.
pub fn upstream(
    config: &Config,
    registry: &RegistryConfig,
) -> Result<Option<UpstreamSettings>, StartError> {
    let Some(base) = registry.upstream.clone() else { return Ok(None) };
    let of = &config.upstream;
    let credentials = match &registry.credentials {
        None => None,
        Some(config::Credentials::Basic { username, password }) => {
            Some(Credentials::basic(username, password.reveal()))
        }
        // cargo's registries take a token as it is, without a scheme.
        Some(config::Credentials::Bearer(token)) if registry.format == Format::Cargo => {
            Some(Credentials::bare(token.reveal()))
        }
        Some(config::Credentials::Bearer(token)) => Some(Credentials::bearer(token.reveal())),
    };
    let credentials = credentials.transpose().map_err(|fault| {
        StartError::Failed(format!("the credentials of registry.{}: {fault}", registry.name))
    })?;
    Ok(Some(UpstreamSettings {
        credentials,
        allow_hosts: registry.allow_hosts.clone(),
        deadlines: Deadlines {
            connect: of.connect_timeout,
            headers: of.header_timeout,
            idle: of.idle_timeout,
            total_document: of.document_timeout,
            total_artifact: of.artifact_timeout,
            ..Deadlines::default()
        },
        limits: upstream::Limits {
            concurrent: usize::try_from(of.max_concurrent).unwrap_or(usize::MAX),
            document: of.max_document,
            artifact: of.max_artifact,
            ..upstream::Limits::default()
        },
        retries: Retries {
            percent: u32::try_from(of.retry_percent).unwrap_or(u32::MAX),
            ..Retries::default()
        },
        extra_roots: registry
            .certificate_authority
            .as_deref()
            .map(read_roots)
            .transpose()?
            .into_iter()
            .collect(),
        ..UpstreamSettings::new(registry.name.clone(), base)
    }))
}

/// Where the keys of pipelines' tokens are asked for.
pub fn identity(identity: &IdentityConfig) -> Result<UpstreamSettings, StartError> {
    let IdentityConfig { name, url, allow_hosts, certificate_authority, .. } = identity;
    issuer(format!("identity.{name}"), url, allow_hosts, certificate_authority.as_deref())
}

/// Where people log in.
pub fn provider(provider: &ProviderConfig) -> Result<UpstreamSettings, StartError> {
    let ProviderConfig { name, url, allow_hosts, certificate_authority, .. } = provider;
    issuer(format!("login.provider.{name}"), url, allow_hosts, certificate_authority.as_deref())
}

/// It says little, soon, or not at all.
fn issuer(
    name: String,
    url: &Url,
    allow_hosts: &[String],
    certificate_authority: Option<&Path>,
) -> Result<UpstreamSettings, StartError> {
    const WHOLE: Duration = Duration::from_secs(10);
    const EACH: Duration = Duration::from_secs(5);
    let roots = certificate_authority.map(read_roots).transpose()?;
    Ok(UpstreamSettings {
        allow_hosts: allow_hosts.to_vec(),
        deadlines: Deadlines {
            connect: EACH,
            headers: EACH,
            idle: EACH,
            total_document: WHOLE,
            total_artifact: WHOLE,
            turn: EACH,
        },
        limits: upstream::Limits {
            concurrent: 4,
            document: MAX_DOCUMENT,
            artifact: MAX_DOCUMENT,
            ..upstream::Limits::default()
        },
        retries: Retries { attempts: 2, ..Retries::default() },
        extra_roots: roots.into_iter().collect(),
        ..UpstreamSettings::new(name, url.clone())
    })
}

/// Before anything is served, so it may block.
#[allow(clippy::disallowed_methods, reason = "read once at the start")]
fn read_roots(file: &Path) -> Result<Vec<u8>, StartError> {
    std::fs::read(file)
        .map_err(|fault| StartError::Failed(format!("{} can not be read: {fault}", file.display())))
}
