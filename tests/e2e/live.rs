//! Against the registry that this machine's npm is set to: no configuration, a real package.
//!
//! Only `./dev live` runs these: they need that registry, and fail when it does.
//!
//! `npm audit signatures` is not among them. It needs more of the network than that registry: npm asks
//! a service of the public sigstore first. And it needs a registry with keys and signatures, which a
//! mirror may have left out. So it is tested in [`crate::npm`], against an upstream that signs.

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
