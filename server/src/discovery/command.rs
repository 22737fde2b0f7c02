//! Asks a package manager one question: bounded in time and in what it may say.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use super::Machine;

pub(super) enum Answer {
    NotInstalled,
    /// The first line that it printed.
    Said(String),
    /// Why there is no answer, as it reads after "it ".
    Failed(String),
}

const DEADLINE: Duration = Duration::from_secs(15);
const OUTPUT_BYTES: u64 = 64 << 10;

/// Runs `program` of the machine's PATH in its current directory, with its environment and nothing else.
pub(super) fn ask(machine: &Machine, program: &str, arguments: &[&str]) -> Answer {
    ask_within(machine, program, arguments, DEADLINE)
}

fn ask_within(machine: &Machine, program: &str, arguments: &[&str], deadline: Duration) -> Answer {
    let Some(path) = find(machine, program) else { return Answer::NotInstalled };
    let mut command = Command::new(path);
    command
        .args(arguments)
        .current_dir(&machine.directory)
        .env_clear()
        .envs(machine.env.iter())
        // A shim that stands in for a package manager must not install one now.
        .env("COREPACK_ENABLE_NETWORK", "0")
        .env("NO_UPDATE_NOTIFIER", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // A group of its own, so that its children end with it.
        .process_group(0);
    match spawn(&mut command) {
        Ok(child) => first_line(child, deadline),
        Err(error) => Answer::Failed(format!("cannot be run: {error}")),
    }
}

/// An executable that is being replaced (an upgrade) is busy for a moment.
#[allow(clippy::disallowed_methods, reason = "commands and the start run without an executor")]
fn spawn(command: &mut Command) -> io::Result<Child> {
    for _ in 0..20 {
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {
                std::thread::sleep(Duration::from_millis(25));
            }
            other => return other,
        }
    }
    command.spawn()
}

fn first_line(mut child: Child, deadline: Duration) -> Answer {
    let group = rustix::process::Pid::from_child(&child);
    let (send, receive) = channel();
    std::thread::spawn(move || {
        let mut output = Vec::new();
        let read = match child.stdout.take() {
            Some(stdout) => stdout.take(OUTPUT_BYTES).read_to_end(&mut output).map(drop),
            None => Ok(()),
        };
        let ended = read.and_then(|()| child.wait());
        // Nobody listens any more if the deadline has passed.
        drop(send.send(ended.map(|status| (status, output))));
    });
    match receive.recv_timeout(deadline) {
        Ok(Ok((status, output))) if status.success() => {
            let output = String::from_utf8_lossy(&output);
            let line = output.lines().map(str::trim).find(|line| !line.is_empty());
            Answer::Said(line.unwrap_or_default().to_owned())
        }
        Ok(Ok((status, _))) => Answer::Failed(format!("ended with {status}")),
        Ok(Err(error)) => Answer::Failed(format!("cannot be read: {error}")),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
            // Gone already is as good as killed.
            rustix::process::kill_process_group(group, rustix::process::Signal::KILL).ok();
            Answer::Failed(format!("did not answer within {} seconds", deadline.as_secs()))
        }
    }
}

/// Where `program` is on the machine's PATH.
pub(super) fn find(machine: &Machine, program: &str) -> Option<PathBuf> {
    let path = machine.env.get_os("PATH")?;
    std::env::split_paths(path).map(|directory| directory.join(program)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]

    use super::super::tests::Computer;
    use super::*;

    #[test]
    fn a_silent_command_is_stopped_with_all_its_children() {
        let computer = Computer::new();
        computer.command("npm", "(/bin/sleep 1; echo late > \"$HOME/late\") & /bin/sleep 60");
        let answer =
            ask_within(&computer.machine(), "npm", &["config"], Duration::from_millis(200));
        assert!(matches!(answer, Answer::Failed(why) if why.contains("did not answer")));
        std::thread::sleep(Duration::from_millis(1500));
        assert!(!computer.home().join("late").exists());
    }

    #[test]
    fn endless_output_is_cut_and_the_command_stopped() {
        let computer = Computer::new();
        computer.command("npm", "while :; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done");
        let answer = ask_within(&computer.machine(), "npm", &[], Duration::from_secs(5));
        assert!(!matches!(answer, Answer::NotInstalled));
    }
}
