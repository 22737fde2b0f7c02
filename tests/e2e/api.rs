//! The admin API by what it says of itself: schemathesis asks each operation of the `OpenAPI` document
//! for what it takes, and for what it does not take.

use std::path::Path;
use std::process::Command;

use support::server::Setup;
use support::upstream::ScriptedUpstream;

/// Cases that are made up for each operation, beside those at the edges of what it takes.
const EXAMPLES: &str = "8";
/// The same ones each time.
const SEED: &str = "1";

/// What a schema cannot say: whether a package is one, a pattern can be read, or a range is of its
/// ecosystem. What fits the schema may be refused for that (400), where it means nothing here (422), for
/// what is there (409, 412), or because others are at it (429, 503).
const SETTINGS: &str = r#"
[checks.positive_data_acceptance]
expected-statuses = ["2xx", 304, 400, 401, 403, 404, 409, 412, 413, 422, 429, 501, 502, 503]
[checks.negative_data_rejection]
expected-statuses = [304, 400, 401, 403, 404, 405, 406, 409, 412, 413, 415, 422, 429]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_finds_nothing_wrong_with_the_api() {
    let up = ScriptedUpstream::start().await;
    let garth = Setup::npm(up.url().as_str()).start();
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("schemathesis.toml"), SETTINGS).unwrap();
    let house = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let python = house.join("target/clients/python/bin/python");
    assert!(python.exists(), "./dev setup installs {}", python.display());
    let document = format!("{}/api/v1/openapi.json", garth.url);
    let token = format!("Authorization: Bearer {}", garth.admin_token());
    let asked = Command::new(python)
        .current_dir(home.path())
        .env("HOME", home.path())
        .env("NO_COLOR", "1")
        .args(["-m", "schemathesis.cli", "run", &document, "--header", &token])
        .args(["--url", &format!("{}/api/v1", garth.url)])
        .args(["--checks", "all", "--continue-on-failure"])
        .args(["--max-examples", EXAMPLES, "--seed", SEED, "--workers", "2"])
        .args(["--phases", "examples,coverage,fuzzing"])
        // A stream goes on until somebody ends it.
        .args(["--exclude-operation-id", "follow_events"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&asked.stdout);
    assert!(asked.status.success(), "{told}\n{}", String::from_utf8_lossy(&asked.stderr));
    assert!(garth.is_running());
}
