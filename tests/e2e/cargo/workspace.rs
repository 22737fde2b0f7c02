//! A workspace of more than four hundred crates: all of them arrive, once, and its lockfile is the one
//! that cargo makes without garth.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use support::cargo::Cargo;
use support::crates::{Crate, crate_path, index_path};
use support::server::TestServer;
use support::upstream::ScriptedUpstream;

use super::registry;

const CRATES: usize = 420;
const MEMBERS: [&str; 3] = ["api", "store", "tool"];

fn name(n: usize) -> String {
    format!("part-{n:03}")
}

/// Each builds on some before it, in two versions of which the ranges want one or the other.
async fn forest() -> ScriptedUpstream {
    let up = ScriptedUpstream::start().await;
    for n in 0..CRATES {
        let needs: Vec<usize> = [n / 2, n / 3, n.saturating_sub(7)].into();
        let all = ["1.0.0", "1.2.0", "2.0.0"].into_iter().fold(Crate::new(&name(n)), |all, at| {
            all.version(at, |version| {
                let mut known = std::collections::BTreeSet::new();
                let needs = needs.iter().filter(|other| **other < n && known.insert(**other));
                needs.fold(version, |version, other| version.needs(&name(*other), "1"))
            })
        });
        all.publish(&up);
    }
    up
}

/// Members that share the crates among them.
fn lay_out(person: &Cargo) {
    let members = MEMBERS.map(|member| format!("\"{member}\"")).join(", ");
    person.write("Cargo.toml", &format!("[workspace]\nresolver = \"2\"\nmembers = [{members}]\n"));
    for (place, member) in MEMBERS.into_iter().enumerate() {
        std::fs::create_dir_all(person.project().join(member).join("src")).unwrap();
        person.write(&format!("{member}/src/lib.rs"), "");
        let mut text = format!(
            "[package]\nname = \"{member}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n[dependencies]\n"
        );
        for n in (0..CRATES).filter(|n| n % MEMBERS.len() == place) {
            writeln!(text, "{} = \"1\"", name(n)).unwrap();
        }
        person.write(&format!("{member}/Cargo.toml"), &text);
    }
}

/// The crates that cargo keeps, by their file names.
fn kept(person: &Cargo) -> BTreeMap<String, Vec<u8>> {
    let mut kept = BTreeMap::new();
    let cache = person.home().join(".cargo/registry/cache");
    for registry in std::fs::read_dir(cache).unwrap() {
        for file in std::fs::read_dir(registry.unwrap().path()).unwrap() {
            let file = file.unwrap();
            let bytes = std::fs::read(file.path()).unwrap();
            kept.insert(file.file_name().into_string().unwrap(), bytes);
        }
    }
    kept
}

fn check_kept(person: &Cargo, up: &ScriptedUpstream) {
    let kept = kept(person);
    assert_eq!(kept.len(), CRATES);
    for n in 0..CRATES {
        let bytes = up.bytes_at(&crate_path(&name(n), "1.2.0"));
        assert_eq!(kept[&format!("{}-1.2.0.crate", name(n))], bytes, "{n}");
    }
}

fn without_garth(up: &ScriptedUpstream) -> String {
    let direct = Cargo::replaced_by(up.url().as_str());
    lay_out(&direct);
    direct.must(&["generate-lockfile"]);
    direct.read("Cargo.lock").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_crate_of_a_large_workspace_arrives_and_its_lockfile_is_as_without_garth() {
    let up = forest().await;
    let lockfile = without_garth(&up);
    assert!(lockfile.matches("\nchecksum = ").count() >= 400);

    let garth = registry(&up, "").start();
    garth.run(&["allow", "cargo:part-*"]);
    let person = person_of(&garth, "");
    up.forget_requests();
    person.must(&["fetch"]);
    assert_eq!(person.read("Cargo.lock").unwrap(), lockfile);
    check_kept(&person, &up);
    for n in 0..CRATES {
        let asked =
            (up.requests(&index_path(&name(n))), up.requests(&crate_path(&name(n), "1.2.0")));
        assert_eq!(asked, (1, 1), "{}: index and crate, once each", name(n));
    }
    assert_eq!(up.requests("/config.json"), 1);
    let lines = garth.log();
    let peers: BTreeSet<&str> = lines.lines().filter_map(peer).collect();
    assert!((1..=8).contains(&peers.len()), "one connection after the other: {peers:?}");

    // Everything from what garth holds, by the lockfile and by resolving anew, also after a restart.
    up.go_offline();
    person.forget();
    person.must(&["fetch", "--locked"]);
    check_kept(&person, &up);
    let garth = garth.stop().0.start();
    let another = person_of(&garth, "");
    another.must(&["fetch"]);
    assert_eq!(another.read("Cargo.lock").unwrap(), lockfile);
    check_kept(&another, &up);
}

/// The connection of an access line.
fn peer(line: &str) -> Option<&str> {
    line.split_once(" access: ")?.1.split_once(" peer=")?.1.split(' ').next()
}

fn write_certificate(directory: &Path) -> [String; 2] {
    let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    [("tls.crt", made.cert.pem()), ("tls.key", made.signing_key.serialize_pem())].map(
        |(name, text)| {
            let path = directory.join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        },
    )
}

/// With more in its configuration than where garth is.
fn person_of(garth: &TestServer, more: &str) -> Cargo {
    let person = Cargo::new();
    person.configure(&format!(
        "[source.crates-io]\nreplace-with = \"garth\"\n\n[source.garth]\nregistry = \
         \"sparse+{}/cargo/\"\n\n{more}",
        garth.url
    ));
    lay_out(&person);
    person
}

/// cargo asks for all of it at once over one connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_workspace_arrives_over_http2_and_over_http1() {
    let up = forest().await;
    let lockfile = without_garth(&up);
    let files = tempfile::tempdir().unwrap();
    let [certificate, key] = write_certificate(files.path());
    let tls = format!("[tls]\ncertificate = \"{certificate}\"\nkey = \"{key}\"\n");
    let setup = registry(&up, &tls);
    let rule = "[[rule]]\nname = \"parts\"\neffect = \"allow\"\npackages = [\"cargo:part-*\"]\n";
    setup.write_policy("parts", rule);
    let garth = setup.start();
    assert!(garth.url.starts_with("https://"), "{}", garth.url);
    for (multiplexing, spoken, other) in
        [(true, "ALPN: server accepted h2", "http/1.1"), (false, "http/1.1", "accepted h2")]
    {
        let http = format!(
            "[http]\ncainfo = \"{certificate}\"\nmultiplexing = {multiplexing}\ndebug = true\ntimeout = 300\n"
        );
        let person = person_of(&garth, &http);
        let mut command = person.command(&["fetch"]);
        let output = command.env("CARGO_LOG", "network=debug").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let last: Vec<&str> = said.lines().rev().take(20).collect();
        assert!(output.status.success(), "{multiplexing}: {}", last.join("\n"));
        let alpn: Vec<&str> = said.lines().filter(|line| line.contains("ALPN: server")).collect();
        assert!(!alpn.is_empty() && alpn.iter().all(|line| line.contains(spoken)), "{alpn:?}");
        assert!(!alpn.iter().any(|line| line.contains(other)), "{alpn:?}");
        assert!(!said.contains("spurious network error"), "nothing had to be asked for again");
        assert_eq!(person.read("Cargo.lock").unwrap(), lockfile);
        check_kept(&person, &up);
    }
}
