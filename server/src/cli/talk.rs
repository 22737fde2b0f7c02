//! What the commands that talk to a server have in common: running, and telling how it ended.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use super::Exit;
use super::client::{Client, ClientError, ServerArgs};
use crate::config::EnvSnapshot;

/// Runs `work` with the server that the options mean.
pub(super) fn with_server<W>(args: &ServerArgs, env: &EnvSnapshot, work: W) -> Exit
where
    W: AsyncFnOnce(Client) -> Result<Exit, ClientError>,
{
    with_client(|| Client::find(args, env), work)
}

/// The same with a client that is found in another way.
pub(super) fn with_client<W>(find: impl FnOnce() -> Result<Client, ClientError>, work: W) -> Exit
where
    W: AsyncFnOnce(Client) -> Result<Exit, ClientError>,
{
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("garth: cannot start: {error}");
            return Exit::Failed;
        }
    };
    let done = find().and_then(|client| runtime.block_on(work(client)));
    done.unwrap_or_else(|error| {
        tell(&error);
        Exit::Failed
    })
}

/// Says what went wrong, and what to do.
pub(super) fn tell(error: &ClientError) {
    match error {
        ClientError::Refused(problem) if !problem.faults.is_empty() => {
            eprintln!("garth: the server did not take it:");
            for fault in &problem.faults {
                eprintln!("  {}: {}; {}", fault.field, fault.message, fault.remedy);
            }
        }
        error => eprintln!("garth: {error}"),
    }
}

/// Prints to stdout; a reader that has left is no fault.
pub(super) fn print(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

pub(super) fn print_json<T: Serialize>(value: &T) {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    print(&text);
}

/// Colours follow the terminal and `NO_COLOR`.
pub(super) fn colours(env: &EnvSnapshot) -> bool {
    env.get("NO_COLOR").is_none() && env.get("TERM") != Some("dumb") && io::stdout().is_terminal()
}

/// A word in a colour of the terminal, where that helps.
pub(super) fn coloured(word: &str, code: u8, colours: bool) -> String {
    if colours { format!("\u{1b}[{code}m{word}\u{1b}[0m") } else { word.to_owned() }
}

/// An effect's word, coloured where that helps.
pub(super) fn painted(word: &str, effect: policies::decision::Effect, colours: bool) -> String {
    use policies::decision::Effect;
    let code = match effect {
        Effect::Allow => 32,
        Effect::Hold => 33,
        Effect::Deny => 31,
    };
    coloured(word, code, colours)
}
