//! File systems of a test's own: small ones, and ones whose power can be cut.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const NEEDS: &str = "this test needs root, loop devices, mkfs.ext4 (e2fsprogs), mount and perl: run \
                     ./dev setup, and this test as root outside of a container that forbids mounting";
/// `EXT4_IOC_SHUTDOWN` with `EXT4_GOING_FLAGS_NOLOGFLUSH`.
const SHUTDOWN: &str =
    r#"open(F,"<",$ARGV[0]) or die $!; my $f=pack("L",2); ioctl(F,0x8004587d,$f) or die $!"#;

/// A mounted file system, unmounted whatever happens.
pub struct Mounted {
    pub path: PathBuf,
}

impl Mounted {
    /// An empty one in memory.
    pub fn tmpfs(path: &Path, megabytes: u32) -> Self {
        std::fs::create_dir_all(path).unwrap();
        let size = format!("size={megabytes}m");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "garth-test"]).arg(path));
        Self { path: path.to_owned() }
    }

    /// The ext4 in a file that [`make_ext4`] made.
    pub fn ext4(image: &Path, path: &Path) -> Self {
        std::fs::create_dir_all(path).unwrap();
        run(Command::new("mount").args(["-t", "ext4", "-o", "loop"]).arg(image).arg(path));
        Self { path: path.to_owned() }
    }

    /// Shuts an ext4 down without flushing its log, which is what it looks like to the disk when
    /// the power goes. Whoever uses it on gets I/O errors.
    pub fn cut_power(&self) {
        run(Command::new("perl").arg("-e").arg(SHUTDOWN).arg(&self.path));
    }
}

pub fn make_ext4(image: &Path, bytes: u64) {
    File::create(image).unwrap().set_len(bytes).unwrap();
    run(Command::new("mkfs.ext4").arg("-qF").arg(image));
}

impl Drop for Mounted {
    fn drop(&mut self) {
        for _ in 0..100 {
            let unmounted = Command::new("umount").arg(&self.path).stderr(Stdio::null()).status();
            if unmounted.is_ok_and(|status| status.success()) {
                return;
            }
            // Threads of what was just closed may still hold files.
            std::thread::sleep(Duration::from_millis(50));
        }
        let _detached = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

fn run(command: &mut Command) {
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
