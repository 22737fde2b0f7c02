//! Everybody who asks.

use serde_json::{Value, json};

use super::World;

const PASSWORD: &str = "correct horse battery";

/// All that a token can be given.
const EVERYTHING: &[&str] = &["read", "publish", "approve", "promote", "administer"];

/// One column of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    Nobody,
    Unknown,
    Revoked,
    Disabled,
    Reader,
    LimitedReader,
    ReaderOfTeam,
    Publisher,
    LimitedPublisher,
    Approver,
    LimitedApprover,
    Promoter,
    Administrator,
    LimitedAdministrator,
    OfTeam,
    Bounded,
    LoggedIn,
    FirstAdmin,
}

/// One of them.
#[derive(Clone, Debug)]
pub struct Known {
    /// What is sent.
    pub token: Option<String>,
    /// How the token is called.
    name: String,
    /// Whom it is for.
    person: String,
}

impl Known {
    /// The text, with what it leaves to be filled in: a number of its own, what was made first, and
    /// who asks.
    pub fn fill(&self, text: &str, n: &str, made: &Value) -> String {
        let number = [&made["number"], &made["request"]["number"]];
        let number = number.into_iter().find_map(Value::as_u64).unwrap_or_default();
        let revision = made["_rev"].as_str().unwrap_or_default();
        text.replace("<n>", n)
            .replace("<number>", &number.to_string())
            .replace("<revision>", revision)
            .replace("<soon>", &soon())
            .replace("<token>", &self.name)
            .replace("<person>", &self.person)
            .replace("<password>", PASSWORD)
    }
}

/// Before anything ends that is made here.
fn soon() -> String {
    (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(48)).to_string()
}

impl Asker {
    pub const ALL: [Self; 18] = [
        Self::Nobody,
        Self::Unknown,
        Self::Revoked,
        Self::Disabled,
        Self::Reader,
        Self::LimitedReader,
        Self::ReaderOfTeam,
        Self::Publisher,
        Self::LimitedPublisher,
        Self::Approver,
        Self::LimitedApprover,
        Self::Promoter,
        Self::Administrator,
        Self::LimitedAdministrator,
        Self::OfTeam,
        Self::Bounded,
        Self::LoggedIn,
        Self::FirstAdmin,
    ];

    pub const fn words(self) -> &'static str {
        match self {
            Self::Nobody => "nobody: no token is sent",
            Self::Unknown => "a token that is none of this garth, nor nearly one",
            Self::Revoked => "a token with every right, which was revoked",
            Self::Disabled => "a token with every right, of somebody who was disabled",
            Self::Reader => "read",
            Self::LimitedReader => "read=npm:@acme/*",
            Self::ReaderOfTeam => "read, of the team web/shop",
            Self::Publisher => "publish",
            Self::LimitedPublisher => "publish=npm:@acme/*",
            Self::Approver => "approve",
            Self::LimitedApprover => "approve=npm:@acme/*",
            Self::Promoter => "promote",
            Self::Administrator => "administer",
            Self::LimitedAdministrator => "administer=npm:@acme/*, read=npm:@acme/*",
            Self::OfTeam => "every right, of the team web/shop",
            Self::Bounded => "every right, of somebody who may read",
            Self::LoggedIn => "somebody who is logged in, and may publish",
            Self::FirstAdmin => "the first admin token",
        }
    }

    /// What the token was given.
    const fn given(self) -> &'static [&'static str] {
        match self {
            Self::Reader | Self::ReaderOfTeam => &[],
            Self::LimitedReader => &["read=npm:@acme/*"],
            Self::Publisher => &["publish"],
            Self::LimitedPublisher => &["publish=npm:@acme/*"],
            Self::Approver => &["approve"],
            Self::LimitedApprover => &["approve=npm:@acme/*"],
            Self::Promoter => &["promote"],
            Self::Administrator => &["administer"],
            Self::LimitedAdministrator => &["administer=npm:@acme/*", "read=npm:@acme/*"],
            _ => EVERYTHING,
        }
    }

    /// They can be known by what they send.
    pub const fn is_known(self) -> bool {
        !matches!(self, Self::Nobody | Self::Unknown | Self::Revoked | Self::Disabled)
    }

    /// Without a limit.
    pub fn may(self, right: &str) -> bool {
        let by_token =
            right == "read" && !self.given().iter().any(|given| given.starts_with("read="));
        let by_token = by_token || self.given().contains(&right);
        let by_person = match self {
            Self::Bounded => right == "read",
            Self::LoggedIn => matches!(right, "read" | "publish"),
            _ => true,
        };
        self.is_known() && by_token && by_person
    }

    /// What they have can be used up, so that another one is made.
    pub const fn is_spent(self) -> bool {
        self.is_known() && !matches!(self, Self::FirstAdmin)
    }
}

impl World {
    pub async fn make(&mut self, asker: Asker) -> Known {
        let n = self.fresh();
        let name = format!("{asker:?}-{n}").to_lowercase();
        let known =
            |token: Option<String>| Known { token, name: name.clone(), person: name.clone() };
        match asker {
            Asker::Nobody => Known { token: None, name: "nothing".into(), person: "nobody".into() },
            Asker::Unknown => known(Some(format!("garth_service_{}", "7".repeat(49)))),
            Asker::FirstAdmin => {
                let token = Some(self.admin.clone());
                Known { token, name: "nothing".into(), person: "admin".into() }
            }
            Asker::Disabled | Asker::Bounded => {
                let user = json!({ "name": name, "roles": ["administrator"] });
                self.must("POST", "/api/v1/users", &user).await;
                let asked = json!({ "name": name, "owner": name, "rights": EVERYTHING });
                let token = self.token(&asked).await;
                let change = match asker {
                    Asker::Bounded => json!({ "roles": ["reader"] }),
                    _ => json!({ "disabled": true }),
                };
                self.must("PATCH", &format!("/api/v1/users/{name}"), &change).await;
                known(Some(token))
            }
            Asker::LoggedIn => {
                let user = json!({ "name": name, "roles": ["publisher"], "password": PASSWORD });
                self.must("POST", "/api/v1/users", &user).await;
                let login = json!({ "name": name, "password": PASSWORD });
                let made = self.must("POST", "/api/v1/login", &login).await;
                let of = |field: &str| made[field].as_str().unwrap().to_owned();
                Known { token: Some(of("secret")), name: of("name"), person: name }
            }
            _ => {
                let given = asker.given().iter();
                let given: Vec<_> =
                    given.map(|right| right.replace(super::LIMIT, self.limit)).collect();
                let mut asked = json!({ "name": name, "rights": given });
                if matches!(asker, Asker::OfTeam | Asker::ReaderOfTeam) {
                    asked["team"] = "web/shop".into();
                }
                let token = self.token(&asked).await;
                if asker == Asker::Revoked {
                    self.must("DELETE", &format!("/api/v1/tokens/{name}"), &json!({})).await;
                }
                known(Some(token))
            }
        }
    }

    async fn token(&self, asked: &Value) -> String {
        let made = self.must("POST", "/api/v1/tokens", asked).await;
        made["secret"].as_str().unwrap().to_owned()
    }
}
