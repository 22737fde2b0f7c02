//! Approvals by policy: what enough is known of, and good, waits for nobody.
//!
//! A request is looked at when it comes and whenever somebody joins it. The rule that is made keeps
//! the condition of the policy: it allows a version for as long as that is true of it.

use policies::approval::{Approval as Policy, Scope};
use policies::package::{PackageVersion, Version};
use policies::versions::{Parsed, Range, exactly};

use super::closing::CloseError;
use super::judging::Sight;
use super::{Approval, Requests};
use crate::metadata::MetadataError;
use crate::metadata::records::{self, RequestRecord, Stage};

impl Requests {
    /// Approves the open request if a policy does; whether one did.
    pub(super) async fn approve_by_policy(&self, number: u64) -> bool {
        let approved = match self.policy_for(number).await {
            Ok(Some((name, approval))) => {
                self.approve_as(number, &approval, &name, true).await.map(|_| true)
            }
            Ok(None) => Ok(false),
            Err(fault) => Err(fault.into()),
        };
        match approved {
            Ok(approved) => approved,
            // Somebody was faster, or something stands in the way that a person has to look at.
            Err(CloseError::Closed { .. } | CloseError::Stands(_)) => false,
            Err(fault) => {
                tracing::warn!(request = number, %fault, "a policy could not approve it; it waits for a person");
                false
            }
        }
    }

    /// The first policy that approves it, and how.
    async fn policy_for(&self, number: u64) -> Result<Option<(String, Approval)>, MetadataError> {
        let policies = self.0.rules.approvals();
        if policies.is_empty() {
            return Ok(None);
        }
        let key = RequestRecord::key(Stage::Open, number);
        let record = records::read(self.0.metadata.as_ref(), &key).await?;
        let Some(record) = record else { return Ok(None) };
        let teams = teams(&record);
        let sight = Sight::of(&record, teams.first().copied().flatten());
        let found = if record.closure.is_some() {
            let policy = self.policy_for_all(number, &record, &policies, &teams).await?;
            policy.map(|policy| (policy, None))
        } else {
            let Some((package, version)) = Self::example(&record) else { return Ok(None) };
            let rules = self.0.rules.current();
            let approving = self.with_facts(&rules, (&package, &version), sight, |facts| {
                policies.iter().find(|policy| policy.approves(&package, &version, facts, &teams))
            });
            let range =
                |policy: &Policy| policy.rule.versions.as_ref().map(|range| range.text.clone());
            let policy = approving.await?;
            policy.map(|policy| (policy, versions(&record, range(policy).as_deref(), &version)))
        };
        let Some((policy, versions)) = found else { return Ok(None) };
        let rule = &policy.rule;
        let mut teams: Vec<String> = match &policy.scope {
            Scope::Everyone => Vec::new(),
            Scope::Named(named) => vec![named.to_string()],
            Scope::Team => teams.into_iter().flatten().map(str::to_owned).collect(),
        };
        teams.sort();
        teams.dedup();
        let expires = policy.lasts.and_then(|lasts| self.0.clock.now().checked_add(lasts).ok());
        let approval = Approval {
            teams,
            versions,
            when: rule.when.as_ref().map(|when| when.text().to_owned()),
            expires: expires.map(|expires| expires.to_string()),
            reason: rule.reason.as_deref().map(str::to_owned),
            owner: rule.owner.as_deref().map(str::to_owned),
            ..Approval::default()
        };
        Ok(Some((rule.name.to_string(), approval)))
    }

    /// The first policy that approves each version of a closure. Where anything denies or holds one
    /// of them, a person has to look at it.
    async fn policy_for_all<'p>(
        &self,
        number: u64,
        record: &RequestRecord,
        policies: &'p [Policy],
        teams: &[Option<&str>],
    ) -> Result<Option<&'p Policy>, MetadataError> {
        let versions = self.versions_of(number, record).await?;
        let names_all =
            |policy: &&Policy| versions.iter().all(|version| policy.rule.names(&version.package));
        let mut left: Vec<&Policy> = policies.iter().filter(names_all).collect();
        let sight = Sight::of(record, teams.first().copied().flatten());
        let rules = self.0.rules.current();
        for PackageVersion { package, version } in &versions {
            if left.is_empty() {
                return Ok(None);
            }
            let approving = self.with_facts(&rules, (package, version), sight, |facts| {
                left.retain(|policy| policy.approves(package, version, facts, teams));
            });
            approving.await?;
        }
        let Some(policy) = left.first().copied() else { return Ok(None) };
        let team = teams.first().copied().flatten();
        for PackageVersion { package, version } in &versions {
            if !self.judge(package, version, team).await?.standing.is_empty() {
                return Ok(None);
            }
        }
        Ok(Some(policy))
    }
}

/// Of each who asks, as far as tokens say so; of those who are not listed nobody knows.
fn teams(record: &RequestRecord) -> Vec<Option<&str>> {
    let listed = record.askers.iter();
    let mut teams: Vec<Option<&str>> =
        listed.map(|asker| asker.team.as_deref().filter(|_| asker.team_verified)).collect();
    if record.by_others > 0 {
        teams.push(None);
    }
    teams
}

/// No version is approved that either the request or the policy does not speak of.
fn versions(record: &RequestRecord, policy: Option<&str>, judged: &Version) -> Option<String> {
    let package: policies::package::Package = record.package.parse().ok()?;
    let ecosystem = package.ecosystem();
    match (record.versions.as_deref(), policy) {
        (asked, None) => asked.map(str::to_owned),
        (None, Some(range)) => Some(range.to_owned()),
        // Of two ranges nobody can write down what is in both, so it is the one that was looked at.
        (Some(_), Some(range)) => {
            let parsed = Parsed::new(ecosystem, judged.as_str())?;
            let range = Range::parse(ecosystem, range).ok()?;
            range.allows(&parsed).then(|| exactly(ecosystem, judged.as_str()))
        }
    }
}
