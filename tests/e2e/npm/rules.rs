//! Rules that can not be read: the last good ones stay, and where there are none nothing is served.

use support::http::Asked;

use super::{replace_record, setup, upstream};

const ALLOW: &str =
    "[[rule]]\nname = \"from-file\"\neffect = \"allow\"\npackages = [\"npm:left-pad\"]\n";
const BROKEN: &str =
    "[[rule]]\nname = \"typo\"\neffect = \"alow\"\npackages = [\"npm:left-pad\"]\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_policy_file_at_the_start_is_an_error_that_names_its_place() {
    let up = upstream().await;
    let setup = setup(&up);
    setup.write_policy("good", ALLOW);
    setup.write_policy("bad", BROKEN);
    let said = setup.start_in_vain();
    assert!(said.contains("bad.toml:3:"), "{said}");
    assert!(said.contains("alow") && said.contains("allow"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_mode_is_an_error_at_the_start() {
    let up = upstream().await;
    let said = setup(&up).with_settings("mode = \"enforced\"").start_in_vain();
    assert!(said.contains("garth.toml:") && said.contains("enforce"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_breaks_later_leaves_the_last_good_rules_in_force_and_is_said_aloud() {
    let up = upstream().await;
    let setup = setup(&up);
    setup.write_policy("rules", ALLOW);
    let garth = setup.start();
    assert_eq!(garth.get("/npm/left-pad").await.status, 200);
    assert_eq!(garth.metric("garth_rules_ok").await, 1);

    garth.setup().write_policy("rules", BROKEN);
    let ready = Asked::get("/readyz");
    let answer = garth.wait_for(&ready, |answer| answer.text().contains("rules.toml:3:")).await;
    assert_eq!(answer.status, 200);
    assert!(answer.text().starts_with("ready (degraded)"), "{}", answer.text());
    assert!(answer.text().contains("the last good rules are in force"), "{}", answer.text());
    assert_eq!(garth.get("/npm/left-pad").await.status, 200);
    assert_eq!(garth.get("/npm/@s/n").await.status, 403);
    let metrics = Asked::get("/metrics");
    garth.wait_for(&metrics, |answer| answer.text().contains("garth_rules_ok 0")).await;
    garth
        .wait_for(&metrics, |answer| {
            answer.text().contains("garth_alarms_total{kind=\"rules-broken\"} 1")
        })
        .await;

    // Rules by command hold meanwhile, and a mended file is taken up.
    garth.run(&["allow", "npm:@s/n"]);
    assert_eq!(garth.get("/npm/@s/n").await.status, 200);
    garth.setup().write_policy("rules", &ALLOW.replace("left-pad", "other"));
    garth.wait_for(&ready, |answer| answer.text().starts_with("ready\n")).await;
    assert_eq!(garth.get("/npm/left-pad").await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_file_a_changed_one_and_a_removed_one_hold_by_themselves() {
    let up = upstream().await;
    let garth = setup(&up).start();
    let packument = Asked::get("/npm/left-pad");
    assert_eq!(garth.ask(&packument).await.status, 403);
    garth.setup().write_policy("rules", ALLOW);
    garth.wait_for(&packument, |answer| answer.status == 200).await;
    let deny = ALLOW.replace("allow", "deny");
    garth.setup().write_policy("rules", &deny);
    let answer = garth.wait_for(&packument, |answer| answer.status == 403).await;
    assert!(answer.text().contains("denied by the rule from-file"), "{}", answer.text());
}

/// It may have been a deny.
#[tokio::test(flavor = "multi_thread")]
async fn a_rule_in_the_store_that_can_not_be_read_denies_everything_and_says_so() {
    let up = upstream().await;
    let garth = setup(&up).start();
    garth.run(&["allow", "npm:left-pad", "--name", "one"]);
    garth.run(&["allow", "npm:@s/n", "--name", "two"]);
    for path in ["/npm/left-pad/-/left-pad-1.3.0.tgz", "/npm/@s/n/-/n-1.0.0.tgz"] {
        assert_eq!(garth.get(path).await.status, 200);
    }
    let (setup, _) = garth.stop();
    let rows: [(&str, &[u8]); 4] = [
        ("no JSON", b"\x01{\"effect\":"),
        ("an unknown effect", b"\x01{\"effect\":\"maybe\",\"packages\":[\"npm:left-pad\"]}"),
        ("of a later garth", b"\xff{}"),
        ("nothing", b""),
    ];
    let mut setup = setup;
    for (name, value) in rows {
        let before = replace_record(&setup, b"rule/one", value).await;
        let garth = setup.start();
        for path in [
            "/npm/left-pad",
            "/npm/@s/n",
            "/npm/@s/n/1.0.0",
            "/npm/left-pad/-/left-pad-1.3.0.tgz",
            "/npm/@s/n/-/n-1.0.0.tgz",
        ] {
            let answer = garth.get(path).await;
            assert_eq!(answer.status, 403, "{name}, {path}: {}", answer.text());
            assert!(answer.text().contains("can not read its rules"), "{name}: {}", answer.text());
        }
        let ready = garth.get("/readyz").await;
        assert_eq!(ready.status, 503, "{name}: {}", ready.text());
        assert!(ready.text().contains("policies: failed"), "{name}: {}", ready.text());
        assert!(garth.log().contains("EVERYTHING IS DENIED"), "{name}");
        setup = garth.stop().0;
        replace_record(&setup, b"rule/one", &before).await;
    }
    let garth = setup.start();
    assert_eq!(garth.get("/npm/left-pad").await.status, 200, "mended, all is as before");
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_made_by_command_survive_a_kill() {
    let up = upstream().await;
    let garth = setup(&up).start();
    garth.run(&["allow", "npm:left-pad", "--reason", "kept"]);
    garth.run(&["deny", "npm:left-pad@1.3.0"]);
    let garth = garth.kill().start();
    assert_eq!(garth.get("/npm/left-pad/1.2.0").await.status, 200);
    assert_eq!(garth.get("/npm/left-pad/1.3.0").await.status, 403);
    let listed = garth.run(&["rules", "list"]);
    assert!(listed.contains("kept"), "{listed}");
}
