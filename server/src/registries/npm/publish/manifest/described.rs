//! What people go by: who wrote it, where it is kept, what it is about, under which licence.
//!
//! Clients write these in their own way, leave out what has the wrong type, and fill in what a
//! person did not write: a description out of the readme, a homepage out of the repository. So
//! they are compared as sets of plain words, and nothing may be said that the archive does not say.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Manifest;
use super::installs::{self, hosted, inside, text, texts, without_bin_path};

pub const FIELDS: &[&str] = &[
    "author",
    "bugs",
    "contributors",
    "description",
    "devDependencies",
    "directories",
    "files",
    "homepage",
    "keywords",
    "man",
    "modules",
    "repository",
    "scripts",
    "types",
];

/// Clients find a value of their own for these where the manifest has none.
const FILLED_IN: &[&str] = &["bugs", "contributors", "description", "homepage", "man", "types"];
/// Where there is a file of that name.
const START: &str = "start=node server.js";

/// Whether what is published says no more than the archive.
pub fn agrees(field: &str, published: &Manifest, archived: &Manifest) -> bool {
    let (mut said, known) = (words(field, published), words(field, archived));
    if field == "scripts" {
        said.remove(START);
    }
    known.is_empty() && FILLED_IN.contains(&field) || said.is_subset(&known)
}

fn words(field: &str, manifest: &Manifest) -> BTreeSet<String> {
    let Some(value) = manifest.get(field) else { return BTreeSet::new() };
    let words: Vec<String> = match (field, value) {
        (_, Value::Null) => Vec::new(),
        ("author", one) => person(one).map(|person| person.to_string()).into_iter().collect(),
        ("contributors", Value::Array(people)) => {
            people.iter().filter_map(person).map(|person| person.to_string()).collect()
        }
        ("bugs", Value::Object(bugs)) => {
            bugs.values().filter_map(Value::as_str).map(|text| text.trim().to_owned()).collect()
        }
        ("keywords", Value::String(text)) => split(text).collect(),
        ("keywords", Value::Array(words)) => {
            words.iter().filter_map(Value::as_str).flat_map(split).collect()
        }
        ("homepage", Value::String(url)) => vec![homepage(url).to_owned()],
        ("repository", Value::String(address)) => vec![place(address)],
        ("repository", Value::Object(repository)) => {
            let address = repository.get("url").and_then(Value::as_str).map(place);
            let directory = repository.get("directory").and_then(Value::as_str);
            address.into_iter().chain(directory.map(|path| format!("in {path}"))).collect()
        }
        ("man", Value::String(path)) => vec![inside(path)],
        ("man", Value::Array(paths)) => {
            paths.iter().filter_map(Value::as_str).map(inside).collect()
        }
        ("files", Value::Array(paths)) => {
            paths.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        ("scripts", _) => {
            let scripts = texts(manifest, "scripts").into_iter();
            let others = scripts.filter(|(name, _)| !installs::SCRIPTS.contains(&name.as_str()));
            others.map(|(name, script)| format!("{name}={}", without_bin_path(&script))).collect()
        }
        ("devDependencies", _) => {
            let ranges = installs::compared("dependencies", json!(texts(manifest, field)));
            let ranges = ranges.as_object().into_iter().flatten();
            ranges.map(|(name, range)| format!("{name}@{range}")).collect()
        }
        ("directories", Value::Object(paths)) => {
            paths.iter().map(|(name, path)| format!("{name}={path}")).collect()
        }
        (_, Value::String(text)) => vec![text.trim().to_owned()],
        (_, other) => vec![other.to_string()],
    };
    words.into_iter().filter(|word| !word.is_empty()).collect()
}

fn split(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| c == ',' || c.is_whitespace()).map(str::to_owned)
}

fn homepage(url: &str) -> &str {
    let url = url.trim();
    url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/')
}

/// Where a repository is, however it is written.
fn place(address: &str) -> String {
    let address = address.trim().split('#').next().unwrap_or_default();
    if let Some((host, path)) = hosted(address) {
        let mut parts = path.split('/');
        let (owner, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        return format!("{host}:{owner}/{}", name.strip_suffix(".git").unwrap_or(name));
    }
    let address = address.strip_prefix("git+").unwrap_or(address);
    let address = match address.strip_prefix("gist:") {
        Some(id) => format!("https://gist.github.com/{id}"),
        None => address.to_owned(),
    };
    address.strip_suffix(".git").map(str::to_owned).unwrap_or(address)
}

#[derive(Debug, PartialEq, Eq)]
struct Person {
    name: String,
    email: String,
    url: String,
}

impl std::fmt::Display for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, email, url } = self;
        write!(f, "{name} <{email}> ({url})")
    }
}

impl Person {
    fn to_value(&self) -> Value {
        let fields = [("name", &self.name), ("email", &self.email), ("url", &self.url)];
        let said = fields.into_iter().filter(|(_, text)| !text.is_empty());
        said.map(|(field, text)| (field.to_owned(), Value::from(text.as_str()))).collect()
    }
}

/// `Name <email> (url)`, or an object of these, which npm writes so and reads again.
fn person(value: &Value) -> Option<Person> {
    let written = match value {
        Value::String(text) => text.clone(),
        Value::Object(fields) => {
            let field = |names: [&str; 2]| {
                let found = names.iter().filter_map(|name| fields.get(*name)?.as_str());
                found.filter(|text| !text.is_empty()).map(str::to_owned).next()
            };
            let name = field(["name", "name"]).unwrap_or_default();
            let email = field(["email", "mail"]).map(|email| format!(" <{email}>"));
            let url = field(["url", "web"]).map(|url| format!(" ({url})"));
            name + &email.unwrap_or_default() + &url.unwrap_or_default()
        }
        _ => return None,
    };
    let between = |open, close| {
        let (_, rest) = written.split_once(open)?;
        rest.split_once(close).map(|(inner, _)| inner.to_owned())
    };
    let name = written.split(['(', '<']).next().unwrap_or_default().trim().to_owned();
    let email = between('<', '>').unwrap_or_default();
    Some(Person { name, email, url: between('(', ')').unwrap_or_default() })
}

/// Whether both name the same licences. Yarn classic finds one in the files of a package that names
/// none, or a longer name for the one that it names, and sends those files with it.
pub fn licenses_agree(published: &Manifest, archived: &Manifest) -> bool {
    let (said, known) = (licenses(published), licenses(archived));
    if said == known {
        return true;
    }
    let readme = text(published, "readme").to_ascii_lowercase();
    let was_read = published.contains_key("licenseText") || readme.contains("licen");
    let longer = |known: &String| {
        let known = known.to_ascii_lowercase();
        let known = known.trim_end_matches('*').trim_end_matches("-like");
        said.iter().all(|said| said.to_ascii_lowercase().starts_with(known))
    };
    was_read && known.iter().all(longer)
}

/// Old manifests have objects, or several.
fn licenses(manifest: &Manifest) -> Vec<String> {
    let name = |value: &Value| match value {
        Value::Null => None,
        Value::String(name) if name.is_empty() => None,
        Value::String(name) if matches!(name.as_str(), "MIT/X11" | "X11") => Some("MIT".to_owned()),
        Value::String(name) => Some(name.clone()),
        Value::Object(license) => match license.get("type") {
            Some(Value::String(name)) => Some(name.clone()),
            _ => Some(value.to_string()),
        },
        other => Some(other.to_string()),
    };
    let one = manifest.get("license").and_then(name);
    let several = manifest.get("licenses").and_then(Value::as_array);
    let several = several.into_iter().flatten().filter_map(name).collect();
    one.map_or(several, |one| vec![one])
}

/// Gives each its long form, for whoever reads no other.
pub fn spell_out(manifest: &mut Manifest) {
    let mut put = |field: &str, long: &dyn Fn(&Value) -> Option<Value>| {
        if let Some(value) = manifest.get_mut(field)
            && let Some(long) = long(value)
        {
            *value = long;
        }
    };
    put("author", &|author| Some(person(author)?.to_value()));
    put("contributors", &|people| {
        let people = people.as_array()?;
        Some(people.iter().filter_map(person).map(|person| person.to_value()).collect())
    });
    put("bugs", &|bugs| {
        let bugs = bugs.as_str()?.trim();
        let field = if bugs.contains("://") { "url" } else { "email" };
        Some(json!({ field: bugs }))
    });
    put("keywords", &|words| {
        let words = split(words.as_str()?).filter(|word| !word.is_empty());
        Some(words.collect::<Vec<_>>().into())
    });
    put("repository", &|repository| match repository {
        Value::String(address) => Some(json!({ "type": "git", "url": long_address(address) })),
        Value::Object(fields) => {
            let mut fields = fields.clone();
            let address = fields.get("url")?.as_str().map(long_address)?;
            fields.insert("url".to_owned(), address.into());
            Some(fields.into())
        }
        _ => None,
    });
}

/// `acme/ui` and `gitlab:acme/ui` as a place that can be fetched from.
fn long_address(address: &str) -> String {
    let is_short = !address.contains("://") && !address.starts_with("git@");
    let at = address.find('#').unwrap_or(address.len());
    let (place, commit) = address.split_at(at);
    match hosted(place) {
        Some((host, path)) if is_short => installs::address(host, path) + commit,
        _ => address.to_owned(),
    }
}
