//! Where a redirect leads, if anywhere: pure, a hop at a time.

use thiserror::Error;
use url::Url;

use super::credentials::without_userinfo;
use super::error::place;

const LONGEST: usize = 5;

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RedirectRefused {
    #[error("a redirect without a usable Location at {0}")]
    Nowhere(String),
    #[error("a redirect loop at {0}")]
    Loop(String),
    #[error("more than {LONGEST} redirects, the last to {0}")]
    TooMany(String),
    #[error("a redirect from https to http, to {0}")]
    Downgrade(String),
    #[error("a redirect to something that is not http or https, at {0}")]
    Scheme(String),
}

/// The URLs that one request went through, the present one last.
#[derive(Debug)]
pub struct Trail(Vec<Url>);

impl Trail {
    pub fn new(start: Url) -> Self {
        Self(vec![without_userinfo(start)])
    }

    pub fn present(&self) -> &Url {
        self.0.last().expect("a trail starts with a URL and never loses one")
    }

    /// Takes the step that `Location` asks for. Userinfo in it is dropped: it is nobody's
    /// credentials of ours.
    pub fn follow(&mut self, location: &str) -> Result<(), RedirectRefused> {
        let present = self.present();
        let mut next = present
            .join(location)
            .map(without_userinfo)
            .map_err(|_| RedirectRefused::Nowhere(place(present)))?;
        next.set_fragment(None);
        if !matches!(next.scheme(), "http" | "https") || next.host_str().is_none() {
            return Err(RedirectRefused::Scheme(place(present)));
        }
        if present.scheme() == "https" && next.scheme() == "http" {
            return Err(RedirectRefused::Downgrade(place(&next)));
        }
        if self.0.contains(&next) {
            return Err(RedirectRefused::Loop(place(&next)));
        }
        if self.0.len() > LONGEST {
            return Err(RedirectRefused::TooMany(place(&next)));
        }
        self.0.push(next);
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn after(start: &str, locations: &[&str]) -> Result<String, RedirectRefused> {
        let mut trail = Trail::new(Url::parse(start).unwrap());
        for location in locations {
            trail.follow(location)?;
        }
        Ok(trail.present().to_string())
    }

    #[test]
    fn a_redirect_is_followed_relative_or_absolute_and_without_userinfo() {
        for (location, lands) in [
            ("/b", "https://a.example/b"),
            ("c?x=1#frag", "https://a.example/x/c?x=1"),
            ("//b.example/c", "https://b.example/c"),
            ("https://ann:pw@b.example/c", "https://b.example/c"),
        ] {
            assert_eq!(after("https://a.example/x/y", &[location]).unwrap(), lands);
        }
    }

    #[test]
    fn what_is_not_followed_says_why() {
        use RedirectRefused as R;
        let at = |text: &str| text.to_owned();
        for (start, locations, refused) in [
            ("https://a.example/x", &["/x"][..], R::Loop(at("a.example/x"))),
            ("https://a.example/x", &["/y", "/x#again"], R::Loop(at("a.example/x"))),
            ("https://a.example/x", &["http://a.example/x"], R::Downgrade(at("a.example/x"))),
            (
                "http://a.example/x",
                &["https://a.example/x", "http://a.example/x"],
                R::Downgrade(at("a.example/x")),
            ),
            ("https://a.example/x", &["ftp://a.example/x"], R::Scheme(at("a.example/x"))),
            ("https://a.example/x", &["file:///etc/passwd"], R::Scheme(at("a.example/x"))),
            ("https://a.example/x", &["https://"], R::Nowhere(at("a.example/x"))),
            ("http://a.example/0", &["1", "2", "3", "4", "5", "6"], R::TooMany(at("a.example/6"))),
        ] {
            assert_eq!(after(start, locations), Err(refused), "{start} {locations:?}");
        }
        assert!(after("http://a.example/0", &["1", "2", "3", "4", "5"]).is_ok());
    }
}
