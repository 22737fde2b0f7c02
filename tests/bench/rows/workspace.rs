//! A workspace of several hundred crates, fetched by cargo by its lockfile: when nobody asked for them
//! before, and when garth holds all of them, beside nginx with the same registry as static files.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::corpus::SMALL_VERSION;
use crate::corpus::crates::{WORKSPACE, workspace_crate};
use crate::ground::Ground;
use crate::process::{LOAD_CORE, Process, pinned};
use crate::results::{Measure, Place, Results};
use crate::servers::{self, GARTH, NGINX_STATIC};

pub const COLD: &str = "cold";
pub const WARM: &str = "warm";

pub fn run(ground: &Ground, results: &mut Results) {
    for run in 0..ground.runs {
        super::tell("workspace", run, ground, NGINX_STATIC);
        let nginx = servers::start(ground, NGINX_STATIC);
        let of_nginx = Project::new(ground, &nginx, "/registry/index/");
        let lockfile = of_nginx.lock();
        measure(&nginx, &of_nginx, WARM, results);
        nginx.stop();

        super::tell("workspace", run, ground, GARTH);
        let garth = ground.start_anew();
        let of_garth = Project::new(ground, &garth, "/cargo/");
        of_garth.write("Cargo.lock", &lockfile);
        measure(&garth, &of_garth, COLD, results);
        garth.wait_until_idle();
        measure(&garth, &of_garth, WARM, results);
        assert_eq!(of_garth.lock(), lockfile, "another lockfile than without garth");
        garth.stop();
    }
}

fn measure(process: &Process, project: &Project, case: &'static str, results: &mut Results) {
    project.forget();
    Ground::settle();
    let (before, begun) = (process.cpu(), Instant::now());
    project.cargo(&["fetch", "--locked"]);
    let (took, cpu) = (begun.elapsed(), process.cpu().since(&before));
    let mut add = |measure, value| {
        results.add(Place { row: "workspace", case, server: process.name(), measure }, value);
    };
    add(Measure::Seconds, took.as_secs_f64());
    add(Measure::CpuSeconds, cpu.as_secs_f64());
}

/// A project in a cargo home of its own.
struct Project(PathBuf);

impl Project {
    fn new(ground: &Ground, process: &Process, index: &str) -> Self {
        let directory = ground.directory.join("workspace");
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(directory.join("src")).unwrap();
        let this = Self(directory);
        let mut manifest =
            "[package]\nname = \"large\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n\
                            [workspace]\n\n[dependencies]\n"
                .to_owned();
        for n in 0..WORKSPACE {
            let _ = writeln!(manifest, "{} = \"{SMALL_VERSION}\"", workspace_crate(n));
        }
        this.write("Cargo.toml", &manifest);
        this.write("src/lib.rs", "");
        fs::create_dir_all(this.home()).unwrap();
        let config = format!(
            "[source.crates-io]\nreplace-with = \"measured\"\n\n[source.measured]\nregistry = \
             \"sparse+{}\"\n",
            process.url(index)
        );
        fs::write(this.home().join("config.toml"), config).unwrap();
        this
    }

    fn home(&self) -> PathBuf {
        self.0.join("home")
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.0.join(path), text).unwrap();
    }

    /// Resolves anew.
    fn lock(&self) -> String {
        let lockfile: &Path = &self.0.join("Cargo.lock");
        let _ = fs::remove_file(lockfile);
        self.cargo(&["generate-lockfile"]);
        fs::read_to_string(lockfile).unwrap()
    }

    /// As a machine that has never built anything.
    fn forget(&self) {
        let _ = fs::remove_dir_all(self.home().join("registry"));
    }

    fn cargo(&self, arguments: &[&str]) {
        let mut command = pinned(LOAD_CORE, "cargo");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CARGO_") {
                command.env_remove(name);
            }
        }
        command.args(arguments).arg("--quiet").env("CARGO_HOME", self.home());
        let output = command.current_dir(&self.0).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cargo {arguments:?}: {said}");
    }
}
