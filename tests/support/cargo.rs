//! The real cargo in a clean home: nothing of the tester's settings, cache or credentials reaches it.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

pub use crate::package_managers::Printed;

/// A person with a machine of his own and one project on it.
pub struct Cargo {
    home: TempDir,
}

impl Cargo {
    /// Whose public registry is replaced by the one at this address.
    pub fn replaced_by(index: &str) -> Self {
        let this = Self::new();
        this.configure(&format!(
            "[source.crates-io]\nreplace-with = \"garth\"\n\n[source.garth]\nregistry = \"sparse+{index}\"\n"
        ));
        this
    }

    pub fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        for directory in [".cargo", "project/src", "tmp"] {
            std::fs::create_dir_all(home.path().join(directory)).unwrap();
        }
        let this = Self { home };
        this.write("src/lib.rs", "");
        this.depend("");
        this
    }

    /// Writes cargo's own configuration.
    pub fn configure(&self, text: &str) {
        std::fs::write(self.home.path().join(".cargo/config.toml"), text).unwrap();
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    pub fn project(&self) -> PathBuf {
        self.home.path().join("project")
    }

    pub fn write(&self, path: &str, text: &str) {
        std::fs::write(self.project().join(path), text).unwrap();
    }

    pub fn read(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.project().join(path)).ok()
    }

    /// The project has these dependencies from now on, as in a Cargo.toml, and no lockfile.
    pub fn depend(&self, dependencies: &str) {
        self.write(
            "Cargo.toml",
            &format!(
                "[package]\nname = \"project\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n[dependencies]\n{dependencies}\n"
            ),
        );
        let _ = std::fs::remove_file(self.project().join("Cargo.lock"));
    }

    /// The version that the lockfile pins.
    pub fn locked(&self, name: &str) -> Option<String> {
        let lockfile: toml::Table = self.read("Cargo.lock")?.parse().unwrap();
        let packages = lockfile.get("package")?.as_array()?;
        let package = packages.iter().find(|package| package["name"].as_str() == Some(name))?;
        Some(package["version"].as_str().unwrap().to_owned())
    }

    /// Forgets what cargo keeps of earlier downloads, the index included.
    pub fn forget(&self) {
        let _ = std::fs::remove_dir_all(self.home.path().join(".cargo/registry"));
    }

    /// Gives a command this home, the toolchain that runs the tests, and nothing else of the
    /// tester's environment.
    pub fn furnish(&self, command: &mut Command) {
        let home = self.home.path();
        let tools = program();
        let mut paths = vec![tools.parent().unwrap().to_owned()];
        paths.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        command.env_clear();
        command.env("PATH", std::env::join_paths(paths).unwrap());
        command.env("HOME", home).env("CARGO_HOME", home.join(".cargo"));
        command.env("TMPDIR", home.join("tmp")).env("CARGO_TARGET_DIR", home.join("target"));
        command.envs([
            ("CARGO_NET_RETRY", "0"),
            ("CARGO_TERM_COLOR", "never"),
            ("CARGO_TERM_PROGRESS_WHEN", "never"),
            ("LC_ALL", "C.UTF-8"),
        ]);
    }

    pub fn run(&self, arguments: &[&str]) -> Printed {
        self.command(arguments).output().unwrap().into()
    }

    /// cargo, ready to run in the project.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        self.furnish(&mut command);
        command.args(arguments).current_dir(self.project());
        command
    }

    /// Runs cargo, which has to succeed.
    pub fn must(&self, arguments: &[&str]) -> Printed {
        let printed = self.run(arguments);
        assert!(printed.success, "cargo {arguments:?}:\n{}", printed.text());
        printed
    }

    /// Runs cargo, which has to fail.
    pub fn must_fail(&self, arguments: &[&str]) -> Printed {
        let printed = self.run(arguments);
        assert!(!printed.success, "cargo {arguments:?} succeeded:\n{}", printed.text());
        printed
    }

    /// What was printed, without ports, paths, dates, times and causes.
    pub fn redacted(&self, printed: &Printed) -> String {
        let real = self.home.path().canonicalize().unwrap();
        let text = printed.text().replace(&*real.to_string_lossy(), "HOME");
        let text = text.replace(&*self.home.path().to_string_lossy(), "HOME");
        let lines: Vec<String> = text.lines().map(redact_line).collect();
        lines.join("\n").trim().to_owned()
    }
}

impl Default for Cargo {
    fn default() -> Self {
        Self::new()
    }
}

/// The cargo of the toolchain that the tests were built with, and no proxy in front of it.
pub fn program() -> PathBuf {
    std::env::var_os("CARGO").map_or_else(|| env!("CARGO").into(), PathBuf::from)
}

fn redact_line(line: &str) -> String {
    const ADDRESS: &str = "127.0.0.1:";
    const REVOKED: &str = " was revoked ";
    let mut pieces = line.split(ADDRESS);
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        plain.extend([ADDRESS, "PORT", piece.trim_start_matches(|c: char| c.is_ascii_digit())]);
    }
    if let Some(at) = plain.find(" since 20") {
        return format!("{} since DATE: CAUSE", &plain[..at]);
    }
    if let Some((head, rest)) = plain.split_once(REVOKED)
        && let Some((_, rest)) = rest.split_once(". ")
    {
        return format!("{head}{REVOKED}DATE. {rest}");
    }
    match plain.find(" target(s) in ") {
        Some(at) => format!("{} target(s) in TIME", &plain[..at]),
        None => plain,
    }
}
