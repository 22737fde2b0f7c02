//! garth as it is released, enforcing rules.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::ground::Ground;
use crate::http::Answer;
use crate::process::{Process, SERVER_CORE, pinned};
use crate::rows::Format;
use crate::servers::GARTH;

/// Besides those that allow what is measured.
pub const OTHER_RULES: usize = 300;

/// Waits until `/readyz` is good. The log goes where the default sends it, with a line for each
/// request.
pub fn start(ground: &Ground, data: &Path) -> Process {
    let directory = ground.directory.join("garth");
    let policies = directory.join("policies");
    fs::create_dir_all(&policies).unwrap();
    fs::create_dir_all(data).unwrap();
    fs::write(policies.join("rules.toml"), rules()).unwrap();
    let (format, below) = match ground.format {
        Format::Npm => ("npm", ""),
        Format::Cargo => ("cargo", "/crates/index"),
    };
    let settings = format!(
        "policies = \"{}\"\nmode = \"enforce\"\n\n[registry.{format}]\nformat = \"{format}\"\nupstream = \"http://127.0.0.1:{}{below}\"\n",
        policies.display(),
        ground.origin.port,
    );
    let file = directory.join("garth.toml");
    fs::write(&file, settings).unwrap();
    let port = ground.ports.garth;
    let mut command = pinned(SERVER_CORE, &ground.garth);
    command.arg("serve").arg("--config").arg(&file).arg("--data").arg(data);
    command.arg("--listen").arg(format!("127.0.0.1:{port}"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GARTH_") {
            command.env_remove(name);
        }
    }
    // Not beside its settings and policies, which garth watches.
    let log = ground.directory.join("garth.log");
    Process::start(GARTH, command, &log, port, "/readyz")
}

/// On a store that is empty.
pub fn start_anew(ground: &Ground) -> Process {
    let data = ground.new_data();
    // Not removed now: ext4 looks for new inodes past each that was freed within the last minute,
    // which would double what a new file costs.
    if data.exists() {
        let mut old = (0..).map(|n| ground.old_data().join(n.to_string()));
        let old = old.find(|old| !old.exists()).unwrap();
        fs::create_dir_all(ground.old_data()).unwrap();
        fs::rename(&data, old).unwrap();
    }
    start(ground, &data)
}

/// Denies one version of the packages that a pattern names.
pub fn deny(garth: &Process, data: &Path, pattern: &str, version: &str) {
    let token = fs::read_to_string(data.join("admin-token")).unwrap();
    let authorization = format!("Bearer {}", token.trim());
    let headers = [("Authorization", &*authorization), ("Content-Type", "application/json")];
    let rule = serde_json::json!({
        "effect": "deny", "packages": [pattern], "versions": version, "reason": "measured",
    });
    let answer: Answer =
        garth.connect().post("/api/v1/rules", &headers, &rule.to_string()).unwrap();
    assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
}

/// Those of a garden in use: most of them about other packages, some about all.
fn rules() -> String {
    let mut text = String::new();
    for (name, pattern) in [
        ("small", "small-*"),
        ("frameworks", "*-framework"),
        ("cold", "cold-framework-*"),
        ("archives", "*-archive"),
        ("fresh", "fresh-*"),
        ("seed", "seed-*"),
        ("filler", "filler-*"),
    ] {
        let _ = write!(
            text,
            "[[rule]]\nname = \"allow-{name}\"\neffect = \"allow\"\npackages = [\"npm:{pattern}\", \"cargo:{pattern}\"]\n"
        );
    }
    for n in 0..OTHER_RULES {
        let (effect, pattern, versions) = match n % 30 {
            0 => ("allow", format!("npm:@scope-{n}/*"), ">=1"),
            1 => ("deny", format!("npm:*-malware-{n}"), "*"),
            2 => ("hold", format!("npm:package-{n}"), ">=2"),
            3..8 => ("deny", format!("npm:package-{n}"), "<1.2.3"),
            _ => ("allow", format!("npm:package-{n}"), ">=1 <9"),
        };
        let _ = write!(
            text,
            "[[rule]]\nname = \"other-{n}\"\neffect = \"{effect}\"\npackages = [\"{pattern}\"]\nversions = \"{versions}\"\n"
        );
    }
    text
}
