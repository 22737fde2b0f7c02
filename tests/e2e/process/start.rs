//! Starting: without any setting, where something is in the way, and with TLS of its own.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use rcgen::{CertifiedKey, KeyPair};
use serde_json::Value;
use support::client::Client;
use support::server::{Setup, binary};
use support::upstream::ScriptedUpstream;
use tokio::time::Instant;

use super::super::pull::{ALLOW_ALL, eventually};

/// Kills what it holds.
struct Process(std::process::Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_any_setting_it_finds_what_npm_uses_says_so_and_keeps_its_token_to_itself() {
    let up = ScriptedUpstream::start().await;
    up.npm("left-pad").plain_version("1.3.0").publish();
    let home = tempfile::tempdir().unwrap();
    let npmrc =
        format!("registry={}\n//127.0.0.1:{}/:_authToken=a-secret-of-npm\n", up.url(), up.port());
    std::fs::write(home.path().join(".npmrc"), npmrc).unwrap();
    let project = home.path().join("project");
    std::fs::create_dir(&project).unwrap();
    let garth = |arguments: &[&str]| {
        let mut command = Command::new(binary());
        command
            .args(arguments)
            .current_dir(&project)
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap())
            .env("HOME", home.path());
        command
    };
    let output = std::fs::File::create(home.path().join("output")).unwrap();
    let serving = garth(&["serve", "--listen", "127.0.0.1:0"])
        .stdin(Stdio::null())
        .stdout(output.try_clone().unwrap())
        .stderr(output)
        .spawn()
        .unwrap();
    let _serving = Process(serving);
    let said = || std::fs::read_to_string(home.path().join("output")).unwrap();
    let run = project.join("garth-data/run.json");
    eventually("it starts", Duration::from_secs(30), async || run.exists()).await;
    eventually("it says so", Duration::from_secs(5), async || said().contains("garth allow")).await;

    let text = said();
    let found = format!("npm     {}  (from `npm config get registry`)", up.url());
    assert!(text.contains(&found), "npm has to be installed for this test: {text}");
    assert!(text.contains("admin-token") && text.contains("npm config set registry"), "{text}");
    assert!(text.contains("enforce"), "{text}");
    for missing in ["cargo", "docker", "nuget"] {
        assert!(text.contains(missing), "{missing} is found, or said to be missing: {text}");
    }
    let token_file = project.join("garth-data/admin-token");
    let mode = |path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(token_file.clone()), 0o600);
    assert_eq!(mode(run.clone()), 0o600);
    assert_eq!(mode(project.join("garth-data")), 0o700);
    let token = std::fs::read_to_string(&token_file).unwrap().trim().to_owned();
    assert!(token.len() > 40);

    let run: Value = serde_json::from_slice(&std::fs::read(&run).unwrap()).unwrap();
    let url = run["url"].as_str().unwrap().trim_end_matches('/').to_owned();
    let client = Client::new(&url, &token);
    let refused = client.get("/npm/left-pad").await;
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("garth request npm:left-pad"), "{}", refused.text());
    let allowed = garth(&["allow", "npm:left-pad"]).output().unwrap();
    assert!(allowed.status.success(), "{}", String::from_utf8_lossy(&allowed.stderr));
    assert!(client.get("/npm/left-pad").await.is_whole());
    assert!(client.get("/npm/left-pad/-/left-pad-1.3.0.tgz").await.is_whole());
    let listed = client.api("GET", "/rules", None).await.unwrap().text();

    let allowed = [allowed.stdout, allowed.stderr].concat();
    let metrics = client.get("/metrics").await.text();
    for (name, text) in [
        ("the output", said()),
        ("the command's", String::from_utf8(allowed).unwrap()),
        ("the API", listed),
        ("the metrics", metrics),
        ("run.json", run.to_string()),
    ] {
        assert!(!text.contains(&token), "{name} holds the token");
        assert!(!text.contains("a-secret-of-npm"), "{name} holds npm's token");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_or_a_data_directory_in_use_is_said_clearly_and_harms_nobody() {
    let up = ScriptedUpstream::start().await;
    up.npm("p").plain_version("1.0.0").publish();
    let setup = Setup::npm(up.url().as_str());
    setup.write_policy("all", ALLOW_ALL);
    let server = setup.start();
    let client = Client::of(&server);
    let address = server.url.trim_start_matches("http://").to_owned();

    let other = Setup::npm(up.url().as_str());
    let start = Instant::now();
    let failed = other
        .command(&["serve", "--listen", &address])
        .env("GARTH_REGISTRY_NPM_UPSTREAM", up.url().as_str())
        .output()
        .unwrap();
    let said = String::from_utf8(failed.stderr).unwrap();
    assert_eq!(failed.status.code(), Some(2), "{said}");
    assert!(said.contains("is in use already") && said.contains("--listen"), "{said}");
    assert!(start.elapsed() < Duration::from_secs(5));

    let start = Instant::now();
    let failed = server.setup().command(&["serve", "--listen", "127.0.0.1:0"]).output().unwrap();
    let said = String::from_utf8(failed.stderr).unwrap();
    assert_eq!(failed.status.code(), Some(2), "{said}");
    assert!(said.contains("in use by another process") && said.contains("--data"), "{said}");
    assert!(start.elapsed() < Duration::from_secs(15));

    assert!(client.get("/npm/p").await.is_whole(), "the first one is at work");
    assert_eq!(client.make_rule("r", "deny", "npm:q").await, 201);
    server.run(&["rules", "list"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_is_had_by_two_settings_and_a_new_certificate_is_taken_up() {
    let files = tempfile::tempdir().unwrap();
    let make = || {
        let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let trusted = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([trusted]);
        (made, client.build().unwrap())
    };
    let write = |made: &CertifiedKey<KeyPair>| {
        for (name, text) in
            [("tls.crt", made.cert.pem()), ("tls.key", made.signing_key.serialize_pem())]
        {
            let staged = files.path().join("staged");
            std::fs::File::create(&staged).unwrap().write_all(text.as_bytes()).unwrap();
            std::fs::rename(staged, files.path().join(name)).unwrap();
        }
    };
    let ((first, trusts_first), (second, trusts_second)) = (make(), make());
    write(&first);
    let path = |name| files.path().join(name);
    let up = ScriptedUpstream::start().await;
    up.npm("p").plain_version("1.0.0").publish();
    let setup = Setup::new(&format!(
        "[tls]\ncertificate = \"{}\"\nkey = \"{}\"\n[registry.npm]\nupstream = \"{}\"\n",
        path("tls.crt").display(),
        path("tls.key").display(),
        up.url()
    ));
    setup.write_policy("all", ALLOW_ALL);
    let server = setup.start();
    assert!(server.url.starts_with("https://"), "{}", server.url);
    let url = format!("{}/npm/p", server.url);
    let answer = trusts_first.get(&url).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let document: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    let tarball = document["versions"]["1.0.0"]["dist"]["tarball"].as_str().unwrap();
    assert!(tarball.starts_with(&server.url), "{tarball}");

    assert!(trusts_second.get(&url).send().await.is_err(), "not yet");
    write(&second);
    eventually("the new certificate", Duration::from_mins(1), async || {
        trusts_second.get(&url).send().await.is_ok()
    })
    .await;
}
