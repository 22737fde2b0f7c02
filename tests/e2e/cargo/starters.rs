//! The policies that `garth init` offers, with the real cargo: what they let through is fetched, and what
//! they refuse is refused with their reason.

use serde_json::json;
use support::crates::{Crate, CrateVersion, crate_path};
use support::server::TestServer;
use support::upstream::ScriptedUpstream;

use super::facts::{download, facts};
use super::{person, setup};

/// What each of them refuses, and with which words; `None` where an older version is served instead.
const REFUSED: &[(&str, &str, Option<&str>)] = &[
    ("settle", "fresh", Some("it is younger than seven days")),
    ("settle", "renewed", None),
    ("licences", "strict", Some("its licence is not one that we agreed to")),
    ("licences", "silent", Some("nobody knows its licence")),
    ("no-look-alikes", "serd", Some("its name looks like that of a better known package")),
    (
        "no-malicious",
        "liar",
        Some("its archive runs or wants something else than its registry says"),
    ),
];

/// What all of them let through.
const SERVED: &[&str] = &["plain", "spelled"];

async fn upstream() -> ScriptedUpstream {
    let up = ScriptedUpstream::start().await;
    let old = |version: CrateVersion| {
        version.field("pubtime", json!("2020-01-01T00:00:00Z")).says("license = \"MIT\"")
    };
    // It is never a week old, whenever this test is run.
    let new = |version: CrateVersion| {
        version.field("pubtime", json!("2200-01-01T00:00:00Z")).says("license = \"MIT\"")
    };
    for name in ["plain", "serd"] {
        Crate::new(name).version("1.0.0", old).publish(&up);
    }
    Crate::new("fresh").version("1.0.0", new).publish(&up);
    Crate::new("renewed").version("1.0.0", old).version("1.1.0", new).publish(&up);
    let dated = |version: CrateVersion| version.field("pubtime", json!("2020-01-01T00:00:00Z"));
    Crate::new("strict")
        .version("1.0.0", |version| dated(version).says("license = \"AGPL-3.0-only\""))
        .publish(&up);
    Crate::new("silent").version("1.0.0", dated).publish(&up);
    // cargo leaves a platform in the crate as it was written, and writes its own spelling into the index.
    let needed = |target: &str| {
        json!([{
            "name": "plain", "req": "^1", "features": [], "optional": false,
            "default_features": true, "target": target, "kind": "normal",
        }])
    };
    Crate::new("spelled")
        .version("1.0.0", |version| {
            let version = old(version).needs_on("cfg(target_os=\"windows\")", "plain", "1");
            version.field("deps", needed("cfg(target_os = \"windows\")"))
        })
        .publish(&up);
    Crate::new("liar")
        .version("1.0.0", |version| {
            let version = old(version).needs_on("cfg(target_os=\"windows\")", "plain", "1");
            version.field("deps", needed("cfg(target_os = \"wasi\")"))
        })
        .publish(&up);
    up
}

fn check(garth: &TestServer, policy: &str) {
    let person = person(garth);
    for name in SERVED {
        person.depend(&format!("{name} = \"1\""));
        person.must(&["fetch"]);
    }
    for (_, name, words) in REFUSED.iter().filter(|(of, ..)| *of == policy) {
        person.depend(&format!("{name} = \"1\""));
        if let Some(words) = words {
            let refused = person.must_fail(&["fetch"]).text();
            assert!(refused.contains(words), "{policy}: {name}: {refused}");
        } else {
            person.must(&["fetch"]);
            assert_eq!(person.locked(name).as_deref(), Some("1.0.0"), "{policy}: {name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_starter_policy_works_with_cargo() {
    let up = upstream().await;
    for policy in ["settle", "licences", "no-look-alikes", "no-malicious"] {
        let setup = setup(&up);
        let mut all = policies::rules::DEFAULTS.iter();
        let (_, text) = all.find(|(name, _)| *name == format!("{policy}.toml")).unwrap();
        setup.write_policy(policy, text);
        let garth = setup.start();
        garth.run(&["allow", "cargo:*"]);
        if policy == "no-malicious" {
            // The first of each goes through, and is compared behind the client's back.
            known(&garth, "spelled", false).await;
            known(&garth, "liar", true).await;
        }
        check(&garth, policy);
    }
}

/// Returns when it is known whether this crate contradicts its index.
async fn known(garth: &TestServer, name: &str, contradicts: bool) {
    garth.hold(&download(name, "1.0.0")).await;
    for _ in 0..500 {
        let known = facts(garth, &format!("cargo:{name}@1.0.0"));
        if !known["contradicts"].is_null() {
            assert_eq!(known["contradicts"], contradicts, "{name}: {known}");
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{name} is never compared");
}

/// A version that nothing could allow is neither shown nor fetched to see what its licence is.
#[tokio::test(flavor = "multi_thread")]
async fn only_what_a_licence_alone_decides_is_looked_into() {
    let up = ScriptedUpstream::start().await;
    let dated = |version: CrateVersion, year: u32| {
        let version = version.field("pubtime", json!(format!("{year}-01-01T00:00:00Z")));
        version.says("license = \"MIT\"")
    };
    Crate::new("dated")
        .version("1.0.0", |version| dated(version, 2020))
        .version("1.1.0", |version| dated(version, 2020))
        .version("1.2.0", |version| dated(version, 2200))
        .publish(&up);
    let setup = setup(&up);
    for name in ["settle", "licences"] {
        let file = format!("{name}.toml");
        let (_, text) = policies::rules::DEFAULTS.iter().find(|(of, _)| *of == file).unwrap();
        setup.write_policy(name, text);
    }
    let garth = setup.start();
    let person = person(&garth);
    let asked = |version: &str| up.requests(&crate_path("dated", version));
    for (allowed, taken, opened) in [("1.0.0", "1.0.0", [1, 0, 0]), ("^1", "1.1.0", [1, 1, 0])] {
        garth.run(&["allow", &format!("cargo:dated@{allowed}")]);
        person.forget();
        person.depend("dated = \"1\"");
        person.must(&["fetch"]);
        assert_eq!(person.locked("dated").as_deref(), Some(taken), "{allowed}");
        assert_eq!(["1.0.0", "1.1.0", "1.2.0"].map(asked), opened, "{allowed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiver_may_ask_what_only_the_crate_says() {
    let up = upstream().await;
    let setup = setup(&up);
    setup.write_policy(
        "rules",
        "[[rule]]\nname = \"all\"\neffect = \"allow\"\npackages = [\"cargo:*\"]\n\
         [[rule]]\nname = \"no-more\"\neffect = \"deny\"\npackages = [\"cargo:plain\", \"cargo:strict\"]\nreason = \"enough\"\n\
         [[waiver]]\nwaives = \"no-more\"\npackages = [\"cargo:*\"]\nwhen = \"licence.allowed(['MIT'])\"\nname = \"mit-is-fine\"\nreason = \"fine\"\nowner = \"ann@example.com\"\nexpires = 2999-01-01\n",
    );
    let garth = setup.start();
    let person = person(&garth);
    person.depend("plain = \"1\"");
    person.must(&["fetch"]);
    person.depend("strict = \"1\"");
    let refused = person.must_fail(&["fetch"]).text();
    assert!(refused.contains("enough"), "{refused}");
}
