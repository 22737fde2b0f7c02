//! Who is not let in, and what they are told.

use serde_json::{Value, json};
use support::edge::Answer;
use support::http::Asked;
use support::issuer::{Key, now, unsigned};
use support::provider::{Browser, GARTH, Provider};
use support::server::Setup;
use url::Url;

use super::{BEGUN, SESSION, code, garth, me, unknowing};

/// An ID token of these claims that is none.
type Forged = Box<dyn Fn(&Key, Value) -> String + Send + Sync>;

const BEGIN: &str = "https://garth.example.com/api/v1/login/providers/acme";

/// Up to the provider's answer, which is not opened.
async fn begin(browser: &mut Browser<'_>) -> Url {
    let there = browser.step(BEGIN).await.header("location").unwrap().to_owned();
    Url::parse(browser.step(&there).await.header("location").unwrap()).unwrap()
}

fn with(url: &Url, name: &str, value: Option<&str>) -> Url {
    let mut changed = url.clone();
    let pairs: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(known, _)| known != name)
        .map(|(k, v)| (k.into(), v.into()))
        .collect();
    changed
        .query_pairs_mut()
        .clear()
        .extend_pairs(&pairs)
        .extend_pairs(value.map(|value| (name, value)));
    changed
}

/// As JSON, as a program is told.
async fn back(browser: &mut Browser<'_>, address: &Url) -> Answer {
    let path = &address[url::Position::BeforePath..];
    browser.ask(Asked::get(path)).await
}

fn refused(answer: &Answer, status: u16, expected: &str, what: &str) {
    assert_eq!(code(answer), (status, expected.to_owned()), "{what}: {}", answer.text());
    let cookies = answer.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
    assert_eq!(cookies.filter(|(_, cookie)| cookie.contains(SESSION)).count(), 0, "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_answer_a_login_of_this_browser_is_not_taken() {
    let provider = Provider::start().await;
    let garth = garth(&provider, "");
    let mut browser = Browser::new(&garth);
    let state = |url: &Url, value: Option<&str>| with(url, "state", value);
    let answer = begin(&mut browser).await;
    for (what, other) in [
        ("another state", state(&answer, Some("A"))),
        ("no state", state(&answer, None)),
        ("an empty state", state(&answer, Some(""))),
    ] {
        refused(&back(&mut browser, &other).await, 400, "login-not-begun", what);
    }
    let mut other = Browser::new(&garth);
    refused(
        &back(&mut other, &answer).await,
        400,
        "login-not-begun",
        "a browser that began nothing",
    );
    let theirs = begin(&mut other).await;
    refused(&back(&mut other, &answer).await, 400, "login-not-begun", "somebody else's beginning");
    refused(&back(&mut browser, &theirs).await, 400, "login-not-begun", "somebody else's answer");
    let kept = browser.cookie(BEGUN).unwrap().to_owned();
    let mut changed = kept.clone().into_bytes();
    changed[30] = if changed[30] == b'A' { b'B' } else { b'A' };
    browser.set_cookie(BEGUN, std::str::from_utf8(&changed).unwrap());
    refused(&back(&mut browser, &answer).await, 400, "login-not-begun", "a changed cookie");
    assert_eq!(provider.exchanges(), 0, "no code was brought");
    browser.set_cookie(BEGUN, &kept);
    assert_eq!(back(&mut browser, &answer).await.status, 303);
    // Both counted once: the code there, and the beginning here.
    browser.set_cookie(BEGUN, &kept);
    refused(
        &back(&mut browser, &answer).await,
        401,
        "login-not-taken",
        "a code for the second time",
    );
    let fresh = begin(&mut other).await;
    let new_code = fresh.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    browser.set_cookie(BEGUN, &kept);
    let stolen = with(&answer, "code", Some(&new_code));
    refused(
        &back(&mut browser, &stolen).await,
        401,
        "login-not-taken",
        "a code of another beginning",
    );
    // A person reads a page, in which nothing of theirs is anything but text.
    let page = browser.step(state(&answer, Some("<b>")).as_str()).await;
    assert!(page.status == 400 && page.header("content-type").unwrap().starts_with("text/html"));
    assert!(
        page.text().contains("Not logged in") && page.header("content-security-policy").is_some()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_beginning_counts_once_whatever_codes_come_for_it() {
    let provider = Provider::start().await;
    let garth = garth(&provider, "");
    let mut browser = Browser::new(&garth);
    let there = browser.step(BEGIN).await.header("location").unwrap().to_owned();
    let kept = browser.cookie(BEGUN).unwrap().to_owned();
    let mut answers = Vec::new();
    for _ in 0..2 {
        let answer = browser.step(&there).await.header("location").unwrap().to_owned();
        browser.set_cookie(BEGUN, &kept);
        answers.push(back(&mut browser, &Url::parse(&answer).unwrap()).await);
    }
    assert_eq!(answers[0].status, 303);
    refused(&answers[1], 401, "login-not-taken", "a new code for an old beginning");
    let setup = garth.kill();
    let garth = setup.start();
    let mut browser = Browser::new(&garth);
    let answer = browser.step(&there).await.header("location").unwrap().to_owned();
    browser.set_cookie(BEGUN, &kept);
    let answer = back(&mut browser, &Url::parse(&answer).unwrap()).await;
    refused(&answer, 401, "login-not-taken", "after a crash");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_another_provider_brings_its_code_nowhere() {
    let provider = Provider::start().await;
    let garth = garth(&provider, "");
    let mut browser = Browser::new(&garth);
    for (what, iss) in [
        ("another issuer", Some("https://evil.example")),
        ("an issuer that begins so", Some(&*format!("{}/", provider.issuer.url))),
        ("no issuer, where it says that it says it", None),
    ] {
        let answer = begin(&mut browser).await;
        let answer = with(&answer, "iss", iss);
        refused(&back(&mut browser, &answer).await, 401, "login-not-taken", what);
    }
    assert_eq!(provider.exchanges(), 0);
    let other = begin(&mut browser).await.as_str().replace("/acme/", "/other/");
    let answer = back(&mut browser, &Url::parse(&other).unwrap()).await;
    refused(&answer, 404, "no-such-provider", "another name");
    // It says no, in words that are its own.
    let mut answer = begin(&mut browser).await;
    answer = with(&with(&answer, "code", None), "error", Some("access_denied\r\n<script>"));
    let told = back(&mut browser, &answer).await;
    refused(&told, 403, "login-refused", "no");
    assert!(!told.text().contains("<script>") && told.text().contains("access_denied"));
}

/// Case 26, of people.
#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::too_many_lines, reason = "a list of forgeries")]
async fn an_id_token_that_is_not_of_this_login_lets_nobody_in() {
    let provider = Provider::start().await;
    let garth = garth(&provider, "");
    let mut browser = Browser::new(&garth);
    let mut bodies = Vec::new();
    let lies: [(&str, Value); 9] = [
        ("nonce", json!("another")),
        ("nonce", Value::Null),
        ("aud", json!("other")),
        ("aud", json!(["garth", "other"])),
        ("azp", json!("other")),
        ("iss", json!("https://evil.example")),
        ("exp", json!(now() - 60)),
        ("iat", json!(now() - 3600)),
        ("sub", Value::Null),
    ];
    for (name, value) in lies {
        provider.claim(name, value.clone());
        let answer = begin(&mut browser).await;
        let answer = back(&mut browser, &answer).await;
        refused(&answer, 401, "login-not-taken", &format!("{name}: {value}"));
        bodies.push(answer.text());
    }
    let (stranger, other) = (Key::rsa("one"), Key::rsa("two"));
    let jwk = stranger.jwk();
    let forged: [(&str, Forged); 6] = [
        (
            "none",
            Box::new(|_, claims| format!("{}.", unsigned(&json!({ "alg": "none" }), &claims))),
        ),
        ("another key of the name", Box::new(move |_, claims| stranger.sign(&claims))),
        ("an unknown key", Box::new(move |_, claims| other.sign(&claims))),
        (
            "a key of its own",
            Box::new(move |key, claims| {
                let header = json!({ "alg": "RS256", "kid": "one", "jwk": jwk });
                key.sign_with(&header, &claims)
            }),
        ),
        (
            "an access token",
            Box::new(|key, claims| {
                key.sign_with(&json!({ "alg": "RS256", "kid": "one", "typ": "at+jwt" }), &claims)
            }),
        ),
        (
            "another algorithm",
            Box::new(|key, claims| {
                key.sign_with(&json!({ "alg": "PS256", "kid": "one" }), &claims)
            }),
        ),
    ];
    for (what, sign) in forged {
        provider.sign(sign);
        let answer = begin(&mut browser).await;
        let answer = back(&mut browser, &answer).await;
        refused(&answer, 401, "login-not-taken", what);
        bodies.push(answer.text());
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    provider.honest();
    assert_eq!(browser.log_in().await.1.status, 200);
    let log = garth.story();
    for said in
        ["answers another login", "algorithm is not taken", "has expired", "older than the login"]
    {
        assert!(log.contains(said), "{said}: {log}");
    }
    // What comes often is written behind it.
    let begun = std::time::Instant::now();
    while !garth.run(&["log", "--action", "login-failed", "--json"]).contains("provider acme") {
        assert!(begun.elapsed() < std::time::Duration::from_secs(30), "it is in no log");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_somebody_else_here_or_nobody_is_told_so() {
    let provider = Provider::start().await;
    let garth = garth(&provider, "");
    garth.run(&["user", "create", "robot", "--service"]);
    let mut browser = Browser::new(&garth);
    assert_eq!(browser.log_in().await.1.status, 200);
    let ann = |more: Value| {
        let mut ann =
            json!({ "sub": "17", "preferred_username": "ann", "groups": ["garth-users"] });
        for (name, value) in more.as_object().unwrap() {
            ann[name] = value.clone();
        }
        ann
    };
    let mail = |verified: Value| {
        ann(json!({ "preferred_username": null, "email": "ann", "email_verified": verified }))
    };
    for (what, person, said) in [
        ("nobody here", ann(json!({ "preferred_username": "bob" })), "nobody here yet"),
        ("not meant", ann(json!({ "groups": ["users"] })), "the claim `groups`"),
        ("an unverified address", mail(json!(false)), "not verified"),
        ("an address of which nothing is said", mail(Value::Null), "not verified"),
        ("a service", ann(json!({ "preferred_username": "robot" })), "is a service"),
        ("the name of before", ann(json!({ "sub": "18" })), "somebody else there was ann before"),
        (
            "the first token's name",
            ann(json!({ "preferred_username": "admin", "sub": "1" })),
            "nobody here yet",
        ),
    ] {
        provider.person(person);
        let answer = begin(&mut browser).await;
        let answer = back(&mut browser, &answer).await;
        refused(&answer, 403, "not-meant", what);
        assert!(answer.text().contains(said), "{what}: {}", answer.text());
    }
    for person in [ann(json!({ "preferred_username": "ANN" })), mail(json!(true))] {
        provider.person(person);
        assert_eq!(browser.log_in().await.1.status, 200);
        assert_eq!(me(&mut browser).await.1["name"], "ann");
    }
    // Meanwhile: between the beginning and the way back, and with a session.
    provider.person(ann(json!({})));
    let answer = begin(&mut browser).await;
    garth.run(&["user", "disable", "ann"]);
    let told = back(&mut browser, &answer).await;
    refused(&told, 403, "not-meant", "disabled");
    assert_eq!(me(&mut browser).await.0, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_new_is_made_known_where_garth_toml_says_so() {
    let provider = Provider::start().await;
    let more = "create = true\ngroup_teams = { shop = \"web/shop\", gone = \"web/gone\" }\n\
                group_roles = { chiefs = \"approver\" }";
    let garth = unknowing(&provider, more);
    garth.run(&["team", "create", "web/shop"]);
    let person =
        |groups: Value| json!({ "sub": "3", "preferred_username": "eve", "groups": groups });
    provider.person(person(json!(["garth-users", "shop", "gone", "chiefs"])));
    let mut browser = Browser::new(&garth);
    browser.log_in().await;
    let (_, who) = me(&mut browser).await;
    assert_eq!((&who["name"], &who["team"]), (&json!("eve"), &json!("web/shop")), "{who}");
    assert!(who["within"].to_string().contains("approve"), "{who}");
    let log = garth.run(&["log", "--action", "user-made", "--json"]);
    assert!(log.contains("\"eve\"") && log.contains("provider:acme"), "{log}");
    // What the groups say counts with the next login, for every login of before too.
    let before = browser.cookie(SESSION).unwrap().to_owned();
    provider.person(person(json!(["garth-users"])));
    browser.log_in().await;
    let (_, who) = me(&mut browser).await;
    assert_eq!(
        (&who["team"], who["within"].to_string().contains("approve")),
        (&Value::Null, false)
    );
    browser.set_cookie(SESSION, &before);
    assert_eq!(me(&mut browser).await.0, 401, "of a team that they left");
    assert!(garth.run(&["log", "--action", "user-changed", "--json"]).contains("provider:acme"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_host_leads_nobody_away() {
    let provider = Provider::start().await;
    let garth = garth(&provider, "");
    for path in ["/api/v1/login/providers/acme", "/api/login/providers/acme?return_to=/api/docs"] {
        let asked = Asked::get(path)
            .header("Host", "evil.example")
            .header("X-Forwarded-Host", "evil.example")
            .header("Forwarded", "host=evil.example;proto=http");
        let answer = garth.ask(&asked).await;
        let location = Url::parse(answer.header("location").unwrap()).unwrap();
        let redirect = location.query_pairs().find(|(name, _)| name == "redirect_uri").unwrap().1;
        assert_eq!(redirect, format!("{GARTH}/api/v1/login/providers/acme/callback"));
        assert!(!format!("{answer:?}").contains("evil"), "{answer:?}");
    }
    for odd in
        ["//evil.example", "https://evil.example", "/\\evil.example", "evil", "", "/a b", "/%0d"]
    {
        let path = format!("/api/v1/login/providers/acme?return_to={}", odd.replace(' ', "%20"));
        let answer = garth.ask(&Asked::get(&path)).await;
        assert_eq!(answer.status, 400, "{odd}");
    }
    let challenge = "A".repeat(43);
    for odd in [
        format!("port=80&challenge={challenge}"),
        "port=5000".to_owned(),
        format!("port=5000&challenge={challenge}&return_to=/x"),
        "port=5000&challenge=short".to_owned(),
        format!("port=5000&challenge={}", ".".repeat(43)),
        format!("port=99999&challenge={challenge}"),
        format!("challenge={challenge}"),
    ] {
        let answer = garth.ask(&Asked::get(&format!("/api/v1/login/providers/acme?{odd}"))).await;
        assert_eq!(code(&answer), (400, "invalid-query".to_owned()), "{odd}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_down_or_lies_lets_nobody_in() {
    let provider = Provider::start().await;
    for (what, document) in [
        ("another issuer", json!({ "issuer": "https://evil.example" })),
        (
            "plain http elsewhere",
            json!({ "authorization_endpoint": "http://login.example.com/authorize" }),
        ),
        ("no address", json!({ "authorization_endpoint": null })),
        ("a script", json!({ "authorization_endpoint": "javascript:alert(1)" })),
    ] {
        provider.issuer.discover(&document);
        let garth = garth(&provider, "");
        let answer = garth.ask(&Asked::get("/api/v1/login/providers/acme")).await;
        refused(&answer, 503, "provider-unavailable", what);
    }
    provider.issuer.discover(&json!({ "token_endpoint": "http://169.254.169.254/token" }));
    let garth = garth(&provider, "");
    let mut browser = Browser::new(&garth);
    let answer = begin(&mut browser).await;
    refused(&back(&mut browser, &answer).await, 503, "provider-unavailable", "a private address");
    // A code is brought once, however the answer fails.
    provider.issuer.discover(&json!({}));
    let setup = garth.kill();
    let garth = setup.start();
    let mut browser = Browser::new(&garth);
    provider.issuer.up.forget_requests();
    for (n, status) in [500, 503, 302, 200].into_iter().enumerate() {
        provider.issuer.up.on("/token").times(1).status(status);
        let answer = begin(&mut browser).await;
        let answer = back(&mut browser, &answer).await;
        assert!(matches!(answer.status, 401 | 503), "{status}: {}", answer.text());
        assert_eq!(provider.exchanges(), n + 1, "{status}");
    }
    provider.issuer.up.heal();
    assert_eq!(browser.log_in().await.1.status, 200);
}

#[test]
fn a_provider_that_would_let_everybody_in_is_a_fault_at_start() {
    let with = |above: &str, more: &str| {
        let text = format!("{above}\n[registry.npm]\n[login.provider.acme]\n{more}\n");
        Setup::new(&text).start_in_vain()
    };
    let url = "public_url = \"https://garth.example.com\"";
    let whole = "issuer = \"https://login.example.com\"\nclient_id = \"garth\"\nclaims = { groups = \"x\" }\n";
    for (above, more, said) in [
        ("", whole.to_owned(), "public_url"),
        ("public_url = \"http://garth.example.com\"", whole.to_owned(), "https `public_url`"),
        (url, whole.replace("claims = { groups = \"x\" }", ""), "asks for no claims"),
        (url, whole.replace("client_id = \"garth\"", ""), "needs its client_id"),
        (url, whole.replace("https://login", "http://login"), "https URL of an issuer"),
        (url, format!("{whole}client_secret = \"hush-hush\""), "may not stand in this file"),
        (url, format!("{whole}group_teams = {{ a = \"shop\" }}"), "is no team"),
        (url, format!("{whole}scopes = [\"a b\"]"), "words without blanks"),
        (url, format!("{whole}creat = true"), "did you mean `create`"),
    ] {
        let told = with(above, &more);
        assert!(told.contains(said), "{more}: {told}");
        assert!(!told.contains("hush-hush"), "{told}");
    }
}
