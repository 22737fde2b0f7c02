//! Slow, hostile and unlucky clients at the edge.

mod hostile;
mod requests;
mod slow;
mod stopping;
mod tls;

use std::time::Duration;

use support::edge::TestEdge;

const HELLO: &str = "GET /hello HTTP/1.1\r\nhost: t\r\n\r\n";
/// Between two bytes, so that a head takes longer than it may.
const LONGER_THAN_A_HEAD: Duration = Duration::from_millis(25);

/// Others go on while an attack runs.
async fn others_are_unaffected(edge: &TestEdge) {
    let answer = edge.get("/hello").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
}
