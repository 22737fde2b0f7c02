//! Rules that nobody can read: nobody knows what they deny, so everything is denied, and that is
//! said. And what would have to be guessed is not taken at all.

use serde_json::{Value, json};
use server::metadata::records::AdvisoriesRecord;
use support::http::{Asked, Line};
use support::publish::change;
use support::server::TestServer;

use super::super::npm::replace_record;
use super::gate::variations;
use super::{FORMATS, Format, ask_all};

/// What may become of a record that was JSON once.
type Damage = fn(&mut Value);

const DAMAGES: &[(&str, Damage)] = &[
    ("an unknown effect", |rule| rule["effect"] = "maybe".into()),
    ("no effect", |rule| remove(rule, "effect")),
    ("no packages", |rule| remove(rule, "packages")),
    ("an empty list of packages", |rule| rule["packages"] = json!([])),
    ("a pattern that is none", |rule| rule["packages"] = json!(["npm:../x"])),
    ("versions that are none", |rule| rule["versions"] = "newest".into()),
    ("an end that is no date", |rule| rule["expires"] = "soon".into()),
    ("no date of its making", |rule| remove(rule, "created")),
    ("a condition that is none", |rule| rule["terms"] = json!({ "when": "age <" })),
    ("a team that is none", |rule| rule["terms"] = json!({ "teams": ["../x"] })),
];

fn remove(rule: &mut Value, field: &str) {
    rule.as_object_mut().unwrap().remove(field).expect("a field that is there");
}

/// Of what is held and was allowed a moment ago.
async fn check_that_everything_is_denied(format: &Format, garth: &TestServer, why: &str) {
    let paths = format.gated();
    let plain: Vec<Asked> = paths
        .iter()
        .flat_map(|path| ["GET", "HEAD"].map(|method| Asked::new(method, path)))
        .collect();
    for (asked, answer) in plain.iter().zip(ask_all(garth, &plain).await) {
        assert_eq!(answer.status, 403, "{why}: {asked:?}: {}", answer.text());
        assert_eq!(answer.header("etag"), None, "{why}: {asked:?}");
        let decision = answer.header("garth-decision").unwrap_or_default();
        assert!(decision.starts_with("deny; revision="), "{why}: {asked:?}: {decision}");
        let says = answer.text().contains("can not read its rules");
        assert!(says || asked.method() == "HEAD", "{why}: {asked:?}: {}", answer.text());
    }
    let odd: Vec<Asked> = paths
        .iter()
        .enumerate()
        .flat_map(|(place, path)| {
            variations(format, path, &[]).into_iter().skip(place % 5).step_by(5)
        })
        .collect();
    for (asked, answer) in odd.iter().zip(ask_all(garth, &odd).await) {
        let status = answer.status;
        assert!((400..500).contains(&status) && status != 416, "{why}: {asked:?}: {status}");
    }
    let ready = garth.get("/readyz").await;
    assert_eq!(ready.status, 503, "{why}: {}", ready.text());
    assert!(ready.text().contains("policies: failed"), "{why}: {}", ready.text());
    assert!(garth.log().contains("EVERYTHING IS DENIED"), "{why}");
    assert_eq!(garth.metric("garth_rules_ok").await, 0, "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_or_advisories_that_can_not_be_read_deny_everything_by_every_route() {
    for format in FORMATS {
        let (_up, garth) = format.warm_garth().await;
        garth.run(&["deny", &format!("{}:another", format.name), "--name", "one"]);
        let (mut setup, _) = garth.stop();
        let whole = replace_record(&setup, b"rule/one", b"").await;
        let stored: Value = serde_json::from_slice(&whole[1..]).expect("JSON behind its version");
        let mut damaged: Vec<(&str, Vec<u8>)> = vec![
            ("nothing", Vec::new()),
            ("cut off", whole[..whole.len() / 2].to_vec()),
            ("of a later garth", [b"\xff", &whole[1..]].concat()),
        ];
        damaged.extend(DAMAGES.iter().map(|(name, damage)| {
            let mut stored = stored.clone();
            damage(&mut stored);
            (*name, [&whole[..1], stored.to_string().as_bytes()].concat())
        }));
        for (name, record) in damaged {
            replace_record(&setup, b"rule/one", &record).await;
            let garth = setup.start();
            check_that_everything_is_denied(format, &garth, name).await;
            setup = garth.stop().0;
        }
        replace_record(&setup, b"rule/one", &whole).await;

        // What advisories call malicious, nobody knows either.
        let garth = setup.start();
        assert_eq!(garth.get(format.document.here).await.status, 200, "mended, all is as before");
        let record = json!({
            "schema_version": "1.7.4", "id": "MAL-2026-1", "modified": "2026-01-01T00:00:00Z",
            "affected": [{ "package": { "ecosystem": format.advised_as, "name": "another" },
                           "ranges": [{ "type": "SEMVER", "events": [{ "introduced": "0" }] }] }],
        });
        let file = garth.setup().directory().join("MAL-2026-1.json");
        std::fs::write(&file, record.to_string()).unwrap();
        garth.run(&["advisories", "import", &file.display().to_string(), "--source", "x"]);
        let (setup, _) = garth.stop();
        let key: &'static [u8] = Box::leak(AdvisoriesRecord::key().as_bytes().into());
        let whole = replace_record(&setup, key, b"\x01{").await;
        let garth = setup.start();
        check_that_everything_is_denied(format, &garth, "advisories").await;
        let (setup, _) = garth.stop();
        replace_record(&setup, key, &whole).await;
        assert_eq!(setup.start().get(format.document.here).await.status, 200, "mended");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_have_to_be_guessed_keeps_garth_from_starting() {
    let rule = |more: &str| format!("[[rule]]\nname = \"x\"\npackages = [\"*\"]\n{more}\n");
    let waiver = |more: &str| {
        let known = "name = \"x\"\nwaives = \"y\"\npackages = [\"*\"]\nreason = \"z\"";
        format!("[[waiver]]\n{known}\n{more}\n")
    };
    let policies = [
        rule("effect = \"allow\"\nexpires = \"soon\""),
        rule("effect = \"allow\"\nexpires = 2026-02-30"),
        rule("effect = \"allow\"\nexpires = \"\""),
        rule("effect = \"allow\"\nstarts = 7"),
        rule("effect = \"alow\""),
        rule(""),
        rule("effect = \"deny\"\nwhen = \"publishd < age\""),
        rule("effect = \"deny\"\nversoins = \"1\""),
        waiver("owner = \"ann\""),
        waiver("expires = 2900-01-01"),
        rule("effect = \"allow\"") + &rule("effect = \"deny\""),
    ];
    for format in FORMATS {
        let up = format.upstream().await;
        let setup = format.setup(&up, "");
        for text in &policies {
            setup.write_policy("rules", text);
            let told = setup.start_in_vain();
            assert!(
                told.contains("cannot serve") && told.contains("rules.toml:"),
                "{text}: {told}"
            );
        }
        for mode in ["enforced", "", "off", "Enforce", "none"] {
            let setup = format.setup(&up, "").with_settings(&format!("mode = \"{mode}\""));
            let told = setup.start_in_vain();
            assert!(told.contains("garth.toml:") && told.contains("enforce"), "{mode}: {told}");
            // An empty variable is one that is not set.
            if !mode.is_empty() {
                let setup = format.setup(&up, "").with_env("GARTH_MODE", mode);
                let told = setup.start_in_vain();
                assert!(told.contains("GARTH_MODE") && told.contains("enforce"), "{mode}: {told}");
            }
        }
    }
}

/// The last good rules deny what they denied, whatever becomes of their files.
#[tokio::test(flavor = "multi_thread")]
async fn a_deny_stays_when_its_file_breaks_or_its_directory_goes() {
    for format in FORMATS {
        let up = format.upstream().await;
        let setup = format.setup(&up, "");
        let deny = |versions: &str| {
            let package = format.package;
            format!(
                "[[rule]]\nname = \"no\"\neffect = \"deny\"\npackages = [\"{package}\"]\n{versions}\n\
                 [[rule]]\nname = \"all\"\neffect = \"allow\"\npackages = [\"*\"]\n"
            )
        };
        setup.write_policy("rules", &deny(""));
        let garth = setup.start();
        let mut line = Line::to(&garth);
        let policies = garth.setup().directory().join("policies");
        let ready = Asked::get("/readyz");
        for (place, broken) in
            [deny("versions = \"newest\""), deny("effect = "), "\u{0}".to_owned()]
                .iter()
                .enumerate()
        {
            garth.setup().write_policy("rules", broken);
            garth.wait_for(&ready, |answer| answer.text().contains("degraded")).await;
            for path in format.gated() {
                let status = line.ask(&Asked::get(&path)).await.status;
                assert_eq!(status, 403, "{place}: {path}");
            }
            garth.setup().write_policy("rules", &deny(""));
            garth.wait_for(&ready, |answer| answer.text().starts_with("ready\n")).await;
        }
        std::fs::rename(&policies, policies.with_extension("gone")).unwrap();
        garth.wait_for(&ready, |answer| answer.text().contains("degraded")).await;
        for path in format.gated() {
            assert_eq!(line.ask(&Asked::get(&path)).await.status, 403, "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_takes_no_rule_that_would_have_to_be_guessed() {
    for format in FORMATS {
        let up = format.upstream().await;
        let garth = format.setup(&up, "").start();
        let whole = json!({ "name": "x", "effect": "allow", "packages": [format.package], "versions": "*" });
        let wrong: [(&str, Value); 9] = [
            ("expires", "soon".into()),
            ("expires", "".into()),
            ("expires", 7.into()),
            ("starts", "2026-02-30".into()),
            ("effect", "maybe".into()),
            ("effect", Value::Null),
            ("packages", json!([])),
            ("when", "age <".into()),
            ("observe", "no".into()),
        ];
        for (field, value) in wrong {
            let mut rule = whole.clone();
            rule[field] = value;
            let answer = change(&garth, "POST", "/api/v1/rules", &rule.to_string()).await;
            assert!(
                matches!(answer.status, 400 | 422),
                "{rule}: {} {}",
                answer.status,
                answer.text()
            );
            assert_eq!(garth.get(format.artifact.here).await.status, 403, "{rule}");
        }
        let answer = change(&garth, "POST", "/api/v1/rules", &whole.to_string()).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        assert_eq!(garth.get(format.artifact.here).await.status, 200);
    }
}
