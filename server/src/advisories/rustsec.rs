//! Records of RustSec's advisory-db: Markdown with a head in TOML, read by RustSec's own crate.

use std::str::FromStr as _;

use jiff::Timestamp;
use jiff::civil::Date;
use policies::advisories::{Advisory, Affected, Event, osv, severity_of_notice};
use policies::package::{Ecosystem, Package};
use rustsec::Collection;
use rustsec::advisory::{Advisory as Record, Category, Metadata};
use rustsec::osv::ranges_for_advisory;

/// A file of the database; the template for new ones is none.
pub fn is_record(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or(name);
    let id = file.strip_suffix(".md").filter(|id| id.starts_with("RUSTSEC-"));
    id.is_some_and(|id| id != "RUSTSEC-0000-0000")
}

/// What is not about a crate, but about Rust itself, speaks of no package.
pub fn parse(text: &[u8]) -> Result<osv::Parsed, String> {
    let unreadable = |fault: &dyn std::fmt::Display| format!("it is no RustSec record: {fault}");
    let text = std::str::from_utf8(text).map_err(|fault| unreadable(&fault))?;
    let record = Record::from_str(text).map_err(|fault| unreadable(&fault))?;
    let metadata = &record.metadata;
    let day = |date: &rustsec::advisory::Date| day(date.as_str());
    let published = day(&metadata.date);
    let withdrawn = metadata.withdrawn.as_ref().and_then(day);
    let is_crate = metadata.collection.is_none_or(|collection| collection == Collection::Crates);
    let package = Package::new(Ecosystem::Cargo, metadata.package.as_str()).ok();
    let affected = package.filter(|_| is_crate).map(|package| affected_of(&record, package));
    let advisory = Advisory {
        id: metadata.id.to_string(),
        aliases: metadata.aliases.iter().map(ToString::to_string).collect(),
        summary: metadata.title.chars().filter(|c| !c.is_control()).take(200).collect(),
        // The record does not say; where it changed all the same, its text tells.
        modified: withdrawn.max(published).unwrap_or(Timestamp::UNIX_EPOCH),
        published,
        withdrawn,
        malicious: is_malicious(metadata),
        url: metadata.url.as_ref().map(ToString::to_string).filter(|url| url.len() <= 500),
        cwes: Vec::new(),
        affected: affected.into_iter().collect(),
    };
    let ignored = usize::from(advisory.affected.is_empty());
    Ok(osv::Parsed { advisory, ignored })
}

fn is_malicious(metadata: &Metadata) -> bool {
    let mut ids = metadata.aliases.iter().chain([&metadata.id]);
    metadata.categories.contains(&Category::Malicious)
        || ids.any(|id| osv::is_malicious_id(id.as_str()))
}

fn affected_of(record: &Record, package: Package) -> Affected {
    let informational = record.metadata.informational.as_ref();
    let notice = informational.and_then(|notice| severity_of_notice(notice.as_str()));
    let ranges = ranges_for_advisory(&record.versions).into_iter().map(|range| {
        let from = range.introduced.map_or_else(|| "0".to_owned(), |version| version.to_string());
        let mut events = vec![Event::Introduced(from)];
        events.extend(range.fixed.map(|version| Event::Fixed(version.to_string())));
        events
    });
    let vector = record.metadata.cvss.as_ref();
    let severity = if let Some(vector) = vector { Some(vector.score()) } else { notice };
    Affected {
        package,
        severity,
        vector: vector.map(ToString::to_string),
        ranges: ranges.collect(),
        versions: Vec::new(),
    }
}

fn day(text: &str) -> Option<Timestamp> {
    let date: Date = text.parse().ok()?;
    date.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|midnight| midnight.timestamp())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const RECORD: &str = r#"```toml
[advisory]
id = "RUSTSEC-2026-0001"
package = "left-pad"
date = "2026-01-02"
url = "https://advisories.example/RUSTSEC-2026-0001"
categories = ["memory-corruption"]
aliases = ["CVE-2026-1"]
cvss = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"

[versions]
patched = [">= 1.2.3", "^0.9.9"]
unaffected = ["< 0.5.0"]
```

# Padding on the wrong side

Long.
"#;

    #[test]
    fn a_record_of_the_database_is_read() {
        let advisory = parse(RECORD.as_bytes()).unwrap().advisory;
        assert_eq!(
            (advisory.id.as_str(), advisory.summary.as_str()),
            ("RUSTSEC-2026-0001", "Padding on the wrong side")
        );
        assert_eq!((advisory.aliases, advisory.malicious), (vec!["CVE-2026-1".to_owned()], false));
        let affected = &advisory.affected[0];
        assert_eq!(
            (affected.package.to_string(), affected.severity),
            ("cargo:left-pad".to_owned(), Some(9.8))
        );
        for (version, is) in [
            ("0.4.9", false),
            ("0.5.0", true),
            ("0.9.8", true),
            ("0.9.9", false),
            ("1.0.0", true),
            ("1.2.2", true),
            ("1.2.3", false),
            ("2.0.0", false),
        ] {
            assert_eq!(affected.includes(version), is, "{version}");
        }
    }

    #[test]
    fn what_somebody_planted_is_malicious() {
        let is_malicious = |text: String| parse(text.as_bytes()).unwrap().advisory.malicious;
        assert!(is_malicious(RECORD.replace("memory-corruption", "malicious")));
        assert!(is_malicious(RECORD.replace("CVE-2026-1", "MAL-2026-1")));
        assert!(!is_malicious(RECORD.replace("CVE-2026-1", "CVE-2026-2")));
    }

    #[test]
    fn a_notice_is_no_hole_and_what_is_broken_is_told() {
        let notice = RECORD.replace(
            "cvss = \"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H\"",
            "informational = \"unmaintained\"",
        );
        assert_eq!(parse(notice.as_bytes()).unwrap().advisory.affected[0].severity, Some(0.0));
        for broken in ["", "# Title", "```toml\n[advisory]\n```\n\n# Title\n", "\u{0}"] {
            assert!(parse(broken.as_bytes()).is_err(), "{broken:?}");
        }
        assert!(is_record("crates/left-pad/RUSTSEC-2026-0001.md"));
        assert!(!is_record("README.md") && !is_record("RUSTSEC-0000-0000.md"));
    }
}
