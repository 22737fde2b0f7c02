//! Machines with made-up package managers, and what is found on them.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;

/// A machine in a temporary directory: `bin/` is its PATH, `home/` its home, `etc/` its /etc, `project/`
/// the current directory.
pub(super) struct Computer {
    root: TempDir,
    variables: Vec<(String, String)>,
}

impl Computer {
    pub fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for directory in ["bin", "home", "etc", "project"] {
            fs::create_dir(root.path().join(directory)).unwrap();
        }
        Self { root, variables: Vec::new() }
    }

    pub fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    pub fn command(&self, name: &str, script: &str) {
        let path = self.root.path().join("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub fn file(&self, path: &str, text: &str) {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn variable(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    pub fn machine(&self) -> Machine {
        let at = |name: &str| self.root.path().join(name).display().to_string();
        let mut variables = self.variables.clone();
        variables.push(("PATH".to_owned(), at("bin")));
        variables.push(("HOME".to_owned(), at("home")));
        let listen = "127.0.0.1:8642".parse().unwrap();
        let directory = self.root.path().join("project");
        let mut machine = Machine::this(variables.into_iter().collect(), directory, listen);
        machine.etc = self.root.path().join("etc");
        machine
    }

    /// What is said of `format`, one line a fact.
    fn said(&self, format: Format) -> String {
        self.said_with(format, &self.machine())
    }

    fn said_with(&self, format: Format, machine: &Machine) -> String {
        let discovery = discover(machine);
        let found = discovery.found.iter().filter(|found| found.format == format);
        let missing = discovery.missing.iter().filter(|missing| missing.format == format);
        let lines: Vec<String> = found
            .map(ToString::to_string)
            .chain(missing.map(ToString::to_string))
            .chain(discovery.notes.iter().map(|note| format!("note: {note}")))
            .collect();
        lines.join("\n").replace(&self.root.path().display().to_string(), "")
    }
}

#[test]
fn npm_is_asked_itself_in_the_current_directory() {
    let computer = Computer::new();
    computer.command(
        "npm",
        "test \"$*\" = 'config get registry' && test \"${PWD##*/}\" = project && echo https://npm.example.com/sub",
    );
    insta::assert_snapshot!(computer.said(Format::Npm), @"npm: https://npm.example.com/sub/ (`npm config get registry`)");
}

#[test]
fn pnpm_and_yarn_are_asked_where_npm_gives_nothing() {
    let computer = Computer::new();
    computer.command("npm", "exit 1");
    computer.command("pnpm", "echo undefined");
    computer.command("yarn", "test \"$3\" = npmRegistryServer && echo https://yarn.example.com");
    insta::assert_snapshot!(computer.said(Format::Npm), @"npm: https://yarn.example.com/ (`yarn config get npmRegistryServer`)");
}

#[test]
fn npmrc_is_read_where_nothing_is_installed() {
    let mut computer = Computer::new();
    computer.variable("MIRROR", "mirror.example.com");
    computer
        .file("home/.npmrc", "registry=https://one.example.com\nregistry=https://${MIRROR}/npm/");
    insta::assert_snapshot!(computer.said(Format::Npm), @"npm: https://mirror.example.com/npm/ (~/.npmrc)");
}

#[test]
fn a_machine_without_anything_says_what_is_missing_and_how_to_set_it() {
    let discovery = discover(&Computer::new().machine());
    assert!(discovery.found.is_empty());
    let lines: Vec<String> = discovery.missing.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn answers_that_are_no_url_are_said_not_to_be() {
    let computer = Computer::new();
    computer.command("npm", "echo 'npm error code EUSAGE'");
    insta::assert_snapshot!(computer.said(Format::Npm));
}

#[test]
fn credentials_are_named_and_never_copied() {
    let computer = Computer::new();
    computer.command("npm", "echo https://me:hush-hush@npm.example.com/");
    computer.file(
        "home/.npmrc",
        "@acme:registry=https://u:hush-hush@acme.example.com\n//npm.example.com/:_authToken=hush-hush\n\
         //127.0.0.1:8642/npm/:_authToken=hush-hush\n",
    );
    let said = computer.said(Format::Npm);
    assert!(!format!("{:?}", discover(&computer.machine())).contains("hush-hush"));
    insta::assert_snapshot!(said);
}

#[test]
fn npm_that_is_set_to_garth_tells_nothing_but_what_was_found_before_is_recalled() {
    let computer = Computer::new();
    computer.command("npm", "echo http://localhost:8642/npm/");
    let first = computer.said(Format::Npm);
    let data = computer.home().join("garth-data");
    let upstream = Url::parse("https://npm.example.com/").unwrap();
    let mut machine = computer.machine();
    let remembered = Remembered::default()
        .then(machine.listen, Vec::new())
        .then("127.0.0.1:1".parse().unwrap(), vec![(Format::Npm, upstream)]);
    remembered.keep(&data).unwrap();
    machine.remembered = Remembered::recall(&data);
    assert_eq!(machine.remembered, remembered);
    let second = computer.said_with(Format::Npm, &machine);
    machine.listen = "127.0.0.1:9000".parse().unwrap();
    assert_eq!(computer.said_with(Format::Npm, &machine), second, "also on another port");
    insta::assert_snapshot!(format!("{first}\n{second}"));
}

#[test]
fn what_cannot_be_recalled_is_nothing() {
    let computer = Computer::new();
    assert_eq!(Remembered::recall(&computer.home()), Remembered::default());
    for text in ["npm = ", "npm = 3", "npm = \"https://a:b@npm.example.com\"", "other = \"x\""] {
        computer.file("home/upstreams.toml", text);
        assert_eq!(Remembered::recall(&computer.home()), Remembered::default(), "{text}");
    }
}

#[test]
fn cargo_follows_source_replacement_and_the_nearest_file_wins() {
    let computer = Computer::new();
    computer.file(
        "home/.cargo/config.toml",
        "[source.crates-io]\nreplace-with = 'far'\n[source.far]\nregistry = 'sparse+https://far.example.com/'",
    );
    computer.file(
        "project/.cargo/config.toml",
        "[source.crates-io]\nreplace-with = 'a'\n[source.a]\nreplace-with = 'b'\n\
         [registries.b]\nindex = 'sparse+https://b.example.com/index'",
    );
    insta::assert_snapshot!(computer.said(Format::Cargo));
}

#[test]
fn cargo_takes_the_index_of_a_registry_from_a_variable_and_no_source() {
    let mut computer = Computer::new();
    computer.variable("CARGO_HOME", &computer.home().join("elsewhere").display().to_string());
    computer
        .variable("CARGO_REGISTRIES_MY_MIRROR_INDEX", "sparse+https://u:hush@by-variable.example/");
    // cargo does not heed it.
    computer.variable("CARGO_SOURCE_CRATES_IO_REPLACE_WITH", "other");
    computer.file("home/elsewhere/config.toml", "source.crates-io.replace-with = 'my-mirror'");
    // The older name of the file comes first.
    computer.file(
        "project/.cargo/config.toml",
        "[registries.my-mirror]\nindex = 'sparse+https://unread.example/'",
    );
    computer.file(
        "project/.cargo/config",
        "[registries.my-mirror]\nindex = 'sparse+https://by-file.example/'",
    );
    let said = computer.said(Format::Cargo);
    insta::assert_snapshot!(said, @r"
    cargo: https://by-variable.example/ (source replacement in ~/elsewhere/config.toml)
    note: cargo's registry, by source replacement in ~/elsewhere/config.toml, has credentials in its URL. They were not taken over: set username and password of the registry.
    ");
    computer.variables.retain(|(name, _)| !name.contains("REGISTRIES"));
    let said = computer.said(Format::Cargo);
    insta::assert_snapshot!(said, @"cargo: https://by-file.example/ (source replacement in ~/elsewhere/config.toml)");
}

#[test]
fn cargo_without_replacement_has_the_index_that_cargo_itself_uses() {
    let computer = Computer::new();
    computer.command("cargo", "");
    let discovery = discover(&computer.machine());
    let cargo = discovery.found.iter().find(|found| found.format == Format::Cargo).unwrap();
    let published = tame_index::CRATES_IO_HTTP_INDEX;
    assert_eq!(published.strip_prefix("sparse+"), Some(cargo.upstream.as_str()));
    assert_eq!(cargo.from, "cargo's own default");
}

/// Whoever replaced it by garth has said nothing of what is behind garth.
#[test]
fn cargo_that_is_set_to_garth_leads_to_what_was_found_before_else_to_its_own_index() {
    let computer = Computer::new();
    computer.file(
        "project/.cargo/config.toml",
        "[source.crates-io]\nreplace-with = 'garth'\n[source.garth]\nregistry = 'sparse+http://127.0.0.1:8642/cargo/'",
    );
    computer.command("cargo", "");
    let of = |machine: &Machine| {
        let found = discover(machine).found;
        found.into_iter().find(|found| found.format == Format::Cargo).unwrap().upstream
    };
    let mut machine = computer.machine();
    let published = tame_index::CRATES_IO_HTTP_INDEX.strip_prefix("sparse+");
    assert_eq!(published, Some(of(&machine).as_str()));
    let before: Url = "https://mirror.example.com/".parse().unwrap();
    machine.remembered.upstreams.push((Format::Cargo, before.clone()));
    assert_eq!(of(&machine), before);
}

#[test]
fn cargo_with_a_circle_or_a_directory_says_so() {
    let computer = Computer::new();
    computer.file(
        "project/.cargo/config.toml",
        "[source.crates-io]\nreplace-with = 'a'\n[source.a]\nreplace-with = 'crates-io'",
    );
    insta::assert_snapshot!(computer.said(Format::Cargo), @"cargo: source replacement in /project/.cargo/config.toml leads to no registry; set GARTH_REGISTRY_CARGO_UPSTREAM=URL, or upstream below [registry.cargo] in garth.toml");
}

#[test]
fn docker_has_the_mirror_that_its_daemon_is_told_of() {
    let computer = Computer::new();
    computer
        .file("etc/docker/daemon.json", "{\"registry-mirrors\": [\"https://oci.example.com\"]}");
    insta::assert_snapshot!(computer.said(Format::Oci), @"oci: https://oci.example.com/ (registry-mirrors in /etc/docker/daemon.json)");
    computer.file(
        "home/.config/docker/daemon.json",
        "{\"registry-mirrors\": [\"https://mine.example.com\"]}",
    );
    insta::assert_snapshot!(computer.said(Format::Oci), @"oci: https://mine.example.com/ (registry-mirrors in ~/.config/docker/daemon.json)");
}

#[test]
fn nuget_has_the_first_source_after_a_clear() {
    let computer = Computer::new();
    computer.file(
        "home/.nuget/NuGet/NuGet.Config",
        "<?xml version=\"1.0\"?><configuration><!-- <add value='https://no.example.com'/> --><packageSources>\
         <add key=\"old\" value=\"https://old.example.com\"/><clear/><add key=\"folder\" value=\"../x\" />\
         <add key=\"new\" value=\"https://nuget.example.com/v3/index.json\" /></packageSources></configuration>",
    );
    insta::assert_snapshot!(computer.said(Format::Nuget), @"nuget: https://nuget.example.com/v3/index.json (packageSources in ~/.nuget/NuGet/NuGet.Config)");
}
