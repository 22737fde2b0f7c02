//! What pnpm reads: the same .npmrc as npm; from version 11 on it prefers its own files in YAML, and its
//! auth.ini. It takes no variable's value from the .npmrc of a project, so a token stands in the person's.

use super::Named;
use super::machine::{Layout, Machine, Notation, PACKAGE_JSON, Sets, Target};
use super::yaml;

const WORKSPACE: &str = "pnpm-workspace.yaml";
const LOCKFILE: &str = "pnpm-lock.yaml";
const MARKERS: &[&str] = &[WORKSPACE, LOCKFILE];

pub fn layout(machine: &Machine) -> Layout {
    let root = machine.root(MARKERS, PACKAGE_JSON);
    let target = |path, sets| Target { path, notation: Notation::Npmrc, sets };
    let mut rivals = vec![(root.join(WORKSPACE), Notation::PnpmYaml)];
    let mut targets = Vec::new();
    if machine.project.is_some() {
        targets.push(target(root.join(".npmrc"), Sets::Registry));
        targets.push(target(machine.npmrc(), Sets::Token));
    } else {
        targets.push(target(machine.npmrc(), Sets::All));
        rivals.push((root.join(".npmrc"), Notation::Npmrc));
        let own = machine.config_home().unwrap_or_else(|| machine.home.join(".config"));
        rivals.push((own.join("pnpm/config.yaml"), Notation::PnpmYaml));
        rivals.push((own.join("pnpm/auth.ini"), Notation::Npmrc));
    }
    Layout {
        targets,
        rivals,
        rival_variables: &["pnpm_config_registry", "npm_config_registry"],
        lockfiles: vec![root.join(LOCKFILE)],
        root,
        notes: vec!["npm reads this file too".to_owned()],
    }
}

/// The registry that a config.yaml or pnpm-workspace.yaml names.
pub fn registry(text: &str) -> Option<Named> {
    let document = yaml::parse(text).ok()??;
    let node = document.get("registry").or_else(|| document.get("registries")?.get("default"))?;
    Some(Named { line: node.begin.line + 1, address: node.text()?.to_owned() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_registry_of_a_workspace_is_seen() {
        let rows = [
            ("packages: [a]\nregistry: https://a.example/\n", Some(2)),
            ("registries:\n  default: https://a.example/\n", Some(2)),
            ("packages: [a]\n", None),
            ("registry: [\n", None),
        ];
        for (text, line) in rows {
            assert_eq!(registry(text).map(|named| named.line), line, "{text}");
        }
    }
}
