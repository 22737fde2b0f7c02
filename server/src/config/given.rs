//! One value as given, and why it cannot be taken.
//!
//! What a fault repeats of a value is decided here: never a secret, and never a URL, which may hold one.

use std::path::{Path, PathBuf};

use super::faults::{ConfigFault, Place, nearest};
use super::parse::WrongUrl;
use super::setting::Kind;
use super::source::{Node, Value};
use crate::observability::redact::redacted;

/// A value as given. From the file it has a type; from elsewhere all is text.
pub(super) struct Given {
    pub node: Node,
    pub typed: bool,
}

/// Why a value cannot be taken.
pub(super) enum Wrong {
    /// Not what the setting's kind expects.
    Kind,
    Said {
        message: String,
        remedy: Option<String>,
    },
    /// One entry of a list is not what it should be.
    Entry {
        place: Place,
        message: String,
    },
}

impl Given {
    pub fn untyped(place: Place, text: &str) -> Self {
        Self { node: Node { place, value: Value::Text(text.to_owned()) }, typed: false }
    }

    /// As the audit log may have it.
    pub fn shown(&self) -> String {
        fn shown(value: &Value) -> String {
            match value {
                Value::Text(text) => redacted(text).into_owned(),
                Value::List(items) => {
                    let items: Vec<String> = items.iter().map(|item| shown(&item.value)).collect();
                    items.join(", ")
                }
                Value::Integer(number) => number.to_string(),
                Value::Flag(flag) => flag.to_string(),
                other => other.described().to_owned(),
            }
        }
        shown(&self.node.value)
    }

    pub fn text(&self) -> Result<&str, Wrong> {
        match &self.node.value {
            Value::Text(text) => Ok(text),
            _ => Err(Wrong::Kind),
        }
    }

    pub fn texts(&self) -> Result<Vec<(Place, String)>, Wrong> {
        match &self.node.value {
            Value::List(items) => items
                .iter()
                .map(|item| match &item.value {
                    Value::Text(text) => Ok((item.place.clone(), text.clone())),
                    other => Err(Wrong::entry(
                        &item.place,
                        format!("expected a text, found {}", other.described()),
                    )),
                })
                .collect(),
            Value::Text(text) if !self.typed => Ok(text
                .split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .map(|part| (self.node.place.clone(), part.to_owned()))
                .collect()),
            _ => Err(Wrong::Kind),
        }
    }

    /// Paths of the file, and defaults, start from the file's directory; others from the current one.
    pub fn resolved(&self, base: &Path, text: &str) -> PathBuf {
        match self.node.place {
            Place::Argument(_) | Place::Variable(_) => PathBuf::from(text),
            _ => base.join(text),
        }
    }
}

impl Wrong {
    pub fn said(message: impl Into<String>, remedy: Option<String>) -> Self {
        Self::Said { message: message.into(), remedy }
    }

    pub fn entry(place: &Place, message: String) -> Self {
        Self::Entry { place: place.clone(), message }
    }

    pub fn at(self, place: &Place, given: &Given, kind: Kind) -> ConfigFault {
        match self {
            Self::Said { message, remedy } => ConfigFault { place: place.clone(), message, remedy },
            Self::Entry { place, message } => ConfigFault::new(&place, message),
            Self::Kind => {
                let found = match (&given.node.value, kind) {
                    // What stands in for a URL or a secret may be one with a password in it.
                    (Value::Text(text), kind) if !matches!(kind, Kind::Secret | Kind::Url) => {
                        format!("{:?}", text.chars().take(80).collect::<String>())
                    }
                    (Value::Integer(number), kind) if kind != Kind::Secret => number.to_string(),
                    (value, _) => value.described().to_owned(),
                };
                let fault = ConfigFault::new(place, format!("expected {kind}, found {found}"));
                match (&given.node.value, kind) {
                    (Value::Text(text), Kind::Choice(choices)) => {
                        match nearest(text, choices.iter().copied()) {
                            Some(near) => fault.remedy(format!("did you mean \"{near}\"?")),
                            None => fault,
                        }
                    }
                    _ => fault,
                }
            }
        }
    }
}

pub(super) fn wrong_url(wrong: WrongUrl, key: &str) -> Wrong {
    match wrong {
        WrongUrl::NotAUrl => {
            Wrong::said("expected an http or https URL, found something else", None)
        }
        WrongUrl::Scheme => {
            Wrong::said("expected a URL that starts with http:// or https://", None)
        }
        WrongUrl::UserInfo => Wrong::said(
            "a URL may not hold a user name or password",
            Some(
                if key.starts_with("registry.") {
                    "take them out and set username, and password = { file = \"path\" } or \
                     { env = \"NAME\" }"
                } else {
                    "take them out: clients bring their own"
                }
                .to_owned(),
            ),
        ),
        WrongUrl::QueryOrFragment => {
            Wrong::said("expected a URL without a query (?) and a fragment (#)", None)
        }
    }
}
