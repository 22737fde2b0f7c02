//! Events that are sent to programs outside: signed, in order, and as long as it takes.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use support::client::Client;
use support::receiver::{Receiver, is_signed};
use support::server::{Setup, TestServer};
use support::upstream::{Answer, Body};

use super::npm::teams::token;
use super::pull::eventually;

const PATIENCE: Duration = Duration::from_secs(40);

/// A garth that may send to these receivers.
fn setup(receivers: &[&Receiver], more: &str) -> Setup {
    let hosts: Vec<String> =
        receivers.iter().map(|receiver| format!("{:?}", receiver.authority())).collect();
    Setup::new(&format!("[webhooks]\nallow_hosts = [{}]\n{more}", hosts.join(", ")))
}

/// Makes one for rules; gives its secret.
fn create(garth: &TestServer, name: &str, receiver: &Receiver) -> String {
    let url = receiver.url();
    let secret = garth.run(&["webhook", "create", &url, "--events", "rule-*", "--name", name]);
    assert!(secret.starts_with("whsec_") && secret.lines().count() == 1, "{secret}");
    secret.trim().to_owned()
}

async fn make_rules(garth: &TestServer, names: &[&str]) {
    for name in names {
        assert_eq!(Client::of(garth).make_rule(name, "allow", "npm:x").await, 201);
    }
}

/// The subjects of what arrived, each as often as it was posted.
fn subjects(receiver: &Receiver, secret: &str) -> Vec<String> {
    let subject = |event: &Value| event["data"]["subject"].as_str().unwrap().to_owned();
    receiver.arrived(secret).iter().map(|arrived| subject(&arrived.event)).collect()
}

fn json_of(garth: &TestServer, arguments: &[&str]) -> Value {
    serde_json::from_str(&garth.run(&[arguments, &["--json"]].concat())).unwrap()
}

/// The actions in the audit log that are about this webhook.
fn logged(garth: &TestServer, name: &str) -> Vec<String> {
    let text = garth.run(&["log", "--subject", name, "--json"]);
    let action = |line: &str| -> String {
        let entry: Value = serde_json::from_str(line).unwrap();
        entry["action"].as_str().unwrap().to_owned()
    };
    text.lines().map(action).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_arrive_signed_in_order_and_once_and_no_secret_is_shown_again() {
    let receiver = Receiver::start().await;
    receiver.welcome();
    let garth = setup(&[&receiver], "").start();
    let secret = create(&garth, "chat", &receiver);
    make_rules(&garth, &["one", "two", "three"]).await;
    garth.run(&["rules", "remove", "two"]);
    eventually("four events arrive", PATIENCE, async || receiver.posted().len() >= 4).await;
    assert_eq!(subjects(&receiver, &secret), ["one", "two", "three", "two"]);
    let arrived = receiver.arrived(&secret);
    assert_eq!(arrived[3].kind, "rule-removed");
    let ids: std::collections::BTreeSet<&str> =
        arrived.iter().map(|arrived| arrived.id.as_str()).collect();
    assert_eq!(ids.len(), 4);
    eventually("they are noted", PATIENCE, async || {
        let list = json_of(&garth, &["webhook", "deliveries", "chat", "--state", "delivered"]);
        list["deliveries"].as_array().unwrap().len() == 4
    })
    .await;
    let n = arrived[0].event["data"]["n"].as_u64().unwrap().to_string();
    garth.run(&["webhook", "redeliver", "chat", &n]);
    eventually("it is sent again", PATIENCE, async || receiver.posted().len() >= 5).await;
    assert_eq!(receiver.arrived(&secret)[4], arrived[0]);
    assert!(garth.run(&["webhook", "test", "chat"]).starts_with("it arrived: answered 204"));
    assert_eq!(receiver.arrived(&secret)[5].kind, "webhook-test");
    let shown = [
        garth.run(&["webhook", "list"]),
        garth.run(&["webhook", "show", "chat"]),
        garth.run(&["webhook", "deliveries", "chat"]),
        json_of(&garth, &["webhook", "show", "chat"]).to_string(),
        garth.run(&["log", "--json"]),
        garth.log(),
    ];
    let key = secret.strip_prefix("whsec_").unwrap();
    assert!(shown.iter().all(|text| !text.contains(key)), "{shown:#?}");
    assert!(shown[0].contains("chat  works  rule-*"), "{}", shown[0]);
    assert!(shown[4..].iter().all(|text| !text.contains("/hook")), "a path may be a secret");
    let told = ["webhook-made", "webhook-redelivered", "webhook-tested"];
    assert_eq!(logged(&garth, "chat"), told);
    let again = garth.run(&["log", "--action", "webhook-redelivered", "--json"]);
    let again: Value = serde_json::from_str(&again).unwrap();
    assert_eq!((&again["who"], &again["details"]["event"]), (&json!("admin"), &json!(n)));
    let delivered = "garth_webhook_deliveries_total{result=\"delivered\"} ";
    assert!(garth.metric(delivered).await >= 5);
    assert_eq!(garth.metric("garth_webhook_deliveries_waiting ").await, 0);
    garth.run(&["webhook", "remove", "chat"]);
    assert_eq!(logged(&garth, "chat"), [&told[..], &["webhook-removed"]].concat());
    let posted = receiver.posted().len();
    make_rules(&garth, &["four"]).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(receiver.posted().len(), posted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_goes_wrong_is_tried_again_and_a_redirect_leads_nowhere() {
    let (receiver, inside) = (Receiver::start().await, Receiver::start().await);
    inside.welcome();
    receiver.script().times(1).status(500);
    receiver.script().times(1).reset();
    receiver.script().times(1).silence();
    receiver.script().times(1).redirect(&inside.url());
    receiver.welcome();
    let garth = setup(&[&receiver], "timeout = \"1s\"\n").start();
    let secret = create(&garth, "chat", &receiver);
    make_rules(&garth, &["one"]).await;
    eventually("the first try fails", PATIENCE, async || !receiver.posted().is_empty()).await;
    make_rules(&garth, &["two"]).await;
    eventually("both arrive", PATIENCE * 2, async || {
        let list = json_of(&garth, &["webhook", "deliveries", "chat", "--state", "delivered"]);
        list["deliveries"].as_array().unwrap().len() == 2
    })
    .await;
    let subjects = subjects(&receiver, &secret);
    assert!(subjects.iter().filter(|subject| *subject == "one").count() == 5, "{subjects:?}");
    assert_eq!(inside.posted().len(), 0, "no redirect is followed");
    let list = json_of(&garth, &["webhook", "deliveries", "chat"]);
    assert_eq!(list["deliveries"][1]["attempts"], 5, "{list}");
    assert_eq!(json_of(&garth, &["webhook", "show", "chat"])["standing"], "works");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_is_left_in_peace_for_as_long_as_it_asks_and_its_words_are_harmless() {
    let receiver = Receiver::start().await;
    let words = format!("\u{1b}[31m<script>\r\n\u{202e}{}", "x".repeat(100_000));
    let body = Body::Bytes(words.into());
    let mut slow_down = Answer::ok("text/plain", body).header("Retry-After", "10");
    slow_down.status = 429;
    receiver.script().times(1).answer(slow_down);
    receiver.welcome();
    let garth = setup(&[&receiver], "").start();
    create(&garth, "chat", &receiver);
    make_rules(&garth, &["one"]).await;
    let mut text = String::new();
    eventually("it is refused", PATIENCE, async || {
        text = garth.run(&["webhook", "deliveries", "chat"]);
        text.contains("answered 429")
    })
    .await;
    assert!(text.contains("answered 429: \\u{1b}[31m<script>\\u{d}\\u{a}\\u{202e}xxx"), "{text}");
    assert!(text.lines().count() == 1 && text.len() < 1000, "{text}");
    eventually("it is tried again", PATIENCE, async || receiver.posted().len() == 2).await;
    let sent = receiver.posted();
    let [first, second] = [0, 1]
        .map(|n: usize| -> i64 { sent[n].header("webhook-timestamp").unwrap().parse().unwrap() });
    assert!(second - first >= 9, "{first} and {second}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_receiver_holds_up_nobody_else() {
    let (dead, alive) = (Receiver::start().await, Receiver::start().await);
    dead.script().silence();
    alive.welcome();
    let garth = setup(&[&dead, &alive], "").start();
    create(&garth, "dead", &dead);
    let secret = create(&garth, "alive", &alive);
    make_rules(&garth, &["one", "two"]).await;
    eventually("they arrive there", Duration::from_secs(8), async || alive.posted().len() == 2)
        .await;
    assert_eq!(subjects(&alive, &secret), ["one", "two"]);
    // Who waits for an answer does not hold up a stop for long either.
    let begun = std::time::Instant::now();
    let (setup, status) = tokio::task::spawn_blocking(move || garth.stop()).await.unwrap();
    assert!(status.success() && begun.elapsed() < Duration::from_secs(10), "{}", setup.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_on_its_way_arrives_after_a_kill() {
    let receiver = Receiver::start().await;
    receiver.script().silence();
    let garth = setup(&[&receiver], "").start();
    let secret = create(&garth, "chat", &receiver);
    make_rules(&garth, &["one", "two", "three"]).await;
    eventually("the first is sent", PATIENCE, async || !receiver.posted().is_empty()).await;
    let garth = garth.kill().start();
    make_rules(&garth, &["four"]).await;
    let garth = garth.kill();
    receiver.heal();
    let garth = garth.start();
    eventually("all arrive", PATIENCE, async || {
        json_of(&garth, &["webhook", "deliveries", "chat", "--state", "delivered"])["deliveries"]
            .as_array()
            .unwrap()
            .len()
            == 4
    })
    .await;
    let mut subjects = subjects(&receiver, &secret);
    subjects.dedup();
    assert_eq!(subjects, ["one", "two", "three", "four"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_is_gone_is_sent_nothing_more_until_somebody_resumes() {
    let receiver = Receiver::start().await;
    receiver.script().times(1).status(410);
    receiver.welcome();
    let garth = setup(&[&receiver], "").start();
    let secret = create(&garth, "chat", &receiver);
    make_rules(&garth, &["one"]).await;
    let stopped = async || json_of(&garth, &["webhook", "show", "chat"])["standing"] == "stopped";
    eventually("it is stopped", PATIENCE, stopped).await;
    make_rules(&garth, &["two"]).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(receiver.posted().len(), 1);
    let shown = garth.run(&["webhook", "show", "chat"]);
    assert!(shown.contains("gone (410); `garth webhook resume chat`"), "{shown}");
    let refused = garth.garth(&["webhook", "redeliver", "chat", "0"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is stopped"), "{refused:?}");
    garth.run(&["webhook", "resume", "chat"]);
    eventually("the next one arrives", PATIENCE, async || receiver.posted().len() == 2).await;
    assert_eq!(subjects(&receiver, &secret), ["one", "two"]);
    assert_eq!(logged(&garth, "chat"), ["webhook-made", "webhook-stopped", "webhook-resumed"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_tried_in_vain_for_too_long_is_given_up_and_said() {
    let receiver = Receiver::start().await;
    receiver.script().status(500);
    let garth = setup(&[&receiver], "give_up = \"2s\"\n").start();
    let secret = create(&garth, "chat", &receiver);
    make_rules(&garth, &["one"]).await;
    eventually("it is stopped", PATIENCE, async || {
        json_of(&garth, &["webhook", "show", "chat"])["standing"] == "stopped"
    })
    .await;
    let list = json_of(&garth, &["webhook", "deliveries", "chat"]);
    assert_eq!(list["deliveries"][0]["state"], "given-up", "{list}");
    assert!(list["deliveries"][0]["attempts"].as_u64().unwrap() > 1, "{list}");
    eventually("the log says so", PATIENCE, async || {
        logged(&garth, "chat") == ["webhook-made", "webhook-gave-up", "webhook-stopped"]
    })
    .await;
    assert_eq!(garth.metric("garth_webhook_deliveries_total{result=\"given-up\"} ").await, 1);
    receiver.heal();
    make_rules(&garth, &["two", "three"]).await;
    garth.run(&["webhook", "resume", "chat", "--from-now"]);
    make_rules(&garth, &["four"]).await;
    eventually("the newest arrives", PATIENCE, async || {
        subjects(&receiver, &secret).last().is_some_and(|last| last == "four")
    })
    .await;
    assert!(!subjects(&receiver, &secret).contains(&"two".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_secrets_sign_while_one_takes_over_from_the_other() {
    let receiver = Receiver::start().await;
    receiver.welcome();
    let garth = setup(&[&receiver], "").start();
    let first = create(&garth, "chat", &receiver);
    let second = garth.run(&["webhook", "rotate", "chat"]).trim().to_owned();
    make_rules(&garth, &["one"]).await;
    eventually("it arrives", PATIENCE, async || receiver.posted().len() == 1).await;
    let posted = &receiver.posted()[0];
    assert!(is_signed(posted, &first) && is_signed(posted, &second) && first != second);
    let third = garth.run(&["webhook", "rotate", "chat", "--grace", "0s"]).trim().to_owned();
    make_rules(&garth, &["two"]).await;
    eventually("so does the next", PATIENCE, async || receiver.posted().len() == 2).await;
    let posted = &receiver.posted()[1];
    let by = [&first, &second, &third].map(|secret| is_signed(posted, secret));
    assert_eq!(by, [false, false, true]);
    // The key is not in the store: with another one nothing is sent that nobody could verify.
    let (setup, _) = tokio::task::spawn_blocking(move || garth.stop()).await.unwrap();
    std::fs::remove_file(setup.data().join("webhook-key")).unwrap();
    let garth = setup.start();
    let tried = garth.garth(&["webhook", "test", "chat"]);
    assert_eq!(tried.status.code(), Some(1));
    let said = String::from_utf8_lossy(&tried.stdout).into_owned();
    assert!(said.contains("garth webhook rotate chat"), "{said}");
    assert_eq!(receiver.posted().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_leads_to_no_private_address_and_is_for_whoever_administers() {
    let (receiver, secure) = (Receiver::start().await, Receiver::start_tls().await);
    receiver.welcome();
    secure.welcome();
    let garth = setup(&[&secure], "").start();
    let port = receiver.upstream().port();
    for (url, said) in [
        (receiver.url(), "not a public address"),
        (format!("http://2130706433:{port}/hook"), "not a public address"),
        (format!("https://[::ffff:127.0.0.1]:{port}/hook"), "not a public address"),
        ("https://169.254.169.254/latest/meta-data/".to_owned(), "not a public address"),
        ("http://hooks.example.com/".to_owned(), "not https"),
        ("https://ann:pw@hooks.example.com/".to_owned(), "user name or password"),
        ("file:///etc/passwd".to_owned(), "neither an http nor an https"),
    ] {
        let made = garth.garth(&["webhook", "create", &url, "--events", "*"]);
        let errors = String::from_utf8_lossy(&made.stderr).into_owned();
        assert!(made.status.code() == Some(2) && errors.contains(said), "{url}: {errors}");
    }
    assert_eq!(receiver.posted().len(), 0);
    // TLS is verified: nobody whom this garth trusts has signed for this one.
    create(&garth, "secure", &secure);
    let tried = garth.garth(&["webhook", "test", "secure"]);
    let said = String::from_utf8_lossy(&tried.stdout).into_owned();
    assert!(said.contains("it did not arrive") && said.contains("can not be trusted"), "{said}");
    assert_eq!(secure.posted().len(), 0);
    let reader = Client::new(&garth.url, &token(&garth, &["reader", "--right", "approve"]));
    let body = json!({ "url": "https://hooks.example.com/", "events": ["*"] });
    for (method, path, body) in [
        ("GET", "/webhooks", None),
        ("GET", "/webhooks/secure", None),
        ("GET", "/webhooks/secure/deliveries", None),
        ("POST", "/webhooks", Some(&body)),
        ("POST", "/webhooks/secure/test", None),
        ("DELETE", "/webhooks/secure", None),
    ] {
        let answer = reader.api(method, path, body).await.unwrap();
        assert_eq!(answer.status, 403, "{method} {path}: {}", answer.text());
    }
    let admin = Client::of(&garth);
    for (events, code) in [(json!([]), "unknown-kind"), (json!(["rule-mad"]), "rule-made")] {
        let body = json!({ "url": "https://hooks.example.com/", "events": events });
        let answer = admin.api("POST", "/webhooks", Some(&body)).await.unwrap();
        assert!(answer.status == 400 && answer.text().contains(code), "{}", answer.text());
    }
    let missing = garth.garth(&["webhook", "show", "secur"]);
    assert!(String::from_utf8_lossy(&missing.stderr).contains("did you mean \"secure\"?"));
}

/// The example of docs/events.md, run as it stands there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_receiver_in_the_documents_verifies_what_is_sent_and_nothing_else() {
    let receiver = Receiver::start().await;
    receiver.welcome();
    let garth = setup(&[&receiver], "").start();
    let secret = create(&garth, "chat", &receiver);
    make_rules(&garth, &["one"]).await;
    eventually("it arrives", PATIENCE, async || receiver.posted().len() == 1).await;
    let posted = receiver.posted().remove(0);
    let house = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let text = std::fs::read_to_string(house.join("docs/events.md")).unwrap();
    let (_, example) = text.split_once("```python\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let program = format!(
        "{example}\nimport json, sys\n\
         asked = json.load(sys.stdin)\n\
         print(verified(asked['secret'], asked['headers'], asked['body'].encode()))\n"
    );
    let headers: serde_json::Map<String, Value> =
        posted.headers.iter().map(|(name, value)| (name.to_lowercase(), json!(value))).collect();
    let body = String::from_utf8(posted.body).unwrap();
    let other = body.replace("\"one\"", "\"two\"");
    let mut old = headers.clone();
    old.insert("webhook-timestamp".to_owned(), json!("1700000000"));
    let wrong = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    for (name, asked, expected) in [
        ("true", json!({ "secret": secret, "headers": headers, "body": body }), "True"),
        ("another body", json!({ "secret": secret, "headers": headers, "body": other }), "False"),
        ("another secret", json!({ "secret": wrong, "headers": headers, "body": body }), "False"),
        ("an old one", json!({ "secret": secret, "headers": old, "body": body }), "False"),
    ] {
        let mut python = Command::new("python3")
            .args(["-c", &program])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 runs the example of docs/events.md");
        serde_json::to_writer(python.stdin.take().unwrap(), &asked).unwrap();
        let output = python.wait_with_output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), expected, "{name}");
    }
}
