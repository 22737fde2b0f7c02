//! Where it was measured, and with what.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::process::LOAD_CORE;

/// Binds this process to the core of the load, and with it what it starts.
pub fn take_load_core() {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    assert!(cores >= 2, "the server and what loads it need a core each, and there is {cores}");
    let pid = std::process::id().to_string();
    let output = Command::new("taskset").args(["-cp", LOAD_CORE, &pid]).output();
    let output = output.unwrap_or_else(|fault| panic!("taskset can not be run: {fault}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Its cores, its processor, its system, today's date.
#[derive(Debug)]
pub struct Machine {
    pub cores: usize,
    pub processor: String,
    pub kernel: String,
    pub date: String,
}

impl Machine {
    /// Asked before this process gives up all cores but one.
    pub fn this() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = processors.lines().find_map(|line| line.strip_prefix("model name"));
        let model = model.map_or("unknown", |rest| rest.trim_start_matches([' ', '\t', ':']));
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            cores,
            processor: model.trim().to_owned(),
            kernel: kernel.trim().to_owned(),
            date: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
        }
    }
}

/// What a program says of its version, without the words around it.
pub fn version(program: &str, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output();
    let said = output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
    let said = String::from_utf8_lossy(&said).into_owned();
    let words = said.split(|c: char| c.is_whitespace() || c == '/');
    let number =
        |word: &&str| word.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit());
    let found = words.into_iter().find(number);
    found.unwrap_or("unknown").trim_start_matches('v').to_owned()
}

/// How often a second the disk makes a small write durable, one after the other.
pub fn durable_writes(directory: &Path) -> f64 {
    const WRITES: u32 = 200;
    let path = directory.join("durable-writes");
    let mut file = fs::File::create(&path).unwrap();
    let begun = Instant::now();
    for _ in 0..WRITES {
        file.write_all(&[7; 4096]).unwrap();
        file.sync_data().unwrap();
    }
    let took = begun.elapsed();
    let _ = fs::remove_file(path);
    f64::from(WRITES) / took.as_secs_f64()
}
