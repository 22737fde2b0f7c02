//! `garth init`: writes a first configuration from what this machine's package managers use.

mod template;

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::Exit;
use super::serve::print_faults;
use crate::config::{Config, EnvSnapshot, FILE_NAME, Format, LoadOptions};
use crate::discovery::{self, Discovery, Machine};

/// Write a first garth.toml and policies
///
/// Looks which registries this machine's package managers use and writes a commented garth.toml with them,
/// and a directory policies/ with a first set of rules. What is there already is never overwritten, unless
/// you say --force.
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
        machine.remembered = discovery::recall(&self.directory.join(template::DATA));
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
        let mut files = vec![(directory.join(FILE_NAME), template::garth_toml(discovery))];
        for (name, text) in template::POLICY_FILES {
            files.push((directory.join(POLICIES).join(name), (*text).to_owned()));
        }
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
    lines.push("Next:".to_owned());
    lines.push(if directory == Path::new(".") {
        "  garth serve".to_owned()
    } else {
        format!("  garth serve --config {}", directory.join(FILE_NAME).display())
    });
    lines.push(String::new());
    lines.join("\n")
}
