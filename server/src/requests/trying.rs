//! What an approval would make, without making it.

use policies::rules::{Rule, RuleSet};

use super::closing::{Approval, CloseError};
use super::wish::read_reason;
use super::{Numbered, Requests};
use crate::metadata::records::Stage;

impl Requests {
    /// The rules that this approval would come to, and what would then be in force.
    pub async fn would_approve(
        &self,
        number: u64,
        approval: &Approval,
        by: &str,
    ) -> Result<(Vec<Rule>, RuleSet), CloseError> {
        let stored = self.open_request(number).await?;
        if !self.0.config.own_approval {
            self.refuse_own(number, &stored.record, by).await?;
        }
        let drafts = self.drafts(number, &stored.record, approval, by).await?;
        Ok(self.0.rules.with_rules(drafts, by).await?)
    }

    /// The request, if it could be rejected so.
    pub async fn would_reject(
        &self,
        number: u64,
        reason: Option<&str>,
    ) -> Result<Numbered, CloseError> {
        read_reason(reason)?.ok_or(CloseError::NoReason)?;
        let stored = self.open_request(number).await?;
        Ok(Numbered { number, stage: Stage::Open, record: stored.record })
    }
}
