//! How old what is known is: told when nothing is known at all, and when nobody confirmed it for
//! longer than the settings allow. Once, and not at each look.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use policies::package::Ecosystem;

use super::{Advisories, stored};
use crate::metadata::records::SourceRecord;
use crate::observability::{CheckState, Metrics};

const LOOK: Duration = Duration::from_mins(1);

/// When what is known of each ecosystem was last confirmed by any of its sources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Age {
    pub confirmed: BTreeMap<Ecosystem, Timestamp>,
    /// Those of which that is too long ago.
    pub stale: Vec<Ecosystem>,
}

/// Pure. `asked` are the sources whose server said since that nothing changed.
pub fn age_of(
    sources: &BTreeMap<String, SourceRecord>,
    asked: &BTreeMap<String, Timestamp>,
    now: Timestamp,
    limit: Duration,
) -> Age {
    let mut age = Age::default();
    for (name, source) in sources {
        let last = asked.get(name).copied().unwrap_or(source.imported).max(source.imported);
        for ecosystem in &source.ecosystems {
            let confirmed = age.confirmed.entry(*ecosystem).or_insert(last);
            *confirmed = last.max(*confirmed);
        }
    }
    let limit = SignedDuration::try_from(limit).unwrap_or(SignedDuration::MAX);
    let is_stale = |at: &Timestamp| now.duration_since(*at) > limit;
    let stale = age.confirmed.iter().filter(|(_, at)| is_stale(at));
    age.stale = stale.map(|(ecosystem, _)| *ecosystem).collect();
    age
}

impl Age {
    /// What is to be said aloud, where it is another thing than before.
    fn told(&self, limit: Duration) -> Option<String> {
        if self.confirmed.is_empty() {
            return Some(NOTHING_KNOWN.to_owned());
        }
        let old = |ecosystem: &Ecosystem| {
            let confirmed = self.confirmed.get(ecosystem)?;
            Some(format!("those of {ecosystem} since {confirmed:.0}"))
        };
        let old: Vec<String> = self.stale.iter().filter_map(old).collect();
        (!old.is_empty()).then(|| {
            let days = limit.as_secs_f64() / 86_400.0;
            format!(
                "advisories are old: nobody confirmed {} (advisories.stale is {days:.1} days), and what was \
                 found since is not known here. Import a newer export, or see why advisories.urls \
                 are not fetched",
                old.join(", ")
            )
        })
    }
}

/// For the log, and for `garth advisories status`.
pub const NOTHING_KNOWN: &str = "no advisories are imported: nothing is known to be malicious, so the denial of malicious \
     versions that is built in has nothing to go by, and conditions on advisories are unknown. \
     Import an export of an OSV database with `garth advisories import`, or name some in \
     advisories.urls";

impl Advisories {
    /// Looks from time to time, until the last clone of [`Advisories`] is gone. Where something is
    /// fetched anyway, the first look waits for that.
    pub fn tell_age(&self, is_fetched: bool, metrics: Metrics) {
        let inner = std::sync::Arc::downgrade(&self.0);
        tokio::spawn(async move {
            let mut told: Option<String> = None;
            if is_fetched {
                tokio::time::sleep(LOOK).await;
            }
            loop {
                let Some(inner) = inner.upgrade() else { return };
                let this = Self(inner);
                if let Ok(age) = this.look_at_age().await {
                    let telling = age.told(this.0.stale);
                    match &telling {
                        Some(text) if telling != told && !age.stale.is_empty() => {
                            tracing::warn!("{text}");
                        }
                        // It may be meant so.
                        Some(text) if telling != told => tracing::info!("{text}"),
                        None if told.is_some() => tracing::info!("advisories are known, and new"),
                        _ => {}
                    }
                    told = telling;
                    let index = this.0.rules.current();
                    metrics.set_advisories(
                        index.advisories().len(),
                        &age.confirmed,
                        age.stale.len(),
                    );
                }
                drop(this);
                tokio::time::sleep(LOOK).await;
            }
        });
    }

    /// Its server said that nothing changed.
    pub(super) fn confirm(&self, source: &str) {
        self.0.confirmed.lock().insert(source.to_owned(), self.0.clock.now());
    }

    pub(super) fn age(&self, sources: &BTreeMap<String, SourceRecord>) -> Age {
        age_of(sources, &self.0.confirmed.lock(), self.0.clock.now(), self.0.stale)
    }

    async fn look_at_age(&self) -> Result<Age, crate::metadata::MetadataError> {
        let state = stored::read_state(self.0.metadata.as_ref()).await?;
        let age = self.age(&state.map(|state| state.record.sources).unwrap_or_default());
        *self.0.check.lock() = match age.told(self.0.stale) {
            // That nobody imported anything may be meant so, and is no fault.
            Some(text) if !age.stale.is_empty() => CheckState::Degraded(text),
            _ => CheckState::Ok,
        };
        Ok(age)
    }

    /// For `/readyz`.
    pub fn check(&self) -> CheckState {
        self.0.check.lock().clone()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-06-{text}T00:00:00Z").parse().unwrap()
    }

    fn source(day: &str, ecosystems: &[Ecosystem]) -> SourceRecord {
        let (imported, ecosystems) = (at(day), ecosystems.to_vec());
        SourceRecord { imported, complete: true, ecosystems, read: 1, advisories: 1 }
    }

    #[test]
    fn an_ecosystem_is_as_old_as_the_newest_word_on_it() {
        let limit = Duration::from_hours(7 * 24);
        let none = BTreeMap::new();
        let sources = BTreeMap::from([
            ("once".to_owned(), source("01", &[Ecosystem::Npm])),
            ("daily".to_owned(), source("05", &[Ecosystem::Npm, Ecosystem::Cargo])),
            ("single".to_owned(), source("01", &[])),
        ]);
        for (now, asked, stale) in [
            ("12", None, &[][..]),
            ("13", None, &[Ecosystem::Npm, Ecosystem::Cargo]),
            ("13", Some("daily"), &[]),
            ("13", Some("once"), &[Ecosystem::Cargo]),
        ] {
            let asked = asked.map(|name: &str| (name.to_owned(), at("11"))).into_iter().collect();
            assert_eq!(age_of(&sources, &asked, at(now), limit).stale, stale, "{now} {asked:?}");
        }
        let text = age_of(&sources, &none, at("13"), limit).told(limit).unwrap();
        assert!(text.contains("npm since 2026-06-05") && text.contains("7.0 days"), "{text}");
        assert_eq!(age_of(&sources, &none, at("12"), limit).told(limit), None);
        let nothing = age_of(&BTreeMap::new(), &none, at("12"), limit);
        assert_eq!((nothing.stale.len(), nothing.told(limit).as_deref()), (0, Some(NOTHING_KNOWN)));
    }
}
