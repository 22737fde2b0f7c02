//! The registry of `NuGet`: the first http source of the nearest `NuGet.Config`.

use std::path::PathBuf;

use xml::attribute::OwnedAttribute;
use xml::reader::{EventReader, XmlEvent};

use super::command::find;
use super::{Discovery, Machine, given_url};
use crate::config::{Format, read_text};

const FILE_BYTES: u64 = 1 << 20;
/// `NuGet` accepts these spellings where file names have a case.
const FILE_NAMES: &[&str] = &["nuget.config", "NuGet.config", "NuGet.Config"];

pub(super) fn discover(machine: &Machine, discovery: &mut Discovery) {
    for path in files(machine) {
        let Ok(text) = read_text(&path, FILE_BYTES) else { continue };
        let given = package_sources(&text)
            .iter()
            .filter_map(|source| given_url(source))
            .find(|given| !machine.is_garth(&given.url));
        if let Some(given) = given {
            let from = format!("packageSources in {}", machine.shown(&path));
            return discovery.found(Format::Nuget, given.url, from);
        }
    }
    let why = if find(machine, "dotnet").or_else(|| find(machine, "nuget")).is_some() {
        "no NuGet.Config names an http source"
    } else {
        "dotnet is not installed, and no NuGet.Config names an http source"
    };
    discovery.missing(Format::Nuget, why);
}

fn files(machine: &Machine) -> Vec<PathBuf> {
    let project = machine
        .directories_upward()
        .flat_map(|directory| FILE_NAMES.iter().map(move |name| directory.join(name)));
    let person = machine.home().into_iter().flat_map(|home| {
        [home.join(".nuget/NuGet/NuGet.Config"), home.join(".config/NuGet/NuGet.Config")]
    });
    project.chain(person).collect()
}

/// The values below `<packageSources>`, in order; `<clear/>` forgets those before it.
fn package_sources(text: &str) -> Vec<String> {
    let mut sources = Vec::new();
    let mut path: Vec<String> = Vec::new();
    for event in EventReader::from_str(text) {
        match event {
            Ok(XmlEvent::StartElement { name, attributes, .. }) => {
                if path == ["configuration", "packageSources"] {
                    match name.local_name.as_str() {
                        "add" => sources.extend(value(attributes)),
                        "clear" => sources.clear(),
                        _ => {}
                    }
                }
                path.push(name.local_name);
            }
            Ok(XmlEvent::EndElement { .. }) => drop(path.pop()),
            // What follows a fault cannot be told apart from what is meant.
            Err(_) => break,
            Ok(_) => {}
        }
    }
    sources
}

fn value(attributes: Vec<OwnedAttribute>) -> Option<String> {
    attributes
        .into_iter()
        .find(|attribute| attribute.name.local_name == "value")
        .map(|attribute| attribute.value)
}
