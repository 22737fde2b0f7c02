//! The address of the registry that a client is pointed at.

use url::Url;

use super::{Client, Setup, Source};
use crate::cli::client::{RunFile, data_directory, parse_url, usual_config};
use crate::config::EnvSnapshot;

/// What cargo calls what stands in for its default registry.
const STAND_IN: &str = "garth";
/// What cargo calls its default registry.
const DEFAULT: &str = "crates-io";

/// What a client is pointed at.
pub struct Address {
    /// Ends in `/`.
    pub registry: Url,
    pub sources: Vec<Source>,
}

/// A registry as the configuration on this machine names it.
struct Configured {
    name: String,
    has_upstream: bool,
}

/// The registry as the client reaches it. Blocking.
pub fn find(setup: &Setup, env: &EnvSnapshot) -> Result<Address, String> {
    if setup.client != Client::Cargo && (!setup.own.is_empty() || setup.replace) {
        let client = setup.client;
        return Err(format!("--own and --replace are for cargo, and say nothing to {client}"));
    }
    let given = setup.server.as_deref().or_else(|| env.get("GARTH_URL"));
    let (base, registries) = match given {
        Some(url) => (parse_url(url).map_err(|error| error.to_string())?, Vec::new()),
        None => on_this_machine(setup, env)?,
    };
    if setup.client == Client::Cargo {
        return of_cargo(setup, &base, &registries);
    }
    let meant: Vec<&Configured> = registries.iter().collect();
    let name = the_one(setup, &registries, &meant)?;
    Ok(Address { registry: join(base, &name)?, sources: Vec::new() })
}

/// One that stands in for cargo's default registry, and those with own crates, which are registries
/// beside it: what is published here must not be found where the public crates are looked for.
fn of_cargo(setup: &Setup, base: &Url, known: &[Configured]) -> Result<Address, String> {
    let (asking, own): (Vec<_>, Vec<_>) = known.iter().partition(|one| one.has_upstream);
    let mut names = Vec::new();
    if setup.registry.is_some() || !asking.is_empty() || own.is_empty() {
        names.push(the_one(setup, known, &asking)?);
    }
    if setup.own.is_empty() {
        names.extend(own.iter().map(|one| one.name.clone()));
    }
    for name in &setup.own {
        check_known(setup.client, name, known)?;
        names.push(name.clone());
    }
    let mut sources: Vec<Source> = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let index = join(base.clone(), name)?;
        let is_own = own.iter().any(|one| one.name == *name) || setup.own.contains(name);
        let replaces = at == 0 && !is_own;
        let taken = [STAND_IN, DEFAULT].contains(&name.as_str());
        let name = match (replaces, taken) {
            (true, _) => STAND_IN.to_owned(),
            (false, true) => format!("{STAND_IN}-{name}"),
            (false, false) => name.clone(),
        };
        if sources.iter().all(|source| source.index != index) {
            sources.push(Source { name, index, replaces, asks_for_token: false });
        }
    }
    let first = sources.first().ok_or("there is no registry of format cargo")?;
    Ok(Address { registry: first.index.clone(), sources })
}

/// The registry that is meant: the one that is given, else the one of these.
fn the_one(setup: &Setup, known: &[Configured], meant: &[&Configured]) -> Result<String, String> {
    let format = setup.client.format();
    match (&setup.registry, meant) {
        (Some(name), _) => check_known(setup.client, name, known).map(|()| name.clone()),
        // It is called like its format where nothing tells another name.
        (None, []) => Ok(format.name().to_owned()),
        (None, [one]) => Ok(one.name.clone()),
        (None, several) => {
            let names: Vec<&str> = several.iter().map(|one| one.name.as_str()).collect();
            Err(format!(
                "there are several registries of format {format}: say --registry with one of {}",
                names.join(", ")
            ))
        }
    }
}

fn check_known(client: Client, name: &str, known: &[Configured]) -> Result<(), String> {
    if known.is_empty() || known.iter().any(|one| one.name == name) {
        return Ok(());
    }
    let names: Vec<&str> = known.iter().map(|one| one.name.as_str()).collect();
    let format = client.format();
    Err(format!("there is no registry {name} of format {format}: there is {}", names.join(", ")))
}

/// The server's URL and its registries of the client's format, as far as its configuration names them.
fn on_this_machine(setup: &Setup, env: &EnvSnapshot) -> Result<(Url, Vec<Configured>), String> {
    let config = usual_config(setup.data.clone(), env);
    let format = setup.client.format();
    let registries = config.as_ref().map_or_else(Vec::new, |config| {
        let spoken = config.registries.iter().filter(|registry| registry.format == format);
        let configured = spoken.map(|registry| Configured {
            name: registry.name.clone(),
            has_upstream: registry.upstream.is_some(),
        });
        configured.collect()
    });
    // Others reach it by its public name, and so do the addresses that it writes into its answers.
    if let Some(url) = config.and_then(|config| config.public_url) {
        return Ok((url, registries));
    }
    let run = RunFile::read(&data_directory(setup.data.as_deref(), env)).map_err(|why| {
        format!(
            "no server was found: {why}\n\
             Start one here with `garth serve`, or say which one: --server URL (or GARTH_URL)"
        )
    })?;
    Ok((run.url, registries))
}

fn join(mut base: Url, name: &str) -> Result<Url, String> {
    let harmless = |next: char| next.is_ascii_alphanumeric() || "-._~/".contains(next);
    if !base.username().is_empty() || base.password().is_some() {
        return Err(
            "the address of the server holds a password: leave it out, and see --token-env"
                .to_owned(),
        );
    }
    // What is special to one of the notations would have to be escaped in it.
    if base.query().is_some() || base.fragment().is_some() || !base.path().chars().all(harmless) {
        return Err(format!("{base} is no URL of a server: write it as http://127.0.0.1:8642"));
    }
    if name.is_empty() || !name.chars().all(|next| harmless(next) && next != '/') {
        return Err(format!("{name:?} is no name of a registry"));
    }
    let path = format!("{}/{name}/", base.path().trim_end_matches('/'));
    base.set_path(&path);
    Ok(base)
}

/// A name that each client takes for a variable.
pub fn check_variable(name: &str) -> Result<(), String> {
    let shape = |next: char| next.is_ascii_alphanumeric() || next == '_';
    if !name.is_empty()
        && name.chars().all(shape)
        && !name.starts_with(|first: char| first.is_ascii_digit())
    {
        return Ok(());
    }
    // It is not repeated: who mistakes the option gives the token itself.
    Err("--token-env takes the name of an environment variable, like GARTH_READ_TOKEN, \
         of letters, digits and underscores"
        .to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_address_that_a_notation_would_have_to_escape_is_refused() {
        let url = |text: &str| join(Url::parse(text).unwrap(), "npm").map(String::from);
        assert_eq!(url("http://127.0.0.1:8642").unwrap(), "http://127.0.0.1:8642/npm/");
        assert_eq!(url("https://a.example/garth/").unwrap(), "https://a.example/garth/npm/");
        for text in [
            "http://u:hush@a.example",
            "http://a.example/?x",
            "http://a.example/$x",
            "http://a.example/a;b",
        ] {
            let why = url(text).unwrap_err();
            assert!(!why.contains("hush"), "{why}");
        }
        for name in ["", "a/b", "a b", "${X}"] {
            join(Url::parse("http://a.example").unwrap(), name).unwrap_err();
        }
    }

    #[test]
    fn a_token_that_is_given_for_a_name_is_not_repeated() {
        check_variable("GARTH_READ").unwrap();
        for name in ["", "1A", "A-B", "garth_x.y"] {
            let why = check_variable(name).unwrap_err();
            assert!(name.is_empty() || !why.contains(name), "{why}");
        }
    }
}
