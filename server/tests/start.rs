//! The binary itself: how it starts on machines with made-up package managers, and with what exit code.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// An empty machine whose npm, if it has one, names `registry`.
fn machine(registry: Option<&str>) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for directory in ["bin", "home", "project"] {
        fs::create_dir(root.path().join(directory)).unwrap();
    }
    if let Some(registry) = registry {
        let npm = root.path().join("bin/npm");
        fs::write(&npm, format!("#!/bin/sh\necho {registry}\n")).unwrap();
        fs::set_permissions(&npm, fs::Permissions::from_mode(0o755)).unwrap();
    }
    root
}

fn garth(machine: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_garth"));
    command
        .args(arguments)
        .current_dir(machine.join("project"))
        .env_clear()
        .env("PATH", machine.join("bin"))
        .env("HOME", machine.join("home"));
    command
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn init_writes_what_npm_says_and_says_the_next_command() {
    let machine = machine(Some("https://npm.example.com/"));
    let output = garth(machine.path(), &["init"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(
        stdout(&output).starts_with("wrote garth.toml\nwrote policies/"),
        "{}",
        stdout(&output)
    );
    assert!(stdout(&output).ends_with("Next:\n  garth serve\n"), "{}", stdout(&output));
    let text = fs::read_to_string(machine.path().join("project/garth.toml")).unwrap();
    assert!(text.contains("upstream = \"https://npm.example.com/\""));

    let again = garth(machine.path(), &["init"]).output().unwrap();
    assert_eq!(again.status.code(), Some(2));
    assert!(stderr(&again).contains("nothing was written"), "{}", stderr(&again));
}

#[test]
fn init_without_npm_says_what_is_missing() {
    let machine = machine(None);
    let output = garth(machine.path(), &["init", "."]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("npm: npm is not installed"), "{}", stdout(&output));
}

#[test]
fn serve_with_a_fault_in_its_configuration_says_all_and_fails() {
    let machine = machine(None);
    let file = machine.path().join("project/garth.toml");
    fs::write(file, "listne = 1\nmode = \"enforced\"\n").unwrap();
    let output =
        garth(machine.path(), &["serve"]).env("GARTH_LOG_FROMAT", "json").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        stderr(&output),
        "garth.toml:1:1: unknown setting `listne`; did you mean `listen`?\n\
         garth.toml:2:8: expected \"enforce\" or \"observe\", found \"enforced\"; did you mean \"enforce\"?\n\
         GARTH_LOG_FROMAT: unknown setting; did you mean GARTH_LOG_FORMAT?\n\
         garth does not start: 3 faults in its configuration\n"
    );
}

#[test]
fn serve_with_a_file_that_is_not_there_says_so() {
    let machine = machine(None);
    let output =
        garth(machine.path(), &["serve"]).env("GARTH_CONFIG", "gone.toml").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).starts_with("gone.toml: cannot be read"), "{}", stderr(&output));
}

/// What `/proc` says of a garth that listens, started by a shell that did this first.
fn of_serving(first: &str, file: &str) -> String {
    let machine = machine(None);
    let command =
        format!("{first}; exec '{}' serve --listen 127.0.0.1:0", env!("CARGO_BIN_EXE_garth"));
    let mut serving = Command::new("/bin/sh")
        .args(["-c", &command])
        .current_dir(machine.path().join("project"))
        .env_clear()
        .env("PATH", machine.path().join("bin"))
        .env("HOME", machine.path().join("home"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The first line of the banner: it listens.
    let mut line = String::new();
    BufReader::new(serving.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let said = fs::read_to_string(format!("/proc/{}/{file}", serving.id()));
    serving.kill().unwrap();
    serving.wait().unwrap();
    assert!(!line.is_empty(), "it did not start");
    said.unwrap()
}

#[test]
fn serve_raises_its_limit_of_open_files() {
    let limits = of_serving("ulimit -Sn 300", "limits");
    let files: Vec<&str> = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .unwrap()
        .split_whitespace()
        .collect();
    assert_eq!(files[0], files[1], "the soft limit is the hard one");
    assert_ne!(files[0], "300");
}

#[test]
fn serve_has_the_allocator_give_memory_back_unless_it_is_told_otherwise() {
    let environment = of_serving("true", "environ");
    assert!(environment.contains("MALLOC_MMAP_THRESHOLD_=131072"), "{environment:?}");
    let command = of_serving("true", "cmdline");
    let arguments: Vec<&str> = command.trim_end_matches('\0').split('\0').collect();
    assert_eq!(arguments[1..], ["serve", "--listen", "127.0.0.1:0"]);
    let environment = of_serving("export MALLOC_ARENA_MAX=7", "environ");
    assert!(environment.contains("MALLOC_ARENA_MAX=7"), "{environment:?}");
    assert!(!environment.contains("MALLOC_MMAP_THRESHOLD_"), "{environment:?}");
}

#[test]
fn an_unknown_command_is_an_error_of_use() {
    let machine = machine(None);
    let output = garth(machine.path(), &["sevre"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("serve"), "{}", stderr(&output));
}
