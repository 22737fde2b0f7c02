//! The garth.toml that init writes. Pure.
//!
//! What a setting means and defaults to comes from the table of settings, so the comments cannot lie.

use std::fmt::{self, Write};

use policies::rules::DEFAULTS;

use crate::config::{Format, Kind, SettingDoc, fits, settings, usual_hosts};
use crate::discovery::Discovery;

/// The data directory that is written into the file.
pub(super) const DATA: &str = "garth-data";

/// The file for rules that is written below the policies directory.
pub(super) const POLICY_FILE: &str = "allowlist.toml";

const STARTER: &str = include_str!("../../../../policies/defaults/allowlist.toml");

/// A file of rules that explains itself and allows nothing: nobody has agreed to the starter's rules here,
/// so they are examples.
pub(super) fn policy_file() -> String {
    let mut text =
        String::from("# The rules in this file are examples. Take the # away to use one.\n#\n");
    for line in STARTER.lines() {
        if !line.is_empty() && !line.starts_with('#') {
            text.push_str("# ");
        }
        text.push_str(line);
        text.push('\n');
    }
    text
}

/// The directory for starters below that for policies, where nothing is in force.
pub(super) const STARTERS: &str = "starters";

/// What a starter is for, as its first line says it.
pub(super) fn purpose(text: &str) -> &str {
    let first = text.lines().next().unwrap_or_default().trim_start_matches("# ");
    let sentence = first.strip_suffix('.');
    sentence.or_else(|| Some(first.split_once(": ")?.0)).unwrap_or(first)
}

/// Policies to choose from: file names and texts.
pub(super) fn starters() -> impl Iterator<Item = (&'static str, &'static str)> {
    DEFAULTS.into_iter().filter(|(name, _)| *name != POLICY_FILE)
}

const COMMENT_WIDTH: usize = 100;

pub(super) fn garth_toml(discovery: &Discovery) -> String {
    let mut text = String::new();
    write_file(&mut text, discovery).expect("writing to a String cannot fail");
    text
}

fn write_file(text: &mut String, discovery: &Discovery) -> fmt::Result {
    comment(
        text,
        "The settings of garth. A line that starts with # is not in force and shows the default or an \
         example. Each setting can be given as an environment variable too: GARTH_LISTEN for listen, \
         GARTH_REGISTRY_NPM_UPSTREAM for upstream below [registry.npm]. docs/settings.md lists them all.",
    )?;
    for row in settings().iter().filter(|row| !row.key.contains('.')) {
        match row.key {
            "data" => write_setting(text, row, Some(DATA), true)?,
            "policies" => write_setting(text, row, Some("policies"), true)?,
            "listen" | "mode" => write_setting(text, row, row.default, true)?,
            "public_url" => write_setting(text, row, Some("https://garth.example.com"), false)?,
            _ => write_setting(text, row, row.default, false)?,
        }
    }
    for format in Format::SERVED {
        write_registry(text, *format, discovery)?;
    }
    for found in discovery.found.iter().filter(|found| !Format::SERVED.contains(&found.format)) {
        text.push('\n');
        comment(
            text,
            &format!(
                "Also found: {found}. This version of garth does not serve {} yet.",
                found.format
            ),
        )?;
    }
    Ok(())
}

fn write_registry(text: &mut String, format: Format, discovery: &Discovery) -> fmt::Result {
    let found = discovery.found.iter().find(|found| found.format == format);
    let off = if found.is_some() { "" } else { "# " };
    text.push('\n');
    match (found, discovery.missing.iter().find(|missing| missing.format == format)) {
        (Some(found), _) => comment(text, &format!("The upstream is from {}.", found.from))?,
        (None, Some(missing)) => comment(
            text,
            &format!("No upstream was found: {}. Name one and take the # away.", missing.why),
        )?,
        (None, None) => {}
    }
    writeln!(text, "{off}[registry.{format}]")?;
    writeln!(text, "{off}format = \"{format}\"")?;
    let upstream = found.map_or("https://registry.example.com/", |found| found.upstream.as_str());
    writeln!(text, "{off}upstream = {}", quoted(upstream))?;
    let hosts = found.map(|found| usual_hosts(format, &found.upstream)).unwrap_or_default();
    for row in settings().iter().filter(|row| fits(row.key, format)) {
        let example = match row.key.strip_prefix("registry.*.") {
            None | Some("format" | "upstream") => continue,
            Some("allow_hosts") if !hosts.is_empty() => {
                text.push('\n');
                comment(text, row.text)?;
                let hosts: Vec<String> = hosts.iter().map(|host| quoted(host)).collect();
                writeln!(text, "allow_hosts = [{}]", hosts.join(", "))?;
                continue;
            }
            Some("username") => Some("acme"),
            Some("certificate_authority") => Some("/etc/ssl/our-own.pem"),
            Some(_) => row.default,
        };
        write_setting(text, row, example, false)?;
    }
    Ok(())
}

/// The setting with its meaning above it; commented out unless `active`.
fn write_setting(
    text: &mut String,
    row: &SettingDoc,
    value: Option<&str>,
    active: bool,
) -> fmt::Result {
    text.push('\n');
    comment(text, row.text)?;
    let key = row.key.rsplit('.').next().unwrap_or(row.key);
    let off = if active { "" } else { "# " };
    writeln!(text, "{off}{key} = {}", written(row, value))
}

/// The value as TOML; an example where there is none.
fn written(row: &SettingDoc, value: Option<&str>) -> String {
    match (row.kind, value) {
        (Kind::Count { .. } | Kind::Flag, Some(value)) => value.to_owned(),
        (_, Some(value)) => quoted(value),
        (Kind::Secret, None) => "{ env = \"NAME\" }".to_owned(),
        (Kind::Texts | Kind::Networks, None) => "[]".to_owned(),
        (_, None) => "\"\"".to_owned(),
    }
}

fn quoted(value: &str) -> String {
    toml::Value::String(value.to_owned()).to_string()
}

fn comment(text: &mut String, words: &str) -> fmt::Result {
    let mut line = String::from("#");
    for word in words.split_whitespace() {
        if line.len() + 1 + word.len() > COMMENT_WIDTH {
            writeln!(text, "{line}")?;
            "#".clone_into(&mut line);
        }
        line.push(' ');
        line.push_str(word);
    }
    writeln!(text, "{line}")
}
