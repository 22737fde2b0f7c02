//! `garth policy check`: is what the policy files say well written, and does all of it count?

use clap::Args;
use policies::check::{self, Checked};

use super::source::Source;
use crate::cli::Exit;
use crate::cli::talk::print;
use crate::clock::Clock;
use crate::config::EnvSnapshot;

/// Find what is wrong or pointless in policy files
///
/// Reads the files as the server would, and says with file, line and column what it would refuse, and
/// which rules can never count: expired, shadowed by others, of no version, with a condition that can not
/// be true, waivers of nothing. No server and no network is needed.
///
/// Exit codes: 0 nothing was found, or warnings alone; 1 errors, or with --deny-warnings anything at all;
/// 2 the files could not be read.
#[allow(clippy::doc_markdown, reason = "shown as it stands in the help text")]
#[derive(Args, Debug)]
pub(super) struct Check {
    #[command(flatten)]
    source: Source,
    /// Let warnings fail, too
    #[arg(long)]
    deny_warnings: bool,
}

impl Check {
    pub(super) fn run(self, env: &EnvSnapshot, clock: &Clock) -> Exit {
        let texts = match self.source.read(env) {
            Ok(texts) => texts,
            Err(lines) => {
                for line in lines {
                    eprintln!("garth policy check: {line}");
                }
                return Exit::Failed;
            }
        };
        let checked = check::check(&texts, self.source.now(clock));
        print(&told(&checked));
        let bar = if self.deny_warnings { 0 } else { checked.warnings() };
        if checked.findings.len() > bar { Exit::Findings } else { Exit::Done }
    }
}

fn told(checked: &Checked) -> String {
    checked.findings.iter().map(|finding| format!("{}\n", finding.fault)).collect()
}
