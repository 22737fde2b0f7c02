//! Somebody who is known here, and what they may: for all who are told who asks.

pub mod meter;
pub mod rights;

use std::sync::Arc;

use jiff::Timestamp;
use policies::rules::Pattern;

use self::meter::Used;
use self::rights::{Grant, Place, Right, Rights};

/// The name of whoever has the first admin token.
pub const ADMIN: &str = "admin";

/// Somebody who is known here, by the token that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Who, or which service. Two tokens of one name are one person.
    pub name: Arc<str>,
    /// The name of the token; none is the first admin token.
    pub token: Option<Arc<str>>,
    /// `unit/team`
    pub team: Option<Arc<str>>,
    /// What was given to the token.
    pub rights: Rights,
    /// What whoever it is for may, where they are known here: beyond it nothing that was given counts.
    pub ceiling: Option<Rights>,
    /// The end of the secret that was sent.
    pub expires: Option<Timestamp>,
    /// How much was asked by this token of late.
    pub used: Used,
}

impl Person {
    /// Whoever has the first admin token.
    pub fn admin() -> Self {
        Self {
            name: ADMIN.into(),
            token: None,
            team: None,
            rights: Rights::all(),
            ceiling: None,
            expires: None,
            used: Used::default(),
        }
    }

    /// Without a limit.
    pub fn may(&self, right: Right) -> bool {
        self.may_at(right, &Place::default())
    }

    pub fn may_at(&self, right: Right, place: &Place<'_>) -> bool {
        self.both(|rights| rights.allow(right, place))
    }

    /// For every package that a pattern means.
    pub fn may_for_all(&self, right: Right, pattern: &Pattern) -> bool {
        self.both(|rights| rights.allow_all(right, pattern))
    }

    /// For something, if not for everything.
    pub fn may_somewhere(&self, right: Right) -> bool {
        self.both(|rights| rights.has_some(right))
    }

    fn both(&self, ask: impl Fn(&Rights) -> bool) -> bool {
        ask(&self.rights) && self.ceiling.as_ref().is_none_or(ask)
    }

    /// What of these is more than this person may.
    pub fn beyond(&self, rights: &Rights) -> Vec<String> {
        let within = |own: &Rights, grant: &Grant| own.covers(grant);
        let is_beyond = |grant: &&Grant| !self.both(|own| within(own, grant));
        rights.iter().filter(is_beyond).map(Grant::to_string).collect()
    }

    /// An error says why not, for whoever reads the refusal.
    pub fn check(&self, right: Right, place: &Place<'_>) -> Result<(), String> {
        if self.may_at(right, place) { Ok(()) } else { Err(self.lacks(right, place)) }
    }

    /// Why this person may not do what asks for `right`, for whoever reads the refusal.
    pub fn lacks(&self, right: Right, place: &Place<'_>) -> String {
        let token = self.token.as_deref().unwrap_or(ADMIN);
        let limit = place.package.map(|package| format!("={package}")).unwrap_or_default();
        if self.rights.allow(right, place) {
            let may = self.ceiling.as_ref().map(Rights::to_string).unwrap_or_default();
            return format!(
                "this needs the right `{right}`{place}, and {} may only: {may}. Whoever runs this \
                 garth gives a role that has it: garth user change {} --role ROLE",
                self.name, self.name
            );
        }
        format!(
            "this needs the right `{right}`{place}, and the token {token} has only: {}. Whoever \
             runs this garth makes one that has it: garth token create NAME --for {} --right {right}{limit}",
            self.rights, self.name
        )
    }
}
