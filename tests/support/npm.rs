//! The real npm in a clean home: nothing of the tester's settings, cache or packages reaches it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// A person with a machine of his own and one project on it.
pub struct Npm {
    home: TempDir,
    registry: String,
}

/// How npm ended, and what it printed.
pub struct Printed {
    pub success: bool,
    pub stdout: String,
    pub stderr: String,
}

impl Npm {
    /// `registry` is what npm is set to, as in an .npmrc.
    pub fn new(registry: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        for directory in ["project", "cache", "prefix", "tmp"] {
            std::fs::create_dir(home.path().join(directory)).unwrap();
        }
        let npm = Self { home, registry: registry.to_owned() };
        npm.write("package.json", r#"{ "name": "project", "version": "1.0.0", "private": true }"#);
        npm
    }

    /// The home; the project lies in it.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    pub fn project(&self) -> PathBuf {
        self.home.path().join("project")
    }

    /// Writes a file of the project.
    pub fn write(&self, path: &str, text: &str) {
        std::fs::write(self.project().join(path), text).unwrap();
    }

    /// A file of the project, if it is there.
    pub fn read(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.project().join(path)).ok()
    }

    /// The version that is installed in the project.
    pub fn installed(&self, package: &str) -> Option<String> {
        let manifest = self.read(&format!("node_modules/{package}/package.json"))?;
        let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
        Some(manifest["version"].as_str().unwrap().to_owned())
    }

    /// Forgets what was installed, and what npm itself keeps of earlier downloads.
    pub fn forget(&self) {
        for directory in ["project/node_modules", "cache"] {
            let _ = std::fs::remove_dir_all(self.home.path().join(directory));
        }
    }

    /// As [`Self::forget`], and the lockfile too.
    pub fn start_over(&self) {
        self.forget();
        let _ = std::fs::remove_file(self.project().join("package-lock.json"));
        self.write("package.json", r#"{ "name": "project", "version": "1.0.0", "private": true }"#);
    }

    /// Gives a command this home and npm's settings, and takes everything else of the tester's
    /// environment but the PATH.
    pub fn furnish(&self, command: &mut Command) {
        let home = self.home.path();
        command.env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        for (name, value) in [
            ("HOME", home.to_owned()),
            ("TMPDIR", home.join("tmp")),
            ("npm_config_cache", home.join("cache")),
            ("npm_config_prefix", home.join("prefix")),
            ("npm_config_userconfig", home.join(".npmrc")),
            ("npm_config_globalconfig", home.join("npmrc")),
        ] {
            command.env(name, value);
        }
        for (name, value) in [
            ("npm_config_registry", self.registry.as_str()),
            ("npm_config_update_notifier", "false"),
            ("npm_config_audit", "false"),
            ("npm_config_fund", "false"),
            ("npm_config_fetch_retries", "0"),
            ("npm_config_progress", "false"),
            ("NO_COLOR", "1"),
            ("LC_ALL", "C.UTF-8"),
        ] {
            command.env(name, value);
        }
    }

    /// Runs `npm …` in the project.
    pub fn run(&self, arguments: &[&str]) -> Printed {
        let mut command = Command::new("npm");
        self.furnish(&mut command);
        command.args(arguments).current_dir(self.project());
        let output = command.output().unwrap_or_else(|fault| {
            panic!("npm can not be run ({fault}): install node and npm with ./dev setup")
        });
        output.into()
    }

    /// Runs `npm …`, which has to succeed.
    pub fn must(&self, arguments: &[&str]) -> Printed {
        let printed = self.run(arguments);
        assert!(printed.success, "npm {arguments:?}:\n{}", printed.text());
        printed
    }

    /// Runs `npm …`, which has to fail.
    pub fn must_fail(&self, arguments: &[&str]) -> Printed {
        let printed = self.run(arguments);
        assert!(!printed.success, "npm {arguments:?} succeeded:\n{}", printed.text());
        printed
    }

    /// What npm printed, without what is another at each run: ports, paths, times and names of
    /// log files.
    pub fn redacted(&self, printed: &Printed) -> String {
        let home = self.home.path();
        // Some systems have a link on the way to the temporary directory.
        let real = home.canonicalize().unwrap();
        let text = printed.text();
        let text = text.replace(&*real.to_string_lossy(), "HOME");
        let text = text.replace(&*home.to_string_lossy(), "HOME");
        let mut lines = Vec::new();
        for line in text.lines() {
            if line.contains("A complete log of this run can be found in") {
                continue;
            }
            lines.push(redact_line(line));
        }
        lines.join("\n")
    }
}

impl Printed {
    /// Both streams: errors first, as a person sees them before the summary.
    pub fn text(&self) -> String {
        format!("{}{}", self.stderr, self.stdout)
    }
}

impl From<Output> for Printed {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self {
            success: output.status.success(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

/// `127.0.0.1:54321` loses its port, `in 432ms` its number.
fn redact_line(line: &str) -> String {
    let mut words = Vec::new();
    let mut before = "";
    for word in line.split(' ') {
        let is_duration = before == "in" && word.starts_with(|first: char| first.is_ascii_digit());
        words.push(if is_duration { "TIME".to_owned() } else { without_port(word) });
        before = word;
    }
    words.join(" ")
}

fn without_port(word: &str) -> String {
    const ADDRESS: &str = "127.0.0.1:";
    let Some(at) = word.find(ADDRESS) else { return word.to_owned() };
    let (head, rest) = word.split_at(at + ADDRESS.len());
    let rest = rest.trim_start_matches(|next: char| next.is_ascii_digit());
    format!("{head}PORT{rest}")
}

/// npm's own default, whatever this machine is set to.
pub fn default_registry() -> String {
    let home = tempfile::tempdir().unwrap();
    let npm = Npm { home, registry: String::new() };
    std::fs::create_dir(npm.project()).unwrap();
    let mut command = Command::new("npm");
    npm.furnish(&mut command);
    command.env_remove("npm_config_registry").args(["config", "get", "registry"]);
    let output = command.current_dir(npm.project()).output().unwrap_or_else(|fault| {
        panic!("npm can not be run ({fault}): install node and npm with ./dev setup")
    });
    assert!(output.status.success(), "npm config get registry fails");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
