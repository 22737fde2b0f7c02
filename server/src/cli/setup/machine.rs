//! Where a client's files are on this machine, and which of them `garth setup` is about.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::edits::Edit;
use super::npmrc::Dialect;
use super::{Named, Unreadable, Wanted, bunfig, cargo_toml, npmrc, pnpm, yarnrc, yarnrc_yml};
use crate::config::EnvSnapshot;

/// By which the project of npm, pnpm, yarn or bun is known.
pub const PACKAGE_JSON: &str = "package.json";

pub struct Machine {
    pub env: EnvSnapshot,
    pub home: PathBuf,
    /// The current directory.
    pub directory: PathBuf,
    /// The project that is meant instead of the person's own configuration.
    pub project: Option<PathBuf>,
    pub is_root: bool,
    /// Every file that an earlier run can have changed is meant.
    pub undo: bool,
}

/// What a client reads.
pub struct Layout {
    pub targets: Vec<Target>,
    /// What the client prefers to the targets, where it names a registry.
    pub rivals: Vec<(PathBuf, Notation)>,
    pub rival_variables: &'static [&'static str],
    /// Of the project here.
    pub lockfiles: Vec<PathBuf>,
    /// Of the project that is meant, else of the one here.
    pub root: PathBuf,
    /// What else a person should know.
    pub notes: Vec<String>,
}

/// A file to change.
pub struct Target {
    pub path: PathBuf,
    pub notation: Notation,
    pub sets: Sets,
}

/// What is set in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sets {
    /// The registry and the token.
    All,
    Registry,
    Token,
    /// Where it names a registry, this is changed; else only the token is set.
    WhatIsThere,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notation {
    Npmrc,
    Yarnrc,
    YarnrcYml,
    Bunfig,
    /// config.yaml and pnpm-workspace.yaml. Read only.
    PnpmYaml,
    /// cargo's own config.toml.
    CargoToml,
}

impl Sets {
    /// What two clients together want.
    pub fn and(self, other: Self) -> Self {
        if self == other { self } else { Self::All }
    }
}

impl Machine {
    /// The .npmrc of the person, which npm, pnpm, yarn 1 and bun look for in the same way.
    pub fn npmrc(&self) -> PathBuf {
        let given = self.variable("npm_config_userconfig");
        match given.as_deref().map(|given| (given, given.strip_prefix("~/"))) {
            Some((_, Some(below))) => self.home.join(below),
            Some((given, None)) => self.directory.join(given),
            None => self.home.join(".npmrc"),
        }
    }

    /// As npm reads its variables: in small letters or in capitals.
    pub fn variable(&self, name: &str) -> Option<String> {
        let (_, value) = self
            .env
            .iter()
            .find(|(is, value)| is.eq_ignore_ascii_case(name) && !value.is_empty())?;
        value.to_str().map(str::to_owned)
    }

    /// `$XDG_CONFIG_HOME`, if it is set.
    pub fn config_home(&self) -> Option<PathBuf> {
        self.env.get_os("XDG_CONFIG_HOME").map(PathBuf::from)
    }

    /// The project that is meant, else the one here: the nearest directory with one of these files, else
    /// the nearest with a manifest, else this one.
    pub fn root(&self, markers: &[&str], manifest: &str) -> PathBuf {
        if let Some(project) = &self.project {
            return project.clone();
        }
        let has = |names: &[&str]| {
            let mut upward = self.directory.ancestors();
            upward.find(|path| names.iter().any(|name| path.join(name).is_file()))
        };
        let found = has(markers).or_else(|| has(&[manifest]));
        found.unwrap_or(&self.directory).to_path_buf()
    }

    /// `~/...` for a path below the home directory.
    pub fn shown(&self, path: &Path) -> String {
        match path.strip_prefix(&self.home) {
            Ok(below) => format!("~/{}", below.display()),
            Err(_) => path.display().to_string(),
        }
    }
}

impl Notation {
    /// What to change so that the file says what is wanted; nothing where it does.
    pub fn edits(
        self,
        text: &str,
        sets: Sets,
        wanted: &Wanted<'_>,
        dialect: Dialect,
    ) -> Result<Vec<Edit>, Unreadable> {
        let token = match sets {
            Sets::Registry => None,
            _ => wanted.token_env,
        };
        let wanted = &Wanted { token_env: token, ..*wanted };
        match self {
            Self::Npmrc => {
                let has_registry = match sets {
                    Sets::Token => false,
                    Sets::WhatIsThere => npmrc::registry(text).is_some(),
                    Sets::All | Sets::Registry => true,
                };
                let mut edits = npmrc::set_token(text, wanted, dialect)?;
                if has_registry {
                    edits.extend(npmrc::set_registry(text, wanted));
                }
                // Lines that are put in front of a line come before a change of that line.
                edits.sort_by_key(|edit| (edit.at, !edit.old.is_empty()));
                Ok(edits)
            }
            Self::Yarnrc => yarnrc::set_registry(text, wanted),
            Self::YarnrcYml => yarnrc_yml::set(text, wanted),
            Self::Bunfig => bunfig::set(text, wanted),
            Self::CargoToml => cargo_toml::set(text, wanted),
            Self::PnpmYaml => Ok(Vec::new()),
        }
    }

    /// The registry that a file names.
    pub fn registry(self, text: &str) -> Option<Named> {
        match self {
            Self::Npmrc => npmrc::registry(text),
            Self::Yarnrc => yarnrc::registry(text),
            Self::YarnrcYml => yarnrc_yml::registry(text),
            Self::Bunfig => bunfig::registry(text),
            Self::PnpmYaml => pnpm::registry(text),
            Self::CargoToml => cargo_toml::registry(text),
        }
    }

    /// Scopes with a registry of their own, and their lines.
    pub fn scopes(self, text: &str, wanted: &Wanted<'_>) -> Vec<(String, usize)> {
        match self {
            Self::Npmrc => npmrc::scopes(text, wanted),
            Self::YarnrcYml => yarnrc_yml::scopes(text, wanted),
            Self::Bunfig => bunfig::scopes(text, wanted),
            Self::Yarnrc | Self::PnpmYaml | Self::CargoToml => Vec::new(),
        }
    }
}
