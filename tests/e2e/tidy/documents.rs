//! What is documented exists, and what exists is documented.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use support::server::binary;
use toml::Table;

use super::{files, house, read};

#[test]
fn architecture_md_names_every_dependency_and_no_other() {
    let manifest: Table = read("Cargo.toml").parse().unwrap();
    let dependencies = manifest["workspace"]["dependencies"].as_table().unwrap();
    let own = ["policies", "scanner", "server"];
    let used: BTreeSet<&str> =
        dependencies.keys().map(String::as_str).filter(|name| !own.contains(name)).collect();
    let text = read("ARCHITECTURE.md");
    let table = text.split_once("| crate | why |").expect("the table of crates").1;
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let mut told = BTreeSet::new();
    for row in rows {
        let mut cells = row.split('|').map(str::trim).skip(1);
        let (names, why) = (cells.next().unwrap(), cells.next().unwrap());
        assert!(!why.is_empty(), "no reason: {row}");
        told.extend(names.split(',').map(str::trim));
    }
    let missing: Vec<_> = used.difference(&told).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md does not say why these are here: {missing:?}");
    let gone: Vec<_> = told.difference(&used).collect();
    assert!(gone.is_empty(), "ARCHITECTURE.md names what is not used: {gone:?}");
}

#[test]
fn every_dependency_of_the_workspace_is_used_by_a_crate() {
    let manifest: Table = read("Cargo.toml").parse().unwrap();
    let crates: Vec<Table> = ["policies", "scanner", "server", "tests"]
        .iter()
        .map(|folder| read(&format!("{folder}/Cargo.toml")).parse().unwrap())
        .collect();
    for name in manifest["workspace"]["dependencies"].as_table().unwrap().keys() {
        let used = crates.iter().any(|manifest| {
            ["dependencies", "dev-dependencies"]
                .iter()
                .any(|table| manifest.get(*table).and_then(|table| table.get(name)).is_some())
        });
        assert!(used, "nobody uses {name}");
    }
}

#[test]
fn paths_that_architecture_md_draws_exist() {
    let text = read("ARCHITECTURE.md");
    let drawing = text.split("```").nth(1).expect("the drawing of the house");
    let mut parent = "";
    // What is indented further continues the line above.
    let names_something = |line: &&str| !line.is_empty() && !line.starts_with("   ");
    for line in drawing.lines().filter(names_something) {
        let indented = line.starts_with("  ");
        let names = drawn_names(line);
        for name in names.iter().filter(|name| !name.contains('…')) {
            let path = if indented { find(parent, name) } else { (*name).to_owned() };
            assert!(house().join(&path).exists(), "ARCHITECTURE.md draws {path}: {line}");
        }
        if !indented {
            parent = names[0];
        }
    }
}

/// The names at the beginning of a line; commas stand between them, and prose follows.
fn drawn_names(line: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for word in line.split_whitespace() {
        names.push(word.trim_end_matches(','));
        if !word.ends_with(',') {
            break;
        }
    }
    names
}

/// Below a crate names are meant below its `src`, but for folders beside it.
fn find(parent: &str, name: &str) -> String {
    let beside = format!("{parent}{name}");
    if house().join(&beside).exists() { beside } else { format!("{parent}src/{name}") }
}

#[test]
fn links_between_documents_lead_somewhere() {
    for file in documents() {
        let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
        for link in read(&file).split("](").skip(1) {
            let target = link.split([')', '#']).next().unwrap_or_default();
            if !target.is_empty() && !target.contains("://") {
                let path = house().join(folder).join(target);
                assert!(path.exists(), "{file} links to {target}");
            }
        }
    }
}

#[test]
fn every_command_of_dev_exists_and_explains_itself() {
    let dev = |arguments: &[&str]| {
        Command::new("./dev").args(arguments).current_dir(house()).output().unwrap()
    };
    let list = String::from_utf8(dev(&[]).stdout).unwrap();
    let listed: BTreeSet<String> = list
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect();
    for owed in ["setup", "run", "test", "lint", "bench", "live"] {
        assert!(listed.contains(owed), "./dev does not list {owed}: {list}");
    }
    for command in &listed {
        let help = dev(&[command, "--help"]);
        let text = String::from_utf8(help.stdout).unwrap();
        assert!(help.status.success(), "./dev {command} --help fails");
        assert!(text.starts_with(&format!("usage: ./dev {command}")), "{command}: {text}");
    }
    assert!(!dev(&["no-such-command"]).status.success());
    for file in documents().iter().map(String::as_str).chain([".ci/run", "dev"]) {
        for mention in read(file).split("./dev ").skip(1) {
            let word: String = mention.chars().take_while(char::is_ascii_lowercase).collect();
            // Prose goes on behind a closing tick, which the word then does not have.
            let known = word.is_empty() || listed.contains(&word);
            assert!(known || word == "alone", "{file} speaks of ./dev {word}");
        }
    }
}

/// Each `garth …` in a document: the command exists, and takes the options that are shown.
#[test]
fn every_command_and_option_in_the_documents_exists() {
    let mut found = 0;
    for file in documents() {
        let mut in_code = false;
        for (number, line) in read(&file).lines().enumerate() {
            in_code ^= line.starts_with("```");
            for mention in mentions(line, in_code) {
                found += 1;
                check_command(&file, number + 1, &mention);
            }
        }
    }
    assert!(found > 10, "only {found} commands were found");
}

/// What stands between ticks, or is a line of shell, and begins with `garth`.
fn mentions(line: &str, in_code: bool) -> Vec<String> {
    if in_code {
        let is_command = line.starts_with("garth ");
        return is_command.then(|| line.to_owned()).into_iter().collect();
    }
    let mut mentions: Vec<String> = Vec::new();
    let ticked = line.split('`').skip(1).step_by(2);
    mentions.extend(ticked.filter(|code| code.starts_with("garth ")).map(str::to_owned));
    mentions
}

fn check_command(file: &str, line: usize, mention: &str) {
    let words: Vec<&str> = mention.split_whitespace().collect();
    let is_name = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    // `garth allow|deny|hold PACKAGE` is three commands.
    for command in words[1].trim_end_matches(',').split('|') {
        assert!(is_name(&command), "{file}:{line}: {mention}");
        if command.starts_with('-') {
            continue;
        }
        let mut path = vec![command];
        if [
            "rules",
            "advisories",
            "token",
            "team",
            "role",
            "user",
            "policy",
            "requests",
            "log",
            "webhook",
            "jobs",
            "packages",
        ]
        .contains(&command)
        {
            path.extend(words.get(2).filter(|word| is_name(word) && !word.starts_with('-')));
        }
        let help = Command::new(binary()).args(&path).arg("--help").output().unwrap();
        let help = String::from_utf8(help.stdout).unwrap();
        assert!(help.contains("Usage:"), "{file}:{line}: there is no `{}`", path.join(" "));
        for option in
            words.iter().filter_map(|word| word.trim_start_matches('[').strip_prefix("--"))
        {
            let option = option.split(['=', ']']).next().unwrap_or_default();
            let known = help.split_whitespace().any(|word| word == format!("--{option}"));
            assert!(known, "{file}:{line}: {command} has no --{option}");
        }
    }
}

/// Text files for people, which git knows.
fn documents() -> Vec<String> {
    let is_document = |file: &String| {
        Path::new(file).extension().is_some_and(|end| end == "md") && file != "CHANGELOG.md"
    };
    files().into_iter().filter(is_document).collect()
}
