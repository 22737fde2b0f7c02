//! Which version of the API is answered, and that one is deprecated.
//!
//! Below `/api/v1` it is version 1 for as long as that is there. Below `/api` it is the newest, and
//! the answer's type says which; `Accept` pins one. A version that is not there is told apart from
//! one that is (406), so that a client that was made for another never reads what it does not mean.

use actix_web::http::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue, LINK};
use jiff::Timestamp;

/// Every version that there is.
pub const VERSIONS: &[u32] = &[1];
pub const NEWEST: u32 = 1;
/// Ranges of `Accept` that are read; a client has few.
const MAX_RANGES: usize = 50;

const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
const SUNSET: HeaderName = HeaderName::from_static("sunset");

/// In which form JSON is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Json,
    /// With the version in the type.
    Versioned,
}

impl Form {
    /// What is answered below a base where nothing is asked for.
    pub fn usual(base: &str) -> Self {
        if base == "/api" { Self::Versioned } else { Self::Json }
    }

    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Versioned => "application/vnd.garth.v1+json",
        }
    }
}

/// What `Accept` comes to, of several the one that is wanted most; `None` where nothing of it is
/// there. `others` are types that this endpoint has besides JSON.
pub fn negotiate(headers: &HeaderMap, usual: Form, others: &[&str]) -> Option<Form> {
    let mut best: Option<(u16, Form)> = None;
    let mut ranges = headers
        .get_all(ACCEPT)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|range| !range.is_empty())
        .take(MAX_RANGES)
        .peekable();
    if ranges.peek().is_none() {
        return Some(usual);
    }
    for range in ranges {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(1000, read_weight);
        let form = match kind.as_str() {
            "*/*" | "application/*" => usual,
            "application/json" => Form::Json,
            other if version_of(other) == Some(NEWEST) => Form::Versioned,
            other if is_among(other, others) => usual,
            _ => continue,
        };
        if weight > 0 && best.is_none_or(|(most, _)| weight > most) {
            best = Some((weight, form));
        }
    }
    best.map(|(_, form)| form)
}

fn is_among(kind: &str, others: &[&str]) -> bool {
    let group = kind.strip_suffix("/*");
    others.iter().any(|other| {
        *other == kind
            || group.is_some_and(|group| other.split('/').next().is_some_and(|one| one == group))
    })
}

/// Thousandths; what cannot be read is as if it were not said.
fn read_weight(text: &str) -> u16 {
    let weight: f32 = text.trim().parse().unwrap_or(1.0);
    // From 0 to 1, so it fits.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let thousandths = (weight.clamp(0.0, 1.0) * 1000.0) as u16;
    thousandths
}

/// `application/vnd.garth.v1+json`
fn version_of(kind: &str) -> Option<u32> {
    kind.strip_prefix("application/vnd.garth.v")?.strip_suffix("+json")?.parse().ok()
}

/// For whoever asks for what is not there.
pub fn told() -> String {
    let versions: Vec<String> =
        VERSIONS.iter().map(|version| format!("application/vnd.garth.v{version}+json")).collect();
    format!(
        "`Accept` names nothing that is answered here: there is {}, and application/json for \
             the version of the path",
        versions.join(", ")
    )
}

/// That an endpoint will go, or a whole version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deprecated {
    pub since: Timestamp,
    /// When it goes; absent where that is not known yet.
    pub sunset: Option<Timestamp>,
    /// Where it is said what to use in its place.
    pub instead: &'static str,
}

impl Deprecated {
    /// As RFC 9745 and RFC 8594 have it.
    pub fn tell(&self, headers: &mut HeaderMap) {
        let since = format!("@{}", self.since.as_second());
        let instead = format!("<{}>; rel=\"deprecation\"", self.instead);
        let sunset = self.sunset.map(|sunset| httpdate::fmt_http_date(sunset.into()));
        let all = [(DEPRECATION, Some(since)), (SUNSET, sunset), (LINK, Some(instead))];
        for (name, value) in all {
            // Of digits, a date and a path of ours: it can always be a header's value.
            if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
                headers.append(name, value);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn accept_picks_a_form_or_nothing() {
        use Form::{Json, Versioned};
        const V1: &str = "application/vnd.garth.v1+json";
        type Row<'a> = (&'a str, &'a [&'a str], Option<Form>, Option<Form>);
        let rows: [Row<'_>; 16] = [
            ("nothing", &[], Some(Json), Some(Versioned)),
            ("empty", &[""], Some(Json), Some(Versioned)),
            ("anything", &["*/*"], Some(Json), Some(Versioned)),
            ("any application", &["application/*"], Some(Json), Some(Versioned)),
            ("json", &["application/json"], Some(Json), Some(Json)),
            ("a version", &[V1], Some(Versioned), Some(Versioned)),
            ("upper case", &["Application/Vnd.Garth.V1+JSON"], Some(Versioned), Some(Versioned)),
            ("one that is not there", &["application/vnd.garth.v2+json"], None, None),
            ("a huge one", &["application/vnd.garth.v99999999999+json"], None, None),
            (
                "one that is not there, or json",
                &["application/vnd.garth.v2+json, application/json;q=0.1"],
                Some(Json),
                Some(Json),
            ),
            (
                "two headers",
                &["application/vnd.garth.v2+json", V1],
                Some(Versioned),
                Some(Versioned),
            ),
            (
                "by weight",
                &["application/json;q=0.5, application/vnd.garth.v1+json;q=0.9"],
                Some(Versioned),
                Some(Versioned),
            ),
            ("ruled out", &["application/json;q=0"], None, None),
            ("a page", &["text/html"], None, None),
            (
                "a browser",
                &["text/html,application/xml;q=0.9,*/*;q=0.8"],
                Some(Json),
                Some(Versioned),
            ),
            ("a weight that is none", &["application/json;q=much"], Some(Json), Some(Json)),
        ];
        for (name, accepts, fixed, newest) in rows {
            let mut headers = HeaderMap::new();
            for accept in accepts {
                headers.append(ACCEPT, accept.parse().unwrap());
            }
            assert_eq!(negotiate(&headers, Form::usual("/api/v1"), &[]), fixed, "{name}");
            assert_eq!(negotiate(&headers, Form::usual("/api"), &[]), newest, "{name}");
        }
        let mut headers = HeaderMap::new();
        headers.append(ACCEPT, "text/html".parse().unwrap());
        assert_eq!(negotiate(&headers, Json, &["text/html"]), Some(Json));
        headers.insert(ACCEPT, "text/*".parse().unwrap());
        assert_eq!(negotiate(&headers, Json, &["text/html"]), Some(Json));
    }

    #[test]
    fn a_deprecation_is_told_by_header() {
        let mut headers = HeaderMap::new();
        let deprecated = Deprecated {
            since: "2030-01-01T00:00:00Z".parse().unwrap(),
            sunset: Some("2031-01-01T00:00:00Z".parse().unwrap()),
            instead: "/api/docs#show_rule",
        };
        deprecated.tell(&mut headers);
        assert_eq!(headers.get("deprecation").unwrap(), "@1893456000");
        assert_eq!(headers.get("sunset").unwrap(), "Wed, 01 Jan 2031 00:00:00 GMT");
        assert_eq!(headers.get("link").unwrap(), "</api/docs#show_rule>; rel=\"deprecation\"");
    }
}
