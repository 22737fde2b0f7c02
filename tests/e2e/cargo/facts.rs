//! What rules ask of a crate, and where garth knows it from.

use support::crates::{Crate, crate_path, index_path};
use support::http::Asked;
use support::upstream::ScriptedUpstream;

use super::{lines, setup, upstream};

fn download(name: &str, version: &str) -> String {
    format!("/cargo/api/v1/crates/{name}/{version}/download")
}

async fn licensed() -> ScriptedUpstream {
    let up = ScriptedUpstream::start().await;
    Crate::new("turned")
        .version("1.0.0", |version| version.says("license = \"MIT\""))
        .version("2.0.0", |version| version.says("license = \"GPL-3.0-only\""))
        .publish(&up);
    Crate::plain("silent", &["1.0.0"]).publish(&up);
    up
}

const PERMISSIVE: &str = "[[rule]]\nname = \"permissive\"\neffect = \"allow\"\npackages = [\"cargo:*\"]\n\
                          when = \"licence.allowed(['family:permissive'])\"\n";

/// No index says a licence, so garth looks into the crate before it decides.
#[tokio::test(flavor = "multi_thread")]
async fn a_licence_is_read_in_the_crate_before_anything_of_it_is_sent() {
    let up = licensed().await;
    let setup = setup(&up);
    setup.write_policy("rules", PERMISSIVE);
    let garth = setup.start();
    let index = format!("/cargo{}", index_path("turned"));
    assert_eq!(lines(&garth.get(&index).await.text()), ["1.0.0", "2.0.0"], "nobody knows yet");
    let refused = garth.get(&download("turned", "2.0.0")).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert!(!refused.text().contains("nobody knows"), "{}", refused.text());
    // It is held, and sent to nobody: asking again fetches nothing.
    assert_eq!(garth.get(&download("turned", "2.0.0")).await.status, 403);
    assert_eq!(up.requests(&crate_path("turned", "2.0.0")), 1);
    assert_eq!(lines(&garth.get(&index).await.text()), ["1.0.0"], "what is denied is absent");
    let served = garth.get(&download("turned", "1.0.0")).await;
    assert_eq!(served.status, 200, "{}", served.text());
    let silent = garth.get(&download("silent", "1.0.0")).await;
    assert!(silent.text().contains("nobody knows its licence"), "{}", silent.text());
    let why = garth.garth(&["why", "cargo:turned@2.0.0", "--json"]);
    let why = String::from_utf8(why.stdout).unwrap();
    assert!(why.contains("GPL-3.0-only"), "{why}");

    // Another process opens what it holds.
    let garth = garth.kill().start();
    up.go_offline();
    assert_eq!(garth.get(&download("turned", "2.0.0")).await.status, 403);
    assert_eq!(garth.get(&download("turned", "1.0.0")).await.status, 200);
    assert_eq!(lines(&garth.get(&index).await.text()), ["1.0.0"]);
}

/// Whatever a crate says of itself, a version that is denied by its name is not fetched.
#[tokio::test(flavor = "multi_thread")]
async fn what_no_licence_could_let_through_is_not_looked_into() {
    let up = licensed().await;
    let setup = setup(&up);
    let deny = "[[rule]]\nname = \"no\"\neffect = \"deny\"\npackages = [\"cargo:turned\"]\n";
    setup.write_policy("rules", &format!("{PERMISSIVE}{deny}"));
    let garth = setup.start();
    assert_eq!(garth.get(&download("turned", "1.0.0")).await.status, 403);
    assert_eq!(up.requests(&crate_path("turned", "1.0.0")), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn code_that_runs_at_a_build_is_what_rules_call_install_scripts() {
    let up = ScriptedUpstream::start().await;
    Crate::new("builds")
        .version("1.0.0", |version| version.file("build.rs", "fn main() {}"))
        .publish(&up);
    Crate::plain("plain", &["1.0.0"]).publish(&up);
    let setup = setup(&up);
    let rules = "[[rule]]\nname = \"quiet\"\neffect = \"allow\"\npackages = [\"cargo:*\"]\n\
                 when = \"!install_scripts\"\n";
    setup.write_policy("rules", rules);
    let garth = setup.start();
    assert_eq!(garth.get(&download("plain", "1.0.0")).await.status, 200);
    let refused = garth.get(&download("builds", "1.0.0")).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn yanked_and_the_date_are_as_the_index_says_them() {
    let up = upstream().await;
    Crate::new("seed")
        .version("1.0.0", |version| version.field("pubtime", "2024-05-06T07:08:09Z".into()))
        .version("2.0.0", |version| {
            version.yanked().field("pubtime", "2200-01-01T00:00:00Z".into())
        })
        .publish(&up);
    let setup = setup(&up);
    let rules = "[[rule]]\nname = \"old\"\neffect = \"allow\"\npackages = [\"cargo:seed\"]\n\
                 when = \"age > duration('24h') && !yanked\"\n";
    setup.write_policy("rules", rules);
    let garth = setup.start();
    assert_eq!(lines(&garth.get("/cargo/se/ed/seed").await.text()), ["1.0.0"]);
    assert_eq!(garth.get(&download("seed", "2.0.0")).await.status, 403);
}

/// cargo resolves by the index and builds by the manifest.
#[tokio::test(flavor = "multi_thread")]
async fn a_crate_that_needs_something_else_than_its_index_says_contradicts_it() {
    let up = ScriptedUpstream::start().await;
    Crate::new("liar")
        .version("1.0.0", |version| version.needs("evil", "1").field("deps", "[]".parse().unwrap()))
        .publish(&up);
    Crate::new("honest")
        .version("1.0.0", |version| {
            version.needs("a", "1").may_use("b", ">=1.2, <2").needs_on("cfg(unix)", "c", "^0.1")
        })
        .publish(&up);
    let garth = setup(&up).start();
    garth.run(&["allow", "cargo:*"]);
    for name in ["liar", "honest"] {
        garth.hold(&download(name, "1.0.0")).await;
    }
    let no_liars = "[[rule]]\nname = \"no-liars\"\neffect = \"deny\"\npackages = [\"cargo:*\"]\n\
                    when = \"contradicts\"\n";
    garth.setup().write_policy("rules", no_liars);
    let refused = Asked::get(&download("liar", "1.0.0"));
    garth
        .wait_for(&refused, |answer| {
            answer.status == 403 && !answer.text().contains("nobody knows")
        })
        .await;
    let served = Asked::get(&download("honest", "1.0.0"));
    garth.wait_for(&served, |answer| answer.status == 200).await;
    let log = garth.log();
    assert!(log.contains("of dependencies its archive says normal evil ^1"), "{log}");
}
