//! Trees that the real npm lays out beside garth: the versions have to be the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::json;
use support::npm::Npm;
use support::upstream::ScriptedUpstream;

use super::{closure, locked, members, setup};

/// A version a line: `a@1.0.0: b@^1 c@2`; `?b@1` is optional, `^b@1` a peer, `~b@1` an optional
/// peer, `!b@1` bundled. `a@1.0.0!` is deprecated. Every name gets the prefix.
pub fn publish(up: &ScriptedUpstream, prefix: &str, text: &str) {
    let mut packages: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (subject, needs) = line.split_once(": ").unwrap_or((line.trim_end_matches(':'), ""));
        let (name, version) = subject.rsplit_once('@').unwrap();
        packages.entry(name).or_default().push((version, needs));
    }
    let named = |name: &str| match name.strip_prefix('@') {
        Some(scoped) => format!("@{prefix}{scoped}"),
        None => format!("{prefix}{name}"),
    };
    for (name, versions) in packages {
        let mut package = up.npm(&named(name));
        for (version, needs) in versions {
            package = package.version(version.trim_end_matches('!'), |mut draft| {
                if version.ends_with('!') {
                    draft = draft.deprecated("old");
                }
                let (mut optional_peers, mut bundled) = (serde_json::Map::new(), Vec::new());
                for need in needs.split_whitespace() {
                    let bare = need.trim_start_matches(['?', '^', '~', '!']);
                    let from = usize::from(bare.starts_with('@'));
                    let at = from + bare[from..].find('@').unwrap();
                    let (called, spec) = (named(&bare[..at]), &bare[at + 1..]);
                    let spec = match spec.strip_prefix("npm:") {
                        Some(alias) => format!("npm:{}", named(alias)),
                        None => spec.to_owned(),
                    };
                    draft = match need.as_bytes()[0] {
                        b'?' => draft.optional_dependency(&called, &spec),
                        b'^' => draft.peer_dependency(&called, &spec),
                        b'~' => {
                            optional_peers.insert(called.clone(), json!({ "optional": true }));
                            draft.peer_dependency(&called, &spec)
                        }
                        b'!' => {
                            bundled.push(called.clone());
                            draft.dependency(&called, &spec)
                        }
                        _ => draft.dependency(&called, &spec),
                    };
                }
                if !optional_peers.is_empty() {
                    draft = draft.field("peerDependenciesMeta", optional_peers.into());
                }
                if !bundled.is_empty() {
                    draft = draft.field("bundleDependencies", json!(bundled));
                }
                draft
            });
        }
        package.publish();
    }
}

/// What npm itself installs; `None` where it refuses to.
fn installed(up: &ScriptedUpstream, package: &str) -> Option<BTreeSet<String>> {
    let npm = Npm::new(up.url().as_str());
    npm.write("package.json", "{\"name\":\"empty\",\"version\":\"1.0.0\"}");
    let command = ["install", package, "--package-lock-only", "--no-audit", "--no-fund"];
    npm.run(&command).success.then(|| locked(&npm))
}

const TREES: &[(&str, &str)] = &[
    (
        "each takes its own",
        "r@1.0.0: a@1 b@1\na@1.0.0: x@1.0.0\nb@1.0.0: x@2.0.0\nx@1.0.0:\nx@2.0.0:",
    ),
    (
        "the first one's will do",
        "r@1.0.0: a@1 b@1\na@1.0.0: x@1.0.0\nb@1.0.0: x@^1\nx@1.0.0:\nx@1.5.0:",
    ),
    (
        "the second one's will not",
        "r@1.0.0: a@1 b@1\na@1.0.0: x@^1\nb@1.0.0: x@1.0.0\nx@1.0.0:\nx@1.5.0:",
    ),
    ("a circle", "r@1.0.0: a@1\na@1.0.0: b@1\nb@1.0.0: a@1"),
    ("a circle of versions", "r@1.0.0: a@1\na@1.0.0: b@1\nb@1.0.0: a@2\na@2.0.0: b@1"),
    ("optional ones", "r@1.0.0: ?a@1 b@1\na@1.0.0: c@1\nb@1.0.0:\nc@1.0.0:"),
    ("an alias", "r@1.0.0: x@1 old@npm:x@1.0.0\nx@1.0.0:\nx@1.5.0:"),
    ("a deprecated latest", "r@1.0.0: x@^1\nx@1.0.0:\nx@1.1.0:\nx@1.2.0!:"),
    ("all deprecated", "r@1.0.0: x@^1\nx@1.0.0!:\nx@1.2.0!:"),
    (
        "a pre-release",
        "r@1.0.0: x@* y@>=1.0.0-0\nx@1.0.0:\nx@2.0.0-rc.1:\ny@1.0.0-rc.1:\ny@1.0.0-rc.2:",
    ),
    ("a bundle", "r@1.0.0: a@1\na@1.0.0: !x@1 y@1\nx@1.0.0: z@1\ny@1.0.0:\nz@1.0.0:"),
    ("a peer", "r@1.0.0: ui@1\nui@1.0.0: ^react@>=17\nreact@17.0.0:\nreact@18.0.0:"),
    ("an optional peer", "r@1.0.0: ui@1\nui@1.0.0: ~react@>=17\nreact@18.0.0:"),
    (
        "an optional peer that is there",
        "r@1.0.0: ui@1 react@17\nui@1.0.0: ~react@>=17\nreact@17.0.0:\nreact@18.0.0:",
    ),
    (
        "the dependent's wish",
        "r@1.0.0: ui@1 react@17\nui@1.0.0: ^react@>=16\nreact@17.0.0:\nreact@18.0.0:",
    ),
    (
        "the narrower wish",
        "r@1.0.0: ui@1 react@>=16\nui@1.0.0: ^react@17\nreact@17.0.0:\nreact@18.0.0:",
    ),
    (
        "a deeper peer",
        "r@1.0.0: a@1 react@18\na@1.0.0: ui@1\nui@1.0.0: ^react@17\nreact@17.0.0:\nreact@18.0.0:",
    ),
    ("peers in a circle", "r@1.0.0: a@1\na@1.0.0: ^b@1\nb@1.0.0: ^c@1\nc@1.0.0: ^a@1"),
    (
        "a deep diamond",
        "r@1.0.0: a@1 b@1 c@1\na@1.0.0: x@1\nb@1.0.0: y@1\nc@1.0.0: x@2\ny@1.0.0: x@*\nx@1.0.0: z@1\nx@2.0.0: z@2\nz@1.0.0:\nz@2.0.0:",
    ),
    (
        "a scope, and names in their order",
        "r@1.0.0: @s/b@1 B-a@1 a_b@1 a.b@1\n@s/b@1.0.0: x@1\nB-a@1.0.0: x@^1.1\na_b@1.0.0: x@*\na.b@1.0.0: x@1.0.0\nx@1.0.0:\nx@1.1.0:\nx@2.0.0:",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_closure_is_what_npm_installs() {
    let up = ScriptedUpstream::start().await;
    for (n, (_, tree)) in TREES.iter().enumerate() {
        publish(&up, &format!("t{n}-"), tree);
    }
    let garth = setup(&up).start();
    for (n, (row, tree)) in TREES.iter().enumerate() {
        let root = format!("t{n}-r");
        let expected = installed(&up, &root).unwrap_or_else(|| panic!("npm refuses {row}"));
        let found = closure(&garth, &format!("npm:{root}"));
        assert_eq!(members(&found), expected, "{row}:\n{tree}\n{found:#}");
    }
}

/// Numbers that are the same at each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

fn random_tree(seed: u64, with_peers: bool) -> String {
    let mut dice = Dice(seed);
    let mut text = String::from("r@1.0.0:");
    for n in 0..4 {
        let _ = write!(text, " p{}@*", n * 2);
    }
    for package in 0..9 {
        for version in ["1.0.0", "1.1.0", "2.0.0"] {
            let _ = write!(text, "\np{package}@{version}:");
            let mut needed = BTreeSet::new();
            for _ in 0..dice.below(4) {
                let other = dice.below(9);
                if other == package || !needed.insert(other) {
                    continue;
                }
                let ranges = ["^1", "^2", "1.0.0", "1.1.0", "2.0.0", "*", ">=1", "~1.0"];
                let range = ranges[usize::try_from(dice.below(8)).unwrap()];
                let kind = match dice.below(10) {
                    0 => "?",
                    1 if with_peers => "^",
                    _ => "",
                };
                let _ = write!(text, " {kind}p{other}@{range}");
            }
        }
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn the_closure_of_any_tree_is_what_npm_installs() {
    const TREES: u64 = 24;
    let has_peers = |seed: u64| seed % 3 == 2;
    let up = ScriptedUpstream::start().await;
    for seed in 0..TREES {
        publish(&up, &format!("t{seed}-"), &random_tree(seed, has_peers(seed)));
    }
    let garth = setup(&up).start();
    let (mut compared, mut alike) = (0, 0);
    for seed in 0..TREES {
        let root = format!("t{seed}-r");
        // It refuses where peers contradict each other.
        let Some(expected) = installed(&up, &root) else { continue };
        let found = members(&closure(&garth, &format!("npm:{root}")));
        compared += 1;
        if has_peers(seed) {
            // Where peers disagree npm may choose otherwise; what is allowed can be installed.
            alike += usize::from(found == expected);
            garth.garth(&["allow", &format!("npm:{root}"), "--with-dependencies"]);
            let npm = Npm::new(&format!("{}/npm/", garth.url));
            npm.write("package.json", "{\"name\":\"empty\",\"version\":\"1.0.0\"}");
            npm.must(&["install", &root, "--package-lock-only", "--no-audit", "--no-fund"]);
        } else {
            assert_eq!(found, expected, "{seed}:\n{}", random_tree(seed, false));
            alike += 1;
        }
    }
    assert!(compared >= 16 && compared - alike <= 1, "{alike} of {compared} are alike");
}
