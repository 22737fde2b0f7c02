//! The admin API: its rows come from its own table of endpoints.

use server::access::rights::Right;
use server::api::table::{Endpoint, Needs, table};
use support::upstream::ScriptedUpstream;

use super::askers::Asker;
use super::{Row, World, text};

/// A row of this endpoint, with its path as the table has it.
fn row(id: &'static str) -> Row {
    let endpoint = table().iter().find(|endpoint| endpoint.id == id);
    let endpoint = endpoint.unwrap_or_else(|| panic!("there is no endpoint {id} any more"));
    Row { id, ..Row::new(endpoint.method.as_str(), &format!("/api/v1{}", endpoint.path)) }
}

/// What counts beside the endpoint: whose it is, and of which package. An endpoint of which the
/// handler decides who is let in has to be here.
#[allow(clippy::too_many_lines, reason = "a table")]
fn given() -> Vec<Row> {
    let user = r#"{"name":"user-<n>","teams":["web/shop"],"password":"<password>"}"#;
    let (of_acme, of_other) = ("its @acme", "its @other");
    let wish =
        |package: &str| format!(r#"{{"package":"npm:{package}-<n>","reason":"we need it"}}"#);
    let deny = |package: &str| {
        format!(r#"{{"name":"deny-<n>","effect":"deny","packages":["npm:{package}-<n>"]}}"#)
    };
    let token = r#"{"name":"made-<n>","team":"web/shop","expires":"<soon>"}"#;
    // There may be a hundred of them at once.
    let hook = r#"{"name":"hook","url":"http://127.0.0.1:9/","events":["log-changed"]}"#;
    let no_hook = |row: Row| row.after("DELETE", "/api/v1/webhooks/hook", "");
    let mut rows = vec![
        row("create_rule").of(of_acme).sends(&deny("@acme/x")),
        row("create_rule").of(of_other).sends(&deny("@other/x")),
        row("create_rule").of("everything").sends(r#"{"effect":"allow","packages":["npm:*"]}"#),
        row("remove_rule").of(of_acme).at("deny-<n>").after(
            "POST",
            "/api/v1/rules",
            &deny("@acme/x"),
        ),
        row("remove_rule").of(of_other).at("deny-<n>").after(
            "POST",
            "/api/v1/rules",
            &deny("@other/x"),
        ),
        row("show_rule").at("deny-<n>").after("POST", "/api/v1/rules", &deny("@acme/x")),
        row("show_decision").of(of_acme).asking("package=npm:@acme/ui@1.0.0"),
        row("show_decision").of(of_other).asking("package=npm:@other/ui@1.0.0"),
        row("decide_many").sends(r#"{"versions":["npm:@acme/ui@1.0.0"]}"#),
        row("show_closure").sends(r#"{"package":"npm:left-pad"}"#),
        row("list_observed").of("all teams"),
        row("list_observed").of("web/shop").asking("team=web/shop"),
        row("list_observed").of("web/blog").asking("team=web/blog"),
        row("backtest_policies").sends(r#"{"files":[]}"#),
        row("diff_policies").sends(r#"{"files":[]}"#),
        row("list_advisories").asking("package=npm:left-pad"),
        row("import_advisories").sends("{}"),
        row("ask").of(of_acme).sends(&wish("@acme/wish")),
        row("ask").of(of_other).sends(&wish("@other/wish")),
        row("show_request").at("<number>").after("POST", "/api/v1/requests", &wish("@acme/wish")),
    ];
    for (about, package) in [(of_acme, "@acme/wish"), (of_other, "@other/wish")] {
        let approve = r#"{"requests":[<number>],"reason":"because"}"#;
        let after = |row: Row| row.of(about).after("POST", "/api/v1/requests", &wish(package));
        rows.extend([
            after(row("approve_requests")).sends(approve),
            after(row("reject_requests")).sends(approve),
            after(row("comment")).at("<number>").sends(r#"{"text":"why?"}"#),
        ]);
        let forget = format!(r#"{{"package":"npm:{package}-<n>"}}"#);
        rows.push(row("forget").of(about).sends(&forget));
    }
    for (about, package) in [(of_acme, "@acme%2Fui"), (of_other, "@other%2Fui")] {
        for id in ["list_versions", "show_version", "evict_version"] {
            let row = row(id).of(about).at("npm").at(package);
            rows.push(if id == "list_versions" { row } else { row.at("1.0.0") });
        }
    }
    for (about, package) in [(of_acme, "@acme%2Fui"), (of_other, "@other%2Fui")] {
        let of_package = |row: Row| row.of(about).at("npm").at(package);
        rows.extend([
            of_package(row("list_versions")),
            of_package(row("show_version")).at("1.0.0"),
            of_package(row("evict_version")).at("1.0.0"),
        ]);
    }
    let elsewhere = &token.replace("shop", "blog");
    let another = |row: Row| row.after("POST", "/api/v1/tokens", token).at("made-<n>");
    let another_team = |row: Row| row.after("POST", "/api/v1/tokens", elsewhere).at("made-<n>");
    rows.extend([
        row("create_token").of("to read").sends(r#"{"name":"made-<n>"}"#),
        row("create_token")
            .of("everything")
            .sends(r#"{"name":"made-<n>","rights":["publish","approve","promote","administer"]}"#),
        row("create_token").of("endless").sends(r#"{"name":"made-<n>","expires":"never"}"#),
        row("create_token").of("web/shop").sends(token),
        row("create_token").of("web/blog").sends(elsewhere),
        row("create_token")
            .of("administrator")
            .sends(r#"{"name":"made-<n>","roles":["administrator"]}"#),
        row("rotate_token").of("the own").at("<token>").sends("{}").spends(),
        another(row("rotate_token")).of("web/shop").sends("{}"),
        another_team(row("rotate_token")).of("web/blog").sends("{}"),
        row("revoke_token").of("the own").at("<token>").spends(),
        another(row("revoke_token")).of("web/shop"),
        another_team(row("revoke_token")).of("web/blog"),
        row("create_role").of("to read").sends(r#"{"name":"role-<n>","rights":["read"]}"#),
        row("create_role").of("to publish").sends(r#"{"name":"role-<n>","rights":["publish"]}"#),
        row("show_role").at("reader"),
        row("create_user").of("reader").sends(r#"{"name":"user-<n>"}"#),
        row("create_user")
            .of("administrator")
            .sends(r#"{"name":"user-<n>","roles":["administrator"]}"#),
        row("create_user").of("web/blog").sends(r#"{"name":"user-<n>","teams":["web/blog"]}"#),
    ]);
    let role = r#"{"name":"role-<n>","rights":["read"]}"#;
    let held = |row: Row| row.after("POST", "/api/v1/roles", role).at("role-<n>");
    let somebody = |row: Row| row.after("POST", "/api/v1/users", user).at("user-<n>");
    rows.extend([
        held(row("change_role")).of("to read").sends(r#"{"rights":["read=npm:x"]}"#),
        held(row("change_role")).of("to publish").sends(r#"{"rights":["publish"]}"#),
        held(row("remove_role")),
        somebody(row("show_user")),
        somebody(row("change_user")).of("to publish").sends(r#"{"roles":["publisher"]}"#),
        somebody(row("change_user")).of("web/blog").sends(r#"{"teams":["web/blog"]}"#),
        somebody(row("change_user")).of("disabled").sends(r#"{"disabled":true}"#),
        somebody(row("remove_user")),
        row("set_password")
            .of("the own")
            .at("<person>")
            .sends(r#"{"password":"another good one","current":"<password>"}"#)
            .spends(),
        somebody(row("set_password")).of("another's").sends(r#"{"password":"another good one"}"#),
        row("set_team_roles")
            .of("administrator")
            .at("web")
            .at("shop")
            .sends(r#"{"roles":["administrator"]}"#),
        row("set_team_roles").of("its own").at("web").at("shop").sends(r#"{"roles":["reader"]}"#),
        row("set_team_roles").of("another").at("web").at("blog").sends(r#"{"roles":["reader"]}"#),
        row("set_unit_roles").at("web").sends(r#"{"roles":["reader"]}"#),
        row("create_team").sends(r#"{"name":"web/team-<n>"}"#),
        row("remove_team").at("web").at("team-<n>").after(
            "POST",
            "/api/v1/teams",
            r#"{"name":"web/team-<n>"}"#,
        ),
        row("log_in").sends(r#"{"name":"user-<n>","password":"wrong horse battery"}"#),
        row("log_out").spends(),
        row("end_session").spends(),
        row("redeem_login").sends(r#"{"code":"x","verifier":"y"}"#),
        row("list_tokens"),
        row("show_me"),
        row("exchange_token").sends(r#"{"token":"x"}"#),
        row("follow_events"),
        no_hook(row("create_webhook")).sends(hook),
        row("prove_inclusion").asking("n=0"),
        row("prove_consistency").asking("from=1"),
    ]);
    for (id, body) in [
        ("show_webhook", None),
        ("remove_webhook", None),
        ("test_webhook", None),
        ("rotate_webhook", Some("{}")),
        ("resume_webhook", Some("{}")),
        ("list_deliveries", None),
        ("redeliver", None),
    ] {
        let mut row = no_hook(row(id)).at("hook").after("POST", "/api/v1/webhooks", hook);
        if id == "redeliver" {
            row = row.at("1");
        }
        rows.push(match body {
            Some(body) => row.sends(body),
            None => row,
        });
    }
    rows
}

/// In the order of the table, with a row for each endpoint of which none is given.
fn rows() -> Vec<(&'static Endpoint, Row)> {
    let mut given = given();
    let mut rows = Vec::new();
    for endpoint in table() {
        let count = rows.len();
        let own = given.extract_if(.., |row| row.id == endpoint.id);
        rows.extend(own.map(|row| (endpoint, row)));
        if rows.len() > count {
            continue;
        }
        let by_handler = !matches!(endpoint.needs, Needs::Nothing | Needs::Whole(_));
        assert!(
            !by_handler,
            "{} is let in by what its handler finds: give it rows for what is whose, in given()",
            endpoint.id
        );
        let mut row = row(endpoint.id);
        while row.path.contains('{') {
            row = row.at("1");
        }
        if row.method != "GET" {
            row = row.sends("{}");
        }
        rows.push((endpoint, row));
    }
    rows
}

/// What the table of endpoints says of the cell, where it says all.
fn lets_in(needs: Needs, asker: Asker) -> Option<bool> {
    match needs {
        Needs::Nothing => Some(true),
        Needs::Whole(right) => Some(asker.may(right.as_str())),
        Needs::ReadOrNobody if asker == Asker::Nobody => None,
        Needs::Token | Needs::Some(_) | Needs::ReadOrNobody => (!asker.is_known()).then_some(false),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_lets_in_whom_the_committed_matrix_says() {
    let up = ScriptedUpstream::start().await;
    up.npm("left-pad").plain_version("1.3.0").publish();
    let mut world = World::start(up, "").await;
    let rows = rows();
    let (endpoints, rows): (Vec<&Endpoint>, Vec<Row>) = rows.into_iter().unzip();
    let cells = world.cells(&rows, &Asker::ALL).await;
    for (endpoint, cells) in endpoints.into_iter().zip(&cells) {
        // What the table says holds whatever is committed.
        for (asker, cell) in Asker::ALL.into_iter().zip(cells) {
            let is_in = !matches!(cell.as_str(), "-" | "no");
            match lets_in(endpoint.needs, asker) {
                Some(false) => assert!(!is_in, "{} lets {asker:?} in: {cell}", endpoint.id),
                Some(true) => assert_ne!(cell, "-", "{} does not know {asker:?}", endpoint.id),
                None => {}
            }
            assert_eq!(cell == "-", !is_in && !asker.is_known(), "{} {asker:?}", endpoint.id);
        }
    }
    insta::assert_snapshot!("api", text(&rows, &Asker::ALL, &cells));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_asks_for_anything_where_nothing_is_for_everybody() {
    let up = ScriptedUpstream::start().await;
    let mut world = World::start(up, "anonymous = \"none\"").await;
    let rows: Vec<Row> = rows().into_iter().map(|(_, row)| row).collect();
    let askers = [Asker::Nobody, Asker::Unknown];
    let cells = world.cells(&rows, &askers).await;
    insta::assert_snapshot!("api_without_a_token", text(&rows, &askers, &cells));
}

/// So that the tables above have a column for each.
#[test]
fn every_right_has_its_askers() {
    for right in Right::ALL {
        let whole = Asker::ALL.into_iter().filter(|asker| asker.may(right.as_str()));
        assert!(whole.count() > 1, "{right}");
    }
}
