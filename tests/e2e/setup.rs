//! `garth setup`, judged by the real clients: what each takes for its registry, and what it installs.

mod cargo;

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use support::package_managers::{Kind, PackageManager, Printed};
use support::server::{Setup, TestServer, binary};
use support::upstream::ScriptedUpstream;

/// Whose files are written, and by which word.
const CLIENTS: [(Kind, &str); 5] = [
    (Kind::Npm, "npm"),
    (Kind::Pnpm, "pnpm"),
    (Kind::Yarn, "yarn"),
    (Kind::Berry, "yarn"),
    (Kind::Bun, "bun"),
];

async fn garden() -> (ScriptedUpstream, TestServer) {
    let up = ScriptedUpstream::start().await;
    up.npm("left-pad").plain_version("1.3.0").publish();
    up.npm("not-allowed").plain_version("1.0.0").publish();
    let garth = Setup::npm(up.url().as_str()).start();
    garth.run(&["allow", "npm:left-pad"]);
    (up, garth)
}

/// The command as a person types it in the project, on the server's machine.
fn garth_of(garth: &TestServer, person: &PackageManager, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    person.furnish(&mut command);
    command.env("GARTH_DATA", garth.setup().data());
    command.arg("setup").args(arguments).current_dir(person.project());
    command
}

fn setup(garth: &TestServer, person: &PackageManager, arguments: &[&str]) -> Printed {
    let printed: Printed = garth_of(garth, person, arguments).output().unwrap().into();
    assert!(printed.success, "garth setup {arguments:?}: {}", printed.text());
    printed
}

/// The client with nothing but its files to tell it where to ask.
fn client(person: &PackageManager, arguments: &[&str]) -> Printed {
    let mut command = Command::new(person.kind().program());
    person.furnish(&mut command);
    command.env_remove("YARN_UNSAFE_HTTP_WHITELIST");
    command.args(arguments).current_dir(person.project()).output().unwrap().into()
}

/// What the client itself takes for its registry; bun can not be asked.
fn effective(person: &PackageManager) -> Option<String> {
    let setting = match person.kind() {
        Kind::Npm | Kind::Pnpm | Kind::Yarn => "registry",
        Kind::Berry => "npmRegistryServer",
        Kind::Bun => return None,
    };
    let printed = client(person, &["config", "get", setting]);
    assert!(printed.success, "{}", printed.text());
    Some(printed.stdout.trim().to_owned())
}

/// The files of the home and of the project that configure a client, with their modes.
fn configuration(person: &PackageManager) -> BTreeMap<String, (String, u32)> {
    let names = [".npmrc", ".yarnrc", ".yarnrc.yml", ".bunfig.toml", "bunfig.toml"];
    let paths = names.iter().flat_map(|name| [(*name).to_owned(), format!("project/{name}")]);
    let files = paths.filter_map(|path| {
        let file = person.home().join(&path);
        let text = std::fs::read_to_string(&file).ok()?;
        Some((path, (text, std::fs::metadata(&file).unwrap().permissions().mode() & 0o7777)))
    });
    files.collect()
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o640)).unwrap();
}

/// A person with this client, who has configured it before.
fn with_files(kind: Kind) -> PackageManager {
    let person = PackageManager::without_registry(kind);
    let home = person.home();
    write(
        &home.join(".npmrc"),
        "; mine\r\nregistry = https://u:hush@old.example/ ; ours\r\n//old.example/:_authToken=hush\r\n\
         @acme:registry=https://acme.example/\r\nfund=false",
    );
    write(&home.join(".yarnrc"), "# mine\nregistry \"https://old.example/\"\nlastUpdateCheck 1\n");
    write(
        &home.join(".yarnrc.yml"),
        "# mine\nnpmRegistryServer: https://old.example # ours\nunsafeHttpWhitelist: [a.example]\n",
    );
    write(
        &home.join(".bunfig.toml"),
        "# mine\nsmol = true\n\n[install]\nregistry = 'https://old.example' # ours\n",
    );
    person
}

async fn works_through_garth(garth: &TestServer, person: &PackageManager) {
    let name = person.kind().name();
    if let Some(effective) = effective(person) {
        assert_eq!(effective, format!("{}/npm/", garth.url), "{name}");
    }
    let printed = client(person, &[person.kind().add(), "left-pad@1.3.0"]);
    assert!(printed.success, "{name}: {}\n{}", printed.text(), garth.log());
    assert_eq!(person.installed("left-pad").as_deref(), Some("1.3.0"), "{name}");
    garth.access_line("/npm/left-pad/-/left-pad-1.3.0.tgz").await;
    let refused = client(person, &[person.kind().add(), "not-allowed"]);
    assert!(!refused.success && person.installed("not-allowed").is_none(), "{name}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_files_uses_garth_and_has_none_again() {
    let (_up, garth) = garden().await;
    for (kind, word) in CLIENTS {
        let person = PackageManager::without_registry(kind);
        let shown = setup(&garth, &person, &[word]).stdout;
        assert!(shown.contains("would be made") && shown.contains("--write"), "{shown}");
        assert!(configuration(&person).is_empty(), "it was only shown");

        let written = setup(&garth, &person, &[word, "--write"]);
        assert!(written.stderr.is_empty(), "{}", written.stderr);
        for (file, (_, mode)) in configuration(&person) {
            assert_eq!(mode, 0o600, "{file}");
        }
        works_through_garth(&garth, &person).await;

        let before = configuration(&person);
        let again = setup(&garth, &person, &[word, "--write"]).stdout;
        assert!(again.contains("nothing to change"), "{again}");
        assert_eq!(configuration(&person), before);

        let undone = setup(&garth, &person, &[word, "--undo"]).stdout;
        assert!(undone.contains("removed ~/"), "{undone}");
        assert!(configuration(&person).is_empty(), "{:?}", configuration(&person));
        let again = setup(&garth, &person, &[word, "--undo"]).stdout;
        assert!(again.contains("nothing to take back"), "{again}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_were_there_are_afterwards_what_they_were() {
    let (_up, garth) = garden().await;
    for (kind, word) in CLIENTS {
        let person = with_files(kind);
        let before = configuration(&person);
        let shown = setup(&garth, &person, &[word]);
        assert!(!shown.text().contains("hush"), "{}", shown.text());
        assert_eq!(configuration(&person), before, "it was only shown");
        let written = setup(&garth, &person, &[word, "--write"]).stdout;
        assert!(!written.contains("hush"), "{written}");
        assert_ne!(configuration(&person), before);
        works_through_garth(&garth, &person).await;
        setup(&garth, &person, &[word, "--undo"]);
        assert_eq!(configuration(&person), before, "{}", kind.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_and_the_client_changed_meanwhile_stays() {
    let (_up, garth) = garden().await;
    let person = with_files(Kind::Npm);
    let npmrc = person.home().join(".npmrc");
    setup(&garth, &person, &["npm", "--write"]);
    // npm drops the comments and writes each line in its own way.
    assert!(client(&person, &["config", "set", "audit=false"]).success);
    let text = std::fs::read_to_string(&npmrc).unwrap();
    assert!(!text.contains("mine") && text.contains("audit=false"), "{text}");
    std::fs::write(&npmrc, format!("# first\n{text}# last\n")).unwrap();
    setup(&garth, &person, &["npm", "--undo"]);
    let ours = format!("registry={}/npm/", garth.url);
    assert!(text.contains(&ours), "{text}");
    let expected = text.replace(&ours, "registry = https://u:hush@old.example/ ; ours");
    assert_eq!(std::fs::read_to_string(&npmrc).unwrap(), format!("# first\n{expected}# last\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_somebody_changed_is_left_and_what_was_there_is_told() {
    let (_up, garth) = garden().await;
    let person = with_files(Kind::Npm);
    setup(&garth, &person, &["npm", "--write"]);
    let theirs = "registry=https://third.example/\n";
    write(&person.home().join(".npmrc"), theirs);
    let undone = garth_of(&garth, &person, &["npm", "--undo"]).output().unwrap();
    assert_eq!(undone.status.code(), Some(3));
    let undone: Printed = undone.into();
    assert!(undone.stdout.contains("https://***@old.example/"), "{}", undone.stdout);
    assert_eq!(std::fs::read_to_string(person.home().join(".npmrc")).unwrap(), theirs);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_has_its_own_files() {
    let (_up, garth) = garden().await;
    for (kind, word) in CLIENTS {
        let person = PackageManager::without_registry(kind);
        if kind == Kind::Berry {
            person.write("yarn.lock", "");
            person.write(".yarnrc.yml", "enableTelemetry: false\n");
        }
        let before = configuration(&person);
        setup(&garth, &person, &[word, "--project", "--write"]);
        let written = configuration(&person);
        assert!(written.keys().all(|file| file.starts_with("project/")), "{written:?}");
        works_through_garth(&garth, &person).await;
        setup(&garth, &person, &[word, "--undo", "--project", "."]);
        assert_eq!(configuration(&person), before, "{}", kind.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_named_and_sent_but_never_written() {
    let (_up, garth) = garden().await;
    for (kind, word) in CLIENTS {
        let person = PackageManager::without_registry(kind);
        let mut command =
            garth_of(&garth, &person, &[word, "--write", "--token-env", "READ_GARTH"]);
        let printed: Printed = command.env("READ_GARTH", "hush").output().unwrap().into();
        assert!(printed.success && !printed.text().contains("not set here"), "{}", printed.text());
        let written = format!("{:?}", configuration(&person));
        assert!(written.contains("READ_GARTH") && !written.contains("hush"), "{written}");
        let mut command = Command::new(kind.program());
        person.furnish(&mut command);
        command.env_remove("YARN_UNSAFE_HTTP_WHITELIST").env("READ_GARTH", "hush");
        command.args([kind.add(), "left-pad@1.3.0"]).current_dir(person.project());
        let printed: Printed = command.output().unwrap().into();
        assert!(printed.success, "{}: {}", kind.name(), printed.text());
        setup(&garth, &person, &[word, "--undo"]);
        assert!(configuration(&person).is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_file_of_two_clients_is_kept_until_the_second_gives_it_back() {
    let (_up, garth) = garden().await;
    let person = with_files(Kind::Npm);
    let before = configuration(&person);
    setup(&garth, &person, &["npm", "--write"]);
    setup(&garth, &person, &["pnpm", "--write"]);
    let kept = setup(&garth, &person, &["npm", "--undo"]).stdout;
    assert!(kept.contains("for pnpm"), "{kept}");
    works_through_garth(&garth, &person).await;
    setup(&garth, &person, &["pnpm", "--undo"]);
    assert_eq!(configuration(&person), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_by_garth_is_told() {
    let (_up, garth) = garden().await;
    let person = with_files(Kind::Npm);
    person.write(".npmrc", "registry=https://third.example/\n");
    person.write(
        "package-lock.json",
        "{ \"packages\": { \"a\": {\n\"resolved\": \"https://old.example/a/-/a-1.0.0.tgz\"\n} } }",
    );
    let told = setup(&garth, &person, &["npm", "--token-env", "READ_GARTH"]).stdout;
    for note in [
        "~/.npmrc:4",
        "@acme",
        "~/project/.npmrc:1",
        "old.example for 1 tarball",
        "READ_GARTH is not set",
    ] {
        assert!(told.contains(note), "no {note}: {told}");
    }
    let json = setup(&garth, &person, &["npm", "--json"]).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["files"][0]["state"], "would-change");
    assert_eq!(json["files"][0]["changes"][0]["line"], 2);
    assert!(!json.to_string().contains("hush"), "{json}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_changed_stops_all_of_it() {
    let (_up, garth) = garden().await;
    let person = with_files(Kind::Yarn);
    write(&person.home().join(".yarnrc.yml"), "a: b\nc: [d\n");
    let before = configuration(&person);
    let refused = garth_of(&garth, &person, &["yarn", "--write"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let refused: Printed = refused.into();
    assert!(
        refused.stderr.contains("~/.yarnrc.yml:") && refused.stderr.contains("mend"),
        "{}",
        refused.stderr
    );
    assert_eq!(configuration(&person), before, "the .yarnrc neither");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_of_a_registry_that_is_not_there() {
    let (_up, garth) = garden().await;
    let person = with_files(Kind::Npm);
    let before = configuration(&person);
    let server = garth.url.clone();
    for arguments in [
        vec!["npm", "--registry", "nope"],
        vec!["npm", "--registry", "nope", "--write"],
        vec!["npm", "--registry", "nope", "--write", "--server", &server],
    ] {
        let refused: Printed = garth_of(&garth, &person, &arguments).output().unwrap().into();
        assert!(!refused.success, "{}", refused.text());
        assert!(refused.stderr.contains("there is no registry"), "{}", refused.stderr);
        assert_eq!(refused.stdout, "");
    }
    assert_eq!(configuration(&person), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_linked_file_stays_linked_and_a_server_that_is_gone_is_a_warning() {
    let (_up, garth) = garden().await;
    let person = PackageManager::without_registry(Kind::Npm);
    let (link, file) = (person.home().join(".npmrc"), person.home().join("dotfiles"));
    write(&file, "fund=false\n");
    symlink("dotfiles", &link).unwrap();
    let mut command =
        garth_of(&garth, &person, &["npm", "--write", "--server", "http://127.0.0.1:9"]);
    let printed: Printed = command.output().unwrap().into();
    assert!(printed.success && printed.stderr.contains("does not answer"), "{}", printed.text());
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text, "fund=false\nregistry=http://127.0.0.1:9/npm/\n");
    // Another address is one change to take back, not two.
    setup(&garth, &person, &["npm", "--write"]);
    setup(&garth, &person, &["npm", "--undo"]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "fund=false\n");
}
