//! The allocator of glibc, told to give back what is freed.
//!
//! By itself it raises the size from which it returns memory with each large piece that it sees, up
//! to 32 MiB, and keeps eight heaps for each core: behind texts of documents that come and go it held
//! as much again as what was in use. It reads its settings from the environment, before `main`, so
//! the process starts itself once more with them. Another allocator brings a C compiler's tools into
//! the build or keeps more.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use crate::config::EnvSnapshot;

/// What glibc itself begins with, and then moves unless it is set.
const THRESHOLD: &str = "131072";

/// Comes back only where nothing is to be done, or where it cannot be: garth runs as well, in more
/// memory.
pub(super) fn settle(env: &EnvSnapshot) -> Option<io::Error> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let settings = settings(env, cores)?;
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(fault) => return Some(fault),
    };
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_else(|| OsString::from("garth"));
    Some(Command::new(program).arg0(name).args(arguments).envs(settings).exec())
}

/// None where somebody has set something already, this process among them.
fn settings(env: &EnvSnapshot, cores: usize) -> Option<[(&'static str, String); 3]> {
    let is_set = env.iter().any(|(name, _)| name.starts_with("MALLOC_"));
    let is_told = env.get("GLIBC_TUNABLES").is_some_and(|told| told.contains("glibc.malloc"));
    if !cfg!(target_env = "gnu") || is_set || is_told {
        return None;
    }
    Some([
        ("MALLOC_MMAP_THRESHOLD_", THRESHOLD.to_owned()),
        ("MALLOC_TRIM_THRESHOLD_", THRESHOLD.to_owned()),
        ("MALLOC_ARENA_MAX", cores.max(2).to_string()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_already_is_left_alone() {
        let of = |variables: &[(&str, &str)]| settings(&variables.iter().copied().collect(), 8);
        let ours = of(&[("HOME", "/home/ann")]).expect("glibc");
        assert_eq!(ours[2], ("MALLOC_ARENA_MAX", "8".to_owned()));
        let again: Vec<(&str, &str)> =
            ours.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(of(&again), None, "the process that was started so starts no other");
        assert_eq!(of(&[("MALLOC_ARENA_MAX", "1")]), None);
        assert_eq!(of(&[("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0")]), None);
        assert!(of(&[("GLIBC_TUNABLES", "glibc.elision.enable=1")]).is_some());
    }
}
