//! What docs/ tells people to type: it can be typed.
//!
//! Blocks of the language `sh` are pasted into a shell, one after the other; blocks that show
//! something else say `text`. Wherever a command of garth is named, in a block or in a sentence, its
//! words and options are those of its help.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;
use support::npm::{Npm, Printed};
use support::package_managers;
use support::server::{Setup, TestServer, binary};
use support::upstream::ScriptedUpstream;

fn house() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Name and text of README.md and of all that lies in docs/.
fn documents() -> Vec<(String, String)> {
    let listed = std::fs::read_dir(house().join("docs")).unwrap();
    let mut paths: Vec<PathBuf> = listed.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.push(house().join("README.md"));
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    paths.iter().map(|path| (name(path), std::fs::read_to_string(path).unwrap())).collect()
}

/// The text with everything but the blocks of these languages taken out, or those alone.
fn blocks(text: &str, languages: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else { continue };
        let inside: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        if languages.contains(&language) {
            found.push(inside.join("\n"));
        }
    }
    found
}

/// Somebody with a package of the name that docs/ speaks of, on the machine of this garth.
fn person(garth: &TestServer) -> Npm {
    let npm = Npm::new(&format!("{}/npm/", garth.url));
    let manifest = json!({ "name": "@acme/ui", "version": "1.0.0" });
    npm.write("package.json", &manifest.to_string());
    std::os::unix::fs::symlink(garth.setup().data(), npm.project().join("garth-data")).unwrap();
    let programs = npm.home().join("bin");
    std::fs::create_dir(&programs).unwrap();
    std::os::unix::fs::symlink(binary(), programs.join("garth")).unwrap();
    npm
}

#[tokio::test(flavor = "multi_thread")]
async fn what_docs_tell_to_paste_works() {
    let up = ScriptedUpstream::start().await;
    let mut count = 0;
    for (document, text) in documents() {
        let blocks = blocks(&text, &["sh"]);
        // Those of README.md build on each other, and have a test of their own.
        if blocks.is_empty() || document == "README.md" {
            continue;
        }
        let settings =
            format!("[registry.npm]\nupstream = \"{}\"\nown = [\"@acme/*\"]\n", up.url());
        let garth = Setup::new(&settings).start();
        let npm = person(&garth);
        let lines: Vec<String> = blocks
            .iter()
            .flat_map(|block| block.lines())
            .map(|line| line.replace("https://garth.example.com", &garth.url))
            .map(|line| line.replace("garth.example.com", garth.authority()))
            .collect();
        let mut command = Command::new("bash");
        npm.furnish(&mut command);
        let mut path = npm.home().join("bin").into_os_string();
        path.push(":");
        path.push(package_managers::path());
        command.env("PATH", path).env_remove("npm_config_registry");
        command.args(["-exc", &lines.join("\n")]).current_dir(npm.project()).stdin(Stdio::null());
        let output: Printed = command.output().unwrap().into();
        assert!(output.success, "{document}: {}", output.text());
        count += lines.len();
    }
    assert!(count >= 6, "{count} lines");
}

/// Commands of garth that are named in a block of a shell or in a sentence.
fn named(text: &str) -> Vec<String> {
    let mut named: Vec<String> = blocks(text, &["sh", "text"])
        .iter()
        .flat_map(|block| block.lines())
        .map(|line| line.split('#').next().unwrap().trim().to_owned())
        .collect();
    let spans = text.split('`').skip(1).step_by(2).map(|span| span.replace('\n', " "));
    named.extend(spans);
    named.retain(|command| command.starts_with("garth "));
    named
}

/// What the help of a command says; `None` where there is no such command.
#[derive(Default)]
struct Help(BTreeMap<Vec<String>, Option<String>>);

impl Help {
    fn of(&mut self, command: &[String]) -> Option<String> {
        let ask = || {
            let asked = Command::new(binary()).args(command).arg("--help").output().unwrap();
            asked.status.success().then(|| String::from_utf8(asked.stdout).unwrap())
        };
        self.0.entry(command.to_vec()).or_insert_with(ask).clone()
    }
}

#[test]
fn every_command_that_docs_name_exists_with_its_options() {
    let mut help = Help::default();
    let mut count = 0;
    for (document, text) in documents() {
        for line in named(&text) {
            let words: Vec<&str> = line.split_whitespace().skip(1).collect();
            let (first, rest) = words.split_first().unwrap();
            for first in first.split('|') {
                let mut command = vec![first.to_owned()];
                let said = help.of(&command);
                let mut said = said.unwrap_or_else(|| panic!("{document}: no command: {line}"));
                let is_command =
                    |second: &&&str| said.contains("\nCommands:") && !second.starts_with('-');
                if let Some(second) = rest.first().filter(is_command) {
                    command.push((*second).to_owned());
                    said = help.of(&command).unwrap_or_else(|| panic!("{document}: {line}"));
                }
                for word in rest {
                    let option = word.trim_start_matches('[').trim_end_matches(']');
                    let option = option.split('=').next().unwrap();
                    let is_known = !option.starts_with('-')
                        || said.split_whitespace().any(|word| word.trim_end_matches(',') == option);
                    assert!(is_known, "{document}: {line}: {option} is no option of it");
                }
            }
            count += 1;
        }
    }
    assert!(count > 20, "{count} commands are named");
}

/// The table in docs/clients.md is the whole of it.
#[test]
fn every_option_of_setup_is_documented() {
    let said = Help::default().of(&["setup".to_owned()]).unwrap();
    let text = std::fs::read_to_string(house().join("docs/clients.md")).unwrap();
    let options = said.lines().filter_map(|line| line.trim().strip_prefix("--"));
    let names = options.filter_map(|line| line.split([' ', '[']).next());
    let mut count = 0;
    for option in names {
        assert!(text.contains(&format!("--{option}")), "docs/clients.md lacks --{option}");
        count += 1;
    }
    assert!(count >= 7, "{said}");
}
