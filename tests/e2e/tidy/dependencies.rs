//! Which part may know which other.

use toml::Table;

use super::{read, sources};

fn manifest(path: &str) -> Table {
    read(path).parse().unwrap_or_else(|fault| panic!("{path}: {fault}"))
}

/// The names of the crates that a manifest's table of dependencies has.
fn names(manifest: &Table, table: &str) -> Vec<String> {
    let table = manifest.get(table).and_then(|table| table.as_table());
    table.map(|table| table.keys().cloned().collect()).unwrap_or_default()
}

#[test]
fn arrows_between_the_crates_go_down_only() {
    let rows: [(&str, &[&str]); 5] = [
        ("policies", &[]),
        ("scanner", &["policies"]),
        ("server", &["policies", "scanner"]),
        ("tests", &["policies", "scanner", "server"]),
        ("tests/fuzz", &["policies", "server"]),
    ];
    let own = ["policies", "scanner", "server", "e2e", "fuzz"];
    for (folder, may) in rows {
        let manifest = manifest(&format!("{folder}/Cargo.toml"));
        for table in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for name in names(&manifest, table) {
                let allowed = !own.contains(&name.as_str()) || may.contains(&name.as_str());
                assert!(allowed, "{folder} depends on {name}");
            }
        }
    }
    let members = manifest("Cargo.toml");
    let members = members["workspace"]["members"].as_array().unwrap();
    assert_eq!(members.len(), rows.len(), "a new crate has its place in this table");
}

#[test]
fn policies_is_pure() {
    let manifest = manifest("policies/Cargo.toml");
    for name in ["tokio", "tracing", "reqwest", "rand", "futures-util"] {
        assert!(!names(&manifest, "dependencies").iter().any(|known| known == name), "{name}");
    }
    let impure = [
        "std::fs",
        "std::net",
        "std::env",
        "std::process",
        "std::thread",
        "SystemTime",
        "Instant",
        "Timestamp::now",
        "Zoned::now",
        "tokio::",
        "tracing::",
        "async fn",
    ];
    for file in sources().iter().filter(|file| file.starts_with("policies/src/")) {
        for (number, line) in code(file).lines().enumerate() {
            for word in impure {
                assert!(!line.contains(word), "{file}:{}: {word}", number + 1);
            }
        }
    }
}

/// Engines are chosen in one place. What mends them offline opens them itself.
#[test]
fn only_the_app_names_concrete_engines() {
    let named = ["metadata::sled::", "blobs::disk::", "sled::Sled", "disk::DiskBlobs"];
    let may = |file: &str| {
        [
            "server/src/app",
            "server/src/check",
            "server/src/cli/check",
            "server/src/metadata/sled",
            "server/src/blobs/disk",
        ]
        .iter()
        .any(|prefix| file.starts_with(prefix))
    };
    for file in sources().iter().filter(|file| file.starts_with("server/src/") && !may(file)) {
        let code = code(file);
        for name in named {
            assert!(!code.contains(name), "{file} names an engine: {name}");
        }
    }
}

#[test]
fn only_the_engine_file_uses_the_engines_crate() {
    let is_elsewhere = |file: &&String| {
        file.starts_with("server/") && !file.starts_with("server/src/metadata/sled")
    };
    for file in sources().iter().filter(is_elsewhere) {
        let uses = code(file).lines().any(|line| {
            let line = line.trim();
            line.starts_with("use sled::") || line.contains(" ::sled::") || line.contains("(sled::")
        });
        assert!(!uses, "{file} uses sled");
    }
}

#[test]
fn the_flow_below_the_formats_knows_none_of_them() {
    let below = ["gate", "pull", "upstream", "metadata", "blobs", "disk", "edge", "observability"];
    for file in sources() {
        let Some(part) = file.strip_prefix("server/src/") else { continue };
        let part = part.split(['/', '.']).next().unwrap_or_default();
        if below.contains(&part) {
            assert!(!code(&file).contains("crate::registries"), "{file} knows the formats");
        }
    }
}

#[test]
fn only_the_upstream_client_speaks_http_to_others() {
    for file in sources().iter().filter(|file| file.starts_with("server/src/")) {
        let may = ["server/src/upstream", "server/src/cli/client"];
        if !may.iter().any(|prefix| file.starts_with(prefix)) {
            assert!(!code(file).contains("reqwest::"), "{file} is another HTTP client");
        }
    }
}

#[test]
fn the_wall_clock_is_read_in_one_file() {
    for file in sources().iter().filter(|file| file.starts_with("server/src/")) {
        if file != "server/src/clock.rs" {
            for read in ["SystemTime::now", "Timestamp::now", "Zoned::now"] {
                assert!(!code(file).contains(read), "{file}: {read}");
            }
        }
    }
}

/// A file without its tests and comments; nothing of a file that is only tests.
fn code(file: &str) -> String {
    let name = file.rsplit('/').next().unwrap_or_default();
    if name.ends_with("tests.rs") || file.contains("/tests/") {
        return String::new();
    }
    let text = read(file);
    // Tests stand at the end.
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    code.lines().filter(is_code).collect::<Vec<_>>().join("\n")
}
