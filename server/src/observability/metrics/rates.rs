//! Requests that were refused because too many came.

use prometheus_client::encoding::EncodeLabelSet;

use super::Metrics;

/// What somebody did too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RateLimit {
    Requests,
    Changes,
}

label!(RateLimit {
    Requests = "requests",
    Changes = "changes",
});

/// By what they were known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RatedBy {
    Token,
    Address,
}

label!(RatedBy {
    Token = "token",
    Address = "address",
});

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RateLabels {
    of: RateLimit,
    by: RatedBy,
}

impl Metrics {
    /// Counts a request that was refused because too many came.
    pub fn rate_limited(&self, of: RateLimit, by: RatedBy) {
        self.0.rate_limited.get_or_create(&RateLabels { of, by }).inc();
    }
}
