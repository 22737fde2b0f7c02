//! `/tokens`: made, listed, rotated and revoked. A secret is in the answer that makes it, and in no
//! other.

use actix_web::{HttpRequest, HttpResponse, web};
use jiff::{SignedDuration, Timestamp};
use policies::rules::read_moment;
use serde::{Deserialize, Serialize};

use super::form::page::{self, Limit};
use super::problem::Problem;
use super::rules::{json_body, query};
use super::table::{ADMINISTER, Endpoint, Needs, Once, delete, get, post};
use super::{Api, By};
use crate::access::Person;
use crate::access::register::{Created, DEFAULT_GRACE, Life, NewToken};
use crate::access::rights::{GrantFault, Right, Rights};
use crate::access::secret::TokenKind;
use crate::access::table::{Ending, Gone, Token};

const MAX_PAGE: usize = 1000;
/// As `expires`: the token ends only when it is revoked.
pub const NEVER: &str = "never";

/// A token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Token)]
pub struct TokenView {
    /// By which it is called.
    pub name: String,
    /// `person` or `service`
    pub kind: String,
    /// Who, or which service, it stands for.
    pub owner: String,
    /// `unit/team`
    pub team: Option<String>,
    pub rights: Rights,
    /// By their names: what they give is said there.
    #[serde(default)]
    pub roles: Vec<String>,
    pub standing: Standing,
    /// What became of it.
    #[serde(default)]
    pub ended: Option<String>,
    /// What it came of, where nobody made it: a login, an exchange.
    #[serde(default)]
    pub origin: Option<String>,
    pub expires: Option<Timestamp>,
    pub created: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// To within some minutes.
    pub last_used: Option<Timestamp>,
    /// Of a rotated one: until when secrets of before are valid.
    pub older_until: Option<Timestamp>,
    pub revoked: Option<Timestamp>,
    /// Who revoked it.
    pub revoked_by: Option<String>,
}

/// Whether a token lets somebody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = TokenStanding)]
pub enum Standing {
    Valid,
    Expired,
    Revoked,
    /// By what became of whom it is for.
    Ended,
}

impl TokenView {
    pub(super) fn new(token: &Token, ended: Option<&Gone>, now: Timestamp) -> Self {
        let record = &token.record;
        let older = record.secrets.iter().filter_map(|secret| secret.until);
        let revoked = record.revoked.as_ref();
        Self {
            name: token.name.to_string(),
            kind: record.kind.clone(),
            owner: record.owner.clone(),
            team: record.team.clone(),
            rights: token.rights(),
            roles: record.roles.clone(),
            standing: match ended.map(|gone| gone.how) {
                None => Standing::Valid,
                Some(Ending::Revoked) => Standing::Revoked,
                Some(Ending::Expired | Ending::Replaced) => Standing::Expired,
                Some(_) => Standing::Ended,
            },
            ended: ended.map(ToString::to_string),
            origin: record.origin.clone(),
            expires: record.expires,
            created: record.created,
            created_by: record.created_by.clone(),
            last_used: token.used(),
            older_until: older.filter(|until| *until > now).max(),
            revoked: revoked.map(|revoked| revoked.at),
            revoked_by: revoked.map(|revoked| revoked.by.clone()),
        }
    }
}

/// A token that was made or rotated.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = CreatedToken)]
pub struct CreatedView {
    #[serde(flatten)]
    pub token: TokenView,
    /// Shown once.
    pub secret: String,
    /// Until when the secrets of before are valid.
    pub before_until: Option<Timestamp>,
}

impl CreatedView {
    pub(super) fn new(created: &Created, now: Timestamp) -> Self {
        Self {
            token: TokenView::new(&created.token, None, now),
            secret: created.secret.reveal().to_owned(),
            before_until: created.before_until,
        }
    }
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Those that are revoked or expired, too.
    all: Option<bool>,
    /// Those that came of a login or an exchange, too.
    logins: Option<bool>,
    /// Only tokens of this team.
    team: Option<String>,
    /// Begin behind this name.
    after: Option<String>,
    /// Of one page, at most; more than 1000 is 1000.
    #[param(inline)]
    limit: Option<Limit>,
}

/// A page, sorted by name.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TokenList {
    /// By name.
    pub tokens: Vec<TokenView>,
    /// Give this as `after` for the next page.
    pub next: Option<String>,
}

/// A token that is to be made.
#[derive(Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewToken)]
pub struct TokenRequest {
    /// By which it is called.
    pub name: String,
    /// Left out: it is a service's, named as the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// `person` or `service`; left out: a person's where there is an owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// `unit/team`; it must be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// `publish`, `publish=npm:@acme/*`
    #[serde(default)]
    pub rights: Vec<String>,
    /// Names of roles, whose rights it has beside them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// A date, a time, or `never`; left out: in a year.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// How a token is rotated.
#[derive(Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Rotation)]
pub struct RotateRequest {
    /// How long the secret of before stays valid; left out: a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_seconds: Option<u32>,
}

pub fn endpoints() -> Vec<Endpoint> {
    let (token, administer) = (Needs::Token, ADMINISTER);
    let named = |endpoint: Endpoint| endpoint.part::<String>("name", "The name of the token.");
    let own = "Its own token takes no right; any other takes the right to administer.";
    vec![
        get("list_tokens", "/tokens", token, "Tokens, without their secrets", list)
            .note("Who may not administer is shown the token that asks, and what else is theirs.")
            .query::<ListQuery>()
            .answers::<TokenList>(200, "A page of tokens, by name."),
        post("create_token", "/tokens", administer, "Makes a token", create)
            .note("Nobody makes a token with a right that they do not have.")
            .takes::<TokenRequest>("The token.")
            .answers::<CreatedView>(201, "The token, with its secret, which is never shown again.")
            .problems(&["invalid-access", "no-such-right", "invalid-right", "no-such-role"])
            .problems(&["no-such-team", "taken", "no-randomness"])
            .once(Once::Secret),
        named(post(
            "rotate_token",
            "/tokens/{name}/rotate",
            token,
            "A new secret for a token",
            rotate,
        ))
        .note(own)
        .takes::<RotateRequest>("How long the secrets of before stay valid.")
        .answers::<CreatedView>(200, "The token, with its new secret.")
        .problems(&["no-such-token", "missing-right", "invalid-access", "taken"])
        .problem("no-randomness")
        .once(Once::Secret),
        named(delete("revoke_token", "/tokens/{name}", token, "Revokes a token", revoke))
            .note(own)
            .answers::<TokenView>(200, "The token, which lets nobody in any more.")
            .problems(&["no-such-token", "missing-right"]),
    ]
}

/// Of others whoever may administer sees them; somebody who is known here sees all of their own.
fn may_see(by: &Person, token: &Token) -> bool {
    let is_theirs = by.ceiling.is_some() && token.record.owner == *by.name;
    is_theirs || by.may(Right::Administer) || by.token.as_ref() == Some(&token.name)
}

/// All of them for whoever may administer, and for everybody else their own.
pub async fn list(
    api: web::Data<Api>,
    by: By,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let query: ListQuery = query(&request)?;
    let limit = Limit::of(query.limit, MAX_PAGE);
    let (now, all) = (api.clock.now(), query.all.unwrap_or_default());
    let logins = query.logins.unwrap_or_default();
    let tokens = api.access.register().tokens();
    let mut found: Vec<TokenView> = tokens
        .iter()
        .filter(|(token, _)| query.after.as_deref().is_none_or(|after| &*token.name > after))
        .filter(|(token, _)| may_see(&by, token))
        .filter(|(token, _)| {
            logins || !token.is_passing() || by.token.as_ref() == Some(&token.name)
        })
        .filter(|(token, _)| query.team.is_none() || token.record.team == query.team)
        .filter(|(_, ended)| all || ended.is_none())
        .take(limit + 1)
        .map(|(token, ended)| TokenView::new(token, ended.as_ref(), now))
        .collect();
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|token| token.name.clone());
    let page = TokenList { tokens: found, next };
    Ok(page::answer(&request, &page, page.next.as_ref().map(|next| next as &dyn ToString)))
}

pub async fn create(
    api: web::Data<Api>,
    by: By,
    request: HttpRequest,
    body: Result<web::Bytes, actix_web::Error>,
) -> Result<HttpResponse, Problem> {
    let asked: TokenRequest = json_body(&request, body, "the token")?;
    let created = api.access.register().create(&by, read(asked)?).await?;
    Ok(HttpResponse::Created().json(CreatedView::new(&created, api.clock.now())))
}

pub async fn rotate(
    api: web::Data<Api>,
    by: By,
    name: web::Path<String>,
    request: HttpRequest,
    body: Result<web::Bytes, actix_web::Error>,
) -> Result<web::Json<CreatedView>, Problem> {
    let asked: RotateRequest = json_body(&request, body, "the rotation")?;
    let grace = asked.grace_seconds;
    let grace = grace.map_or(DEFAULT_GRACE, |seconds| SignedDuration::from_secs(seconds.into()));
    let created = api.access.register().rotate(&by, &name, grace).await?;
    Ok(web::Json(CreatedView::new(&created, api.clock.now())))
}

pub async fn revoke(
    api: web::Data<Api>,
    by: By,
    name: web::Path<String>,
) -> Result<web::Json<TokenView>, Problem> {
    let token = api.access.register().revoke(&by, &name).await?;
    let now = api.clock.now();
    Ok(web::Json(TokenView::new(&token, token.gone(now).as_ref(), now)))
}

fn read(asked: TokenRequest) -> Result<NewToken, Problem> {
    let TokenRequest { name, owner, kind, team, rights, roles, expires } = asked;
    let kind = match (kind.as_deref().map(TokenKind::parse), &owner) {
        (Some(Some(kind)), _) => kind,
        (Some(None), _) => {
            return Err(Problem::bad_request("invalid-access", "a kind is person or service"));
        }
        (None, Some(_)) => TokenKind::Person,
        (None, None) => TokenKind::Service,
    };
    let rights = read_rights(&rights)?;
    let life = match expires.as_deref().map(str::trim) {
        None => Life::Usual,
        Some(NEVER) => Life::Endless,
        Some(text) => Life::Until(read_moment(text).ok_or_else(|| {
            let detail = "expires: write 2027-01-01, 2027-01-01T12:00:00Z or never";
            Problem::bad_request("invalid-access", detail)
        })?),
    };
    let owner = owner.unwrap_or_else(|| name.clone());
    Ok(NewToken { name, kind, owner, team, rights, roles, life })
}

pub(super) fn read_rights(texts: &[String]) -> Result<Rights, Problem> {
    Rights::parse(texts.iter().map(String::as_str)).map_err(Problem::from)
}

impl From<GrantFault> for Problem {
    fn from(fault: GrantFault) -> Self {
        let code = match fault {
            GrantFault::NoSuchRight { .. } => "no-such-right",
            GrantFault::Invalid(_) => "invalid-right",
        };
        Self::bad_request(code, format!("rights: {fault}"))
    }
}
