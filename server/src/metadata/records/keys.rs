//! Keys: parts that are encoded so that no two records share one.

use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use super::Record;

/// Everything but what is readable and cannot part a key. `%` itself is encoded, so the spelling
/// of a part is unique.
const PART: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'\\')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// The key of one record of type `R`.
pub struct Key<R> {
    bytes: Bytes,
    record: PhantomData<fn() -> R>,
}

/// The beginning that some keys of type `R` share; it ends at a border between parts.
pub struct Prefix<R> {
    bytes: Bytes,
    record: PhantomData<fn() -> R>,
}

impl<R: Record> Key<R> {
    pub(super) fn of(parts: &[&str]) -> Self {
        debug_assert_eq!(parts.len(), R::PARTS);
        let mut key = String::from(R::KIND);
        for part in parts {
            key.push('/');
            key.extend(utf8_percent_encode(part, PART));
        }
        Self { bytes: Bytes::from(key), record: PhantomData }
    }

    /// A key read back from the store; `None` where it is not a key of this kind.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (kind, parts) = parse_key(bytes)?;
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        if kind != R::KIND || parts.len() != R::PARTS {
            return None;
        }
        // A key that is not spelt as this code spells it would be a second name for one record.
        let key = Self::of(&parts);
        (key.bytes == bytes).then_some(key)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn to_bytes(&self) -> Bytes {
        self.bytes.clone()
    }

    /// The decoded parts behind the kind.
    pub fn parts(&self) -> Vec<String> {
        parse_key(&self.bytes).map(|(_, parts)| parts).unwrap_or_default()
    }
}

impl<R: Record> Prefix<R> {
    /// Every record of the kind.
    pub fn all() -> Self {
        Self::of(&[])
    }

    /// Every record of one registry.
    pub fn of_registry(registry: &str) -> Self {
        Self::of(&[registry])
    }

    pub(super) fn of(parts: &[&str]) -> Self {
        debug_assert!(parts.len() < R::PARTS);
        let mut prefix = format!("{}/", R::KIND);
        for part in parts {
            prefix.extend(utf8_percent_encode(part, PART));
            prefix.push('/');
        }
        Self { bytes: Bytes::from(prefix), record: PhantomData }
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The kind and the decoded parts of a stored key; `None` where this code did not make it.
pub fn parse_key(bytes: &[u8]) -> Option<(String, Vec<String>)> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut parts = text.split('/');
    let kind = parts.next()?.to_owned();
    let parts = parts
        .map(|part| percent_decode_str(part).decode_utf8().ok().map(std::borrow::Cow::into_owned))
        .collect::<Option<Vec<_>>>()?;
    Some((kind, parts))
}

/// A key as it may stand in a message: one line, printable.
pub fn show_key(key: &[u8]) -> String {
    key.escape_ascii().to_string()
}

impl<R> Clone for Key<R> {
    fn clone(&self) -> Self {
        Self { bytes: self.bytes.clone(), record: PhantomData }
    }
}

impl<R> PartialEq for Key<R> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl<R> Eq for Key<R> {}

impl<R> fmt::Debug for Key<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", show_key(&self.bytes))
    }
}

impl<R> fmt::Debug for Prefix<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Prefix({})", show_key(&self.bytes))
    }
}
