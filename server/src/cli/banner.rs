//! What `garth serve` says once it listens. Pure.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use crate::config::{Config, Format, Mode};
use crate::discovery::Discovery;

pub struct Banner<'a> {
    pub config: &'a Config,
    /// Where it really listens; differs from the configuration where that says port 0.
    pub listening: SocketAddr,
    /// Given if the registries were not configured but discovered.
    pub discovery: Option<&'a Discovery>,
    pub token_file: &'a Path,
    /// There are rules already: the first steps need no telling.
    pub has_rules: bool,
}

/// The whole text, with a newline at its end.
pub fn banner(of: &Banner<'_>) -> String {
    let mut text = String::new();
    write_banner(&mut text, of).expect("writing to a String cannot fail");
    text
}

/// How a client reaches garth: its public URL, else the address that it listens on. Ends in `/`.
pub fn client_url(config: &Config, listening: SocketAddr) -> String {
    match &config.public_url {
        Some(url) => url.to_string(),
        None => direct_url(config, listening),
    }
}

/// How this machine's own commands reach garth: directly, because the public URL may lead through
/// a proxy or not be known here; but by its name where a certificate has to bear one.
pub fn local_url(config: &Config, listening: SocketAddr) -> String {
    if config.tls.is_some() { client_url(config, listening) } else { direct_url(config, listening) }
}

fn direct_url(config: &Config, listening: SocketAddr) -> String {
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let ip = match listening.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("{scheme}://{}/", SocketAddr::new(ip, listening.port()))
}

fn write_banner(text: &mut String, of: &Banner<'_>) -> std::fmt::Result {
    let url = client_url(of.config, of.listening);
    writeln!(text, "garth listens on {}", url.trim_end_matches('/'))?;
    match of.config.mode {
        Mode::Enforce => writeln!(text, "  mode      enforce: what no rule allows is refused")?,
        Mode::Observe => writeln!(
            text,
            "  mode      observe: everything is served; what would be refused is recorded"
        )?,
    }
    match &of.config.file {
        Some(file) => writeln!(text, "  settings  {}", file.display())?,
        None => writeln!(
            text,
            "  settings  defaults and environment; `garth init` writes a garth.toml to keep"
        )?,
    }
    writeln!(text, "  data      {}", of.config.data.display())?;
    writeln!(
        text,
        "  token     {} (for the admin API; commands here find it)",
        of.token_file.display()
    )?;
    write_registries(text, of)?;
    let npm = of.config.registries.iter().filter(|registry| registry.format == Format::Npm);
    let (asking, own): (Vec<_>, Vec<_>) = npm.partition(|registry| registry.upstream.is_some());
    let names: Vec<&str> =
        asking.into_iter().chain(own).map(|registry| registry.name.as_str()).collect();
    if let [usual, others @ ..] = names.as_slice() {
        write_npm(text, &url, usual, others)?;
    }
    let crates = of.config.registries.iter().find(|registry| registry.format == Format::Cargo);
    if let Some(registry) = crates {
        write_cargo(text, &url, &registry.name)?;
    }
    if !of.has_rules && of.config.mode == Mode::Enforce {
        writeln!(text, "\nNothing is allowed yet. When a package is refused and you want it:")?;
        writeln!(text, "  garth allow npm:NAME")?;
        writeln!(text, "  garth why npm:NAME            what was decided, and by which rule")?;
    }
    Ok(())
}

fn write_registries(text: &mut String, of: &Banner<'_>) -> std::fmt::Result {
    writeln!(text, "\nRegistries")?;
    if let Some(discovery) = of.discovery {
        for found in &discovery.found {
            let (format, upstream) = (found.format.name(), &found.upstream);
            if Format::SERVED.contains(&found.format) {
                writeln!(text, "  {format:<8}{upstream}  (from {})", found.from)?;
            } else {
                writeln!(text, "  {format:<8}found {upstream} (from {});", found.from)?;
                writeln!(text, "          this version of garth does not serve {format} yet")?;
            }
        }
        for missing in &discovery.missing {
            writeln!(text, "  {:<8}not found: {};", missing.format.name(), missing.why)?;
            writeln!(text, "          {}", missing.how)?;
        }
        for note in &discovery.notes {
            writeln!(text, "  note    {note}")?;
        }
    } else {
        for registry in &of.config.registries {
            match &registry.upstream {
                Some(upstream) => writeln!(text, "  {:<8}{upstream}", registry.name)?,
                None => writeln!(text, "  {:<8}own packages only", registry.name)?,
            }
        }
    }
    if of.config.registries.is_empty() {
        writeln!(
            text,
            "  none is served: set the upstream of one, as in GARTH_REGISTRY_NPM_UPSTREAM=URL"
        )?;
    }
    Ok(())
}

/// What cargo reads in its config.toml.
fn write_cargo(text: &mut String, url: &str, name: &str) -> std::fmt::Result {
    writeln!(text, "\nPoint cargo at it (--undo takes it back)")?;
    writeln!(text, "  garth setup cargo --write")?;
    writeln!(text, "or by hand, in ~/.cargo/config.toml or a project's .cargo/config.toml")?;
    writeln!(text, "  [source.crates-io]")?;
    writeln!(text, "  replace-with = \"garth\"")?;
    writeln!(text, "  [source.garth]")?;
    writeln!(text, "  registry = \"sparse+{url}{name}/\"")
}

/// A client has one registry, and others for scopes only. The lines are pasted together: none of
/// them undoes another.
fn write_npm(text: &mut String, url: &str, usual: &str, others: &[&str]) -> std::fmt::Result {
    if others.is_empty() {
        writeln!(text, "\nPoint npm, pnpm, yarn or bun at it (--undo takes it back)")?;
        writeln!(text, "  garth setup npm --write")?;
    } else {
        writeln!(text, "\nPoint npm, pnpm, yarn or bun at one of them (--undo takes it back)")?;
        writeln!(text, "  garth setup npm --write --registry {usual}  # or {}", others.join(", "))?;
    }
    let scoped = if others.is_empty() { "" } else { ", and a scope at another" };
    writeln!(text, "or by hand{scoped}")?;
    writeln!(text, "  npm config set registry {url}{usual}/")?;
    for name in others {
        writeln!(text, "  npm config set @SCOPE:registry {url}{name}/")?;
    }
    writeln!(text, "or one project only, by a line in its .npmrc")?;
    writeln!(text, "  registry={url}{usual}/")?;
    for name in others {
        writeln!(text, "  @SCOPE:registry={url}{name}/")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use url::Url;

    use super::*;
    use crate::config::LoadOptions;
    use crate::discovery::{Found, Missing};

    fn npm() -> Url {
        Url::parse("https://npm.example.com/").unwrap()
    }

    fn config(variables: &[(&str, &str)], discovered: bool) -> Config {
        let discovered = if discovered { vec![(Format::Npm, npm())] } else { Vec::new() };
        let env = variables.iter().copied().collect();
        Config::load(&LoadOptions { discovered, env, ..LoadOptions::default() }).unwrap()
    }

    fn said(config: &Config, discovery: Option<&Discovery>) -> String {
        banner(&Banner {
            config,
            listening: config.listen,
            discovery,
            token_file: Path::new("garth-data/admin.token"),
            has_rules: false,
        })
    }

    #[test]
    fn whoever_serves_crates_reads_what_cargo_has_to_be_told() {
        let variables = [("GARTH_REGISTRY_CARGO_UPSTREAM", "https://index.example.com")];
        let told = said(&config(&variables, false), None);
        let source = "[source.garth]\n  registry = \"sparse+http://127.0.0.1:8642/cargo/\"\n";
        assert!(told.contains(source), "{told}");
        assert!(!said(&config(&[], true), None).contains("sparse+"), "npm alone is served");
    }

    fn discovery(npm_found: bool) -> Discovery {
        let found = |format, host: &str, from: &str| {
            let upstream = Url::parse(&format!("https://{host}/")).unwrap();
            Found { format, upstream, from: from.to_owned() }
        };
        let missing = |format, why: &str| Missing {
            format,
            why: why.to_owned(),
            how: "what to do about it".to_owned(),
        };
        let cargo = found(Format::Cargo, "cargo.example.com", "cargo's own default");
        let mut discovery = Discovery {
            found: vec![cargo],
            missing: vec![missing(Format::Oci, "docker is not installed")],
            notes: vec!["@acme has a registry of its own.".to_owned()],
        };
        if npm_found {
            let npm = found(Format::Npm, "npm.example.com", "`npm config get registry`");
            discovery.found.insert(0, npm);
        } else {
            discovery.missing.insert(0, missing(Format::Npm, "npm is not installed"));
        }
        discovery
    }

    #[test]
    fn the_first_start_says_what_was_found_and_what_to_do_next() {
        insta::assert_snapshot!(said(&config(&[], true), Some(&discovery(true))));
    }

    #[test]
    fn a_start_without_npm_says_how_to_name_the_upstream() {
        insta::assert_snapshot!(said(&config(&[], false), Some(&discovery(false))));
    }

    #[test]
    fn a_configured_start_says_what_it_serves() {
        let variables = [
            ("GARTH_REGISTRY_NPM_UPSTREAM", "https://npm.example.com"),
            ("GARTH_REGISTRY_OURS_FORMAT", "npm"),
            ("GARTH_PUBLIC_URL", "https://garth.example.com"),
            ("GARTH_MODE", "observe"),
        ];
        insta::assert_snapshot!(said(&config(&variables, false), None));
    }

    #[test]
    fn clients_are_told_an_address_that_they_can_reach() {
        let rows = [
            ("0.0.0.0:8642", "http://127.0.0.1:8642/"),
            ("[::]:80", "http://[::1]:80/"),
            ("192.0.2.1:1", "http://192.0.2.1:1/"),
        ];
        for (listening, url) in rows {
            assert_eq!(client_url(&config(&[], false), listening.parse().unwrap()), url);
        }
    }

    #[test]
    fn commands_of_this_machine_need_no_public_name() {
        let public = config(&[("GARTH_PUBLIC_URL", "https://garth.example.com")], false);
        let listening = "0.0.0.0:8642".parse().unwrap();
        assert_eq!(client_url(&public, listening), "https://garth.example.com/");
        assert_eq!(local_url(&public, listening), "http://127.0.0.1:8642/");
    }
}
