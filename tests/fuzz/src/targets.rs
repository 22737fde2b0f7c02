//! What is fuzzed, and what must hold of it whatever the input is.
//!
//! A target returns what it did, as numbers: an input after which one of them is new is worth to be
//! changed further. Of a message its first plain words count.

mod policies;
mod registries;

use std::hash::{DefaultHasher, Hash, Hasher};

pub struct Target {
    pub name: &'static str,
    /// The words of its language.
    pub words: &'static [&'static str],
    pub run: fn(&[u8]) -> Vec<u64>,
}

pub const ALL: [Target; 10] = [
    Target { name: "rules", words: &policies::RULES, run: policies::rules },
    Target { name: "patterns", words: &policies::PATTERNS, run: policies::patterns },
    Target { name: "conditions", words: &policies::CONDITIONS, run: policies::conditions },
    Target { name: "ranges", words: &policies::RANGES, run: policies::ranges },
    Target { name: "paths", words: &registries::PATHS, run: registries::paths },
    Target { name: "packuments", words: &registries::PACKUMENTS, run: registries::packuments },
    Target { name: "index-files", words: &registries::LINES, run: registries::index_files },
    Target { name: "tarballs", words: &registries::ENTRIES, run: registries::tarballs },
    Target { name: "crates", words: &registries::ENTRIES, run: registries::crates },
    Target {
        name: "announcements",
        words: &registries::ANNOUNCEMENTS,
        run: registries::announcements,
    },
];

pub fn find(name: &str) -> Option<&'static Target> {
    static TARGETS: [Target; 10] = ALL;
    TARGETS.iter().find(|target| target.name == name)
}

/// A text of the input; the target says nothing of what is none.
fn text(input: &[u8]) -> Option<&str> {
    std::str::from_utf8(input).ok()
}

/// What a target did under one input.
#[derive(Default)]
struct Behaviour(Vec<u64>);

impl Behaviour {
    fn saw(&mut self, what: impl Hash) {
        let mut hasher = DefaultHasher::new();
        what.hash(&mut hasher);
        self.0.push(hasher.finish());
    }

    fn said(&mut self, message: &str) {
        let plain = |word: &&str| word.bytes().all(|byte| byte.is_ascii_lowercase());
        let words: Vec<&str> = message.split(' ').filter(plain).take(6).collect();
        self.saw(words);
    }
}
