//! Whether an answer is of the kind that was asked for.
//!
//! A proxy's login page or an error page comes as 200 with HTML. Registries are loose with the JSON
//! types (`application/json` for a vendor type, `text/plain`, none at all), so what is refused is
//! what cannot be it: a page where none was asked for, and bytes that begin like one.

/// What the request's `Accept` lets pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    html: bool,
    json: bool,
}

impl Expected {
    pub fn of_accept(accept: &str) -> Self {
        let accept = accept.to_ascii_lowercase();
        Self { html: accept.contains("html"), json: accept.contains("json") }
    }

    /// An artifact: anything but a page, unless its name says that it is one.
    pub fn of_artifact(path: &str) -> Self {
        let ending = path.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
        Self { html: matches!(ending.as_str(), "html" | "htm"), json: false }
    }

    /// The fault in a `Content-Type`, if it has one.
    pub fn fault_of_type(self, media_type: Option<&str>) -> Option<String> {
        let essence = media_type?.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let page = matches!(essence.as_str(), "text/html" | "application/xhtml+xml");
        (page && !self.html).then(|| format!("{essence} in place of what was asked for"))
    }

    /// The fault in the first bytes of the body, if they have one.
    pub fn fault_of_start(self, bytes: &[u8]) -> Option<String> {
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let first = text.iter().find(|byte| !byte.is_ascii_whitespace())?;
        (self.json && *first == b'<').then(|| "a page or XML in place of JSON".to_owned())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_page_in_place_of_json_is_a_fault() {
        let json = Expected::of_accept("application/vnd.npm.install-v1+json, application/json");
        let any = Expected::of_accept("*/*");
        let page = Expected::of_accept("text/html");
        for (expected, media_type, start, fault) in [
            (json, Some("application/json"), "{\"name\":1}", false),
            (json, Some("application/vnd.npm.install-v1+json; charset=utf-8"), " {}", false),
            (json, Some("text/plain"), "{}", false),
            (json, None, "{}", false),
            (json, Some("text/html; charset=utf-8"), "{}", true),
            (json, Some("Text/HTML"), "<html>", true),
            (json, Some("application/json"), "\n <!doctype html>", true),
            (json, None, "\u{feff}<html>", true),
            (any, Some("text/html"), "", true),
            (any, Some("application/octet-stream"), "<xml>", false),
            (page, Some("text/html"), "<html>", false),
            (Expected::of_artifact("/a/-/a-1.tgz"), Some("text/html"), "", true),
            (Expected::of_artifact("/docs/index.HTML"), Some("text/html"), "<", false),
        ] {
            let found =
                expected.fault_of_type(media_type).or(expected.fault_of_start(start.as_bytes()));
            assert_eq!(found.is_some(), fault, "{expected:?} {media_type:?} {start:?}");
        }
    }
}
