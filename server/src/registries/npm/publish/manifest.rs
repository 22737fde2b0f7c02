//! Whether what is published says the same as the manifest in the tarball, and what is kept of it.
//!
//! Pure. Installs resolve by what the registry shows and run what the tarball holds, and rules
//! decide by what is shown, so the two must not differ. What was sent is compared with the archive
//! field by field, and refused where it says something else. What clients fill in or rewrite on
//! their own may differ in form: so nothing of what was sent is kept, whatever it says.
//! [`registered`] is made of the archive alone.

mod described;
mod installs;

use serde_json::{Map, Value, json};

use super::archive::Contents;

type Manifest = Map<String, Value>;

/// Not of the package: what a client says of this publish, what it reads out of other files of the
/// package, and what a registry adds.
const ASIDE: &[&str] = &[
    "dist",
    "gitHead",
    "gypfile",
    "hasInstallScript",
    "integrity",
    "licenseText",
    "maintainers",
    "noticeText",
    "readme",
    "readmeFilename",
    "shasum",
];

fn is_aside(field: &str) -> bool {
    field.starts_with('_') || ASIDE.contains(&field)
}

/// What installs go by, in the form in which two of them are compared.
pub fn canonical(manifest: &Manifest, archive: &Contents) -> Vec<(&'static str, Value)> {
    let fields = installs::fields(manifest, archive).into_iter();
    fields.map(|(field, value)| (field, installs::compared(field, value))).collect()
}

/// The first field that differs.
pub fn difference(published: &Manifest, archive: &Contents) -> Option<String> {
    let (ours, theirs) = (canonical(published, archive), canonical(&archive.manifest, archive));
    for ((field, ours), (_, theirs)) in ours.iter().zip(&theirs) {
        if ours != theirs {
            return Some((*field).to_owned());
        }
    }
    let is_known = |field: &str| {
        is_aside(field)
            || field == "bundledDependencies"
            || ours.iter().any(|(known, _)| *known == field) && !described::FIELDS.contains(&field)
    };
    let fields = published.keys().chain(archive.manifest.keys());
    let mut fields = fields.filter(|field| !is_known(field));
    let different = fields.find(|field| match field.as_str() {
        "license" | "licenses" => !described::licenses_agree(published, &archive.manifest),
        field if described::FIELDS.contains(&field) => {
            !described::agrees(field, published, &archive.manifest)
        }
        field => !is_same(published.get(field), archive.manifest.get(field)),
    });
    different.cloned()
}

/// Whether an install runs something of this package.
pub fn has_install_script(archive: &Contents) -> bool {
    installs::scripts(&archive.manifest, archive).values().any(|script| !script.is_empty())
}

/// What the registry shows of the package: the manifest of the archive, in the form in which
/// clients send one.
pub fn registered(archive: &Contents) -> Manifest {
    let mut manifest = archive.manifest.clone();
    manifest.retain(|field, _| !is_aside(field) || field == "gypfile");
    manifest.remove("bundledDependencies");
    let mut scripts = installs::texts(&manifest, "scripts");
    scripts.retain(|name, _| !installs::SCRIPTS.contains(&name.as_str()));
    for (name, script) in installs::scripts(&archive.manifest, archive) {
        scripts.insert(name.to_owned(), script);
    }
    for (field, value) in installs::fields(&archive.manifest, archive) {
        let value = if field == "scripts" { json!(scripts) } else { value };
        if is_said(&value) {
            manifest.insert(field.to_owned(), value);
        } else {
            manifest.remove(field);
        }
    }
    described::spell_out(&mut manifest);
    manifest
}

/// An empty value says nothing.
fn is_said(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(values) => !values.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

/// As JavaScript would take it: `1` and `1.0` are one number.
fn is_same(ours: Option<&Value>, theirs: Option<&Value>) -> bool {
    let said = |value: Option<&Value>| value.is_some_and(is_said);
    match (ours, theirs) {
        (Some(Value::Number(ours)), Some(Value::Number(theirs))) => {
            ours == theirs || ours.as_f64() == theirs.as_f64()
        }
        (Some(Value::Array(ours)), Some(Value::Array(theirs))) => {
            ours.len() == theirs.len()
                && ours.iter().zip(theirs).all(|(ours, theirs)| is_same(Some(ours), Some(theirs)))
        }
        (Some(Value::Object(ours)), Some(Value::Object(theirs))) => {
            let fields = ours.keys().chain(theirs.keys());
            fields.into_iter().all(|field| is_same(ours.get(field), theirs.get(field)))
        }
        (ours, theirs) => ours == theirs || !said(ours) && !said(theirs),
    }
}

#[cfg(test)]
mod tests;
