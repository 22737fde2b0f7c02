//! What an ID token says of a person: whether it answers the login that was begun, and who they are to
//! garth. Pure; the signature is checked before.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::access::issuer::Doubt;
use crate::access::issuer::claims::{LEEWAY, audiences, check_times, moment, says};
use crate::access::secret::Hash;
use crate::config::ProviderConfig;

type Claims = Map<String, Value>;

/// Groups that are looked at.
const MAX_GROUPS: usize = 1000;

/// What the token has to answer.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub client_id: &'a str,
    pub nonce: &'a str,
    pub at: Timestamp,
}

/// Whether it is for us, for this login, and of now.
pub fn check(claims: &Claims, asked: &Asked<'_>, now: Timestamp) -> Result<(), Doubt> {
    check_times(claims, now)?;
    let begun = asked.at.checked_sub(LEEWAY).unwrap_or(asked.at);
    match claims.get("iat").and_then(moment) {
        Some(issued) if issued >= begun => {}
        Some(_) => return Err(Doubt::Claim("it is older than the login")),
        None => return Err(Doubt::Claim("it does not say when it was issued")),
    }
    let audiences = audiences(claims);
    if !audiences.contains(&asked.client_id) {
        return Err(Doubt::Claim("it is for somebody else"));
    }
    match claims.get("azp") {
        Some(party) if party.as_str() != Some(asked.client_id) => {
            return Err(Doubt::Claim("it was given to somebody else"));
        }
        None if audiences.len() > 1 => {
            return Err(Doubt::Claim("it is for several, and does not say to whom it was given"));
        }
        _ => {}
    }
    if claims.get("nonce").and_then(Value::as_str) != Some(asked.nonce) {
        return Err(Doubt::Claim("it answers another login"));
    }
    if claims.get("sub").and_then(Value::as_str).is_none_or(str::is_empty) {
        return Err(Doubt::Claim("it does not say who it is of"));
    }
    Ok(())
}

/// Somebody as the provider knows them, in our words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    pub name: String,
    /// A hash of what the provider knows them by, whatever they are called.
    pub subject: String,
    /// Where the provider says them.
    pub teams: Option<Vec<String>>,
    pub roles: Option<Vec<String>>,
}

/// An error says why they are not meant, for themselves.
pub fn known(claims: &Claims, config: &ProviderConfig) -> Result<Known, String> {
    let lacks = |(claim, texts): &(&String, &Vec<String>)| !has(claims, claim, texts);
    if let Some((claim, _)) = config.claims.iter().find(lacks) {
        return Err(format!(
            "{} knows you, and you are not one of those whom it may log in here: the claim `{claim}` is \
             not what whoever runs this garth asks for",
            config.name
        ));
    }
    let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default();
    let groups = groups(claims, &config.groups);
    let of_groups = |by_group: &std::collections::BTreeMap<String, Vec<String>>| {
        let mut all: Vec<String> = Vec::new();
        for name in groups.iter().filter_map(|group| by_group.get(*group)).flatten() {
            if !all.contains(name) {
                all.push(name.clone());
            }
        }
        all.sort();
        all
    };
    let roles = (!config.group_roles.is_empty()).then(|| {
        let mut roles = config.roles.clone();
        roles.extend(
            of_groups(&config.group_roles).into_iter().filter(|role| !config.roles.contains(role)),
        );
        roles
    });
    Ok(Known {
        name: name(claims, config)?,
        subject: Hash::of(format!("{}\n{subject}", config.issuer).as_bytes()).to_hex(),
        teams: (!config.group_teams.is_empty()).then(|| of_groups(&config.group_teams)),
        roles,
    })
}

/// An address of mail is somebody's only where the provider has made sure of it.
fn name(claims: &Claims, config: &ProviderConfig) -> Result<String, String> {
    const EMAIL: &str = "email";
    let said = |claim: &str| {
        let text = claims.get(claim).and_then(Value::as_str)?.trim();
        let counts = claim != EMAIL || claims.get("email_verified") == Some(&Value::Bool(true));
        (counts && !text.is_empty()).then(|| text.to_owned())
    };
    let found = match &config.person {
        Some(claim) => said(claim),
        None => said("preferred_username").or_else(|| said(EMAIL)),
    };
    found.ok_or_else(|| {
        let claim = config.person.as_deref().unwrap_or("preferred_username");
        let unverified = claims.contains_key(EMAIL)
            && config.person.as_deref().is_none_or(|claim| claim == EMAIL);
        let why = if unverified { ", and the address of mail is not verified there" } else { "" };
        format!("{} does not say who you are here: there is no claim `{claim}`{why}", config.name)
    })
}

/// As [`says`], and of several texts one has to fit.
fn has(claims: &Claims, claim: &str, texts: &[String]) -> bool {
    match claims.get(claim) {
        Some(Value::Array(several)) => several.iter().take(MAX_GROUPS).any(|one| {
            let one = Map::from_iter([(claim.to_owned(), one.clone())]);
            says(&one, claim, texts)
        }),
        _ => says(claims, claim, texts),
    }
}

fn groups<'a>(claims: &'a Claims, claim: &str) -> Vec<&'a str> {
    match claims.get(claim) {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => {
            several.iter().take(MAX_GROUPS).filter_map(Value::as_str).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
#[path = "person_tests.rs"]
mod tests;
