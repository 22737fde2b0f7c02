//! What one rule says of one version to one asker.

use jiff::Timestamp;

use crate::asker::Asker;
use crate::condition::Subject;
use crate::decision::Effect;
use crate::facts::Missing;
use crate::rules::Rule;
use crate::tri::Tri;
use crate::versions::Parsed;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub matched: bool,
    /// The verdict is the same until then.
    pub until: Timestamp,
    /// Why nobody knows whether the rule's condition is true; an allow then does not match, a deny
    /// or hold does.
    pub missing: Missing,
}

impl Verdict {
    const NEVER: Self = Self { matched: false, until: Timestamp::MAX, missing: Missing::NONE };
}

pub(super) fn weigh(
    rule: &Rule,
    subject: &Subject<'_>,
    version: Option<&Parsed<'_>>,
    asker: &Asker<'_>,
) -> Verdict {
    let now = subject.facts.now;
    let ends = rule.expires.unwrap_or(Timestamp::MAX);
    if rule.is_expired(now) || !rule.concerns(asker) || !rule.includes(subject.package, version) {
        return Verdict::NEVER;
    }
    if let Some(starts) = rule.starts.filter(|starts| *starts > now) {
        let until = if starts < ends { starts } else { Timestamp::MAX };
        return Verdict { until, ..Verdict::NEVER };
    }
    let Some(when) = &rule.when else {
        return Verdict { matched: true, until: ends, missing: Missing::NONE };
    };
    let answer = when.ask(subject);
    let matched = match answer.tri {
        Tri::True => true,
        Tri::False => false,
        Tri::Unknown => rule.effect != Effect::Allow,
    };
    // What nobody knows is told, so the end of that counts, too.
    let until = if matched || !answer.missing.is_empty() {
        answer.until.min(ends)
    } else if answer.until < ends {
        answer.until
    } else {
        // What would begin to match when it has ended never does.
        Timestamp::MAX
    };
    Verdict { matched, until, missing: answer.missing }
}
