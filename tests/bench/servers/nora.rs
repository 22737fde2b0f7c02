//! nora-registry from crates.io, in front of the origin, without its limit of requests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::ground::Ground;
use crate::process::{Process, SERVER_CORE, pinned};
use crate::servers::NORA;

pub const VERSION: &str = "1.4.1";
/// In minutes; what builds longer counts as what does not build.
const PATIENCE: u32 = 40;

/// Builds it where it is not; why it can not be had, else.
pub fn install(target: &Path, quick: bool) -> Result<PathBuf, String> {
    let directory = target.join("nora");
    let program = directory.join("bin/nora");
    let listed = fs::read_to_string(directory.join(".crates.toml")).unwrap_or_default();
    if program.exists() && listed.contains(&format!("nora-registry {VERSION} ")) {
        return Ok(program);
    }
    if quick {
        return Err("not built yet, and --quick does not build it".to_owned());
    }
    eprintln!("bench: building nora-registry {VERSION}, for at most {PATIENCE} minutes");
    fs::create_dir_all(&directory).map_err(|fault| fault.to_string())?;
    let log = directory.join("install.log");
    let file = fs::File::create(&log).map_err(|fault| fault.to_string())?;
    // An earlier failure is no verdict: the next benchmark tries again.
    let status = Command::new("timeout")
        .args([&format!("{PATIENCE}m"), "cargo", "install", "--locked", "--root"])
        .arg(&directory)
        .arg("--target-dir")
        .arg(directory.join("target"))
        .arg(format!("nora-registry@{VERSION}"))
        .stderr(file)
        .status()
        .map_err(|fault| format!("cargo can not be run: {fault}"))?;
    if status.success() && program.exists() {
        return Ok(program);
    }
    if status.code() == Some(124) {
        return Err(format!("its build took longer than {PATIENCE} minutes"));
    }
    let said = fs::read_to_string(&log).unwrap_or_default();
    let cause = said.lines().find(|line| line.starts_with("error"));
    Err(format!("it does not build here: {}", cause.unwrap_or("cargo install failed")))
}

/// One that is installed.
pub fn start(ground: &Ground) -> Process {
    let program = ground.nora.as_ref().expect("asked for only where it is installed");
    let directory = ground.directory.join("nora");
    fs::create_dir_all(&directory).unwrap();
    let (port, origin) = (ground.ports.nora, ground.origin.port);
    let mut command = pinned(SERVER_CORE, program);
    command.arg("serve").current_dir(&directory);
    for (name, value) in [
        ("NORA_HOST", "127.0.0.1".to_owned()),
        ("NORA_PORT", port.to_string()),
        ("NORA_PUBLIC_URL", format!("http://127.0.0.1:{port}")),
        ("NORA_STORAGE_PATH", directory.join("storage").display().to_string()),
        ("NORA_REGISTRIES_ENABLE", "npm".to_owned()),
        ("NORA_NPM_PROXY", format!("http://127.0.0.1:{origin}")),
        ("NORA_NPM_METADATA_TTL", "86400".to_owned()),
        ("NORA_AUTH_ENABLED", "false".to_owned()),
        ("NORA_RATE_LIMIT_ENABLED", "false".to_owned()),
    ] {
        command.env(name, value);
    }
    Process::start(NORA, command, &directory.join("log"), port, "/health")
}
