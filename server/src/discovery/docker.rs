//! docker's registry: the first mirror that its daemon is told of. What it asks without one it tells nobody.

use serde::Deserialize;

use super::command::find;
use super::{Discovery, Machine, given_url};
use crate::config::{Format, read_text};

const FILE_BYTES: u64 = 1 << 20;

#[derive(Deserialize)]
struct Daemon {
    #[serde(default, rename = "registry-mirrors")]
    registry_mirrors: Vec<String>,
}

pub(super) fn discover(machine: &Machine, discovery: &mut Discovery) {
    let person = machine
        .env
        .get_os("XDG_CONFIG_HOME")
        .map(Into::into)
        .or_else(|| machine.home().map(|home| home.join(".config")));
    let files = person.into_iter().chain([machine.etc.clone()]);
    for path in files.map(|directory| directory.join("docker/daemon.json")) {
        let Ok(text) = read_text(&path, FILE_BYTES) else { continue };
        let from = format!("registry-mirrors in {}", machine.shown(&path));
        let Ok(daemon) = serde_json::from_str::<Daemon>(&text) else {
            return discovery
                .missing(Format::Oci, format!("{} is not readable", machine.shown(&path)));
        };
        let mirror = daemon
            .registry_mirrors
            .iter()
            .filter_map(|mirror| given_url(mirror))
            .find(|given| !machine.is_garth(&given.url));
        if let Some(given) = mirror {
            return discovery.found(Format::Oci, given.url, from);
        }
    }
    let installed =
        ["docker", "podman"].into_iter().any(|program| find(machine, program).is_some());
    let why = if installed {
        "docker is told of no mirror, and does not tell which registry it asks without one"
    } else {
        "docker is not installed"
    };
    discovery.missing(Format::Oci, why);
}
