//! `fuzz TARGET [SECONDS]`: throws inputs at one target, and keeps the one that breaks it.
//!
//! The inputs are tried by a second process with bounded memory, so that one which takes the process
//! down (no memory, no stack) is known, too.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, SystemTime};

use fuzz::run::{Failure, Until, run, try_one};
use fuzz::{corpus, memory, targets};

/// No input may take longer in an optimised build.
const SLOWEST: Duration = Duration::from_secs(2);
const USAGE: &str =
    "usage: fuzz TARGET [SECONDS], fuzz TARGET FILE to try one input again, or fuzz --targets";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["--worker", target, seconds] => work(target, seconds),
        ["--targets"] => {
            println!("{}", names().join("\n"));
            Ok(())
        }
        [target] => oversee(target, "60"),
        [target, seconds] if seconds.parse::<u64>().is_ok() => oversee(target, seconds),
        [target, file] => again(target, Path::new(file)),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("fuzz: {why}");
            ExitCode::FAILURE
        }
    }
}

fn find(target: &str) -> Result<&'static targets::Target, String> {
    let none = || format!("there is no target {target}; there are {}", names().join(", "));
    targets::find(target).ok_or_else(none)
}

fn names() -> Vec<&'static str> {
    targets::ALL.iter().map(|target| target.name).collect()
}

/// Where the input lies that is being tried, or that broke the target.
fn kept(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/fuzz-inputs").join(target)
}

fn oversee(target: &str, seconds: &str) -> Result<(), String> {
    find(target)?;
    let kept = kept(target);
    fs::create_dir_all(&kept).map_err(|error| format!("{}: {error}", kept.display()))?;
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let status = Command::new(program)
        .args(["--worker", target, seconds])
        .status()
        .map_err(|error| error.to_string())?;
    if status.success() {
        return Ok(());
    }
    let file = kept.join("current");
    Err(format!(
        "{target} broke ({status}); the input is {}. Try it again: ./dev fuzz {target} {}",
        file.display(),
        file.display()
    ))
}

fn work(target: &str, seconds: &str) -> Result<(), String> {
    let target = find(target)?;
    let seconds: u64 = seconds.parse().map_err(|_| USAGE.to_owned())?;
    memory::bound(memory::MOST)?;
    let seeds = corpus::read(target.name)
        .map_err(|error| format!("{}: {error}", corpus::directory(target.name).display()))?;
    let file = kept(target.name).join("current");
    let mut current =
        fs::File::create(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let seed = u64::try_from(since.as_nanos() & u128::from(u64::MAX)).unwrap_or_default();
    let keep = |input: &[u8]| {
        use std::io::Seek as _;
        // Without it the input is lost only if the process is.
        let _ = current.rewind().and_then(|()| current.set_len(0));
        let _ = current.write_all(input);
    };
    let until = Until::Time(Duration::from_secs(seconds));
    match run(target, seeds, seed, until, SLOWEST, keep) {
        Ok(ran) => {
            println!(
                "{}: {} inputs, {} behaviours, the slowest took {:?} (seed {seed})",
                target.name, ran.inputs, ran.behaviours, ran.slowest
            );
            Ok(())
        }
        Err(Failure { why, .. }) => Err(format!("{why} (seed {seed})")),
    }
}

fn again(target: &str, file: &Path) -> Result<(), String> {
    let target = find(target)?;
    memory::bound(memory::MOST)?;
    let input = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    match try_one(target, &input, SLOWEST) {
        Ok((_, took)) => {
            println!("{}: {took:?}, nothing broke", target.name);
            Ok(())
        }
        Err(Failure { why, .. }) => Err(why),
    }
}
