//! Own crates: the real cargo publishes, and what is published is fetched, yanked, owned and kept.

mod across;
mod clients;
mod hostile;
mod lasting;
mod rights;

use support::cargo::Cargo;
use support::server::{Setup, TestServer};

/// A garth of own crates alone.
fn own() -> Setup {
    Setup::new("[registry.cargo]\n")
}

/// Somebody whose cargo knows this garth as a registry of its own.
fn person(garth: &TestServer) -> Cargo {
    let person = Cargo::new();
    person.configure(&format!(
        "[registry]\nglobal-credential-providers = [\"cargo:token\"]\n\n[registries.garth]\nindex = \"sparse+{}/cargo/\"\n",
        garth.url
    ));
    person
}

/// The same, logged in with the token of this garth.
fn publisher(garth: &TestServer) -> Cargo {
    let person = person(garth);
    person.must(&["login", "--registry", "garth", &garth.admin_token()]);
    person
}

/// The project is this crate from now on.
pub fn become_crate(person: &Cargo, name: &str, version: &str, more: &str) {
    person.write(
        "Cargo.toml",
        &format!(
            "[package]\nname = \"{name}\"\nversion = \"{version}\"\nedition = \"2021\"\ndescription = \"About {name} {version}\"\nlicense = \"MIT\"\n{more}\n"
        ),
    );
    person.write(
        "src/lib.rs",
        &format!("//! {name} {version}\npub fn version() -> &'static str {{ \"{version}\" }}\n"),
    );
    let _ = std::fs::remove_file(person.project().join("Cargo.lock"));
}

pub const PUBLISH: &[&str] = &["publish", "--registry", "garth", "--allow-dirty"];
