//! How a command ends. Scripts rely on the numbers.

use std::process::ExitCode;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The work is done, and nothing was found against it.
    Done,
    /// The work is done, and it found something, or the answer is no.
    Findings,
    /// The work could not be done; stderr says why.
    Failed,
    /// Some of the work could not be done; the result says which.
    Partial,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Findings => 1,
            Exit::Failed => 2,
            Exit::Partial => 3,
        })
    }
}
