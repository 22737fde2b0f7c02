//! The registry of npm: what npm itself says, else pnpm or yarn, else what an .npmrc says.

use std::path::PathBuf;

use url::Url;

use super::command::{Answer, ask};
use super::npmrc::{Line, lines};
use super::{Discovery, GivenUrl, Machine, given_url};
use crate::config::{Format, read_text};

/// Who knows the registry, in the order in which they are asked. The first that is installed and gives
/// a URL settles it.
const QUESTIONS: &[(&str, &[&str])] = &[
    ("npm", &["config", "get", "registry"]),
    ("pnpm", &["config", "get", "registry"]),
    ("yarn", &["config", "get", "registry"]),
    ("yarn", &["config", "get", "npmRegistryServer"]),
];

const NPMRC_BYTES: u64 = 1 << 20;

pub(super) fn discover(machine: &Machine, discovery: &mut Discovery) {
    match find(machine) {
        Ok((given, from)) => settle(machine, discovery, given, from),
        Err(why) => discovery.missing(Format::Npm, why),
    }
    note_what_is_not_taken_over(machine, discovery);
}

fn find(machine: &Machine) -> Result<(GivenUrl, String), String> {
    let mut failures = Vec::new();
    for (program, arguments) in QUESTIONS {
        let question = format!("`{program} {}`", arguments.join(" "));
        match ask(machine, program, arguments) {
            Answer::NotInstalled => {}
            Answer::Said(answer) => match given_url(&answer) {
                Some(given) => return Ok((given, question)),
                None => failures.push(format!("{question} gives no http or https URL")),
            },
            Answer::Failed(why) => failures.push(format!("{question} {why}")),
        }
    }
    if let Some(found) = from_environment(machine).or_else(|| from_npmrc(machine)) {
        return Ok(found);
    }
    if failures.is_empty() {
        failures.push("npm is not installed, and no .npmrc names a registry".to_owned());
    }
    Err(failures.join(", and "))
}

/// A registry that is garth itself says nothing about what is behind garth.
fn settle(machine: &Machine, discovery: &mut Discovery, given: GivenUrl, from: String) {
    let GivenUrl { url, had_credentials } = given;
    if machine.is_garth(&url) {
        match machine.recalled(Format::Npm) {
            Some(upstream) => discovery.found(
                Format::Npm,
                upstream.clone(),
                format!("an earlier start; npm is set to this garth now, by {from}"),
            ),
            None => discovery.missing(
                Format::Npm,
                format!("npm is set to this garth itself ({url}, by {from}), so it cannot tell what is behind it"),
            ),
        }
        return;
    }
    if had_credentials {
        discovery.notes.push(format!(
            "npm's registry, by {from}, has credentials in its URL. They were not taken over: set \
             username and password of the registry."
        ));
    }
    discovery.found(Format::Npm, url, from);
}

fn from_environment(machine: &Machine) -> Option<(GivenUrl, String)> {
    ["npm_config_registry", "NPM_CONFIG_REGISTRY"]
        .iter()
        .find_map(|name| Some((given_url(machine.env.get(name)?)?, format!("the variable {name}"))))
}

fn from_npmrc(machine: &Machine) -> Option<(GivenUrl, String)> {
    npmrc_files(machine).into_iter().find_map(|path| {
        let text = read_text(&path, NPMRC_BYTES).ok()?;
        let given = lines(&text)
            .filter_map(|(_, line)| match line {
                Line::Registry(value) => given_url(&expanded(machine, value)?),
                _ => None,
            })
            .last()?;
        Some((given, machine.shown(&path)))
    })
}

/// The project's own, then the person's: the order in which npm lets them win.
fn npmrc_files(machine: &Machine) -> Vec<PathBuf> {
    let person = ["npm_config_userconfig", "NPM_CONFIG_USERCONFIG"]
        .iter()
        .find_map(|name| machine.env.get_os(name).map(PathBuf::from))
        .or_else(|| machine.home().map(|home| home.join(".npmrc")));
    let mut files = vec![machine.directory.join(".npmrc")];
    files.extend(person);
    files.dedup();
    files
}

/// `${NAME}` is replaced as npm does; `None` if a variable is not set.
fn expanded(machine: &Machine, value: &str) -> Option<String> {
    let mut expanded = String::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}')?;
        expanded.push_str(before);
        expanded.push_str(machine.env.get(name)?);
        rest = after;
    }
    expanded.push_str(rest);
    Some(expanded)
}

fn note_what_is_not_taken_over(machine: &Machine, discovery: &mut Discovery) {
    for path in npmrc_files(machine) {
        let Ok(text) = read_text(&path, NPMRC_BYTES) else { continue };
        let file = machine.shown(&path);
        for (line, what) in lines(&text) {
            match what {
                Line::Registry(_) => {}
                Line::Scope(scope) => discovery.notes.push(format!(
                    "{scope} has a registry of its own ({file}:{line}). It was not taken over: add it \
                     as a registry of format npm."
                )),
                Line::Credential(key) if concerns_garth(machine, key) => {}
                Line::Credential(key) => discovery.notes.push(format!(
                    "{key} is a credential ({file}:{line}). It was not taken over: where the upstream \
                     needs it, set token (or username and password) of the registry."
                )),
            }
        }
    }
}

/// A credential for garth itself is none for its upstream.
fn concerns_garth(machine: &Machine, key: &str) -> bool {
    key.starts_with("//")
        && Url::parse(&format!("http:{}", key.rsplit_once(':').map_or(key, |(host, _)| host)))
            .is_ok_and(|url| machine.is_garth(&url))
}
