//! `[[approve]]`: a table → an [`Approval`], or every fault with its place.

use std::collections::HashMap;
use std::ops::Range as Span;

use toml::de::DeTable;

use super::Reader;
use super::expectations::span_of_time;
use crate::approval::{Approval, Scope};
use crate::asker::TeamPattern;
use crate::package::Spelling;
use crate::rules::{Draft, Field, Origin};

const KEYS: [&str; 9] =
    ["name", "packages", "versions", "when", "teams", "scope", "expires", "reason", "owner"];

impl Reader<'_> {
    pub(super) fn approval(
        &mut self,
        fields: &DeTable<'_>,
        span: &Span<usize>,
    ) -> Option<Approval> {
        let before = self.faults.len();
        // What it approves becomes a rule, and is checked as one.
        let mut draft = Draft { effect: Some("allow".to_owned()), ..Draft::default() };
        let (mut scope, mut lasts) = (Scope::Everyone, None);
        let mut places: HashMap<Field, Span<usize>> = HashMap::new();
        let mut mistyped = Vec::new();
        for (key, value) in fields {
            let field = match key.get_ref().as_ref() {
                "name" => Field::Name,
                "packages" => Field::Packages,
                "versions" => Field::Versions,
                "when" => Field::When,
                "teams" => Field::Teams,
                "reason" => Field::Reason,
                "owner" => Field::Owner,
                "scope" => {
                    scope = self.read(value, "team", read_scope).unwrap_or(Scope::Everyone);
                    continue;
                }
                "expires" => {
                    lasts = self.read(value, "90d", span_of_time);
                    continue;
                }
                unknown => {
                    self.known_key("an approval", &KEYS, unknown, &key.span());
                    continue;
                }
            };
            places.insert(field, value.span());
            if !self.take(&mut draft, field, value, &mut places) {
                mistyped.push(field);
            }
        }
        for (place, text) in draft.packages.iter().enumerate() {
            // What is approved would be narrower than the rule that is made of it.
            if Spelling::parse(text).is_ok_and(|spelling| spelling.version.is_some()) {
                let at = places.get(&Field::Package(place)).unwrap_or(span).clone();
                let message = "an approval says which versions in `versions`";
                self.fault(&at, message, "write one approval for each range");
            }
        }
        let (line, column) = self.position(span.start);
        let origin = Origin::File { file: self.file.into(), line, column };
        let checked = draft.check(origin);
        for complaint in checked.as_ref().err().into_iter().flatten() {
            // A value of the wrong type is there; saying that it is missing would mislead.
            if !mistyped.contains(&complaint.field) {
                let place = places.get(&complaint.field).unwrap_or(span).clone();
                self.fault(&place, complaint.message.clone(), complaint.remedy.clone());
            }
        }
        let rule = checked.ok().filter(|_| self.faults.len() == before)?;
        Some(Approval { rule, scope, lasts })
    }
}

fn read_scope(text: &str) -> Option<Scope> {
    match text {
        "everyone" => Some(Scope::Everyone),
        "team" => Some(Scope::Team),
        named => TeamPattern::parse(named).map(Scope::Named),
    }
}
