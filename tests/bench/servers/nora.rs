//! nora-registry from crates.io, in front of the origin, without its limit of requests.

use std::fs;
use std::path::PathBuf;

use super::built::Built;
use crate::ground::Ground;
use crate::process::{Process, SERVER_CORE, pinned};
use crate::rows::Format;
use crate::servers::NORA;

pub const BUILT: Built = Built { name: "nora-registry", version: "1.4.1", program: "nora" };

/// One that is installed.
pub fn start(ground: &Ground) -> Process {
    let program = ground.nora.as_ref().expect("asked for only where it is installed");
    let directory = directory(ground);
    fs::create_dir_all(&directory).unwrap();
    let (port, origin) = (ground.ports.nora, ground.origin.port);
    let enabled = match ground.format {
        Format::Npm => "npm",
        Format::Cargo => "cargo",
    };
    let mut command = pinned(SERVER_CORE, program);
    command.arg("serve").current_dir(&directory);
    for (name, value) in [
        ("NORA_HOST", "127.0.0.1".to_owned()),
        ("NORA_PORT", port.to_string()),
        ("NORA_PUBLIC_URL", format!("http://127.0.0.1:{port}")),
        ("NORA_STORAGE_PATH", directory.join("storage").display().to_string()),
        ("NORA_REGISTRIES_ENABLE", enabled.to_owned()),
        ("NORA_CARGO_PROXY", format!("http://127.0.0.1:{origin}/crates")),
        ("NORA_CARGO_METADATA_TTL", "86400".to_owned()),
        ("NORA_NPM_PROXY", format!("http://127.0.0.1:{origin}")),
        ("NORA_NPM_METADATA_TTL", "86400".to_owned()),
        ("NORA_AUTH_ENABLED", "false".to_owned()),
        ("NORA_RATE_LIMIT_ENABLED", "false".to_owned()),
    ] {
        command.env(name, value);
    }
    Process::start(NORA, command, &directory.join("log"), port, "/health")
}

/// What it kept of earlier starts.
pub fn forget(ground: &Ground) {
    let _ = fs::remove_dir_all(directory(ground));
}

fn directory(ground: &Ground) -> PathBuf {
    ground.directory.join("nora")
}
