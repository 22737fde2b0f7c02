//! Commands that ask questions: each answer is given when its question stands there.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::package_managers::Printed;

/// How long a question may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// Runs a command and answers what it asks, in this order. What it asks for beyond that finds its
/// input at the end.
pub fn converse(command: &mut Command, answers: &[(&str, &str)]) -> Printed {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = collect(child.stdout.take().unwrap());
    let stderr = collect(child.stderr.take().unwrap());
    let mut stdin = child.stdin.take().unwrap();
    for (question, answer) in answers {
        let begun = Instant::now();
        let asked = || format!("{}{}", stdout.0.lock(), stderr.0.lock());
        while !asked().contains(question) {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "ended before it asked {question:?}: {}", asked());
            assert!(begun.elapsed() < PATIENCE, "does not ask {question:?}: {}", asked());
            std::thread::sleep(Duration::from_millis(10));
        }
        writeln!(stdin, "{answer}").unwrap();
    }
    drop(stdin);
    let status = child.wait().unwrap();
    let text = |(text, reading): (Arc<Mutex<String>>, std::thread::JoinHandle<()>)| {
        reading.join().unwrap();
        text.lock().clone()
    };
    Printed { success: status.success(), stdout: text(stdout), stderr: text(stderr) }
}

fn collect(
    mut stream: impl Read + Send + 'static,
) -> (Arc<Mutex<String>>, std::thread::JoinHandle<()>) {
    let text = Arc::new(Mutex::new(String::new()));
    let into = Arc::clone(&text);
    let reading = std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count) = stream.read(&mut buffer) {
            if count == 0 {
                return;
            }
            into.lock().push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    });
    (text, reading)
}
