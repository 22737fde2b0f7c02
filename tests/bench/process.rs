//! A server under test: started on its core, asked until it is ready, watched, ended.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::http::Connection;
use crate::usage::{self, Cpu};

/// The servers have the one to themselves; the other is for what asks them and for the origin.
pub const SERVER_CORE: &str = "0";
pub const LOAD_CORE: &str = "1";

const PATIENCE: Duration = Duration::from_mins(1);

/// Killed when it is dropped.
pub struct Process {
    child: Child,
    name: &'static str,
    pub port: u16,
    /// From the spawn to the first good answer.
    pub ready_after: Duration,
}

/// `program` on one core; arguments and the rest are the caller's.
pub fn pinned(core: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", core]).arg(program);
    command
}

impl Process {
    /// Returns when `ready` is answered by 200. What the server prints goes to `log`, as a
    /// production server's goes to a file or a pipe.
    pub fn start(
        name: &'static str,
        mut command: Command,
        log: &Path,
        port: u16,
        ready: &str,
    ) -> Self {
        let file = std::fs::File::create(log).unwrap();
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        let begun = Instant::now();
        let child = command.spawn().unwrap_or_else(|fault| panic!("{command:?}: {fault}"));
        let mut process = Self { child, name, port, ready_after: Duration::ZERO };
        loop {
            let answer = Connection::open(port).and_then(|mut open| open.get(ready, &[]));
            if answer.is_ok_and(|answer| answer.status == 200) {
                process.ready_after = begun.elapsed();
                return process;
            }
            let ended = process.child.try_wait().unwrap();
            let said = || std::fs::read_to_string(log).unwrap_or_default();
            assert!(ended.is_none(), "{name} ended at its start:\n{}", said());
            assert!(begun.elapsed() < PATIENCE, "{name} does not start:\n{}", said());
            std::thread::sleep(Duration::from_micros(500));
        }
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub fn connect(&self) -> Connection {
        Connection::open(self.port).unwrap_or_else(|fault| panic!("{}: {fault}", self.name))
    }

    /// The CPU time of all its threads so far, and of its children's.
    pub fn cpu(&self) -> Cpu {
        Cpu::of(self.child.id())
    }

    /// A slow server still works for clients that have left.
    pub fn wait_until_idle(&self) {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let before = self.cpu();
            std::thread::sleep(Duration::from_millis(100));
            if self.cpu().since(&before) < Duration::from_millis(20) {
                return;
            }
        }
    }

    /// In MB, with its children.
    pub fn resident(&self) -> f64 {
        usage::memory(self.child.id(), "VmRSS:")
    }

    pub fn peak_resident(&self) -> f64 {
        usage::memory(self.child.id(), "VmHWM:")
    }

    /// The peak is that from now on.
    pub fn forget_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").unwrap();
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(mut self) {
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-s", "TERM", &pid]).status();
        let begun = Instant::now();
        while self.child.try_wait().unwrap().is_none() && begun.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// SIGKILL: what was acknowledged has to be there nevertheless.
    pub fn kill(self) {
        drop(self);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A master that is killed leaves its workers behind; they are ended with it.
        let family = usage::family(self.child.id());
        let _ = self.child.kill();
        let _ = self.child.wait();
        for pid in family.iter().skip(1) {
            let _ = Command::new("kill")
                .args(["-s", "KILL", &pid.to_string()])
                .stderr(Stdio::null())
                .status();
        }
    }
}
