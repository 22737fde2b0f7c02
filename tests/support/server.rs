//! The real binary on a free port, with a data directory of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// How long a start may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A garth that runs. Killed when it is dropped.
pub struct TestServer {
    child: Child,
    setup: Setup,
    /// `http://127.0.0.1:1234`, without a slash at the end.
    pub url: String,
}

/// What a server is started with; a server that was stopped gives it back for the next start.
pub struct Setup {
    directory: TempDir,
    /// Nothing is written where there are none.
    settings: Option<String>,
    environment: Vec<(String, String)>,
}

impl Setup {
    /// `settings` is a garth.toml without `listen` and `data`.
    pub fn new(settings: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("policies")).unwrap();
        Self { directory, settings: Some(settings.to_owned()), environment: Vec::new() }
    }

    /// No garth.toml at all: garth finds out what this machine's package managers use.
    pub fn without_settings() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { directory, settings: None, environment: Vec::new() }
    }

    /// One npm registry with this upstream.
    pub fn npm(upstream: &str) -> Self {
        Self::new(&format!("[registry.npm]\nformat = \"npm\"\nupstream = \"{upstream}\"\n"))
    }

    pub fn with_settings(mut self, more: &str) -> Self {
        // Keys of the top level have to stand before the first table.
        let settings = self.settings.unwrap_or_default();
        self.settings = Some(format!("{more}\n{settings}"));
        self
    }

    pub fn with_env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Writes `policies/{name}.toml`, also while a server runs on it.
    pub fn write_policy(&self, name: &str, text: &str) {
        let policies = self.directory.path().join("policies");
        let staged = policies.join(format!("{name}.new"));
        std::fs::write(&staged, text).unwrap();
        std::fs::rename(staged, policies.join(format!("{name}.toml"))).unwrap();
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// The command `garth …` in this directory, with nothing of the tester's environment that garth
    /// reads.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(arguments).current_dir(self.directory.path());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("GARTH_") {
                command.env_remove(name);
            }
        }
        command.env("GARTH_DATA", self.data()).envs(self.environment.iter().cloned());
        command
    }

    fn write_settings(&self) {
        let Some(settings) = &self.settings else { return };
        let policies = self.directory.path().join("policies");
        let text = format!("policies = \"{}\"\n{settings}", policies.display());
        std::fs::write(self.directory.path().join("garth.toml"), text).unwrap();
    }

    /// Starts a garth that has to refuse to start; what it said.
    pub fn start_in_vain(&self) -> String {
        self.write_settings();
        let output = self.command(&["serve", "--listen", "127.0.0.1:0"]).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(!output.status.success(), "garth started: {said}");
        said
    }

    pub fn start(self) -> TestServer {
        self.start_with(&[])
    }

    /// Loses the metadata, and makes it anew of what lies beside the blobs. The audit log went with
    /// it, which is told.
    pub fn lose_and_rebuild(&self) {
        std::fs::remove_dir_all(self.data().join("metadata")).unwrap();
        let rebuilt = self.command(&["check", "--rebuild"]).output().unwrap();
        let said = String::from_utf8_lossy(&rebuilt.stdout);
        assert!(rebuilt.status.code() == Some(1) && said.contains("--accept-log"), "{said}");
    }

    /// With further arguments of `garth serve`.
    pub fn start_with(self, more: &[&str]) -> TestServer {
        self.write_settings();
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.directory.path().join("log"))
            .unwrap();
        let _ = std::fs::remove_file(self.data().join("run.json"));
        let child = self
            .command(&["serve", "--listen", "127.0.0.1:0"])
            .args(more)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|fault| panic!("{} can not be started: {fault}", binary().display()));
        let mut server = TestServer { child, setup: self, url: String::new() };
        server.url = server.wait_until_it_listens();
        server
    }
}

impl TestServer {
    fn wait_until_it_listens(&mut self) -> String {
        let begun = Instant::now();
        loop {
            let run = std::fs::read(self.setup.data().join("run.json")).ok();
            let run: Option<Value> = run.and_then(|text| serde_json::from_slice(&text).ok());
            if let Some(url) = run.as_ref().and_then(|run| run["url"].as_str()) {
                return url.trim_end_matches('/').to_owned();
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("garth ended with {status} at its start:\n{}", self.setup.log());
            }
            assert!(begun.elapsed() < PATIENCE, "garth does not start:\n{}", self.setup.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What is logged of the requests that were answered, too: their lines wait for a moment.
    pub fn log(&self) -> String {
        std::thread::sleep(Duration::from_millis(100));
        self.setup.log()
    }

    pub fn admin_token(&self) -> String {
        std::fs::read_to_string(self.setup.data().join("admin-token")).unwrap().trim().to_owned()
    }

    /// Runs `garth …` as somebody on the server's machine would.
    pub fn garth(&self, arguments: &[&str]) -> Output {
        self.setup.command(arguments).output().unwrap()
    }

    /// Runs `garth …`, which has to succeed, and gives back what it printed.
    pub fn run(&self, arguments: &[&str]) -> String {
        let output = self.garth(arguments);
        let text = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "garth {arguments:?}: {text}{errors}\n{}", self.log());
        text
    }

    /// Not ended, and no zombie either.
    pub fn is_running(&self) -> bool {
        let stat =
            std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        stat.rsplit(')')
            .next()
            .is_some_and(|rest| !rest.trim_start().starts_with(['Z', 'X']) && !rest.is_empty())
    }

    pub fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Pulls the plug: SIGKILL.
    pub fn kill(mut self) -> Setup {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.take_setup()
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(mut self) -> (Setup, ExitStatus) {
        self.signal("TERM");
        let status = self.child.wait().unwrap();
        (self.take_setup(), status)
    }

    /// Waits until the process ends by itself.
    pub fn wait(mut self) -> (Setup, ExitStatus) {
        let status = self.child.wait().unwrap();
        (self.take_setup(), status)
    }

    fn take_setup(&mut self) -> Setup {
        let nobody = Setup {
            directory: tempfile::tempdir().unwrap(),
            settings: None,
            environment: Vec::new(),
        };
        std::mem::replace(&mut self.setup, nobody)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary that `./dev test` built, beside the tests.
pub fn binary() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let target = tests.ancestors().nth(2).unwrap();
    let binary = target.join("garth");
    assert!(binary.exists(), "{} is missing: cargo build -p server", binary.display());
    binary
}
