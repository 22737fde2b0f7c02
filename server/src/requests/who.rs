//! Who asks, and what for: what a request of a client says of itself.
//!
//! What a token says is verified. Everything else is the client's own word, is shown as such, and is
//! cut to a size at which a record of it always fits.

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderMap, USER_AGENT};

use crate::access::Caller;
use crate::observability::escape::is_deceptive;

pub const BUILD_HEADER: &str = "garth-build";
/// The same as a word of the user agent, which every client lets a pipeline set.
const BUILD_WORD: &str = "garth-build/";
/// npm's own word for the service that it runs in.
const CI_WORD: &str = "ci/";

const LONGEST_NAME: usize = 80;
const LONGEST_BUILD: usize = 60;

/// Somebody who asks, or a machine that was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Who {
    pub name: Option<String>,
    /// A token says so.
    pub verified: bool,
    /// `unit/team`
    pub team: Option<String>,
    /// A token says so; else it is a claim.
    pub team_verified: bool,
    /// Where a client that says nothing of itself comes from.
    pub address: Option<String>,
    pub build: Option<String>,
}

impl Who {
    /// Whoever sent this request.
    pub fn of_request(caller: &Caller, req: &HttpRequest) -> Self {
        let build = build_of(req.headers());
        match caller {
            Caller::Known(person) => Self {
                name: Some(short(&person.name, LONGEST_NAME)),
                verified: true,
                team: person.team.as_deref().map(str::to_owned),
                team_verified: person.team.is_some(),
                build,
                address: None,
            },
            Caller::Anonymous | Caller::Unknown | Caller::Invalid(_) => Self {
                address: req.peer_addr().map(|peer| peer.ip().to_canonical().to_string()),
                build,
                ..Self::default()
            },
        }
    }

    /// A name that somebody gives themselves; `None` where it says nothing.
    pub fn self_given(name: &str) -> Option<String> {
        Some(short(name, LONGEST_NAME)).filter(|name| !name.is_empty())
    }
}

/// What is built, in the client's own words.
fn build_of(headers: &HeaderMap) -> Option<String> {
    let said = headers.get(BUILD_HEADER).and_then(|build| build.to_str().ok());
    let agent = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    let word = |prefix: &str| agent.split(' ').find_map(|word| word.strip_prefix(prefix));
    let build = said.or_else(|| word(BUILD_WORD)).or_else(|| word(CI_WORD))?;
    Some(short(build, LONGEST_BUILD)).filter(|build| !build.is_empty())
}

/// One short line without characters that mislead.
pub(super) fn short(text: &str, longest: usize) -> String {
    let plain = text.trim().chars().filter(|c| !c.is_control() && !is_deceptive(*c));
    let mut cut = String::new();
    for c in plain {
        if cut.len() + c.len_utf8() > longest {
            break;
        }
        cut.push(c);
    }
    cut
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use actix_web::test::TestRequest;

    use std::sync::Arc;

    use super::*;
    use crate::access::Person;
    use crate::access::rights::Rights;

    #[test]
    fn a_client_says_of_its_build_what_it_can_and_no_more_than_fits() {
        let npm = "npm/11.0.0 node/v22.1.0 linux x64 workspaces/false";
        let rows = [
            (None, npm.to_owned(), None),
            (None, format!("{npm} ci/github-actions"), Some("github-actions")),
            (None, format!("{npm} ci/jenkins garth-build/shop-42"), Some("shop-42")),
            (Some("web/shop #7"), format!("{npm} ci/jenkins"), Some("web/shop #7")),
            (Some("  "), npm.to_owned(), None),
        ];
        for (header, agent, expected) in rows {
            let mut request = TestRequest::get().insert_header((USER_AGENT, agent.clone()));
            if let Some(header) = header {
                request = request.insert_header((BUILD_HEADER, header));
            }
            let build = build_of(request.to_http_request().headers());
            assert_eq!(build.as_deref(), expected, "{header:?} {agent}");
        }
        let long = TestRequest::get().insert_header((BUILD_HEADER, "x".repeat(5000)));
        assert_eq!(build_of(long.to_http_request().headers()).unwrap().len(), LONGEST_BUILD);
    }

    #[test]
    fn a_token_names_its_owner_and_an_address_stands_for_who_has_none() {
        let from_there = || TestRequest::get().peer_addr("10.0.0.7:1234".parse().unwrap());
        let from = from_there();
        let anonymous = Who::of_request(&Caller::Anonymous, &from.to_http_request());
        assert_eq!((anonymous.name, anonymous.verified), (None, false));
        assert_eq!(anonymous.address.as_deref(), Some("10.0.0.7"));
        let person = Person {
            name: "ann".into(),
            token: Some("laptop".into()),
            team: Some("web/shop".into()),
            rights: Rights::default(),
            ceiling: None,
            expires: None,
            used: crate::person::meter::Used::default(),
        };
        let known = Caller::Known(Arc::new(person));
        let known = Who::of_request(&known, &from_there().to_http_request());
        assert_eq!((known.name.as_deref(), known.verified), (Some("ann"), true));
        assert_eq!((known.team.as_deref(), known.team_verified), (Some("web/shop"), true));
        assert_eq!(known.address, None);
    }

    #[test]
    fn a_self_given_name_is_one_short_line() {
        assert_eq!(Who::self_given(" ann\r\n\u{202e}x ").as_deref(), Some("annx"));
        assert_eq!(Who::self_given(" \n"), None);
        assert!(Who::self_given(&"ö".repeat(500)).unwrap().len() <= LONGEST_NAME);
    }
}
