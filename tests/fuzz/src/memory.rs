//! How much memory a process may have: an input that wants more ends it.

use rustix::process::{Resource, Rlimit, setrlimit};

/// What any input may take, with all that was read before it.
pub const MOST: u64 = 1024 * 1024 * 1024;

/// For good, and for all that is mapped.
pub fn bound(bytes: u64) -> Result<(), String> {
    let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
    setrlimit(Resource::As, limit).map_err(|error| format!("cannot bound the memory: {error}"))
}
