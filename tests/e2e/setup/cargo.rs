//! `garth setup cargo`, judged by the real cargo: where it fetches from, and what it is told.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use support::cargo::{Cargo, Printed};
use support::crates::{Crate, crate_path};
use support::server::{Setup, TestServer, binary};
use support::upstream::ScriptedUpstream;

const CONFIG: &str = ".cargo/config.toml";

async fn garden(more: &str) -> (ScriptedUpstream, TestServer) {
    let up = ScriptedUpstream::start().await;
    Crate::plain("seed", &["1.0.0"]).publish(&up);
    let settings = format!("[registry.cargo]\nupstream = \"{}\"\n{more}", up.url());
    let garth = Setup::new(&settings).start();
    garth.run(&["allow", "cargo:seed"]);
    (up, garth)
}

fn garth(garth: &TestServer, person: &Cargo, arguments: &[&str]) -> std::process::Output {
    let mut command = Command::new(binary());
    person.furnish(&mut command);
    command.env("GARTH_DATA", garth.setup().data());
    command.env("GARTH_CONFIG", garth.setup().directory().join("garth.toml"));
    command.args(["setup", "cargo"]).args(arguments).current_dir(person.project());
    command.output().unwrap()
}

fn setup(server: &TestServer, person: &Cargo, arguments: &[&str]) -> String {
    let printed: Printed = garth(server, person, arguments).into();
    assert!(printed.success, "{arguments:?}: {}", printed.text());
    printed.text()
}

/// A file below the person's home, and its mode.
fn file(person: &Cargo, path: &str) -> Option<(String, u32)> {
    let path = person.home().join(path);
    let text = std::fs::read_to_string(&path).ok()?;
    Some((text, std::fs::metadata(path).unwrap().permissions().mode() & 0o7777))
}

fn write(person: &Cargo, path: &str, text: &str) {
    let path = person.home().join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o640)).unwrap();
}

/// A token on the command line would be seen by all; cargo takes it from its input.
fn log_in_at(person: &Cargo, registry: &str, secret: &str) {
    let mut command = person.command(&["login", "--registry", registry]);
    let mut cargo = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    writeln!(cargo.stdin.take().unwrap(), "{secret}").unwrap();
    let printed: Printed = cargo.wait_with_output().unwrap().into();
    assert!(printed.success, "{}", printed.text());
}

/// The project's dependency comes through garth, and only because it is allowed there.
async fn fetches_through(server: &TestServer, person: &Cargo) {
    person.forget();
    person.depend("seed = \"1\"");
    person.must(&["fetch"]);
    assert_eq!(person.locked("seed").as_deref(), Some("1.0.0"));
    server.access_line("/cargo/api/v1/crates/seed/1.0.0/download").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cargo_without_files_uses_garth_and_has_none_again() {
    let (up, server) = garden("").await;
    let person = Cargo::new();
    let shown = setup(&server, &person, &[]);
    assert!(shown.contains("would be made") && shown.contains("--write"), "{shown}");
    assert_eq!(file(&person, CONFIG), None, "it was only shown");

    setup(&server, &person, &["--write"]);
    let ours = format!(
        "[source.crates-io]\nreplace-with = \"garth\"\n[registries.garth]\nindex = \"sparse+{}/cargo/\"\n",
        server.url
    );
    assert_eq!(file(&person, CONFIG), Some((ours, 0o600)));
    fetches_through(&server, &person).await;
    assert_eq!(up.requests(&crate_path("seed", "1.0.0")), 1);
    assert!(setup(&server, &person, &["--write"]).contains("nothing to change"));

    assert!(setup(&server, &person, &["--undo"]).contains("removed ~/.cargo/config.toml"));
    assert_eq!(file(&person, CONFIG), None);
    assert!(setup(&server, &person, &["--undo"]).contains("nothing to take back"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_config_that_was_there_is_afterwards_what_it_was() {
    let (_up, server) = garden("").await;
    let crlf =
        "# mine\r\n[net] # x\r\nretry = 1\r\n\r\n[source.crates-io] # mine, too\r\n# [alias]\r\n";
    // As a start says it can be done by hand.
    let by_hand = format!(
        "[source.crates-io]\nreplace-with = \"garth\"\n[source.garth]\nregistry = \"sparse+{}/cargo/\"\n",
        server.url
    );
    for (path, before) in [
        (CONFIG, by_hand.as_str()),
        (CONFIG, crlf),
        (".cargo/config", "# the old name\nregistries.corp.index = 'sparse+https://corp.example/'"),
        (
            CONFIG,
            "source = { corp = { directory = 'vendor' } } # in one line\n[alias]\nb = 'build'\n",
        ),
    ] {
        let person = Cargo::new();
        write(&person, path, before);
        setup(&server, &person, &["--write"]);
        assert!(path == CONFIG || file(&person, CONFIG).is_none(), "the one that cargo reads");
        fetches_through(&server, &person).await;
        setup(&server, &person, &["--undo"]);
        assert_eq!(file(&person, path), Some((before.to_owned(), 0o640)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_else_stands_in_for_cargo_s_default_is_named_and_stays() {
    let (_up, server) = garden("").await;
    let person = Cargo::new();
    let before = "[source.crates-io]\nreplace-with = \"corp\"\n[registries.corp]\nindex = \
                  \"sparse+https://corp.example/\"\n";
    write(&person, CONFIG, before);
    for arguments in [&[][..], &["--write"]] {
        let refused = garth(&server, &person, arguments);
        assert_eq!(refused.status.code(), Some(2));
        let why = Printed::from(refused).stderr;
        for part in ["~/.cargo/config.toml:2", "replaced by corp", "--replace"] {
            assert!(why.contains(part), "no {part}: {why}");
        }
    }
    assert_eq!(file(&person, CONFIG).unwrap().0, before);
    setup(&server, &person, &["--write", "--replace"]);
    fetches_through(&server, &person).await;
    setup(&server, &person, &["--undo"]);
    assert_eq!(file(&person, CONFIG).unwrap().0, before);
    // Nearer to the project it is not ours to change, and cargo prefers it.
    write(&person, "project/.cargo/config.toml", before);
    write(&person, CONFIG, "");
    let told = setup(&server, &person, &[]);
    assert!(told.contains("~/project/.cargo/config.toml:2 names another registry"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_has_a_file_of_its_own() {
    let (_up, server) = garden("").await;
    let person = Cargo::new();
    let path = "project/.cargo/config.toml";
    setup(&server, &person, &["--project", "--write"]);
    assert_eq!(file(&person, path).unwrap().1, 0o644, "it is for all who build it");
    assert_eq!(file(&person, CONFIG), None);
    fetches_through(&server, &person).await;
    setup(&server, &person, &["--project", "--undo"]);
    assert_eq!(file(&person, path), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn own_crates_are_a_registry_beside_it() {
    let (_up, server) = garden("[registry.ours]\nformat = \"cargo\"\n").await;
    let person = Cargo::new();
    setup(&server, &person, &["--write"]);
    let ours = format!("[registries.ours]\nindex = \"sparse+{}/ours/\"\n", server.url);
    let written = file(&person, CONFIG).unwrap().0;
    assert!(written.ends_with(&ours), "{written}");
    person.depend("mine = { version = \"1\", registry = \"ours\" }");
    person.must_fail(&["fetch"]);
    server.access_line("/ours/mi/ne/mine").await;
    // Somebody publishes one with what was written, and it is there.
    log_in_at(&person, "ours", &server.admin_token());
    let builder = std::fs::read_to_string(person.project().join("Cargo.toml")).unwrap();
    person.write(
        "Cargo.toml",
        "[package]\nname = \"mine\"\nversion = \"1.0.0\"\nedition = \"2021\"\ndescription = \"Mine\"\nlicense = \"MIT\"\n",
    );
    person.must(&["publish", "--registry", "ours", "--allow-dirty"]);
    person.write("Cargo.toml", &builder);
    person.must(&["fetch"]);
    assert_eq!(person.locked("mine").as_deref(), Some("1.0.0"));
    // Where the settings are not at hand, it is told which.
    let far = setup(&server, &person, &["--json", "--server", &server.url, "--own", "ours"]);
    let far: serde_json::Value = serde_json::from_str(&far).unwrap();
    assert_eq!(far["files"][0]["state"], "unchanged");
    let unknown = garth(&server, &person, &["--own", "theirs"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(Printed::from(unknown).stderr.contains("there is no registry theirs"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_asked_for_where_it_is_needed_and_never_written() {
    let (up, server) = garden("").await;
    let server = server.kill().with_settings("anonymous = \"none\"").start();
    server.run(&["team", "create", "web/shop"]);
    let secret = server.run(&["token", "create", "shop", "--team", "web/shop", "--json"]);
    let secret: serde_json::Value = serde_json::from_str(&secret).unwrap();
    let secret = secret["secret"].as_str().unwrap();
    let person = Cargo::new();
    person.depend("seed = \"1\"");

    // As cargo keeps it itself.
    let told = setup(&server, &person, &["--write"]);
    assert!(told.contains("`cargo login --registry garth`"), "{told}");
    person.must_fail(&["fetch"]);
    assert_eq!(up.requests(&crate_path("seed", "1.0.0")), 0);
    log_in_at(&person, "garth", secret);
    fetches_through(&server, &person).await;
    let (credentials, mode) = file(&person, ".cargo/credentials.toml").unwrap();
    assert!(credentials.contains(secret) && mode == 0o600, "{mode:o}");
    person.must(&["logout", "--registry", "garth"]);
    setup(&server, &person, &["--undo"]);

    // Out of a variable.
    let told = setup(&server, &person, &["--write", "--token-env", "READ_GARTH"]);
    assert!(told.contains("READ_GARTH is not set here"), "{told}");
    let written = file(&person, CONFIG).unwrap().0;
    assert!(written.contains("READ_GARTH") && !written.contains(secret), "{written}");
    person.forget();
    person.must_fail(&["fetch"]);
    let mut command = person.command(&["fetch"]);
    let printed: Printed = command.env("READ_GARTH", secret).output().unwrap().into();
    assert!(printed.success, "{}", printed.text());
}

/// Nobody has written a setting: what cargo is set to here is found, and cargo is then set to garth.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_settings_stands_in_front_of_what_cargo_uses() {
    let up = ScriptedUpstream::start().await;
    Crate::plain("seed", &["1.0.0"]).publish(&up);
    let person = Cargo::new();
    let mirror = format!(
        "[source.crates-io]\nreplace-with = \"mirror\"\n[registries.mirror]\nindex = \"sparse+{}\"\n",
        up.url()
    );
    write(&person, CONFIG, &mirror);
    let home = person.home().display().to_string();
    let server = Setup::without_settings()
        .with_env("HOME", &home)
        .with_env("CARGO_HOME", &format!("{home}/.cargo"))
        .start();
    let said = server.log();
    assert!(
        said.contains(&format!("cargo   {}  (from source replacement in ~/.cargo", up.url())),
        "{said}"
    );
    server.run(&["allow", "cargo:seed"]);
    setup(&server, &person, &["--write", "--replace"]);
    fetches_through(&server, &person).await;
    setup(&server, &person, &["--undo"]);
    assert_eq!(file(&person, CONFIG).unwrap().0, mirror);
}
