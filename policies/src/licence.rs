//! What a version's licence permits: SPDX expressions, judged by lists of licences and families.
//!
//! `OR` is a choice of the user's, so one acceptable side is enough; `AND` binds to both. An entry
//! of a list is a licence (`MIT`, `Apache-2.0 WITH LLVM-exception`, `LicenseRef-acme`) or a family.
//! Allowing is narrow: an entry means itself, so a licence with an exception must be written so.
//! Denying is wide: an entry means the licence with every exception, `-only` and `-or-later` alike.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;
use spdx::expression::{ExprNode, Operator};
use spdx::{Expression, LicenseId, LicenseItem, LicenseReq, Licensee, ParseMode};

use crate::package::Ecosystem;
use crate::tri::Tri;

/// Longer texts are kept as unreadable.
const MAX_TEXT: usize = 1024;
/// Expressions of more licences are unreadable; it bounds the stack of [`Licence::judge`].
const MAX_LICENCES: usize = 64;

/// The licence as it was stated, and what it says where it can be read.
#[derive(Clone)]
pub struct Licence {
    text: Arc<str>,
    expression: Option<Expression>,
}

impl Licence {
    /// Any text is a licence; one that is no SPDX expression is known only as text.
    pub fn new(ecosystem: Ecosystem, text: &str) -> Self {
        let mode = ParseMode {
            // Old crates write `MIT/Apache-2.0`.
            allow_slash_as_or_operator: ecosystem == Ecosystem::Cargo,
            allow_deprecated: true,
            allow_postfix_plus_on_gpl: true,
            ..ParseMode::STRICT
        };
        let short = text.len() <= MAX_TEXT;
        let expression = short.then(|| Expression::parse_mode(text, mode).ok()).flatten();
        let expression =
            expression.filter(|expression| expression.requirements().count() <= MAX_LICENCES);
        let text = text.char_indices().nth(MAX_TEXT).map_or(text, |(end, _)| &text[..end]);
        Self { text: text.into(), expression }
    }

    /// As manifests of npm state it: a text, or as old ones do an object with a `type`, or a list of
    /// either, which npm reads as a choice. `licenses` counts where `license` says nothing. `None`
    /// where nothing is stated, or something that nobody can read.
    pub fn of_npm(license: Option<&Value>, licenses: Option<&Value>) -> Option<Self> {
        fn name(value: &Value) -> Option<&str> {
            let name = value.as_str().or_else(|| value.get("type")?.as_str());
            name.map(str::trim).filter(|name| !name.is_empty())
        }
        let stated = |value: &Value| {
            let Value::Array(several) = value else { return name(value).map(str::to_owned) };
            let names: Vec<&str> = several.iter().map(name).collect::<Option<_>>()?;
            match names.as_slice() {
                [] => None,
                [one] => Some((*one).to_owned()),
                several => {
                    let sides = several.iter().map(|side| {
                        if side.contains(' ') { format!("({side})") } else { (*side).to_owned() }
                    });
                    Some(sides.collect::<Vec<_>>().join(" OR "))
                }
            }
        };
        let says = |value: &&Value| !value.is_null() && value.as_str() != Some("");
        let text = stated(license.filter(says).or(licenses)?)?;
        Some(Self::new(Ecosystem::Npm, &text))
    }

    /// As it was stated.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it is an SPDX expression.
    pub fn is_readable(&self) -> bool {
        self.expression.is_some()
    }

    /// Whether it can be complied with by listed licences alone, or can not without a listed one.
    pub(crate) fn judge(&self, judgement: Judgement, list: &[Entry]) -> Tri {
        let Some(expression) = &self.expression else { return Tri::Unknown };
        let mut stack = [Tri::Unknown; MAX_LICENCES];
        let mut height = 0;
        for node in expression.iter() {
            match node {
                ExprNode::Req(stated) => {
                    stack[height] = judgement.of(&stated.req, list);
                    height += 1;
                }
                ExprNode::Op(operator) => {
                    height -= 1;
                    let (a, b) = (stack[height - 1], stack[height]);
                    // To be free of the denied, one side of a choice is enough.
                    let any = (*operator == Operator::Or) == (judgement == Judgement::Allowed);
                    stack[height - 1] = if any { a.or(b) } else { a.and(b) };
                }
            }
        }
        stack[0]
    }
}

/// Stated alike, and read alike.
impl PartialEq for Licence {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.is_readable() == other.is_readable()
    }
}

impl fmt::Debug for Licence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Licence")
            .field("text", &self.text)
            .field("readable", &self.is_readable())
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    Allowed,
    Denied,
}

impl Judgement {
    fn of(self, stated: &LicenseReq, list: &[Entry]) -> Tri {
        list.iter().fold(Tri::False, |found, entry| found.or(entry.matches(self, stated)))
    }
}

/// Licences that have something in common, by the SPDX list's own flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Copyleft,
    Osi,
    Fsf,
    /// Approved by OSI or free by FSF, and no copyleft.
    Permissive,
}

impl Family {
    const ALL: [Self; 4] = [Self::Copyleft, Self::Osi, Self::Fsf, Self::Permissive];

    const fn name(self) -> &'static str {
        match self {
            Self::Copyleft => "family:copyleft",
            Self::Osi => "family:osi",
            Self::Fsf => "family:fsf",
            Self::Permissive => "family:permissive",
        }
    }

    fn has(self, id: LicenseId) -> bool {
        match self {
            Self::Copyleft => id.is_copyleft(),
            Self::Osi => id.is_osi_approved(),
            Self::Fsf => id.is_fsf_free_libre(),
            Self::Permissive => {
                (id.is_osi_approved() || id.is_fsf_free_libre()) && !id.is_copyleft()
            }
        }
    }
}

/// One entry of a list.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    One(LicenseReq),
    Family(Family),
}

impl Entry {
    /// Or what to write instead.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if let Some(family) = Family::ALL.into_iter().find(|family| family.name() == text) {
            return Ok(Self::Family(family));
        }
        if text.starts_with("family:") {
            return Err(format!("write one of {}", Family::ALL.map(Family::name).join(", ")));
        }
        let mode = ParseMode { allow_deprecated: true, ..ParseMode::STRICT };
        if text.len() <= MAX_TEXT
            && let Ok(licensee) = Licensee::parse_mode(text, mode)
        {
            return Ok(Self::One(licensee.into_req()));
        }
        let near = spdx::identifiers::LICENSES
            .iter()
            .map(|licence| {
                (
                    strsim::jaro_winkler(&text.to_lowercase(), &licence.name.to_lowercase()),
                    licence.name,
                )
            })
            .filter(|(likeness, _)| text.len() <= 60 && *likeness > 0.85)
            .max_by(|a, b| a.0.total_cmp(&b.0));
        Err(match near {
            Some((_, near)) => format!("did you mean '{near}'?"),
            None => "write an identifier of the SPDX list such as 'MIT', or 'family:permissive'"
                .to_owned(),
        })
    }

    fn matches(&self, judgement: Judgement, stated: &LicenseReq) -> Tri {
        let listed = match self {
            // What a licence of somebody's own says, no list knows.
            Self::Family(family) => {
                return stated.license.id().map_or(Tri::Unknown, |id| Tri::of(family.has(id)));
            }
            Self::One(listed) => listed,
        };
        let (same_licence, same_addition) = match (&listed.license, &stated.license) {
            (LicenseItem::Spdx { id: ours, .. }, LicenseItem::Spdx { id: theirs, or_later }) => {
                let (ours, theirs) = (Gnu::of(*ours), Gnu::of(*theirs));
                let same = ours.base == theirs.base
                    && match judgement {
                        // "Or later" can be taken as that very version.
                        Judgement::Allowed => {
                            ours.later == theirs.later || theirs.later || *or_later
                        }
                        Judgement::Denied => true,
                    };
                (same, listed.addition == stated.addition)
            }
            (ours, theirs) => (ours == theirs, listed.addition == stated.addition),
        };
        let wide = judgement == Judgement::Denied && listed.addition.is_none();
        Tri::of(same_licence && (same_addition || wide))
    }
}

/// The GNU licences have an identifier for each of `-only` and `-or-later`.
struct Gnu {
    base: &'static str,
    later: bool,
}

impl Gnu {
    fn of(id: LicenseId) -> Self {
        let name = id.name;
        if !id.is_gnu() {
            return Self { base: name, later: false };
        }
        if let Some(base) = name.strip_suffix("-or-later").or_else(|| name.strip_suffix('+')) {
            return Self { base, later: true };
        }
        Self { base: name.strip_suffix("-only").unwrap_or(name), later: false }
    }
}

#[cfg(test)]
mod tests;
