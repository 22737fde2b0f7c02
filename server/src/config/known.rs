//! Which keys there are: a fault for each key of the file that no row of the table names.

use super::faults::{ConfigFault, nearest};
use super::read::Reader;
use super::setting::{SettingDoc, settings};
use super::source::{Table, Value};

pub(super) fn check(reader: &mut Reader<'_>) {
    let mut faults = Vec::new();
    check_table("", &reader.table, reader.incomplete, &mut faults);
    reader.faults.append(&mut faults);
}

/// In a file of which only parts could be read (`incomplete`) a key whose header is lost seems to stand in
/// the wrong section: such a fault is left out.
fn check_table(prefix: &str, table: &Table, incomplete: bool, faults: &mut Vec<ConfigFault>) {
    let known = children(prefix);
    for (key, (place, node)) in table {
        let step = if known.contains(&"*") { "*" } else { key.as_str() };
        let path = if prefix.is_empty() { step.to_owned() } else { format!("{prefix}.{step}") };
        if settings().iter().any(|row| row.key == path) {
            continue;
        }
        if prefix.is_empty() && key == "environment" {
            faults.push(ConfigFault::new(
                place,
                "environments are not served yet by this version of garth",
            ));
        } else if children(&path).is_empty() {
            if !(incomplete && is_known_elsewhere(key)) {
                faults.push(unknown(prefix, key, place, &known));
            }
        } else if let Value::Table(inner) = &node.value {
            check_table(&path, inner, incomplete, faults);
        } else {
            faults.push(
                ConfigFault::new(
                    &node.place,
                    format!("expected a table, found {}", node.value.described()),
                )
                .remedy(format!("write [{}]", path.replace('*', key))),
            );
        }
    }
}

/// The keys that may follow `prefix`.
fn children(prefix: &str) -> Vec<&'static str> {
    let mut children: Vec<&str> = settings()
        .iter()
        .filter_map(|row| {
            let rest = if prefix.is_empty() {
                row.key
            } else {
                row.key.strip_prefix(prefix)?.strip_prefix('.')?
            };
            rest.split('.').next()
        })
        .collect();
    children.dedup();
    children
}

fn unknown(
    prefix: &str,
    key: &str,
    place: &super::faults::Place,
    siblings: &[&'static str],
) -> ConfigFault {
    let fault = ConfigFault::new(place, format!("unknown setting `{}`", shown(key)));
    if let Some(near) = nearest(key, siblings.iter().copied()) {
        return fault.remedy(format!("did you mean `{near}`?"));
    }
    // The right name in the wrong section: a key written below the wrong header.
    let elsewhere = settings().iter().find(|row| last(row) == key);
    match elsewhere.and_then(|row| row.key.rsplit_once('.').map(|(section, _)| section)) {
        Some(section) if section != prefix => {
            fault.remedy(format!("`{key}` belongs below [{}]", section.replace('*', "NAME")))
        }
        _ if elsewhere.is_some() => {
            fault.remedy(format!("`{key}` belongs above the first [section]"))
        }
        _ => fault.remedy(format!("known here: {}", siblings.join(", "))),
    }
}

fn is_known_elsewhere(key: &str) -> bool {
    settings().iter().any(|row| last(row) == key)
}

fn last(row: &SettingDoc) -> &str {
    row.key.rsplit('.').next().unwrap_or(row.key)
}

fn shown(key: &str) -> String {
    key.escape_debug().take(80).collect()
}
