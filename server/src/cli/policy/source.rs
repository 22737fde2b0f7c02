//! Which policy files a command means, and their texts.

#![allow(clippy::disallowed_methods, reason = "a command without an executor")]

use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;
use policies::check::Text;
use policies::rules::read_moment;

use crate::clock::Clock;
use crate::config::{self, EnvSnapshot, LoadOptions};
use crate::rules;

/// Where `garth init` puts them.
const USUAL: &str = "policies";

/// What the commands about policy files are pointed at.
#[allow(clippy::doc_markdown, reason = "shown as it stands in the help text")]
#[derive(Args, Debug, Default)]
pub(super) struct Source {
    /// Directories of policy files, or files [default: the `policies` of garth.toml, else ./policies]
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// The configuration that says where the policies are [default: ./garth.toml] [env: GARTH_CONFIG]
    #[arg(long, value_name = "FILE", conflicts_with = "paths")]
    pub config: Option<PathBuf>,
    /// As if it were this day or time, like 2027-01-01 [default: now]
    #[arg(long, value_name = "DATE", value_parser = moment)]
    pub at: Option<Timestamp>,
}

fn moment(text: &str) -> Result<Timestamp, String> {
    read_moment(text).ok_or_else(|| "write 2027-01-01 or 2027-01-01T12:00:00Z".to_owned())
}

impl Source {
    pub(super) fn now(&self, clock: &Clock) -> Timestamp {
        self.at.unwrap_or_else(|| clock.now())
    }

    /// The files' texts, or why they can not be had: a line each.
    pub(super) fn read(&self, env: &EnvSnapshot) -> Result<Vec<Text>, Vec<String>> {
        let paths = self.paths(env).map_err(|why| vec![why])?;
        let texts = rules::read_texts(&paths)
            .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        if texts.is_empty() {
            let named: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
            return Err(vec![format!("there is no policy file (*.toml) in {}", named.join(", "))]);
        }
        Ok(texts)
    }

    fn paths(&self, env: &EnvSnapshot) -> Result<Vec<PathBuf>, String> {
        if !self.paths.is_empty() {
            return Ok(self.paths.clone());
        }
        let file = self.config.clone().or_else(|| LoadOptions::usual_file(env));
        let options =
            LoadOptions { file: file.clone(), env: env.clone(), ..LoadOptions::default() };
        let configured = config::policies_directory(&options).map_err(|faults| {
            faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        })?;
        if let Some(configured) = configured {
            return Ok(vec![configured]);
        }
        if Path::new(USUAL).is_dir() {
            return Ok(vec![PathBuf::from(USUAL)]);
        }
        let silent = match file {
            Some(file) => format!("{} does not set `policies`", file.display()),
            None => "there is no garth.toml here".to_owned(),
        };
        Err(format!("{silent}, and there is no ./{USUAL}: name the directory or the files"))
    }
}
