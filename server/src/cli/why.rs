//! `garth why`: the decision on a package version, and each rule that was considered for it.

use std::fmt::Write as _;

use clap::Args;
use policies::decision::Effect;
use policies::package::{PackageVersion, Spelling};

use super::Exit;
use super::client::{Client, ServerArgs};
use super::talk::{colours, painted, print, print_json, with_server};
use crate::api::decisions::DecisionView;
use crate::config::EnvSnapshot;

/// Show what is decided for a package, and which rules were considered
///
/// Ends with 0 if the version is allowed and with 1 if it is denied or held. Without a version it shows
/// what the rules say of the package, and ends with 0.
#[derive(Args, Debug)]
pub struct Why {
    /// A package, better with a version: npm:left-pad@1.3.0
    #[arg(value_name = "PACKAGE[@VERSION]")]
    package: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

impl Why {
    pub fn run(self, env: &EnvSnapshot) -> Exit {
        // Told at once, without a server.
        if let Err(error) = Spelling::parse(&self.package) {
            eprintln!("garth: {error}");
            return Exit::Failed;
        }
        let colours = colours(env);
        with_server(&self.server, env, async |client: Client| {
            let view: DecisionView =
                client.get(&["decisions"], &[("package", &self.package)]).await?;
            if self.json {
                print_json(&view);
            } else {
                print(&told(&view, colours));
            }
            Ok(match &view.decision {
                Some(decision) if !decision.is_allowed() => Exit::Findings,
                _ => Exit::Done,
            })
        })
    }
}

fn told(view: &DecisionView, colours: bool) -> String {
    let mut text = String::new();
    for fault in &view.faults {
        let _ = writeln!(text, "! {fault}");
    }
    match view.decision.as_ref().zip(view.version.as_ref()) {
        Some((decision, version)) => {
            let asked = PackageVersion { package: view.package.clone(), version: version.clone() };
            let word = painted(decision.effect.participle(), decision.effect, colours);
            let _ = writeln!(text, "{asked} is {word}: {}", decision.reason);
            if let Some(rule) = &decision.rule {
                let _ = write!(text, "by the rule {rule}");
                if let Some(until) = decision.until {
                    let _ = write!(text, ", until {until}");
                }
                text.push('\n');
            }
            if view.observing && decision.effect != Effect::Allow {
                text.push_str(
                    "The server only observes: it is served all the same, and recorded.\n",
                );
            }
        }
        None => {
            let _ = writeln!(text, "{}: what the rules say of it", view.package);
        }
    }
    for one in &view.considered {
        let mark = if one.matched { "*" } else { " " };
        let effect = painted(&format!("{:5}", one.effect), one.effect, colours);
        let _ = writeln!(text, " {mark} {effect}  {}  {}", one.rule, one.why);
    }
    match (view.considered.len(), view.others) {
        (0, 0) => text.push_str("There are no rules, and what no rule allows is denied.\n"),
        (0, others) => {
            let _ = writeln!(
                text,
                "None of the {others} rules names it, and what no rule allows is denied."
            );
        }
        (_, 0) => {}
        (_, others) => {
            let _ = writeln!(text, "{others} more rules speak of other packages.");
        }
    }
    let _ = writeln!(text, "Rules of revision {}", view.revision);
    let refused = view.decision.as_ref().is_some_and(|decision| decision.rule.is_none());
    if refused {
        let asked = view.version.as_ref().map_or_else(
            || view.package.to_string(),
            |version| {
                PackageVersion { package: view.package.clone(), version: version.clone() }
                    .to_string()
            },
        );
        let _ = writeln!(text, "To allow it: garth allow {asked}");
    }
    text
}
