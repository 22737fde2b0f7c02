//! Pipelines that are known by a signed token of their own system: what is taken, and all that is not.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use support::http::Asked;
use support::issuer::{DISCOVERY, Issuer, JWKS, Key, now, unsigned};
use support::publish::Publish;
use support::server::{Setup, TestServer};

/// A garth that knows the pipelines of `acme` at this issuer.
fn garth(issuer: &Issuer, more: &str) -> TestServer {
    let garth = Setup::new(&format!(
        "[registry.npm]\nown = [\"@acme/*\"]\n[identity.acme]\nissuer = \"{}\"\naudience = \"garth\"\n\
         claims = {{ repository = \"acme/*\", ref = [\"refs/heads/main\", \"refs/tags/v*\"] }}\n\
         team = \"web/shop\"\nrights = [\"publish=npm:@acme/*\"]\nlife = \"15m\"\n{more}",
        issuer.url
    ))
    .start();
    garth.run(&["team", "create", "web/shop"]);
    garth
}

fn claims(issuer: &Issuer, number: &str) -> Value {
    json!({
        "iss": issuer.url, "aud": "garth", "sub": "repo:acme/shop:ref:refs/heads/main",
        "repository": "acme/shop", "ref": "refs/heads/main", "jti": number,
        "iat": now() - 5, "nbf": now() - 5, "exp": now() + 300,
    })
}

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

fn without(mut claims: Value, name: &str) -> Value {
    claims.as_object_mut().unwrap().remove(name);
    claims
}

async fn exchange(garth: &TestServer, token: &str) -> (u16, Value) {
    let body = json!({ "token": token }).to_string();
    let asked =
        Asked::new("POST", "/api/v1/tokens/exchange").header("Content-Type", "application/json");
    let answer = garth.ask(&asked.body(body)).await;
    (answer.status, answer.json())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_publishes_by_its_own_token_for_a_while() {
    let (rsa, ec) = (Key::rsa("one"), Key::ec("two"));
    let issuer = Issuer::start(&[&rsa, &ec]).await;
    let garth = garth(&issuer, "");
    let mut secrets = Vec::new();
    for (number, key) in [("1", &rsa), ("2", &ec)] {
        let (status, made) = exchange(&garth, &key.sign(&claims(&issuer, number))).await;
        assert_eq!(status, 200, "{made}");
        assert_eq!((&made["token_type"], &made["identity"]), (&json!("Bearer"), &json!("acme")));
        let life = made["expires_in"].as_i64().unwrap();
        assert!((880..=900).contains(&life), "{made}");
        assert_eq!(made["token"]["team"], "web/shop");
        assert_eq!(made["token"]["owner"], "acme:repo:acme/shop:ref:refs/heads/main");
        secrets.push(made["access_token"].as_str().unwrap().to_owned());
    }
    let publish = async |name: &str| {
        let path = format!("/npm/{}", name.replace('/', "%2f"));
        let body = Publish::new(name, "1.0.0").body().to_string();
        let asked =
            Asked::new("PUT", &path).header("Authorization", &format!("Bearer {}", secrets[0]));
        garth.ask(&asked.body(body)).await.status
    };
    assert_eq!(publish("@acme/ui").await, 201);
    assert_eq!(publish("@other/ui").await, 403);
    // By the form that RFC 8693 has.
    let token = rsa.sign(&claims(&issuer, "3"));
    let form = format!(
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token={token}\
         &subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt"
    );
    let asked = Asked::new("POST", "/api/v1/tokens/exchange")
        .header("Content-Type", "application/x-www-form-urlencoded");
    assert_eq!(garth.ask(&asked.body(form)).await.status, 200);
    assert_eq!((issuer.up.requests(DISCOVERY), issuer.up.requests(JWKS)), (1, 1), "asked once");
    let listed = garth.run(&["token", "list", "--logins"]);
    assert!(listed.contains("acme:repo:acme/shop:ref:refs/heads/main"), "{listed}");
    let name = listed.split_whitespace().next().unwrap().to_owned();
    garth.run(&["token", "revoke", &name]);
    assert!(!garth.log().contains(&secrets[0]) && !garth.log().contains(&token));
    garth.run(&["team", "remove", "web/shop", "--with-tokens"]);
    assert_eq!(publish("@acme/x").await, 401);
}

/// Case 26.
#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::too_many_lines, reason = "a list of forgeries")]
async fn what_is_not_the_issuers_own_is_not_taken() {
    let (rsa, ec, stranger) = (Key::rsa("one"), Key::ec("two"), Key::rsa("one"));
    let issuer = Issuer::start(&[&rsa, &ec]).await;
    let garth = garth(&issuer, "");
    let good = || claims(&issuer, "good");
    let header = |more: Value| {
        let mut header = json!({ "alg": "RS256", "typ": "JWT", "kid": "one" });
        for (name, value) in more.as_object().unwrap() {
            header[name] = value.clone();
        }
        header
    };
    let own_key = |more: Value| stranger.sign_with(&header(more), &good());
    // The public key as the secret of a MAC, in the forms in which a library would take it.
    let public = rsa.jwk()["n"].as_str().unwrap().to_owned();
    let mac = |secret: &[u8]| {
        let message = unsigned(&json!({ "alg": "HS256", "kid": "one" }), &good());
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret);
        let tag = aws_lc_rs::hmac::sign(&key, message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()))
    };
    let none = unsigned(&json!({ "alg": "none" }), &good());
    let same = good();
    let genuine = rsa.sign(&same);
    let (signed, signature) = genuine.rsplit_once('.').unwrap();
    let (head, _) = signed.split_once('.').unwrap();
    let swapped =
        URL_SAFE_NO_PAD.encode(with(good(), "repository", json!("acme/other")).to_string());
    let rows = [
        ("another key of the same name", stranger.sign(&good())),
        ("a key of its own", own_key(json!({ "jwk": stranger.jwk() }))),
        ("an address for a key", own_key(json!({ "jku": format!("{}/keys", issuer.url) }))),
        ("a certificate", own_key(json!({ "x5c": ["MIIB"] }))),
        ("an address for a certificate", own_key(json!({ "x5u": issuer.url }))),
        (
            "genuine, with a key of its own",
            rsa.sign_with(&header(json!({ "jwk": rsa.jwk() })), &good()),
        ),
        ("no algorithm", format!("{none}.")),
        (
            "no algorithm, otherwise spelt",
            format!("{}.", unsigned(&json!({ "alg": "nOnE" }), &good())),
        ),
        ("a MAC by the public key", mac(public.as_bytes())),
        ("a MAC by its bytes", mac(&URL_SAFE_NO_PAD.decode(&public).unwrap())),
        ("a critical field", rsa.sign_with(&header(json!({ "crit": ["exp"] })), &good())),
        (
            "an unknown critical field",
            rsa.sign_with(&header(json!({ "crit": ["x"], "x": 1 })), &good()),
        ),
        ("an unencoded body", rsa.sign_with(&header(json!({ "b64": false })), &good())),
        (
            "another algorithm of the key",
            rsa.sign_with(&header(json!({ "alg": "PS256" })), &good()),
        ),
        ("an algorithm of another key", rsa.sign_with(&header(json!({ "alg": "ES256" })), &good())),
        ("an unknown key", stranger.sign_with(&header(json!({ "kid": "three" })), &good())),
        ("other claims", format!("{head}.{swapped}.{signature}")),
        ("a cut signature", genuine[..genuine.len() - 4].to_owned()),
        ("for somebody else", rsa.sign(&with(good(), "aud", json!("other")))),
        ("for nobody", rsa.sign(&without(good(), "aud"))),
        ("for several others", rsa.sign(&with(good(), "aud", json!(["garth2", "xgarth"])))),
        ("of another issuer", rsa.sign(&with(good(), "iss", json!("https://ci.example.com")))),
        (
            "of an issuer that begins so",
            rsa.sign(&with(good(), "iss", json!(format!("{}/", issuer.url)))),
        ),
        ("of no issuer", rsa.sign(&without(good(), "iss"))),
        ("expired", rsa.sign(&with(good(), "exp", json!(now() - 60)))),
        ("without an end", rsa.sign(&without(good(), "exp"))),
        ("with a text as its end", rsa.sign(&with(good(), "exp", json!("never")))),
        ("not valid yet", rsa.sign(&with(good(), "nbf", json!(now() + 120)))),
        ("of the future", rsa.sign(&with(good(), "iat", json!(now() + 120)))),
        ("no token", "garth".to_owned()),
        ("nothing", String::new()),
        ("dots", "..".to_owned()),
        ("much", "x".repeat(20_000)),
    ];
    let mut bodies = Vec::new();
    for (what, token) in rows {
        let (status, body) = exchange(&garth, &token).await;
        assert_eq!(status, 401, "{what}: {body}");
        bodies.push(body);
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    // What is genuine is told what is missing.
    for (claim, value) in [
        ("repository", json!("acme-evil/shop")),
        ("repository", json!(["acme/shop"])),
        ("ref", json!("refs/heads/main2")),
        ("ref", json!("refs/heads/feature")),
    ] {
        let (status, body) = exchange(&garth, &rsa.sign(&with(good(), claim, value))).await;
        assert_eq!((status, &body["code"]), (403, &json!("not-meant")), "{body}");
        assert!(body["detail"].as_str().unwrap().contains(&format!("`{claim}`")), "{body}");
    }
    let (status, _) = exchange(&garth, &rsa.sign(&without(good(), "repository"))).await;
    assert_eq!(status, 403);
    // Once, and not a second time.
    assert_eq!(exchange(&garth, &genuine).await.0, 200);
    let (status, body) = exchange(&garth, &genuine).await;
    assert_eq!((status, &body), (401, &bodies[0]));
    let (status, body) = exchange(&garth, &ec.sign(&same)).await;
    assert_eq!((status, &body), (401, &bodies[0]), "the same number under another key");
    let log = garth.story();
    for said in ["brings a key of its own", "algorithm is not taken", "signature is not", "again"] {
        assert!(log.contains(said), "{said}: {log}");
    }
    let setup = garth.kill();
    let garth = setup.start();
    assert_eq!(exchange(&garth, &genuine).await.0, 401, "nor after a crash");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_rotate_and_whoever_sends_unknown_ones_asks_the_issuer_once() {
    let (old, new) = (Key::rsa("old"), Key::ec("new"));
    let issuer = Issuer::start(&[&old]).await;
    let garth = garth(&issuer, "");
    assert_eq!(exchange(&garth, &old.sign(&claims(&issuer, "1"))).await.0, 200);
    issuer.publish(&[&new]);
    for n in 0..20 {
        let unknown = Key::ec(&format!("unknown-{n}"));
        assert_eq!(exchange(&garth, &unknown.sign(&claims(&issuer, "2"))).await.0, 401);
    }
    assert_eq!(issuer.up.requests(JWKS), 1, "within a minute it is not asked again");
    // Kept for its hour, so that a pipeline that runs is not cut off by a rotation.
    assert_eq!(exchange(&garth, &old.sign(&claims(&issuer, "3"))).await.0, 200);
    let setup = garth.kill();
    let garth = setup.start();
    assert_eq!(exchange(&garth, &new.sign(&claims(&issuer, "4"))).await.0, 200);
    assert_eq!(exchange(&garth, &old.sign(&claims(&issuer, "5"))).await.0, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_lies_or_is_down_lets_nobody_in() {
    let key = Key::rsa("one");
    let issuer = Issuer::start(&[&key]).await;
    let elsewhere = Issuer::start(&[&key]).await;
    let other = |name: &str, value: &str| json!({ name: value });
    for (what, document) in [
        ("another issuer", other("issuer", "https://ci.example.com")),
        ("keys elsewhere", other("jwks_uri", &elsewhere.up.at(JWKS))),
        ("keys at a private address", other("jwks_uri", "http://169.254.169.254/keys")),
        ("keys in a file", other("jwks_uri", "file:///etc/passwd")),
    ] {
        issuer.discover(&document);
        let garth = garth(&issuer, "");
        let (status, body) = exchange(&garth, &key.sign(&claims(&issuer, "1"))).await;
        assert_eq!((status, &body["code"]), (503, &json!("issuer-unavailable")), "{what}: {body}");
    }
    assert_eq!(elsewhere.up.total_requests(), 0);
    issuer.discover(&json!({}));
    issuer.up.place(JWKS, "application/json", "x".repeat(1 << 20));
    let garth = garth(&issuer, "");
    assert_eq!(exchange(&garth, &key.sign(&claims(&issuer, "1"))).await.0, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_that_would_let_everybody_in_is_a_fault_at_start() {
    let with = |more: &str| {
        let text =
            format!("[registry.npm]\n[identity.ci]\nissuer = \"https://ci.example.com\"\n{more}\n");
        Setup::new(&text).start_in_vain()
    };
    for (more, said) in [
        ("audience = \"garth\"", "asks for no claims"),
        ("audience = \"garth\"\nclaims = {}", "asks for no claims"),
        ("audience = \"garth\"\nclaims = { x = [] }", "expected"),
        ("claims = { x = \"y\" }", "needs its audience"),
        ("audience = \"garth\"\nclaims = { x = \"y\" }\nrights = [\"fly\"]", "there is no right"),
        ("audience = \"garth\"\nclaims = { x = 7 }", "expected"),
        ("audience = \"garth\"\nclaims = { x = \"y\" }\nteams = \"x\"", "did you mean `team`"),
    ] {
        let told = with(more);
        assert!(told.contains(said), "{more}: {told}");
    }
    let plain = "[registry.npm]\n[identity.ci]\nissuer = \"http://ci.example.com\"\naudience = \"garth\"\nclaims = { x = \"y\" }\n";
    let told = Setup::new(plain).start_in_vain();
    assert!(told.contains("https URL of an issuer"), "{told}");
}
