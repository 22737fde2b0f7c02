//! Servers that are on crates.io, built by `cargo install`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// In minutes; what builds longer counts as what does not build.
const PATIENCE: u32 = 40;

pub struct Built {
    /// As the registry has it.
    pub name: &'static str,
    pub version: &'static str,
    pub program: &'static str,
}

impl Built {
    /// Builds it below `target` where it is not; why it can not be had, else.
    pub fn install(&self, target: &Path, quick: bool) -> Result<PathBuf, String> {
        let Self { name, version, program } = self;
        let directory = target.join(program);
        let path = directory.join("bin").join(program);
        let listed = fs::read_to_string(directory.join(".crates.toml")).unwrap_or_default();
        if path.exists() && listed.contains(&format!("{name} {version} ")) {
            return Ok(path);
        }
        if quick {
            return Err("not built yet, and --quick does not build it".to_owned());
        }
        eprintln!("bench: building {name} {version}, for at most {PATIENCE} minutes");
        fs::create_dir_all(&directory).map_err(|fault| fault.to_string())?;
        // An earlier failure is no verdict: the next benchmark tries again.
        let mut built = self.build(&directory, &["--locked"]);
        if built.as_ref().is_err_and(|cause| cause.contains("failed to select a version")) {
            // A registry may lack what its lockfile names.
            built = self.build(&directory, &[]);
        }
        built?;
        if path.exists() { Ok(path) } else { Err(format!("it installs no {program}")) }
    }

    fn build(&self, directory: &Path, more: &[&str]) -> Result<(), String> {
        let log = directory.join("install.log");
        let file = fs::File::create(&log).map_err(|fault| fault.to_string())?;
        let status = Command::new("timeout")
            .args([&format!("{PATIENCE}m"), "cargo", "install", "--root"])
            .arg(directory)
            .arg("--target-dir")
            .arg(directory.join("target"))
            .args(more)
            .arg(format!("{}@{}", self.name, self.version))
            .stderr(file)
            .status()
            .map_err(|fault| format!("cargo can not be run: {fault}"))?;
        if status.success() {
            return Ok(());
        }
        if status.code() == Some(124) {
            return Err(format!("its build took longer than {PATIENCE} minutes"));
        }
        let said = fs::read_to_string(&log).unwrap_or_default();
        let telling = |line: &&str| line.starts_with("error") || line.contains("failed to select");
        let causes: Vec<&str> = said.lines().filter(telling).map(str::trim).take(2).collect();
        let cause =
            if causes.is_empty() { "cargo install failed".into() } else { causes.join(": ") };
        Err(format!("it does not build here: {cause}"))
    }
}
