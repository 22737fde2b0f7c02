//! Against the registries that this machine's npm and cargo are set to: no configuration, real packages.
//!
//! Only `./dev live` runs these: they need those registries, and fail when they do.
//!
//! `npm audit signatures` is not among them. It needs more of the network than npm's registry: npm asks
//! a service of the public sigstore first. And it needs a registry with keys and signatures, which a
//! mirror may have left out. So it is tested in [`crate::npm`], against an upstream that signs.

use std::path::Path;
use std::process::Command;

use support::cargo::Cargo;
use support::npm::Npm;
use support::package_managers::{Kind, PackageManager};
use support::server::Setup;

/// Small, finished and without dependencies.
const PACKAGE: &str = "left-pad";

#[test]
#[ignore = "asks the registry that this machine's npm is set to; ./dev live runs it"]
fn without_configuration_a_real_package_is_refused_then_allowed_then_installed() {
    let garth = Setup::without_settings().start();
    let said = garth.log();
    assert!(said.contains("npm config get registry"), "what it found, and where: {said}");
    let npm = Npm::new(&format!("{}/npm/", garth.url));
    let wanted = format!("{PACKAGE}@1.3.0");

    let refused = npm.must_fail(&["install", &wanted]);
    assert!(refused.text().contains("E403"), "{}", refused.text());
    assert!(refused.text().contains("garth request npm:left-pad"), "{}", refused.text());

    garth.run(&["allow", &format!("npm:{PACKAGE}"), "--reason", "a live test"]);
    npm.must(&["install", &wanted]);
    assert_eq!(npm.installed(PACKAGE).as_deref(), Some("1.3.0"));

    // From what garth holds, after a restart.
    let garth = garth.stop().0.start();
    let npm = Npm::new(&format!("{}/npm/", garth.url));
    npm.must(&["install", &wanted]);
    assert_eq!(npm.installed(PACKAGE).as_deref(), Some("1.3.0"));
}

#[test]
#[ignore = "asks the registry that this machine's npm is set to; ./dev live runs it"]
fn every_client_installs_a_real_package_and_installs_it_again_from_its_lockfile() {
    let garth = Setup::without_settings().start();
    garth.run(&["allow", &format!("npm:{PACKAGE}"), "--reason", "a live test"]);
    for kind in Kind::ALL {
        let person = PackageManager::new(kind, &format!("{}/npm/", garth.url));
        person.must(&[kind.add(), &format!("{PACKAGE}@1.3.0")]);
        assert_eq!(person.installed(PACKAGE).as_deref(), Some("1.3.0"), "{kind:?}");
        person.forget();
        person.must(kind.install_locked());
        assert_eq!(person.installed(PACKAGE).as_deref(), Some("1.3.0"), "{kind:?}");
    }
}

/// What cargo keeps of crates, by their file names.
fn kept(person: &Cargo) -> Vec<String> {
    let cache = person.home().join(".cargo/registry/cache");
    let registries = std::fs::read_dir(cache).unwrap();
    let files = registries.flat_map(|one| std::fs::read_dir(one.unwrap().path()).unwrap());
    files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
#[ignore = "asks the registry that this machine's cargo is set to; ./dev live runs it"]
fn all_that_garth_itself_is_built_on_is_fetched_through_garth_by_its_lockfile() {
    let workspace = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let lockfile = std::fs::read_to_string(workspace.replace("Cargo.toml", "Cargo.lock")).unwrap();
    let locked = lockfile.matches("\nchecksum = ").count();
    assert!(locked >= 400, "{locked}");
    let mut garth = Setup::without_settings().start();
    garth.run(&["allow", "cargo:*", "--reason", "a live test"]);
    // From the registry, then from what garth holds, after a restart.
    for _ in 0..2 {
        let person = Cargo::replaced_by(&format!("{}/cargo/", garth.url));
        person.must(&["fetch", "--locked", "--manifest-path", workspace]);
        assert_eq!(kept(&person).len(), locked);
        garth = garth.stop().0.start();
    }
    let after = workspace.replace("Cargo.toml", "Cargo.lock");
    assert_eq!(std::fs::read_to_string(after).unwrap(), lockfile);
}

/// What is built here lies in these, and is no part of what is built on.
fn is_source(name: &str) -> bool {
    name != "target" && !name.starts_with('.')
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (name, kind) = (entry.file_name(), entry.file_type().unwrap());
        if kind.is_dir() && is_source(&name.to_string_lossy()) {
            copy(&entry.path(), &to.join(name));
        } else if kind.is_file() {
            std::fs::copy(entry.path(), to.join(name)).unwrap();
        }
    }
}

/// The lockfile of garth itself, resolved anew by this cargo.
fn resolved(mut cargo: Command) -> String {
    let project = tempfile::tempdir().unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), project.path());
    let lockfile = project.path().join("Cargo.lock");
    std::fs::remove_file(&lockfile).unwrap();
    let output = cargo.current_dir(project.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read_to_string(lockfile).unwrap()
}

#[test]
#[ignore = "asks the registry that this machine's cargo is set to; ./dev live runs it"]
fn what_garth_itself_is_built_on_is_resolved_anew_as_without_garth() {
    const COMMAND: &str = "generate-lockfile";
    let garth = Setup::without_settings().start();
    garth.run(&["allow", "cargo:*", "--reason", "a live test"]);
    let person = Cargo::replaced_by(&format!("{}/cargo/", garth.url));
    let through = resolved(person.command(&[COMMAND]));
    let mut plain = Command::new(support::cargo::program());
    plain.arg(COMMAND);
    assert_eq!(resolved(plain), through);
    assert!(through.matches("\nchecksum = ").count() >= 400);
}
