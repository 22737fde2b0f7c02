//! The one place where asking upstreams takes a random number.

/// Between 0 and 1: by how much to spread a moment, so that servers do not act in step.
pub fn spread() -> f64 {
    rand::random()
}

/// A name that nobody else has.
pub fn token() -> String {
    format!("{:016x}", rand::random::<u64>())
}
