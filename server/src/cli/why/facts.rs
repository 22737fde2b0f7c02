//! The facts of a version in a line or two, for a person who looks for why it was refused. Pure.

use policies::facts::FactSheet;

use crate::observability::escape::bounded;

/// Names and licences are anybody's text.
const TOLD: usize = 80;

/// `None` where no registry here states anything of it.
pub(super) fn known(facts: &FactSheet) -> Option<String> {
    let deprecated = facts.deprecated?;
    let told = |text: &str| bounded(text, TOLD).into_owned();
    let mut parts: Vec<String> = Vec::new();
    parts.push(match &facts.licence {
        Some(licence) => format!("licence {}", told(licence)),
        None => "no licence that can be read".to_owned(),
    });
    if let Some(publisher) = &facts.publisher {
        let changed = match facts.publisher_changed {
            Some(true) => ", who did not publish the version before",
            _ => "",
        };
        parts.push(format!("published by {}{changed}", told(publisher)));
    }
    match facts.dependencies {
        Some(1) => parts.push("1 direct dependency".to_owned()),
        Some(count) => parts.push(format!("{count} direct dependencies")),
        None => {}
    }
    if facts.install_scripts == Some(true) {
        parts.push("runs scripts when it is installed".to_owned());
    }
    if facts.provenance == Some(true) {
        parts.push("has provenance".to_owned());
    }
    if deprecated {
        parts.push("deprecated".to_owned());
    }
    if facts.yanked == Some(true) {
        parts.push("yanked".to_owned());
    }
    if let Some(version) = &facts.rust_version {
        parts.push(format!("for Rust {} and newer", told(version)));
    }
    if let Some(size) = facts.size {
        parts.push(format!("{size} bytes"));
    }
    if let Some(repository) = &facts.repository {
        parts.push(format!("its source is at {}", told(repository)));
    }
    if let Some(similar) = facts.similar_to.as_deref().filter(|similar| !similar.is_empty()) {
        parts.push(format!("its name looks like {}", told(similar)));
    }
    let known = format!("Known of it: {}", parts.join("; "));
    Some(match &facts.description {
        Some(description) => format!("It says of itself: {}\n{known}", told(description)),
        None => known,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_told_in_one_line_and_what_is_not_is_not_made_up() {
        let facts = FactSheet {
            deprecated: Some(true),
            licence: Some("MIT\n\u{1b}[31m".to_owned()),
            publisher: Some("eve".to_owned()),
            publisher_changed: Some(true),
            dependencies: Some(2),
            install_scripts: Some(true),
            provenance: Some(true),
            size: Some(7),
            similar_to: Some("express".to_owned()),
            ..FactSheet::default()
        };
        let line = known(&facts).unwrap_or_default();
        assert!(!line.contains('\n') && !line.contains('\u{1b}'), "{line}");
        let (first, rest) = line.split_once("; ").unwrap_or_default();
        assert!(first.starts_with("Known of it: licence MIT"), "{line}");
        assert_eq!(
            rest,
            "published by eve, who did not publish the version before; 2 direct dependencies; runs \
             scripts when it is installed; has provenance; deprecated; 7 bytes; its name looks like \
             express"
        );
        let of_crate = FactSheet {
            yanked: Some(true),
            rust_version: Some("1.85".to_owned()),
            repository: Some("https://git.example/x".to_owned()),
            description: Some("a parser".to_owned()),
            ..FactSheet { deprecated: Some(false), ..FactSheet::default() }
        };
        assert_eq!(
            known(&of_crate).as_deref(),
            Some(
                "It says of itself: a parser\nKnown of it: no licence that can be read; yanked; for \
                 Rust 1.85 and newer; its source is at https://git.example/x"
            )
        );
        let little = FactSheet { deprecated: Some(false), ..FactSheet::default() };
        assert_eq!(known(&little).as_deref(), Some("Known of it: no licence that can be read"));
        assert_eq!(known(&FactSheet::default()), None);
    }
}
