//! Bytes by their sha256: where they are kept, and that they are still what they were.
//!
//! An engine keeps blobs ([`disk`]); [`Blobs`] stands above every engine, so no engine can switch
//! a check off: it verifies a blob whenever it is read whole for the first time, never serves a
//! damaged one to its end, and quarantines it. A blob becomes visible only by [`Blobs::put`] of a
//! staged file whose digest was checked. Beside a blob lie its *side files*: one for each metadata
//! record that refers to it, from which `garth check --rebuild` makes those records again.
