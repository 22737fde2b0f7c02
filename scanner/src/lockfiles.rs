//! The formats, a line each. Every format is one file: a test for its names and a pure parser.

mod cargo_lock;
mod package_lock;

use crate::{Edge, Found, Problem};

pub struct Format {
    /// What reports call it.
    pub name: &'static str,
    /// Looks at the last component of the path only.
    pub matches: fn(file: &str) -> bool,
    /// An `Err` means that nothing could be read.
    pub parse: fn(text: &str) -> Result<Parsed, String>,
}

pub const FORMATS: &[Format] = &[
    Format { name: "Cargo.lock", matches: cargo_lock::matches, parse: cargo_lock::parse },
    Format {
        name: "package-lock.json",
        matches: package_lock::matches,
        parse: package_lock::parse,
    },
];

/// The format that reads a file of this name.
pub fn format_of(path: &str) -> Option<&'static Format> {
    let file = path.rsplit(['/', '\\']).next().unwrap_or(path);
    FORMATS.iter().find(|format| (format.matches)(file))
}

/// More than these are counted, not kept: a hostile lockfile must not fill memory or a screen.
const MAX_PROBLEMS: usize = 1000;
const MAX_EDGES: usize = 4_000_000;

/// What a parser found so far.
#[derive(Debug, Default)]
pub struct Parsed {
    pub packages: Vec<Found>,
    pub edges: Vec<Edge>,
    pub problems: Vec<Problem>,
}

impl Parsed {
    pub(crate) fn failed(what: String) -> Self {
        let mut parsed = Self::default();
        parsed.problem("", what);
        parsed
    }

    pub(crate) fn problem(&mut self, place: &str, what: impl Into<String>) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(Problem { place: shortened(place), what: what.into() });
        } else if self.problems.len() == MAX_PROBLEMS {
            let what = format!("more than {MAX_PROBLEMS} problems; the others are not listed");
            self.problems.push(Problem { place: String::new(), what });
        }
    }

    pub(crate) fn package(&mut self, found: Found) -> usize {
        self.packages.push(found);
        self.packages.len() - 1
    }

    /// `called` is the name that the dependent uses.
    pub(crate) fn edge(&mut self, from: usize, to: usize, called: &str) {
        if self.edges.len() >= MAX_EDGES {
            if self.edges.len() == MAX_EDGES {
                self.problem("", format!("more than {MAX_EDGES} dependencies between packages"));
            }
            return;
        }
        let alias = (called != self.packages[to].name).then(|| called.to_owned());
        self.edges.push(Edge { from, to, alias });
    }
}

fn shortened(place: &str) -> String {
    const MAX_CHARS: usize = 200;
    match place.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &place[..end]),
        None => place.to_owned(),
    }
}

/// The address without user, password, query and fragment, any of which may hold a secret.
fn bare_address(address: &str) -> String {
    let end = address.find(['?', '#']).unwrap_or(address.len());
    let address = &address[..end];
    let start = address.find("://").map_or(0, |at| at + 3);
    let authority_end = address[start..].find('/').map_or(address.len(), |at| start + at);
    match address[start..authority_end].rfind('@') {
        Some(at) => format!("{}{}", &address[..start], &address[start + at + 1..]),
        None => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::bare_address;

    #[test]
    fn addresses_lose_what_may_be_secret() {
        for (address, bare) in [
            ("https://npm.example.com/a", "https://npm.example.com/a"),
            ("https://joe:pw@npm.example.com/a?token=1#x", "https://npm.example.com/a"),
            ("https://joe@acme.com:pw@npm.example.com", "https://npm.example.com"),
            ("git@git.example.com:acme/x.git", "git.example.com:acme/x.git"),
            ("https://npm.example.com/@acme/x", "https://npm.example.com/@acme/x"),
            ("", ""),
        ] {
            assert_eq!(bare_address(address), bare);
        }
    }
}
