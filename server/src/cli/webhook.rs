//! `garth webhook`: where events are sent, and what came of it.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::Exit;
use super::client::{Client, ServerArgs};
use super::talk::{print, print_json, with_server};
use crate::api::webhooks::{
    AttemptView, DeliveryList, DeliveryView, ResumeRequest, RotateRequest, SecretView, Standing,
    WebhookList, WebhookRequest, WebhookView,
};
use crate::config::{EnvSnapshot, parse_duration};
use crate::metadata::records::DeliveryState;

/// Send events to other programs: make, list, test and remove webhooks
#[derive(Args, Debug)]
pub struct WebhookCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a webhook; its secret is shown once, alone on stdout
    Create(Create),
    /// Webhooks, and how each stands
    List(Common),
    /// One webhook, with all that is known of it
    Show(Named),
    /// Remove a webhook, with all that waits
    Remove(Named),
    /// Send something that did not happen, and say what came of it
    Test(Named),
    /// Give a webhook a new secret; the one of before signs beside it for a while
    Rotate(Rotate),
    /// Send again what was stopped
    Resume(Resume),
    /// What was sent lately, and what waits
    Deliveries(Deliveries),
    /// Send an event once more
    Redeliver(Redeliver),
}

#[derive(Args, Debug)]
struct Common {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args, Debug)]
struct Named {
    /// The webhook's name, as `garth webhook list` shows it
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Debug)]
struct Create {
    /// Where events are posted, like <https://hooks.example.com/garth>
    #[arg(value_name = "URL")]
    url: String,
    /// Kinds of events, with commas between them: request-made,refused, request-*, or * for all
    #[arg(long, value_name = "KINDS", required = true, value_delimiter = ',')]
    events: Vec<String>,
    /// Only what this team may be told, like web/shop
    #[arg(long, value_name = "TEAM")]
    team: Option<String>,
    /// A name for it [default: the host's]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Debug)]
struct Rotate {
    #[command(flatten)]
    named: Named,
    /// How long the secret of before goes on signing: 24h, 7d, 0s [default: 24h]
    #[arg(long, value_name = "TIME")]
    grace: Option<String>,
}

#[derive(Args, Debug)]
struct Resume {
    #[command(flatten)]
    named: Named,
    /// Give up what waits and what happened since, and begin with what happens from now on
    #[arg(long)]
    from_now: bool,
}

#[derive(Args, Debug)]
struct Deliveries {
    #[command(flatten)]
    named: Named,
    /// Only these: waiting, delivered or given-up
    #[arg(long, value_name = "STATE", value_parser = ["waiting", "delivered", "given-up"])]
    state: Option<String>,
}

#[derive(Args, Debug)]
struct Redeliver {
    /// The webhook's name, as `garth webhook list` shows it
    #[arg(value_name = "NAME")]
    name: String,
    /// Numbers of events, as `garth webhook deliveries` shows them
    #[arg(required = true, value_name = "NUMBER")]
    numbers: Vec<u64>,
    #[command(flatten)]
    common: Common,
}

impl WebhookCommand {
    pub fn run(self, env: &EnvSnapshot) -> Exit {
        match self.action {
            Action::Create(create) => create.run(env),
            Action::List(common) => list(&common, env),
            Action::Show(named) => named.show(env),
            Action::Remove(named) => named.remove(env),
            Action::Test(named) => named.test(env),
            Action::Rotate(rotate) => rotate.run(env),
            Action::Resume(resume) => resume.run(env),
            Action::Deliveries(deliveries) => deliveries.run(env),
            Action::Redeliver(redeliver) => redeliver.run(env),
        }
    }
}

impl Create {
    fn run(self, env: &EnvSnapshot) -> Exit {
        let Self { url, events, team, name, common } = self;
        with_server(&common.server, env, async |client: Client| {
            let asked = WebhookRequest { url, events, team, name };
            let (made, _): (SecretView, bool) = client.post(&["webhooks"], &asked).await?;
            if common.json {
                print_json(&made);
                return Ok(Exit::Done);
            }
            let name = &made.webhook.name;
            eprintln!(
                "made: the webhook {name}. Its secret is shown this once; the receiver verifies by it.\n\
                 `garth webhook test {name}` tries it."
            );
            print(&format!("{}\n", made.secret));
            Ok(Exit::Done)
        })
    }
}

fn list(common: &Common, env: &EnvSnapshot) -> Exit {
    with_server(&common.server, env, async |client: Client| {
        let take = |page: WebhookList| (page.webhooks, page.next);
        let webhooks = client.list(&["webhooks"], &[], take).await?;
        if common.json {
            print_json(&serde_json::json!({ "webhooks": webhooks }));
        } else if webhooks.is_empty() {
            print("No webhooks. `garth webhook create URL --events KINDS` makes the first one.\n");
        } else {
            print(&webhooks.iter().map(line).collect::<String>());
        }
        Ok(Exit::Done)
    })
}

impl Named {
    fn show(self, env: &EnvSnapshot) -> Exit {
        with_server(&self.common.server, env, async |client: Client| {
            let view: WebhookView = client.get(&["webhooks", &self.name], &[]).await?;
            if self.common.json {
                print_json(&view);
            } else {
                print(&told(&view));
            }
            Ok(Exit::Done)
        })
    }

    fn remove(self, env: &EnvSnapshot) -> Exit {
        with_server(&self.common.server, env, async |client: Client| {
            client.delete(&["webhooks", &self.name]).await?;
            if self.common.json {
                print_json(&serde_json::json!({ "removed": self.name }));
            } else {
                print(&format!("removed: the webhook {}\n", self.name));
            }
            Ok(Exit::Done)
        })
    }

    fn test(self, env: &EnvSnapshot) -> Exit {
        with_server(&self.common.server, env, async |client: Client| {
            let path = ["webhooks", &self.name, "test"];
            let (attempt, _): (AttemptView, bool) = client.post(&path, &()).await?;
            let arrived = attempt.status.is_some_and(|status| (200..300).contains(&status));
            if self.common.json {
                print_json(&attempt);
            } else {
                let how = if arrived { "it arrived" } else { "it did not arrive" };
                print(&format!("{how}: {}, after {} ms\n", answer(&attempt), attempt.millis));
            }
            Ok(if arrived { Exit::Done } else { Exit::Findings })
        })
    }
}

impl Rotate {
    fn run(self, env: &EnvSnapshot) -> Exit {
        let Self { named: Named { name, common }, grace } = self;
        let seconds = grace
            .as_deref()
            .map(|text| parse_duration(text).and_then(|grace| u32::try_from(grace.as_secs()).ok()));
        if seconds == Some(None) {
            eprintln!("garth: --grace: write a time as 24h, 7d or 0s");
            return Exit::Failed;
        }
        with_server(&common.server, env, async |client: Client| {
            let asked = RotateRequest { grace_seconds: seconds.flatten() };
            let path = ["webhooks", &name, "rotate"];
            let (made, _): (SecretView, bool) = client.post(&path, &asked).await?;
            if common.json {
                print_json(&made);
                return Ok(Exit::Done);
            }
            if let Some(until) = made.before_until {
                eprintln!("rotated: the secret of before signs beside this one until {until:.0}");
            }
            print(&format!("{}\n", made.secret));
            Ok(Exit::Done)
        })
    }
}

impl Resume {
    fn run(self, env: &EnvSnapshot) -> Exit {
        let Self { named: Named { name, common }, from_now } = self;
        with_server(&common.server, env, async |client: Client| {
            let path = ["webhooks", &name, "resume"];
            let asked = ResumeRequest { from_now };
            let (view, _): (WebhookView, bool) = client.post(&path, &asked).await?;
            if common.json {
                print_json(&view);
            } else {
                print(&format!("resumed: the webhook {name}\n"));
            }
            Ok(Exit::Done)
        })
    }
}

impl Deliveries {
    fn run(self, env: &EnvSnapshot) -> Exit {
        let Self { named: Named { name, common }, state } = self;
        with_server(&common.server, env, async |client: Client| {
            let query: Vec<(&str, &str)> =
                state.as_deref().map(|state| ("state", state)).into_iter().collect();
            let list: DeliveryList = client.get(&["webhooks", &name, "deliveries"], &query).await?;
            if common.json {
                print_json(&list);
            } else if list.deliveries.is_empty() {
                print("No deliveries.\n");
            } else {
                print(&list.deliveries.iter().map(delivery_line).collect::<String>());
            }
            Ok(Exit::Done)
        })
    }
}

impl Redeliver {
    fn run(self, env: &EnvSnapshot) -> Exit {
        with_server(&self.common.server, env, async |client: Client| {
            let mut again = Vec::new();
            for number in self.numbers.iter().map(u64::to_string) {
                let path = ["webhooks", &self.name, "deliveries", &number, "redeliver"];
                let (view, _): (DeliveryView, bool) = client.post(&path, &()).await?;
                if !self.common.json {
                    print(&format!("sent again: event {}, {}\n", view.id, view.event));
                }
                again.push(view);
            }
            if self.common.json {
                print_json(&DeliveryList { deliveries: again });
            }
            Ok(Exit::Done)
        })
    }
}

fn line(view: &WebhookView) -> String {
    let events = if view.events.is_empty() { "*".to_owned() } else { view.events.join(",") };
    let team = view.team.as_deref().map(|team| format!(" of {team}")).unwrap_or_default();
    format!("{}  {}  {events}{team}  {}\n", view.name, standing(view), view.url)
}

fn standing(view: &WebhookView) -> String {
    let waits = match view.waiting {
        0 => String::new(),
        waiting => format!(", {waiting} wait"),
    };
    match (view.standing, view.failing_since, view.stopped) {
        (Standing::Stopped, _, Some(at)) => format!("stopped since {at:.0}"),
        (Standing::Failing, Some(since), _) => format!("failing since {since:.0}{waits}"),
        _ => format!("works{waits}"),
    }
}

fn told(view: &WebhookView) -> String {
    let mut text = line(view);
    if let Some(why) = &view.stopped_because {
        let _ = writeln!(text, "  {why}; `garth webhook resume {}` sends again", view.name);
    }
    let _ = writeln!(text, "  made {:.0} by {}", view.created, view.created_by);
    let mut at = |what: &str, at: Option<Timestamp>| {
        if let Some(at) = at {
            let _ = writeln!(text, "  {what} {at:.0}");
        }
    };
    at("something arrived last", view.delivered);
    at("the secret of before signs, too, until", view.older_until);
    let _ = writeln!(text, "  events up to {} were looked at", view.next);
    text
}

fn delivery_line(view: &DeliveryView) -> String {
    let state = match view.state {
        DeliveryState::Waiting => "waiting",
        DeliveryState::Delivered => "delivered",
        DeliveryState::GivenUp => "given up",
    };
    let tries = if view.attempts == 1 { "try" } else { "tries" };
    let mut text = format!("{}  {}  {state}, {} {tries}", view.id, view.event, view.attempts);
    if let Some(last) = &view.last {
        let _ = write!(text, ", {:.0}: {}", last.at, answer(last));
    }
    if let Some(next) = view.next {
        let _ = write!(text, "; next {next:.0}");
    }
    text.push('\n');
    text
}

/// What the receiver said is escaped and cut by the server.
fn answer(attempt: &AttemptView) -> String {
    match (attempt.status, attempt.said.as_str()) {
        (Some(status), "") => format!("answered {status}"),
        (Some(status), said) => format!("answered {status}: {said}"),
        (None, said) => said.to_owned(),
    }
}
