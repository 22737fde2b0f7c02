//! The address of the registry that a client is pointed at.

use url::Url;

use super::Setup;
use crate::cli::client::{RunFile, data_directory, parse_url, usual_config};
use crate::config::{EnvSnapshot, Format};

/// The registry's name where nothing tells another.
const USUAL: &str = "npm";

/// The registry's URL as the client reaches it; ends in `/`. Blocking.
pub fn find(setup: &Setup, env: &EnvSnapshot) -> Result<Url, String> {
    let given = setup.server.as_deref().or_else(|| env.get("GARTH_URL"));
    let (base, registries) = match given {
        Some(url) => (parse_url(url).map_err(|error| error.to_string())?, Vec::new()),
        None => on_this_machine(setup, env)?,
    };
    let name = match (&setup.registry, registries.as_slice()) {
        (Some(name), known) if known.is_empty() || known.contains(name) => name.clone(),
        (Some(name), known) => {
            return Err(format!(
                "there is no registry {name} of format npm: there is {}",
                known.join(", ")
            ));
        }
        (None, []) => USUAL.to_owned(),
        (None, [one]) => one.clone(),
        (None, several) => {
            let names = several.join(", ");
            return Err(format!(
                "there are several registries of format npm: say --registry with one of {names}"
            ));
        }
    };
    join(base, &name)
}

/// The server's URL and its registries of format npm, as far as its configuration names them.
fn on_this_machine(setup: &Setup, env: &EnvSnapshot) -> Result<(Url, Vec<String>), String> {
    let config = usual_config(setup.data.clone(), env);
    let registries = config.as_ref().map_or_else(Vec::new, |config| {
        let npm = config.registries.iter().filter(|registry| registry.format == Format::Npm);
        npm.map(|registry| registry.name.clone()).collect()
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
