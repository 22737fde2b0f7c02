//! What npm reads: the .npmrc of the project, then that of the person; a variable wins over both.

use super::machine::{Layout, Machine, Notation, PACKAGE_JSON, Sets, Target};

const LOCKFILES: &[&str] = &["package-lock.json", "npm-shrinkwrap.json"];

pub fn layout(machine: &Machine) -> Layout {
    let root = machine.root(LOCKFILES, PACKAGE_JSON);
    let of_project = root.join(".npmrc");
    let (path, rivals) = match machine.project {
        Some(_) => (of_project, Vec::new()),
        None => (machine.npmrc(), vec![(of_project, Notation::Npmrc)]),
    };
    Layout {
        targets: vec![Target { path, notation: Notation::Npmrc, sets: Sets::All }],
        rivals,
        rival_variables: &["npm_config_registry"],
        lockfiles: LOCKFILES.iter().map(|name| root.join(name)).collect(),
        root,
        notes: Vec::new(),
    }
}
