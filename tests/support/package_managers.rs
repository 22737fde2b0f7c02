//! The real npm, pnpm, yarn (classic and berry) and bun, each in a clean home: nothing of the
//! tester's settings, cache or packages reaches it.
//!
//! One shape for all five, so that one test can have a row for each. What they are is pinned in
//! `dev`, which installs them.

mod redacted;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// Which package manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Npm,
    Pnpm,
    /// Yarn classic, version 1.
    Yarn,
    /// Yarn from version 2 on.
    Berry,
    Bun,
}

/// A person with a machine of his own, one project on it and one package manager.
pub struct PackageManager {
    kind: Kind,
    home: TempDir,
    registry: Option<String>,
}

/// How a package manager ended, and what it printed.
#[derive(Debug)]
pub struct Printed {
    pub success: bool,
    pub stdout: String,
    pub stderr: String,
}

const MANIFEST: &str = r#"{ "name": "project", "version": "1.0.0", "private": true }"#;

impl Kind {
    pub const ALL: [Self; 5] = [Self::Npm, Self::Pnpm, Self::Yarn, Self::Berry, Self::Bun];

    /// The program in `target/clients/bin`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Npm => "npm",
            Self::Pnpm => "pnpm",
            Self::Yarn => "yarn",
            Self::Berry => "berry",
            Self::Bun => "bun",
        }
    }

    pub fn program(self) -> PathBuf {
        let program = programs().join(self.name());
        assert!(program.exists(), "{} is not installed: run ./dev setup", self.name());
        program
    }

    /// The file of the project that pins what is installed.
    pub fn lockfile(self) -> &'static str {
        match self {
            Self::Npm => "package-lock.json",
            Self::Pnpm => "pnpm-lock.yaml",
            Self::Yarn | Self::Berry => "yarn.lock",
            Self::Bun => "bun.lock",
        }
    }

    /// The command that adds a package to the project.
    pub fn add(self) -> &'static str {
        match self {
            Self::Npm => "install",
            Self::Pnpm | Self::Yarn | Self::Berry | Self::Bun => "add",
        }
    }

    /// The command that installs what the lockfile pins, and nothing else.
    pub fn install_locked(self) -> &'static [&'static str] {
        match self {
            Self::Npm => &["ci"],
            Self::Berry => &["install", "--immutable"],
            Self::Pnpm | Self::Yarn | Self::Bun => &["install", "--frozen-lockfile"],
        }
    }

    /// Settings that take away what is another at each run, and what asks for more than was asked
    /// for. Nothing here changes how a refusal is shown.
    fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Npm => &[
                ("npm_config_update_notifier", "false"),
                ("npm_config_audit", "false"),
                ("npm_config_fund", "false"),
                ("npm_config_fetch_retries", "0"),
                ("npm_config_progress", "false"),
            ],
            Self::Pnpm => &[
                ("pnpm_config_update_notifier", "false"),
                ("pnpm_config_reporter", "append-only"),
                ("pnpm_config_fetch_retries", "0"),
            ],
            Self::Yarn => &[("npm_config_progress", "false"), ("YARN_IGNORE_PATH", "1")],
            Self::Berry => &[
                ("YARN_UNSAFE_HTTP_WHITELIST", "127.0.0.1"),
                ("YARN_ENABLE_TELEMETRY", "false"),
                ("YARN_NODE_LINKER", "node-modules"),
                ("YARN_HTTP_RETRY", "0"),
            ],
            Self::Bun => &[("BUN_CONFIG_HTTP_RETRY_COUNT", "0")],
        }
    }

    /// The variable that names the registry.
    fn registry_variable(self) -> &'static str {
        match self {
            Self::Npm | Self::Yarn | Self::Bun => "npm_config_registry",
            Self::Pnpm => "pnpm_config_registry",
            Self::Berry => "YARN_NPM_REGISTRY_SERVER",
        }
    }
}

/// Where `./dev setup` puts them.
fn programs() -> PathBuf {
    let house = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    house.join("target/clients/bin")
}

/// The tester's PATH, led by the pinned programs.
pub fn path() -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::iter::once(programs()).chain(std::env::split_paths(&path));
    std::env::join_paths(paths).unwrap()
}

impl PackageManager {
    /// `registry` is what it is set to.
    pub fn new(kind: Kind, registry: &str) -> Self {
        Self { registry: Some(registry.to_owned()), ..Self::without_registry(kind) }
    }

    /// It goes by its own files alone, such as the .npmrc of the home or of the project.
    pub fn without_registry(kind: Kind) -> Self {
        let home = tempfile::tempdir().unwrap();
        for directory in ["project", "cache", "prefix", "tmp"] {
            std::fs::create_dir(home.path().join(directory)).unwrap();
        }
        let this = Self { kind, home, registry: None };
        this.write("package.json", MANIFEST);
        this
    }

    pub fn kind(&self) -> Kind {
        self.kind
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

    /// Forgets what was installed, and what the package manager itself keeps of earlier downloads.
    pub fn forget(&self) {
        let caches = ["cache", ".cache", ".local", ".bun", ".yarn"];
        for directory in ["project/node_modules", "project/.yarn"].iter().chain(&caches) {
            let _ = std::fs::remove_dir_all(self.home.path().join(directory));
        }
    }

    /// As [`Self::forget`], and the lockfile too.
    pub fn start_over(&self) {
        self.forget();
        let _ = std::fs::remove_file(self.project().join(self.kind.lockfile()));
        self.write("package.json", MANIFEST);
    }

    /// Gives a command this home and the package manager's settings, and takes everything else of
    /// the tester's environment but the PATH, which the pinned programs lead.
    pub fn furnish(&self, command: &mut Command) {
        let home = self.home.path();
        command.env_clear();
        command.env("PATH", path());
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
        if self.kind == Kind::Yarn {
            // For root it has a place outside of the home.
            command.env("YARN_CACHE_FOLDER", home.join("cache"));
        }
        command.envs(self.kind.settings().iter().copied());
        command.envs([("NO_COLOR", "1"), ("LC_ALL", "C.UTF-8")]);
        if let Some(registry) = &self.registry {
            command.env(self.kind.registry_variable(), registry);
        }
    }

    /// Runs the package manager in the project.
    pub fn run(&self, arguments: &[&str]) -> Printed {
        let mut command = Command::new(self.kind.program());
        self.furnish(&mut command);
        command.args(arguments).current_dir(self.project());
        let output = command.output().unwrap_or_else(|fault| {
            panic!("{} can not be run ({fault}): run ./dev setup", self.kind.name())
        });
        output.into()
    }

    /// Runs the package manager, which has to succeed.
    pub fn must(&self, arguments: &[&str]) -> Printed {
        let printed = self.run(arguments);
        assert!(printed.success, "{} {arguments:?}:\n{}", self.kind.name(), printed.text());
        printed
    }

    /// Runs the package manager, which has to fail.
    pub fn must_fail(&self, arguments: &[&str]) -> Printed {
        let printed = self.run(arguments);
        let name = self.kind.name();
        assert!(!printed.success, "{name} {arguments:?} succeeded:\n{}", printed.text());
        printed
    }

    /// What was printed, without what is another at each run: ports, paths, times, names of log
    /// files, the version of the package manager.
    pub fn redacted(&self, printed: &Printed) -> String {
        redacted::redact(&printed.text(), self.home.path(), &programs())
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
