//! What labels say: values of which there are a few.

use policies::decision::Effect;

/// What the gate said, as far as a request got there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DecisionLabel {
    #[default]
    None,
    Allow,
    Hold,
    Deny,
}

label!(DecisionLabel {
    None = "none",
    Allow = "allow",
    Hold = "hold",
    Deny = "deny",
});

impl From<Effect> for DecisionLabel {
    fn from(effect: Effect) -> Self {
        match effect {
            Effect::Allow => Self::Allow,
            Effect::Hold => Self::Hold,
            Effect::Deny => Self::Deny,
        }
    }
}

/// Where the answer's bytes came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CacheOutcome {
    /// No cache was asked.
    #[default]
    None,
    Hit,
    Miss,
    Stale,
    /// Another request was already fetching it.
    Joined,
}

label!(CacheOutcome {
    None = "none",
    Hit = "hit",
    Miss = "miss",
    Stale = "stale",
    Joined = "joined",
});

/// Something that a person should look at soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AlarmKind {
    /// A stored blob is not what it was.
    BlobDamaged,
    /// An upstream gave other bytes under an old version.
    BytesChanged,
    /// Bytes contradict the digest that the document promised.
    DigestMismatch,
    /// A stored record cannot be read.
    RecordDamaged,
    /// The rules in use are not the newest: a file is broken.
    RulesBroken,
    /// Metadata or blobs cannot be written.
    StoreFailing,
    /// A renewed certificate cannot be used; the old one is.
    CertificateBroken,
    /// A handler panicked.
    Panic,
}

label!(AlarmKind {
    BlobDamaged = "blob-damaged",
    BytesChanged = "bytes-changed",
    DigestMismatch = "digest-mismatch",
    RecordDamaged = "record-damaged",
    RulesBroken = "rules-broken",
    StoreFailing = "store-failing",
    CertificateBroken = "certificate-broken",
    Panic = "panic",
});

/// Why the server ended a connection by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    OverLimit,
    OverLimitPerAddress,
    SlowHead,
    Idle,
    SlowReader,
    Tls,
    /// What came is no HTTP.
    Malformed,
    Stopping,
}

label!(CloseReason {
    OverLimit = "over-limit",
    OverLimitPerAddress = "over-limit-per-address",
    SlowHead = "slow-head",
    Idle = "idle",
    SlowReader = "slow-reader",
    Tls = "tls",
    Malformed = "malformed",
    Stopping = "stopping",
});

/// What came of a try to deliver an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WebhookResult {
    Delivered,
    /// It is tried again.
    Failed,
    GivenUp,
}

label!(WebhookResult {
    Delivered = "delivered",
    Failed = "failed",
    GivenUp = "given-up",
});
