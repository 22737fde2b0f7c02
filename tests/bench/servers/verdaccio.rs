//! Verdaccio with its own defaults, in front of the origin.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::ground::Ground;
use crate::process::{Process, SERVER_CORE, pinned};
use crate::servers::VERDACCIO;

pub const VERSION: &str = "6.8.0";
/// A dependency asks for it by a tag, which some registries do not have.
const NODE_FETCH: &str = "2.7.0";

/// Installs it where it is not; why it can not be had, else.
pub fn install(target: &std::path::Path) -> Result<PathBuf, String> {
    let directory = target.join(format!("verdaccio-{VERSION}"));
    let program = directory.join("node_modules/verdaccio/bin/verdaccio");
    if program.exists() {
        return Ok(program);
    }
    fs::create_dir_all(&directory).map_err(|fault| fault.to_string())?;
    let wanted = format!(
        "{{ \"private\": true, \"dependencies\": {{ \"verdaccio\": \"{VERSION}\" }}, \"overrides\": {{ \"node-fetch\": \"{NODE_FETCH}\" }} }}"
    );
    fs::write(directory.join("package.json"), wanted).map_err(|fault| fault.to_string())?;
    eprintln!("bench: installing Verdaccio {VERSION}");
    let output = Command::new("npm")
        .args([
            "install",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--engine-strict",
            "--loglevel=error",
        ])
        .current_dir(&directory)
        .output()
        .map_err(|fault| format!("npm can not be run: {fault}"))?;
    if output.status.success() && program.exists() {
        return Ok(program);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said.lines().last().unwrap_or("npm install failed").to_owned())
}

/// One that is installed.
pub fn start(ground: &Ground) -> Process {
    let program = ground.verdaccio.as_ref().expect("asked for only where it is installed");
    let directory = ground.directory.join("verdaccio");
    fs::create_dir_all(&directory).unwrap();
    let (port, origin) = (ground.ports.verdaccio, ground.origin.port);
    // The packages stay fresh for the whole benchmark: it measures hits.
    let settings = format!(
        "storage: ./storage
auth: {{ htpasswd: {{ file: ./htpasswd }} }}
uplinks: {{ origin: {{ url: 'http://127.0.0.1:{origin}/', maxage: 1d }} }}
packages: {{ '@*/*': {{ access: $all, proxy: origin }}, '**': {{ access: $all, proxy: origin }} }}
server: {{ keepAliveTimeout: 60 }}
log: {{ type: stdout, format: pretty, level: http }}
"
    );
    let file = directory.join("config.yaml");
    fs::write(&file, settings).unwrap();
    let mut command = pinned(SERVER_CORE, "node");
    command.arg(program).arg("--config").arg(&file);
    command.arg("--listen").arg(format!("127.0.0.1:{port}")).current_dir(&directory);
    // As its own image runs it.
    command.env("NODE_ENV", "production");
    Process::start(VERDACCIO, command, &directory.join("log"), port, "/-/ping")
}
