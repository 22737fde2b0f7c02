//! One pass over a packument, for those that are written as nearly all are.
//!
//! [`Fields`] reads one object and leaves its values as text, so a document would be read as often
//! as it is deep: as a whole, its versions, each of them, their `dist`. Here all of these are read at
//! once. A document that is unusual in any way (a key in escapes, a version or its `dist` twice or no
//! object, anything that is no JSON) is none for here; it is read the long way, which tells what is
//! wrong with it and what of it can be kept.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::fields::{Fields, Key, span};

/// One of the versions.
pub struct Manifest<'a, 'f> {
    pub version: &'a str,
    /// As it is written.
    pub text: &'a str,
    pub fields: &'f Fields<'a>,
    pub dist: &'f Fields<'a>,
}

/// The fields at the top but for `versions`, each of which goes to `take` in its order. `None`: what
/// `take` was given counts for nothing.
pub fn scan<'a>(
    text: &'a str,
    most_versions: usize,
    take: &mut dyn FnMut(&Manifest<'a, '_>),
) -> Option<Fields<'a>> {
    let mut json = serde_json::Deserializer::from_str(text);
    let mut top = Fields::default();
    let mut scan = Scan {
        text,
        most_versions,
        take,
        seen: HashSet::new(),
        manifest: Fields::default(),
        dist: Fields::default(),
    };
    Top { scan: &mut scan, fields: &mut top }.deserialize(&mut json).ok()?;
    json.end().ok()?;
    Some(top)
}

struct Scan<'a, 't> {
    text: &'a str,
    most_versions: usize,
    take: &'t mut dyn FnMut(&Manifest<'a, '_>),
    seen: HashSet<&'a str>,
    /// Of the version that is being read; kept for the next one, so that they grow once.
    manifest: Fields<'a>,
    dist: Fields<'a>,
}

/// The reason is told by whoever reads it the long way.
fn unusual<E: Error>() -> E {
    E::custom("unusual")
}

fn plain_key<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Option<&'de str>, A::Error> {
    match map.next_key::<Key<'de>>()? {
        Some(Key(Cow::Borrowed(key))) => Ok(Some(key)),
        Some(Key(Cow::Owned(_))) => Err(unusual()),
        None => Ok(None),
    }
}

/// An object of which the first key and the last value are known.
fn object_around<'a>(whole: &'a str, first_key: &str, last_value: &str) -> Option<&'a str> {
    const SPACE: [char; 4] = [' ', '\t', '\n', '\r'];
    let before = whole[..span(whole, first_key).start].strip_suffix('"')?;
    let start = before.trim_end_matches(SPACE).strip_suffix('{')?.len();
    let after = whole[span(whole, last_value).end..].trim_start_matches(SPACE);
    let end = whole.len() - after.strip_prefix('}')?.len();
    whole.get(start..end)
}

struct Top<'s, 'a, 't> {
    scan: &'s mut Scan<'a, 't>,
    fields: &'s mut Fields<'a>,
}

struct Versions<'s, 'a, 't>(&'s mut Scan<'a, 't>);

struct Version<'s, 'a, 't> {
    scan: &'s mut Scan<'a, 't>,
    version: &'a str,
}

struct Dist<'s, 'a, 't>(&'s mut Scan<'a, 't>);

/// What is read by a visitor of objects, and by nothing else.
macro_rules! reads_an_object {
    ($seed:ident, $value:ty) => {
        impl<'a> DeserializeSeed<'a> for $seed<'_, 'a, '_> {
            type Value = $value;
            fn deserialize<D: Deserializer<'a>>(self, json: D) -> Result<$value, D::Error> {
                json.deserialize_map(self)
            }
        }
    };
}

reads_an_object!(Top, ());
reads_an_object!(Versions, ());
reads_an_object!(Version, ());
reads_an_object!(Dist, &'a str);

fn an_object(f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("an object")
}

impl<'a> Visitor<'a> for Top<'_, 'a, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        an_object(f)
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        let mut has_versions = false;
        while let Some(key) = plain_key(&mut map)? {
            if key != "versions" {
                let value: &'a RawValue = map.next_value()?;
                self.fields.0.push((Cow::Borrowed(key), value.get()));
            } else if std::mem::replace(&mut has_versions, true) {
                return Err(unusual());
            } else {
                map.next_value_seed(Versions(self.scan))?;
            }
        }
        Ok(())
    }
}

impl<'a> Visitor<'a> for Versions<'_, 'a, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        an_object(f)
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(version) = plain_key(&mut map)? {
            if !self.0.seen.insert(version) || self.0.seen.len() > self.0.most_versions {
                return Err(unusual());
            }
            map.next_value_seed(Version { scan: self.0, version })?;
        }
        Ok(())
    }
}

impl<'a> Visitor<'a> for Version<'_, 'a, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        an_object(f)
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        let scan = self.scan;
        scan.manifest.0.clear();
        let mut has_dist = false;
        while let Some(key) = plain_key(&mut map)? {
            let value = if key != "dist" {
                map.next_value::<&'a RawValue>()?.get()
            } else if std::mem::replace(&mut has_dist, true) {
                return Err(unusual());
            } else {
                map.next_value_seed(Dist(scan))?
            };
            scan.manifest.0.push((Cow::Borrowed(key), value));
        }
        let (Some((first, _)), Some((_, last))) = (scan.manifest.0.first(), scan.manifest.0.last())
        else {
            return Err(unusual());
        };
        let text = object_around(scan.text, first, last).filter(|_| has_dist);
        let text = text.ok_or_else(unusual)?;
        let Scan { manifest: fields, dist, take, .. } = scan;
        take(&Manifest { version: self.version, text, fields, dist });
        Ok(())
    }
}

impl<'a> Visitor<'a> for Dist<'_, 'a, '_> {
    type Value = &'a str;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        an_object(f)
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<&'a str, A::Error> {
        let Scan { text, dist, .. } = self.0;
        dist.0.clear();
        while let Some(key) = plain_key(&mut map)? {
            let value: &'a RawValue = map.next_value()?;
            dist.0.push((Cow::Borrowed(key), value.get()));
        }
        let (Some((first, _)), Some((_, last))) = (dist.0.first(), dist.0.last()) else {
            return Err(unusual());
        };
        object_around(text, first, last).ok_or_else(unusual)
    }
}
