//! `garth waive`: lifts one deny or hold for some packages, until a day.

use clap::Args;
use policies::rules::Draft;

use super::Exit;
use super::allow::split;
use super::client::{Client, ServerArgs};
use super::talk::{print, print_json, with_server};
use crate::api::rules::RuleView;
use crate::config::EnvSnapshot;

/// Lift one deny or hold for some packages, until a day
///
/// Whatever else denies or holds them still does. Somebody answers for it: whoever makes it, unless --owner
/// says who.
#[derive(Args, Debug)]
pub struct Waive {
    /// The name of the deny or hold; refusals and `garth why` show it
    #[arg(value_name = "RULE")]
    rule: String,
    /// For what: npm:left-pad@1.3.0, npm:left-pad@^1 or npm:left-pad
    #[arg(required = true, value_name = "PACKAGE[@RANGE]")]
    packages: Vec<String>,
    /// Why, in one line
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// When it ends: 2027-01-01 (as that day begins, UTC) or 2027-01-01T12:00:00Z
    #[arg(long, value_name = "DATE")]
    expires: String,
    /// For whom: a team like web/shop, or a unit like web [default: everybody]
    #[arg(long, value_name = "TEAM")]
    team: Option<String>,
    /// Who answers for it [default: whoever makes it]
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// A name for the waiver [default: made from the package]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

impl Waive {
    pub fn run(self, env: &EnvSnapshot) -> Exit {
        let drafts: Result<Vec<Draft>, _> =
            self.packages.iter().map(|package| self.draft(package)).collect();
        let drafts = match drafts {
            Ok(drafts) => drafts,
            Err(error) => {
                eprintln!("garth: {error}");
                return Exit::Failed;
            }
        };
        if drafts.len() > 1 && self.name.is_some() {
            eprintln!("garth: --name names one waiver: run the command once for each package");
            return Exit::Failed;
        }
        with_server(&self.server, env, async |client: Client| {
            let mut made = Vec::new();
            for draft in &drafts {
                let (rule, _): (RuleView, bool) = client.post(&["rules"], draft).await?;
                if !self.json {
                    print(&told(&rule));
                }
                made.push(rule);
            }
            if self.json {
                print_json(&made);
            }
            Ok(Exit::Done)
        })
    }

    fn draft(&self, package: &str) -> Result<Draft, policies::package::InvalidName> {
        let (package, versions) = split(package)?;
        Ok(Draft {
            name: self.name.clone(),
            packages: vec![package],
            versions,
            teams: self.team.clone().map(|team| vec![team]),
            reason: Some(self.reason.clone()),
            owner: self.owner.clone(),
            expires: Some(self.expires.clone()),
            waives: Some(self.rule.clone()),
            ..Draft::default()
        })
    }
}

fn told(rule: &RuleView) -> String {
    let versions = rule.versions.as_ref().map(|versions| format!(" in {versions}"));
    let expires = rule.expires.map(|expires| format!(" until {expires}"));
    let teams = match rule.terms.teams.join(", ") {
        teams if teams.is_empty() => String::new(),
        teams => format!(" for {teams}"),
    };
    format!(
        "waived: {} for {}{}{teams}{} (waiver {}, owner {})\n",
        rule.terms.waives.as_deref().unwrap_or_default(),
        rule.packages.join(", "),
        versions.unwrap_or_default(),
        expires.unwrap_or_default(),
        rule.name,
        rule.terms.owner.as_deref().unwrap_or_default()
    )
}
