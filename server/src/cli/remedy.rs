//! What to type when a rule stands in the way.

use super::client::{Client, ClientError};
use crate::api::rules::{OriginView, RuleView};

/// The rule of this name; `None` where it was taken back meanwhile.
pub(super) async fn fetch_rule(
    client: &Client,
    name: &str,
) -> Result<Option<RuleView>, ClientError> {
    match client.get(&["rules", name], &[]).await {
        Ok(rule) => Ok(Some(rule)),
        Err(ClientError::Refused(problem)) if problem.code == "no-such-rule" => Ok(None),
        Err(error) => Err(error),
    }
}

/// A rule of a command is taken back by one, that of a file where it is written.
pub(super) fn remedy(rule: &RuleView) -> String {
    match &rule.origin {
        OriginView::Api { .. } => format!("take it back: garth rules remove {}", rule.name),
        OriginView::File { file, line } => {
            format!("take it back: remove {} from {file}, line {line}", rule.name)
        }
    }
}
