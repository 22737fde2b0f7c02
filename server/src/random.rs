//! The one place that takes random numbers.

#![allow(clippy::disallowed_methods, reason = "this is the source that the rest uses")]

/// Between 0 and 1: by how much to spread a moment, so that servers do not act in step.
pub fn spread() -> f64 {
    rand::random()
}

/// A name that nothing else has, in hex.
pub fn name() -> String {
    hex::encode(rand::random::<[u8; 16]>())
}

/// Hashes by a key that nobody knows before: what hashes alike by it is the same.
pub fn hasher() -> std::hash::RandomState {
    std::hash::RandomState::new()
}
