//! kellnr from crates.io, whose cache of the public registry is put in front of the origin instead.

use std::fs;
use std::path::PathBuf;

use super::built::Built;
use crate::ground::Ground;
use crate::process::{Process, SERVER_CORE, pinned};
use crate::servers::KELLNR;

pub const BUILT: Built = Built { name: "kellnr", version: "6.6.0", program: "kellnr" };

/// Below which its cache is.
pub const BASE: &str = "/api/v1/cratesio";

/// One that is installed.
pub fn start(ground: &Ground) -> Process {
    let program = ground.kellnr.as_ref().expect("asked for only where it is installed");
    let directory = directory(ground);
    fs::create_dir_all(&directory).unwrap();
    let (port, origin) = (ground.ports.kellnr, ground.origin.port);
    let mut command = pinned(SERVER_CORE, program);
    command.arg("start").current_dir(&directory);
    let at_origin = |path: &str| format!("http://127.0.0.1:{origin}/crates/{path}/");
    for (name, value) in [
        ("KELLNR_REGISTRY__DATA_DIR", directory.join("data").display().to_string()),
        ("KELLNR_LOCAL__IP", "127.0.0.1".to_owned()),
        ("KELLNR_LOCAL__PORT", port.to_string()),
        ("KELLNR_ORIGIN__HOSTNAME", "127.0.0.1".to_owned()),
        ("KELLNR_ORIGIN__PORT", port.to_string()),
        ("KELLNR_PROXY__ENABLED", "true".to_owned()),
        ("KELLNR_PROXY__URL", at_origin("dl")),
        ("KELLNR_PROXY__INDEX", at_origin("index")),
        ("KELLNR_PROXY__API", at_origin("api")),
    ] {
        command.env(name, value);
    }
    let ready = format!("{BASE}/config.json");
    Process::start(KELLNR, command, &directory.join("log"), port, &ready)
}

/// What it kept of earlier starts.
pub fn forget(ground: &Ground) {
    let _ = fs::remove_dir_all(directory(ground));
}

fn directory(ground: &Ground) -> PathBuf {
    ground.directory.join("kellnr")
}
