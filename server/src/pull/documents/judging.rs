//! Whether what is held of a document is good enough for who asks.

use std::time::Duration;

use policies::package::Version;

use super::{Asked, Document, DocumentKey, Documents, Found, Need};
use crate::pull::content::Content;
use crate::pull::format::DocumentFormat;
use crate::pull::freshness::Judgement;
use crate::pull::{PullError, Source};

/// Behind a refresh that failed, how long the upstream is not asked again for this document.
const PAUSE: Duration = Duration::from_secs(5);
pub(super) enum Verdict {
    Serve,
    Refuse(PullError),
    Ask,
}

impl<F: DocumentFormat> Documents<F> {
    /// Whether what another one's flight brought into memory is good enough.
    pub(super) fn serves(
        &self,
        source: &Source,
        key: &DocumentKey,
        need: &Need,
        asked: &Asked<F::Parsed>,
    ) -> bool {
        asked.document.as_ref().is_some_and(|document| {
            let verdict = self.judge(source, key, document, need, asked.content.as_deref());
            matches!(verdict, Verdict::Serve)
        })
    }

    /// Whether this is good enough, without asking anybody. What a version needs can not be said
    /// without the content.
    pub(super) fn judge(
        &self,
        source: &Source,
        key: &DocumentKey,
        document: &Document,
        need: &Need,
        content: Option<&Content<F::Parsed>>,
    ) -> Verdict {
        if document.is_own() {
            // What is in memory is what was published: nobody else can change it.
            return Verdict::Serve;
        }
        let freshness = source.freshness.judge(document.checked(), self.store.clock.now());
        let lately = document.unconfirmed.as_ref().filter(|asked| asked.at.elapsed() < PAUSE);
        let is_good = match need {
            Need::Fresh => freshness == Judgement::Fresh,
            Need::Version(version) => {
                self.absent.contains_key(&(key.clone(), Some(version.clone())))
                    || match content {
                        Some(content) => F::offers(&content.parsed, version),
                        None => return Verdict::Ask,
                    }
            }
        };
        match lately {
            _ if is_good => Verdict::Serve,
            None => Verdict::Ask,
            Some(asked) if can_stand_in(need, freshness, &asked.fault) => Verdict::Serve,
            Some(asked) => Verdict::Refuse(asked.fault.clone()),
        }
    }

    /// The upstream was asked for a document that has this version, and has none. Of what is
    /// published here nothing has to be remembered.
    pub(super) fn remember_lack(&self, key: &DocumentKey, document: &Document, version: &Version) {
        if !document.is_own() {
            self.absent.insert((key.clone(), Some(version.clone())), ());
        }
    }

    /// What somebody with this need gets of how asking ended.
    pub(super) fn settle(
        &self,
        source: &Source,
        key: &DocumentKey,
        need: &Need,
        asked: Asked<F::Parsed>,
    ) -> Result<Found<F::Parsed>, PullError> {
        let Asked { document, content, fault, only_loaded } = asked;
        let Some(document) = document else { return Err(fault.unwrap_or(PullError::Internal)) };
        let lacks = lacks::<F>(need, content.as_deref());
        let freshness = source.freshness.judge(document.checked(), self.store.clock.now());
        let found = Found { document, content };
        match (fault, lacks) {
            (None, None) => Ok(found),
            (None, Some(version)) => {
                if !only_loaded {
                    self.remember_lack(key, &found.document, version);
                }
                Ok(found)
            }
            (Some(_), None) if matches!(need, Need::Version(_)) => Ok(found),
            (Some(fault), _) => {
                if can_stand_in(need, freshness, &fault) {
                    Ok(found)
                } else {
                    Err(fault)
                }
            }
        }
    }
}

/// The version that is asked for, where the document does not have it.
pub(super) fn lacks<'a, F: DocumentFormat>(
    need: &'a Need,
    content: Option<&Content<F::Parsed>>,
) -> Option<&'a Version> {
    match (need, content) {
        (Need::Version(version), Some(content)) if !F::offers(&content.parsed, version) => {
            Some(version)
        }
        _ => None,
    }
}

/// Whether a document that could not be confirmed is served all the same. That the upstream has no
/// such package any more is an answer, so the limit of stale ones does not hold for it. That we do
/// not know a version does not mean that the upstream does not have it.
fn can_stand_in(need: &Need, freshness: Judgement, fault: &PullError) -> bool {
    let withdrawn = matches!(fault, PullError::Absent);
    let expired = matches!(freshness, Judgement::Expired { .. });
    withdrawn || (!expired && matches!(need, Need::Fresh))
}
