//! `garth init`: writes a first configuration from what this machine's package managers use.
#![allow(clippy::disallowed_methods, reason = "runs without an executor")]

mod template;

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::Exit;
use super::serve::print_faults;
use crate::config::{Config, EnvSnapshot, FILE_NAME, Format, LoadOptions};
use crate::discovery::{self, Discovery, Machine, Remembered};

/// Write a first garth.toml and policies
///
/// Looks which registries this machine's package managers use and writes a commented garth.toml with them,
/// and a directory policies/ with a first set of rules. What is there already is never overwritten, unless
/// you say --force. More rules to choose from are written below policies/starters, where none is in force.
#[derive(Args, Debug)]
pub struct Init {
    /// Where to write
    #[arg(value_name = "DIR", default_value = ".")]
    directory: PathBuf,
    /// Overwrite the files that are there already
    #[arg(long)]
    force: bool,
}

/// The directory for rules, as it is called in the garth.toml that is written.
const POLICIES: &str = "policies";

impl Init {
    pub(super) fn run(self, env: EnvSnapshot) -> Exit {
        // Only for the address that garth would listen on; what is wrong with the rest is not init's concern.
        let listen = match Config::load(&LoadOptions::default()) {
            Ok(config) => config.listen,
            Err(faults) => return print_faults(&faults),
        };
        let directory = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
        let mut machine = Machine::this(env, directory, listen);
        machine.remembered = Remembered::recall(&self.directory.join(template::DATA));
        let discovery = discovery::discover(&machine);
        match self.write(&discovery) {
            Ok(written) => {
                print!("{}", said(&self.directory, &written, &discovery));
                Exit::Done
            }
            Err(why) => {
                eprintln!("garth init: {why}");
                Exit::Failed
            }
        }
    }

    /// Writes all files or, if one is in the way, none; returns their paths.
    fn write(&self, discovery: &Discovery) -> Result<Vec<PathBuf>, String> {
        // "garth.toml" reads better than "./garth.toml".
        let directory = self.directory.strip_prefix(".").unwrap_or(&self.directory);
        let policies = directory.join(POLICIES);
        let mut files = vec![
            (directory.join(FILE_NAME), template::garth_toml(discovery)),
            (policies.join(template::POLICY_FILE), template::policy_file()),
        ];
        let starters = policies.join(template::STARTERS);
        files.extend(
            template::starters().map(|(name, text)| (starters.join(name), text.to_owned())),
        );
        if !self.force {
            let there: Vec<String> = files
                .iter()
                .filter(|(path, _)| path.symlink_metadata().is_ok())
                .map(|(path, _)| path.display().to_string())
                .collect();
            if !there.is_empty() {
                return Err(format!(
                    "nothing was written, because of what is there already: {}; --force overwrites it",
                    there.join(", ")
                ));
            }
        }
        for (path, text) in &files {
            write_file(path, text, self.force)
                .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        }
        Ok(files.into_iter().map(|(path, _)| path).collect())
    }
}

#[allow(clippy::disallowed_methods, reason = "a command without an executor")]
fn write_file(path: &Path, text: &str, overwrite: bool) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let mut options = OpenOptions::new();
    options.write(true);
    if overwrite {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    options.open(path)?.write_all(text.as_bytes())
}

/// What was done, whence each upstream came, and what to type next.
fn said(directory: &Path, written: &[PathBuf], discovery: &Discovery) -> String {
    let mut lines: Vec<String> = Vec::new();
    lines.extend(written.iter().map(|path| format!("wrote {}", path.display())));
    lines.push(String::new());
    for found in &discovery.found {
        lines.push(if Format::SERVED.contains(&found.format) {
            format!("{found}")
        } else {
            format!("{found}: this version of garth does not serve {} yet", found.format)
        });
    }
    lines.extend(discovery.missing.iter().map(ToString::to_string));
    lines.extend(discovery.notes.iter().map(|note| format!("note: {note}")));
    lines.push(String::new());
    let policies = directory.strip_prefix(".").unwrap_or(directory).join(POLICIES);
    let starters = policies.join(template::STARTERS);
    lines.push(format!(
        "Policies to choose from, none of them in force yet ({}):",
        starters.display()
    ));
    for (name, text) in template::starters() {
        lines.push(format!("  {name:24}{}", template::purpose(text)));
    }
    lines.push("To put one in force:".to_owned());
    lines.push(format!("  cp {} {}", starters.join("settle.toml").display(), policies.display()));
    lines.push(String::new());
    lines.push("Next:".to_owned());
    lines.push(if directory == Path::new(".") {
        "  garth serve".to_owned()
    } else {
        format!("  garth serve --config {}", directory.join(FILE_NAME).display())
    });
    lines.push(String::new());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]

    use url::Url;

    use super::*;
    use crate::discovery::{Found, Missing};

    fn found() -> Discovery {
        let found = |format, host: &str| Found {
            format,
            upstream: Url::parse(&format!("https://{host}/")).unwrap(),
            from: "where it was found".to_owned(),
        };
        Discovery {
            found: vec![
                found(Format::Npm, "npm.example.com"),
                found(Format::Cargo, "cargo.example.com"),
            ],
            ..Discovery::default()
        }
    }

    fn missing() -> Discovery {
        let missing = Missing {
            format: Format::Npm,
            why: "npm is not installed".to_owned(),
            how: "name it".to_owned(),
        };
        Discovery { missing: vec![missing], ..Discovery::default() }
    }

    fn init(directory: &Path, force: bool) -> Init {
        Init { directory: directory.to_path_buf(), force }
    }

    #[test]
    fn what_is_written_is_read_without_a_fault() {
        for (discovery, registries) in [(found(), 2), (missing(), 0)] {
            let directory = tempfile::tempdir().unwrap();
            let written = init(&directory.path().join("new"), false).write(&discovery).unwrap();
            let options = LoadOptions { file: Some(written[0].clone()), ..LoadOptions::default() };
            let config = Config::load(&options).unwrap();
            assert_eq!(config.registries.len(), registries);
            assert_eq!(config.policies, Some(directory.path().join("new/policies")));
        }
    }

    #[test]
    fn every_example_that_is_written_is_valid_once_its_comment_sign_is_gone() {
        let text = template::garth_toml(&found());
        let example = |line: &str| {
            line.starts_with("# ") && line.split_whitespace().nth(2).is_some_and(|word| word == "=")
        };
        let text: Vec<&str> = text
            .lines()
            .map(|line| if example(line) { &line[2..] } else { line })
            // These name what is not there, or need each other.
            .filter(|line| {
                !["username =", "password =", "token =", "certificate_authority ="]
                    .iter()
                    .any(|key| line.starts_with(key))
            })
            .collect();
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join(POLICIES)).unwrap();
        let file = directory.path().join(FILE_NAME);
        fs::write(&file, text.join("\n")).unwrap();
        Config::load(&LoadOptions { file: Some(file), ..LoadOptions::default() }).unwrap();
    }

    #[test]
    fn what_is_there_is_not_overwritten_and_then_nothing_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(FILE_NAME);
        fs::write(&file, "mine").unwrap();
        let why = init(directory.path(), false).write(&found()).unwrap_err();
        assert!(why.contains("garth.toml") && why.contains("--force"), "{why}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
        assert!(!directory.path().join(POLICIES).exists());
        init(directory.path(), true).write(&found()).unwrap();
        assert_ne!(fs::read_to_string(&file).unwrap(), "mine");
    }

    #[test]
    fn the_rules_that_are_written_are_valid_examples_and_none_is_in_force() {
        let text = template::policy_file();
        assert!(policies::rules::parse("allowlist.toml", &text).unwrap().is_empty());
        let examples: Vec<&str> = text
            .lines()
            .skip_while(|line| *line != "# [[rule]]")
            .map(|line| line.strip_prefix("# ").unwrap_or(line))
            .collect();
        let rules = policies::rules::parse("allowlist.toml", &examples.join("\n")).unwrap();
        assert!(!rules.is_empty());
        assert!(text.starts_with("# The rules in this file are examples."));
    }

    #[test]
    fn the_file_explains_itself() {
        insta::assert_snapshot!("garth_toml", template::garth_toml(&found()));
        insta::assert_snapshot!("garth_toml_without_npm", template::garth_toml(&missing()));
    }

    #[test]
    fn the_person_is_told_what_was_written_and_what_to_type() {
        let written = [PathBuf::from("new/garth.toml")];
        insta::assert_snapshot!(said(Path::new("new"), &written, &found()));
    }
}
