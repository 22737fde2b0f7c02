//! `garth serve`: finds out what to serve, and hands it to the application.
#![allow(clippy::disallowed_methods, reason = "read before the executor runs")]

mod allocator;
mod process;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::Exit;
use crate::app::StartError;
use crate::config::{Config, ConfigFault, EnvSnapshot, LoadOptions};
use crate::discovery::{self, Discovery, Machine, Remembered};

/// Run the garden
///
/// Reads ./garth.toml, if there is one. Without any configuration garth starts on 127.0.0.1:8642 with its
/// data in ./garth-data, in front of the registries that this machine's package managers use, and refuses
/// everything that you have not allowed. It prints how to point each client at it.
///
/// Every setting of garth.toml can be given as an environment variable too: GARTH_LISTEN, GARTH_DATA,
/// GARTH_REGISTRY_NPM_UPSTREAM and so on. The command line wins over them, and they win over the file.
#[allow(clippy::doc_markdown, reason = "shown as it stands in the help text")]
#[derive(Args, Debug)]
pub struct Serve {
    /// The configuration file [default: ./garth.toml, if there is one] [env: GARTH_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The directory for metadata, blobs and the admin token [default: ./garth-data] [env: GARTH_DATA]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The address to listen on [default: 127.0.0.1:8642] [env: GARTH_LISTEN]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// "enforce" refuses what no rule allows, "observe" only records it [default: enforce] [env: GARTH_MODE]
    #[arg(long, value_name = "MODE")]
    mode: Option<String>,
    /// Start though the audit log is not the one that was signed here, as after restoring a backup; the
    /// reason is in the log then
    #[arg(long, value_name = "REASON")]
    accept_log: Option<String>,
}

impl Serve {
    pub(super) fn run(self, env: EnvSnapshot) -> Exit {
        let unsettled = allocator::settle(&env);
        let (config, discovery) = match self.configuration(env) {
            Ok(found) => found,
            Err(faults) => return print_faults(&faults),
        };
        match process::run(&config, discovery.as_ref(), unsettled.as_ref()) {
            Ok(()) => Exit::Done,
            Err(error) => {
                eprintln!("garth cannot serve: {}", told(&error));
                Exit::Failed
            }
        }
    }

    /// What to serve. A [`Discovery`] comes with it if nothing said which registries there are.
    fn configuration(
        self,
        env: EnvSnapshot,
    ) -> Result<(Config, Option<Discovery>), Vec<ConfigFault>> {
        let mut options = LoadOptions {
            file: self.config.or_else(|| LoadOptions::usual_file(&env)),
            data: self.data,
            listen: self.listen,
            mode: self.mode,
            accept_log: self.accept_log,
            env,
            ..LoadOptions::default()
        };
        let config = Config::load(&options)?;
        if config.file.is_some() || config.registries.iter().any(|one| one.upstream.is_some()) {
            return Ok((config, None));
        }
        let discovery = discover(&config, &options.env);
        options.discovered = discovery.served();
        Ok((Config::load(&options)?, Some(discovery)))
    }
}

fn discover(config: &Config, env: &EnvSnapshot) -> Discovery {
    let directory = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    let mut machine = Machine::this(env.clone(), directory, config.listen);
    machine.remembered = Remembered::recall(&config.data);
    let mut discovery = discovery::discover(&machine);
    let found = machine.remembered.then(config.listen, discovery.served());
    if !found.upstreams.is_empty()
        && let Err(error) = found.keep(&config.data)
    {
        discovery.notes.push(format!(
            "The upstreams could not be noted in {}: {error}. Once a client is pointed at garth, the next \
             start will not find them.",
            config.data.display()
        ));
    }
    discovery
}

/// All faults, a line each.
pub(super) fn print_faults(faults: &[ConfigFault]) -> Exit {
    for fault in faults {
        eprintln!("{fault}");
    }
    let count = faults.len();
    eprintln!(
        "garth does not start: {count} fault{} in its configuration",
        if count == 1 { "" } else { "s" }
    );
    Exit::Failed
}

fn told(error: &StartError) -> String {
    match error {
        StartError::Listen { address, source } => cannot_listen(*address, source),
        StartError::Failed(cause) => cause.clone(),
    }
}

fn cannot_listen(address: SocketAddr, source: &io::Error) -> String {
    let port = address.port();
    match source.kind() {
        io::ErrorKind::AddrInUse => format!(
            "port {port} is in use already, perhaps by another garth; stop what listens on {address}, or \
             choose another port: garth serve --listen {}",
            SocketAddr::new(address.ip(), port.checked_add(1).unwrap_or(8642))
        ),
        io::ErrorKind::PermissionDenied => format!(
            "this user may not listen on port {port}; choose one above 1023: garth serve --listen {}",
            SocketAddr::new(address.ip(), 8642)
        ),
        io::ErrorKind::AddrNotAvailable => format!(
            "this machine has no address {}; listen on one that it has, or on 0.0.0.0:{port} for all",
            address.ip()
        ),
        _ => format!("cannot listen on {address}: {source}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]

    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::*;
    use crate::config::Format;

    /// What would be served on a machine whose npm runs `script`, with the data directory in `root`.
    fn started(
        root: &Path,
        script: &str,
        variables: &[(&str, &str)],
    ) -> (Config, Option<Discovery>) {
        let npm = root.join("npm");
        fs::write(&npm, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&npm, fs::Permissions::from_mode(0o755)).unwrap();
        let root_text = root.display().to_string();
        let all = [("PATH", root_text.as_str()), ("HOME", root_text.as_str())];
        let env = all.iter().chain(variables).copied().collect();
        let data = Some(root.join("data"));
        Serve { config: None, data, listen: None, mode: None, accept_log: None }
            .configuration(env)
            .unwrap()
    }

    fn upstream(config: &Config) -> Option<&str> {
        let npm = config.registries.iter().find(|registry| registry.format == Format::Npm)?;
        npm.upstream.as_ref().map(url::Url::as_str)
    }

    #[test]
    fn a_second_start_finds_the_upstream_although_npm_is_set_to_garth() {
        let root = tempfile::tempdir().unwrap();
        let (first, discovery) = started(root.path(), "echo https://npm.example.com", &[]);
        assert_eq!(upstream(&first), Some("https://npm.example.com/"));
        assert!(discovery.is_some());
        let data = fs::metadata(root.path().join("data")).unwrap();
        assert_eq!(data.permissions().mode() & 0o777, 0o700);

        let script = "echo http://127.0.0.1:8642/npm/";
        let (second, _) = started(root.path(), script, &[]);
        assert_eq!(upstream(&second), Some("https://npm.example.com/"));
    }

    #[test]
    fn an_upstream_that_is_configured_is_not_looked_for() {
        let root = tempfile::tempdir().unwrap();
        let variables = [("GARTH_REGISTRY_NPM_UPSTREAM", "https://other.example.com")];
        let (config, discovery) = started(root.path(), "echo x > \"$HOME/asked\"", &variables);
        assert_eq!(upstream(&config), Some("https://other.example.com/"));
        assert!(discovery.is_none() && !root.path().join("asked").exists());
    }

    #[test]
    fn another_setting_of_a_registry_does_not_stop_the_search() {
        let root = tempfile::tempdir().unwrap();
        let variables = [("GARTH_REGISTRY_NPM_MAX_AGE", "1m")];
        let (config, _) = started(root.path(), "echo https://npm.example.com", &variables);
        assert_eq!(upstream(&config), Some("https://npm.example.com/"));
        assert_eq!(config.registries[0].max_age.as_secs(), 60);
    }

    #[test]
    fn an_address_that_cannot_be_had_is_explained() {
        let rows = [
            (io::ErrorKind::AddrInUse, "127.0.0.1:8642"),
            (io::ErrorKind::AddrInUse, "[::1]:65535"),
            (io::ErrorKind::PermissionDenied, "0.0.0.0:443"),
            (io::ErrorKind::AddrNotAvailable, "192.0.2.1:8642"),
            (io::ErrorKind::Other, "127.0.0.1:8642"),
        ];
        let said: Vec<String> = rows
            .into_iter()
            .map(|(kind, address)| {
                let address = address.parse().expect("an address of the table");
                told(&StartError::Listen { address, source: kind.into() })
            })
            .collect();
        insta::assert_snapshot!(said.join("\n"));
    }
}
