//! What bun reads: the bunfig.toml of the project, then that of the person, and each .npmrc only after
//! them; a variable wins over all. The person's lies in `$XDG_CONFIG_HOME` where that is set, and then the
//! one in the home is not read at all.

use super::machine::{Layout, Machine, Notation, PACKAGE_JSON, Sets, Target};

const LOCKFILES: &[&str] = &["bun.lock", "bun.lockb"];

pub fn layout(machine: &Machine) -> Layout {
    let root = machine.root(LOCKFILES, PACKAGE_JSON);
    let of_project = root.join("bunfig.toml");
    let (path, rivals) = if machine.project.is_some() {
        (of_project, Vec::new())
    } else {
        let directory = machine.config_home().unwrap_or_else(|| machine.home.clone());
        (directory.join(".bunfig.toml"), vec![(of_project, Notation::Bunfig)])
    };
    Layout {
        targets: vec![Target { path, notation: Notation::Bunfig, sets: Sets::All }],
        rivals,
        rival_variables: &["npm_config_registry", "BUN_CONFIG_REGISTRY"],
        lockfiles: vec![root.join("bun.lock")],
        root,
        notes: Vec::new(),
    }
}
