//! The upstream client against an upstream that misbehaves in every way we know.

mod answers;
mod bodies;
mod http2;
mod posts;
mod storms;
mod trust;

use std::time::Duration;

use jiff::Timestamp;
use server::clock::Clock;
use server::upstream::{
    BreakerSettings, Deadlines, DocumentAnswer, Limits, ProxySetting, Retries, Upstream,
    UpstreamBody, UpstreamError, UpstreamSettings,
};
use support::upstream::ScriptedUpstream;

const JSON: &str = "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8";

/// Scripts one fault, in a table of them.
type Scripting<'a> = &'a dyn Fn(&ScriptedUpstream);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn clock() -> Clock {
    let now: Timestamp = "2024-05-01T12:00:00Z".parse().expect("a date");
    Clock::from_fn(move || now)
}

/// Deadlines short enough for a test, and one try unless a test wants more.
fn settings(up: &ScriptedUpstream) -> UpstreamSettings {
    UpstreamSettings {
        deadlines: Deadlines {
            connect: ms(5000),
            headers: ms(2000),
            idle: ms(2000),
            total_document: ms(10_000),
            total_artifact: ms(10_000),
            turn: ms(10_000),
        },
        limits: Limits {
            concurrent: 8,
            document: 1 << 20,
            artifact: 4 << 20,
            least_progress: 1 << 10,
        },
        retries: Retries {
            attempts: 1,
            first_delay: ms(10),
            longest_delay: ms(50),
            longest_pause: ms(3000),
            ..Retries::default()
        },
        breaker: BreakerSettings {
            consecutive: 1000,
            least: 1000,
            open: ms(200),
            longest_open: ms(400),
            ..BreakerSettings::default()
        },
        proxy: ProxySetting::Direct,
        ..UpstreamSettings::new("npm", up.url())
    }
}

fn client(settings: UpstreamSettings) -> Upstream {
    Upstream::new(settings, clock()).expect("settings that hold")
}

/// An upstream with one package and its client.
async fn left_pad() -> (ScriptedUpstream, Upstream) {
    let up = ScriptedUpstream::start().await;
    up.npm("left-pad").plain_version("1.3.0").publish();
    let client = client(settings(&up));
    (up, client)
}

/// The document's bytes, if it arrives whole.
async fn read(upstream: &Upstream, path: &str) -> Result<Vec<u8>, UpstreamError> {
    match upstream.document(path, JSON, None).await? {
        DocumentAnswer::Found(body) => body.read_all().await.map(|bytes| bytes.to_vec()),
        DocumentAnswer::NotModified => panic!("nothing was known of {path}"),
    }
}

/// How many bytes arrive, without keeping them.
async fn count(mut body: UpstreamBody) -> Result<u64, UpstreamError> {
    let mut sum = 0;
    while let Some(bytes) = body.chunk().await? {
        sum += bytes.len() as u64;
    }
    Ok(sum)
}

/// The name of an error's variant, for tables.
fn kind(error: &UpstreamError) -> &'static str {
    match error {
        UpstreamError::Absent { .. } => "absent",
        UpstreamError::RateLimited { .. } => "rate limited",
        UpstreamError::Unavailable { .. } => "unavailable",
        UpstreamError::TimedOut { .. } => "timed out",
        UpstreamError::Refused { .. } => "refused",
        UpstreamError::TooLarge { .. } => "too large",
        UpstreamError::Broken { .. } => "broken",
    }
}
