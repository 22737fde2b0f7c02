//! What a refusal says, whichever format carries it: one line with the reason and what to do.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use bytes::Bytes;
use policies::decision::{Decision, DecisionCode, Effect};
use policies::package::{Ecosystem, Version};

use crate::access::table::Gone;
use crate::audit::{Action, EXAMPLE, Entry};
use crate::blobs::BlobError;
use crate::edge;
use crate::gate::Refused;
use crate::metadata::MetadataError;
use crate::pull::{PullError, Source};
use crate::registries::{Garden, Registry};
use crate::requests::{Known, Wanted, Who, asker};

pub const DECISION_HEADER: HeaderName = HeaderName::from_static("garth-decision");

/// Behind the command, where others have to be let through as well: one request for all of them.
const WITH_ALL: &str = " (with all that it needs: --with-dependencies)";

/// Why this version is not served.
pub fn refused_line(refused: &Refused) -> String {
    let Refused { subject, decision, .. } = refused;
    let why = why(decision);
    match decision.code {
        DecisionCode::NoRuleAllows | DecisionCode::RulesUnavailable => {
            format!("{subject} is {why}")
        }
        _ => format!("{subject} is {why}. See: garth why {subject}"),
    }
}

/// The same, with the way in: how to ask for what was refused, or what became of asking.
pub fn refused_line_with_way(refused: &Refused, wanted: &Wanted, known: &Known) -> String {
    let line = refused_line(refused);
    if refused.decision.code == DecisionCode::RulesUnavailable {
        return line;
    }
    let Wanted { package, version } = wanted;
    let wish = match version {
        Some(version) => format!("{package}@{version}"),
        None => package.to_string(),
    };
    // What a rule refuses by its name is not let in by asking for more.
    let is_new = refused.decision.code == DecisionCode::NoRuleAllows;
    let all = if is_new && refused.needs_others { WITH_ALL } else { "" };
    match known {
        Known::New => format!("{line}. To ask for it: garth request {wish}{all}"),
        Known::Open(number) => format!(
            "{line}. It is asked for already, by request {number}. To join it: garth request \
             {wish}{all}"
        ),
        Known::Rejected { number, at, reason } => {
            let day = at.strftime("%Y-%m-%d");
            format!("{line}. It was asked for and rejected on {day} (request {number}): {reason}")
        }
    }
}

/// The same for a status line: without the package, which the client shows beside it. There are no
/// more of these than rules.
pub fn refused_status(decision: &Decision, ecosystem: Ecosystem) -> String {
    let why = why(decision);
    match decision.code {
        DecisionCode::NoRuleAllows => {
            format!("{why}. To ask for it: garth request {ecosystem}:NAME@VERSION{WITH_ALL}")
        }
        DecisionCode::RulesUnavailable => "refused because garth can not read its rules".to_owned(),
        _ => format!(
            "{why}. See: garth why {ecosystem}:NAME@VERSION. To ask for it: garth request {ecosystem}:NAME@VERSION"
        ),
    }
}

/// `denied by the rule no-left-pad: use padStart`
pub fn why(decision: &Decision) -> String {
    let reason = &decision.reason;
    let rule = decision.rule.as_deref().unwrap_or_default();
    let by_rule = match (decision.code, decision.effect) {
        (DecisionCode::NoRuleAllows, _) => return format!("not allowed: {reason}"),
        (DecisionCode::RulesUnavailable, _) => {
            return format!("refused because garth can not read its rules: {reason}");
        }
        // No rule says so.
        (DecisionCode::Malicious, _) => return format!("denied: {reason}"),
        (_, Effect::Hold) => format!("on hold by the rule {rule}"),
        _ => format!("denied by the rule {rule}"),
    };
    // A rule without a reason is its own.
    if reason.ends_with(&format!(" by the rule {rule}")) {
        by_rule
    } else {
        format!("{by_rule}: {reason}")
    }
}

/// `deny; rule="no-left-pad"; revision="0123456789abcdef"`
pub fn decision_header(decision: &Decision) -> HeaderValue {
    let (begin, rule, end) = match decision.rule.as_deref() {
        Some(rule) => ("; rule=\"", rule, "\""),
        None => ("", "", ""),
    };
    let (effect, revision) = (decision.effect.as_str(), decision.revision.as_str());
    // It stands on every answer: put together in one piece.
    let text = [effect, begin, rule, end, "; revision=\"", revision, "\""].concat();
    let value = HeaderValue::from_maybe_shared(Bytes::from(text));
    value.unwrap_or_else(|_| HeaderValue::from_static("deny"))
}

/// Absent, refused, failed upstream and failed here are different answers.
pub fn status_of(fault: &PullError) -> StatusCode {
    match fault {
        PullError::Absent => StatusCode::NOT_FOUND,
        PullError::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
        PullError::Unavailable { .. }
        | PullError::Broken { .. }
        | PullError::Contradicts { .. }
        // What we store is made of what the upstream said.
        | PullError::Metadata(MetadataError::TooLarge { .. }) => StatusCode::BAD_GATEWAY,
        PullError::TimedOut { .. } => StatusCode::GATEWAY_TIMEOUT,
        PullError::Blobs(BlobError::Full(_)) | PullError::Metadata(MetadataError::Full(_)) => {
            StatusCode::INSUFFICIENT_STORAGE
        }
        PullError::Lost(_)
        | PullError::Blobs(_)
        | PullError::Metadata(_)
        | PullError::Crowded { .. }
        | PullError::Outdated
        | PullError::Busy => StatusCode::SERVICE_UNAVAILABLE,
        PullError::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Which place knows nothing of it; for a line and for a status line alike.
pub fn unknown(registry: &Registry, source: &Source) -> String {
    let name = &registry.name;
    match (&source.upstream, &registry.source.upstream) {
        (Some(upstream), _) => {
            // The path of an upstream may be as secret as a password.
            let place = upstream.base().origin().ascii_serialization();
            format!("unknown at {place}, the upstream of {name}")
        }
        (None, Some(_)) => "not published here, and no upstream is asked, because the name is under `own` of a registry here".to_owned(),
        (None, None) => format!("not published here, and the registry {name} has no upstream"),
    }
}

/// What the client reads of a fault. What failed inside of garth is in its log, and stays there.
pub fn fault_line(what: &str, fault: &PullError) -> String {
    match fault {
        PullError::Absent => format!("{what} is unknown at the upstream"),
        PullError::Blobs(BlobError::Full(_)) | PullError::Metadata(MetadataError::Full(_)) => {
            format!(
                "{what} can not be fetched: the disk of this garth is full. What it holds is served"
            )
        }
        PullError::Metadata(fault @ MetadataError::TooLarge { .. }) => {
            format!("{what} can not be served: its upstream says more of it than is kept: {fault}")
        }
        PullError::Lost(_) => fault.to_string(),
        PullError::Blobs(_) | PullError::Metadata(_) => {
            format!("{what} can not be served now: the store of this garth fails; its log says why")
        }
        other => format!("{what} can not be served: {other}"),
    }
}

/// The same for a status line, without what is another for each request or each outage.
pub fn fault_status(fault: &PullError) -> String {
    match fault {
        PullError::Absent => "unknown at the upstream".to_owned(),
        PullError::Unavailable { upstream, .. } => {
            format!("the upstream {upstream} can not be reached")
        }
        PullError::TimedOut { upstream, .. } => {
            format!("the upstream {upstream} does not answer in time")
        }
        PullError::Broken { upstream, .. } => {
            format!("the upstream {upstream} gave an answer that is not served")
        }
        PullError::Contradicts { .. } => "the bytes are not the promised ones".to_owned(),
        PullError::Lost(_) => "its bytes are damaged or gone, and were published here".to_owned(),
        PullError::Blobs(BlobError::Full(_)) | PullError::Metadata(MetadataError::Full(_)) => {
            "the disk of this garth is full".to_owned()
        }
        PullError::Blobs(_) | PullError::Metadata(_) | PullError::Internal => {
            "garth failed at this; its log says why".to_owned()
        }
        PullError::RateLimited { .. }
        | PullError::Crowded { .. }
        | PullError::Outdated
        | PullError::Busy => fault.to_string(),
    }
}

/// When to come again, in whole seconds.
pub fn retry_after(fault: &PullError) -> Option<u64> {
    match fault {
        PullError::RateLimited { retry_after, .. } => {
            Some(retry_after.unwrap_or(Duration::from_secs(30)).as_secs().max(1))
        }
        PullError::Crowded { .. } | PullError::Outdated | PullError::Busy => Some(5),
        _ => None,
    }
}

/// Counts the refusal for the request that it makes or joins; what whoever was refused reads of it.
pub fn tell_refused(
    registry: &Registry,
    req: &HttpRequest,
    refused: &Refused,
    wanted: &Wanted,
) -> String {
    let Garden { requests, access, often, .. } = registry.garden.as_ref();
    edge::access(req).set_decision(refused.decision.effect);
    let who = Who::of_request(&access.caller(req.headers()), req);
    often.note(refused_entry(refused, wanted, &who));
    let known = requests.refused(refused, wanted, who);
    refused_line_with_way(refused, wanted, &known)
}

/// Of a version that is there and is not offered.
pub fn left_out_line(what: &str, why: &str) -> String {
    format!("{what} is left out here: {why}")
}

/// The same for every one that is not of this garth; what became of one that was is told to whoever
/// has it.
pub fn invalid_token(gone: Option<&Gone>) -> String {
    gone.map_or_else(
        || {
            "this token is not valid at this garth: it is mistyped, or not one of its own"
                .to_owned()
        },
        ToString::to_string,
    )
}

/// That somebody was refused this, for the audit log.
fn refused_entry(refused: &Refused, wanted: &Wanted, who: &Who) -> Entry {
    let decision = &refused.decision;
    // Where no version was asked for, the one that stands for all of them.
    let newest = wanted.version.is_none().then(|| refused.subject.version.as_str());
    asker(Entry::new(Action::Refused), who)
        .package(&wanted.package)
        .versions(wanted.version.as_ref().map(Version::as_str))
        .why(Some(&decision.reason))
        .revision(&decision.revision)
        .detail("effect", &decision.effect)
        .detail_if("rule", decision.rule.as_ref())
        .detail_if(EXAMPLE, newest.as_ref())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use policies::decision::Revision;
    use policies::facts::Missing;
    use policies::package::{Package, PackageVersion};

    use super::*;

    fn decision(code: DecisionCode, rule: Option<&str>) -> Decision {
        Decision {
            effect: Effect::Deny,
            code,
            rule: rule.map(Into::into),
            reason: "it does harm".into(),
            revision: Revision("r".into()),
            until: None,
            missing: Missing::NONE,
            waiver: None,
            observed: None,
        }
    }

    /// One request for a package that is of no use without the others.
    #[test]
    fn who_needs_others_too_is_told_how_to_ask_for_all_of_them() {
        let version = || Version::new("1.0.0").unwrap();
        let package = || Package::new(Ecosystem::Npm, "app").unwrap();
        let line = |code, needs_others, known: &Known| {
            let subject = PackageVersion { package: package(), version: version() };
            let refused = Refused { subject, decision: decision(code, Some("no")), needs_others };
            let wanted = Wanted { package: package(), version: Some(version()) };
            refused_line_with_way(&refused, &wanted, known)
        };
        let no_rule = DecisionCode::NoRuleAllows;
        let (asking, joining) = (
            "To ask for it: garth request npm:app@1.0.0",
            "To join it: garth request npm:app@1.0.0",
        );
        let all = " (with all that it needs: --with-dependencies)";
        assert!(line(no_rule, true, &Known::New).ends_with(&format!("{asking}{all}")));
        assert!(line(no_rule, true, &Known::Open(7)).ends_with(&format!("{joining}{all}")));
        assert!(line(no_rule, false, &Known::New).ends_with(asking), "there is nothing else");
        let denied = line(DecisionCode::DeniedByRule, true, &Known::New);
        assert!(denied.ends_with(asking), "that does not lift a deny: {denied}");
    }

    #[test]
    fn what_no_rule_refuses_names_no_rule() {
        let malicious = decision(DecisionCode::Malicious, None);
        assert_eq!(why(&malicious), "denied: it does harm");
        let denied = decision(DecisionCode::DeniedByRule, Some("no"));
        assert_eq!(why(&denied), "denied by the rule no: it does harm");
    }
}
