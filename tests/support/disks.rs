//! Disks for one test: an ext4 file system in a file.
#![allow(clippy::disallowed_methods, reason = "tests block")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const NEEDS: &str = "a test with a disk of its own needs root, a loop device, mkfs.ext4 (e2fsprogs), mount \
                     and perl: run ./dev setup, and this test as root outside of a container \
                     that forbids mounting";

/// An empty file system of that many bytes; the file holds only what is written.
pub fn make_disk(image: &Path, bytes: u64) -> PathBuf {
    File::create(image).unwrap().set_len(bytes).unwrap();
    run(Command::new("mkfs.ext4").arg("-qF").arg(image));
    image.to_owned()
}

/// A mounted image, unmounted whatever happens.
pub struct Mounted {
    pub path: PathBuf,
}

impl Mounted {
    pub fn mount(image: &Path, path: &Path) -> Self {
        std::fs::create_dir_all(path).unwrap();
        run(Command::new("mount").args(["-t", "ext4", "-o", "loop"]).arg(image).arg(path));
        Self { path: path.to_owned() }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        for _ in 0..100 {
            let unmounted = Command::new("umount").arg(&self.path).stderr(Stdio::null()).status();
            if unmounted.is_ok_and(|status| status.success()) {
                return;
            }
            // Threads of the store that was just closed may still hold files.
            std::thread::sleep(Duration::from_millis(50));
        }
        let _detached = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

/// Runs to a good end, or says what a machine must have for that.
pub fn run(command: &mut Command) {
    // Sbin is not on every user's path.
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.env("PATH", path).output();
    match output {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            panic!("{program}: {}; {NEEDS}", String::from_utf8_lossy(&output.stderr).trim())
        }
        Err(error) => panic!("{program}: {error}; {NEEDS}"),
    }
}
