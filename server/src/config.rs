//! What garth is told by its operator: garth.toml, the environment and the command line.
//!
//! Text is parsed into a tree that knows its lines ([`source`]), each setting is read through its row in
//! the table of [`settings`], and what comes out is a [`Config`] that needs no more checks. All faults
//! are reported at once. Nothing here talks to the network, and no secret is ever part of a fault.
#![allow(clippy::disallowed_methods, reason = "read before the executor runs")]

mod advisories;
mod audit;
mod env;
mod faults;
mod files;
mod format;
mod given;
mod identity;
mod known;
mod limits;
mod log;
mod login;
mod parse;
mod provider;
mod read;
mod recorded;
mod registry;
mod requests;
mod root;
mod secret;
mod setting;
mod source;
mod store;
mod tls;
mod upstream;
mod webhooks;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use url::{Host, Url};

pub use advisories::AdvisoriesConfig;
pub use audit::AuditConfig;
pub use env::EnvSnapshot;
pub use faults::{ConfigFault, Place};
pub use files::read_text;
pub use format::{Format, usual_hosts};
pub use identity::{IdentityConfig, is_safe};
pub use limits::LimitsConfig;
pub use log::LogConfig;
pub use login::LoginConfig;
pub use parse::{WrongUrl, base_url, duration as parse_duration};
pub use provider::ProviderConfig;
pub use recorded::RecordedConfig;
pub use registry::{Credentials, RESERVED_NAMES, RegistryConfig, fits};
pub use requests::RequestsConfig;
pub use root::{Anonymous, Mode};
pub use secret::Secret;
pub use setting::{Kind, SettingDoc, settings};
pub use store::{BlobsConfig, StoreConfig};
pub use tls::TlsConfig;
pub use upstream::UpstreamConfig;
pub use webhooks::WebhooksConfig;

use read::{Argument, Reader};
use source::{Table, Value};

/// The file that is read if none is named.
pub const FILE_NAME: &str = "garth.toml";

const FILE_BYTES: u64 = 1 << 20;

#[derive(Clone, Debug)]
pub struct Config {
    /// The file that this was read from.
    pub file: Option<PathBuf>,
    pub listen: SocketAddr,
    pub public_url: Option<Url>,
    pub data: PathBuf,
    pub policies: Option<PathBuf>,
    pub mode: Mode,
    pub anonymous: Anonymous,
    pub trusted_proxies: Vec<IpNet>,
    pub store: StoreConfig,
    pub blobs: BlobsConfig,
    /// In the order of their names; names are unique.
    pub registries: Vec<RegistryConfig>,
    pub upstream: UpstreamConfig,
    pub limits: LimitsConfig,
    pub advisories: AdvisoriesConfig,
    pub recorded: RecordedConfig,
    pub requests: RequestsConfig,
    pub audit: AuditConfig,
    pub login: LoginConfig,
    /// In the order of their names.
    pub providers: Vec<ProviderConfig>,
    /// In the order of their names.
    pub identities: Vec<IdentityConfig>,
    pub webhooks: WebhooksConfig,
    pub tls: Option<TlsConfig>,
    pub log: LogConfig,
    /// Why another audit log than was signed here is taken at this start.
    pub accept_log: Option<String>,
    /// What is set, and not left to its default, without secrets: for the audit log.
    pub given: BTreeMap<String, String>,
}

/// What the command line says; it wins over the environment, which wins over the file.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    pub file: Option<PathBuf>,
    pub data: Option<PathBuf>,
    pub listen: Option<String>,
    pub mode: Option<String>,
    pub accept_log: Option<String>,
    /// Upstreams that were discovered. They stand where the file would, so everything else wins.
    pub discovered: Vec<(Format, Url)>,
    pub env: EnvSnapshot,
}

impl Config {
    /// The whole configuration, or every fault in it, in the order of the file.
    pub fn load(options: &LoadOptions) -> Result<Self, Vec<ConfigFault>> {
        let (table, mut syntax) = match &options.file {
            Some(file) => read_file(file)?,
            None => (source::of_upstreams(&options.discovered), Vec::new()),
        };
        let mut reader = Reader::new(table, options, options.arguments()?);
        reader.incomplete = !syntax.is_empty();
        let mut config = read_all(&mut reader, options.file.clone());
        config.accept_log.clone_from(&options.accept_log);
        let mut faults = reader.faults;
        // What seems odd on a line that could not be read says nothing new.
        let broken: BTreeSet<usize> = syntax.iter().filter_map(line).collect();
        faults.retain(|fault| line(fault).is_none_or(|line| !broken.contains(&line)));
        faults.append(&mut syntax);
        faults.sort_by(|a, b| a.place.cmp(&b.place));
        faults.dedup();
        if faults.is_empty() { Ok(config) } else { Err(faults) }
    }
}

impl LoadOptions {
    /// The file that is meant where none is named: `GARTH_CONFIG`, else ./garth.toml if it is there.
    pub fn usual_file(env: &EnvSnapshot) -> Option<PathBuf> {
        let here = Path::new(FILE_NAME);
        let named = env.get_os("GARTH_CONFIG").map(PathBuf::from);
        named.or_else(|| here.exists().then(|| here.to_path_buf()))
    }

    fn base(&self) -> PathBuf {
        self.file.as_deref().and_then(Path::parent).map(Path::to_path_buf).unwrap_or_default()
    }

    fn arguments(&self) -> Result<Vec<Argument>, Vec<ConfigFault>> {
        let data = match self.data.as_deref().map(Path::to_str) {
            Some(None) => {
                let place = Place::Argument("--data");
                return Err(vec![ConfigFault::new(&place, "expected a path in UTF-8")]);
            }
            Some(Some(data)) => Some(data.to_owned()),
            None => None,
        };
        Ok([
            ("data", "--data", data),
            ("listen", "--listen", self.listen.clone()),
            ("mode", "--mode", self.mode.clone()),
        ]
        .into_iter()
        .filter_map(|(key, option, value)| Some(Argument { key, option, value: value? }))
        .collect())
    }
}

fn line(fault: &ConfigFault) -> Option<usize> {
    match fault.place {
        Place::Line { line, .. } => Some(line),
        _ => None,
    }
}

fn read_file(file: &Path) -> Result<(Table, Vec<ConfigFault>), Vec<ConfigFault>> {
    let name = file.display().to_string();
    match read_text(file, FILE_BYTES) {
        Ok(text) => Ok(source::parse(&name, &text)),
        Err(error) => {
            let fault = ConfigFault::new(&Place::File(name), format!("cannot be read: {error}"));
            Err(vec![match error.kind() {
                std::io::ErrorKind::NotFound => {
                    fault.remedy("`garth init` writes one, and `garth serve` also starts without")
                }
                _ => fault,
            }])
        }
    }
}

fn read_all(reader: &mut Reader<'_>, file: Option<PathBuf>) -> Config {
    known::check(reader);
    check_variables_are_text(reader);
    let root = root::read(reader);
    let (store, blobs) = store::read(reader);
    let names = registry::names(reader);
    check_clashes(reader, &names);
    let registries = registry::read(reader, &names);
    let identities = identity::names(reader);
    let providers = provider::names(reader);
    let people = provider::read(reader, &providers, root.public_url.as_ref());
    let mut config = Config {
        file,
        listen: root.listen,
        public_url: root.public_url,
        data: root.data,
        policies: root.policies,
        mode: root.mode,
        anonymous: root.anonymous,
        trusted_proxies: root.trusted_proxies,
        store,
        blobs,
        registries,
        upstream: upstream::read(reader),
        limits: limits::read(reader),
        advisories: advisories::read(reader),
        recorded: recorded::read(reader),
        requests: requests::read(reader),
        audit: audit::read(reader),
        login: login::read(reader),
        providers: people,
        identities: identity::read(reader, &identities),
        webhooks: webhooks::read(reader),
        tls: tls::read(reader),
        log: log::read(reader),
        accept_log: None,
        given: BTreeMap::new(),
    };
    config.given = std::mem::take(&mut reader.shown);
    check_circles(reader, &config);
    let names =
        names.into_keys().chain(identities.into_keys()).chain(providers.into_keys()).collect();
    let unknown = reader.env.unknown(&names, &reader.secret_variables);
    reader.faults.extend(unknown);
    config
}

/// A setting's variable whose value is no text would otherwise count as not set.
fn check_variables_are_text(reader: &mut Reader<'_>) {
    let faults: Vec<ConfigFault> = reader
        .env
        .iter()
        .filter(|(name, value)| name.starts_with("GARTH_") && value.to_str().is_none())
        .map(|(name, _)| {
            ConfigFault::new(&Place::Variable(name.to_owned()), "expected a text in UTF-8")
        })
        .collect();
    reader.faults.extend(faults);
}

/// Environments are not served yet, but share the registries' names: a clash is said now.
fn check_clashes(reader: &mut Reader<'_>, registries: &BTreeMap<String, Place>) {
    let Some((_, node)) = reader.table.get("environment") else { return };
    let Value::Table(environments) = &node.value else { return };
    let environments: Vec<(String, Place)> =
        environments.iter().map(|(name, (place, _))| (name.clone(), place.clone())).collect();
    for (name, place) in environments {
        registry::check_name(reader, "environment", &name, &place);
        if registries.contains_key(&name) {
            reader.fault(
                ConfigFault::new(&place, format!("{name:?} is already the name of a registry"))
                    .remedy("both are the first part of a URL: give one another name"),
            );
        }
    }
}

/// A registry whose upstream is garth would ask itself for ever.
fn check_circles(reader: &mut Reader<'_>, config: &Config) {
    for registry in &config.registries {
        let Some(upstream) = &registry.upstream else { continue };
        if !config.is_own(upstream) {
            continue;
        }
        reader.registry = Some(registry.name.clone());
        if let Some(place) = reader.place("registry.*.upstream") {
            reader.fault(
                ConfigFault::new(&place, "this upstream is garth itself")
                    .remedy("name the registry that is behind garth"),
            );
        }
    }
    reader.registry = None;
}

/// The data directory that a `serve` with these options would use, whatever else is wrong with its
/// configuration: for commands that look for a server on this machine.
pub fn data_directory(options: &LoadOptions) -> PathBuf {
    let table = match &options.file {
        Some(file) => read_file(file).map(|(table, _)| table).unwrap_or_default(),
        None => Table::new(),
    };
    let arguments = options.arguments().unwrap_or_default();
    root::data(&mut Reader::new(table, options, arguments))
}

/// The policies' directory that a `serve` with these options would read, for commands that look at
/// it without a server. Only a file that can not be read is a fault; what else is wrong with the
/// configuration does not matter to them.
pub fn policies_directory(options: &LoadOptions) -> Result<Option<PathBuf>, Vec<ConfigFault>> {
    let table = match &options.file {
        Some(file) => {
            let (table, faults) = read_file(file)?;
            if !faults.is_empty() {
                return Err(faults);
            }
            table
        }
        None => Table::new(),
    };
    Ok(Reader::new(table, options, Vec::new()).path("policies"))
}

impl Config {
    /// Whether `url` leads to this garth: to where it listens, or to its public URL.
    pub fn is_own(&self, url: &Url) -> bool {
        let public = self.public_url.as_ref().is_some_and(|public| public.origin() == url.origin());
        public || leads_to(url, self.listen)
    }
}

/// Whether `url` names `listen`, by any spelling of this machine that needs no look-up.
pub fn leads_to(url: &Url, listen: SocketAddr) -> bool {
    if listen.port() == 0 || url.port_or_known_default() != Some(listen.port()) {
        return false;
    }
    let address: IpAddr = match url.host() {
        Some(Host::Ipv4(address)) => address.into(),
        Some(Host::Ipv6(address)) => address.to_canonical(),
        Some(Host::Domain(name)) => {
            let local = name == "localhost" || name.ends_with(".localhost");
            return local && (listen.ip().is_loopback() || listen.ip().is_unspecified());
        }
        None => return false,
    };
    address == listen.ip()
        || address.is_unspecified()
        || (address.is_loopback() && (listen.ip().is_loopback() || listen.ip().is_unspecified()))
}

#[cfg(test)]
mod tests;
