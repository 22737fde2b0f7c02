//! The saved inputs of a target: a file each, below `corpus/TARGET`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where the seeds of a target lie.
pub fn directory(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

/// All seeds of a target, in the order of their names, so that runs are alike.
pub fn read(target: &str) -> io::Result<Vec<Vec<u8>>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory(target))? {
        paths.push(entry?.path());
    }
    paths.sort();
    paths.iter().map(fs::read).collect()
}
