//! What garth says about itself: logs, metrics, health.
//!
//! [`logs`] sets up the one subscriber, [`metrics`] counts with bounded labels, [`health`] answers
//! `/healthz`, `/readyz` and `/metrics` from checks that the composition root registers. Nothing
//! here decides anything; no request waits for any of it.

pub mod escape;
pub mod health;
pub mod logs;
pub mod metrics;
pub mod redact;

pub use health::{Check, CheckState, Health, Lifecycle, Readiness};
pub use metrics::{AlarmKind, BreakerState, CacheOutcome, CloseReason, DecisionLabel, Metrics};
