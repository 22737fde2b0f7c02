//! `npm stage`, which this garth does not have: what npm prints then.

use serde_json::json;

use super::{own, package, publisher};

#[tokio::test(flavor = "multi_thread")]
async fn npm_stage_is_refused_in_words_that_npm_prints() {
    let garth = own().start();
    let npm = publisher(&garth);
    package(&npm, "@acme/ui", "1.0.0", &json!({}));
    let id = "0c8fd8e2-5a0e-4d4f-8d5c-1f1c3a3f7b1a";
    for arguments in [
        &["stage", "publish"][..],
        &["stage", "list"],
        &["stage", "view", id],
        &["stage", "approve", id],
        &["stage", "reject", id],
        &["stage", "download", id],
    ] {
        let refused = npm.must_fail(arguments).text();
        let said = "npm publish publishes at once";
        assert!(refused.contains(said), "{arguments:?}: {refused}");
    }
    assert_eq!(garth.get("/npm/@acme%2fui").await.status, 404, "nothing was published");
}
