//! A packument's text in sections, so that one version that comes or goes changes little of it.
//!
//! ```text
//! name, dist-tags │ versions │ … │ modified │ times │ … │ the other fields │ restrictions
//! ```
//!
//! Where sections of versions end follows from the upstream's document alone. Such a section goes
//! by its place, by which of its versions are shown, and by whether a comma stands before it.

use std::ops::Range;

use super::Entry;
use super::raw::Window;
use super::render::{
    Form, Offer, hoists, newest, published, separate, write_field, write_text, write_texts,
    write_top_fields, write_version,
};
use crate::pull::PullError;
use crate::pull::original::Original;
use crate::pull::views::{SectionKey, Sections};

/// Of a section of versions, before it is packed: the largest text that a change makes anew, but
/// for the section behind it.
const SECTION: usize = 64 << 10;
/// A date with its version takes about 50 bytes.
const TIMES: usize = SECTION / 50;

/// The view of a packument.
#[derive(Debug)]
pub struct PackumentText<'a> {
    offer: Offer<'a>,
    form: Form,
    /// The address of the registry without a trailing slash.
    base: &'a str,
    sections: Vec<Section>,
    /// A field of its own at the end; see [`super::restrictions`].
    restrictions: Option<Vec<u8>>,
}

#[derive(Debug)]
enum Section {
    Head,
    Versions(Group),
    Modified,
    Times(Group),
    Rest,
    End,
}

/// Neighbours in the upstream's document.
#[derive(Debug)]
struct Group {
    /// In [`Offer::shown`].
    shown: Range<usize>,
    /// Kind, place, whether it is the first with a text, and a bit for each version.
    key: SectionKey,
    is_first: bool,
}

impl<'a> PackumentText<'a> {
    pub fn new(offer: Offer<'a>, form: Form, base: &'a str) -> Self {
        let mut sections = vec![Section::Head];
        let versions = Groups { offer: &offer, kind: b'v', written: false, size: SECTION };
        let size_of = |entry: &Entry| match form {
            Form::Full => entry.raw.len(),
            Form::Abbreviated => entry.short_size(),
        };
        sections.extend(versions.split(size_of, |_| true).map(Section::Versions));
        sections.push(Section::Modified);
        let packument = offer.packument;
        let written = packument.created.is_some() || packument.modified.is_some();
        let times = Groups { offer: &offer, kind: b't', written, size: TIMES };
        let is_dated = |entry: &Entry| published(entry).is_some();
        sections.extend(times.split(|_| 1, is_dated).map(Section::Times));
        sections.extend([Section::Rest, Section::End]);
        Self { offer, form, base, sections, restrictions: None }
    }

    pub fn with_restrictions(mut self, restrictions: Option<Vec<u8>>) -> Self {
        self.restrictions = restrictions;
        self
    }
}

struct Groups<'a> {
    offer: &'a Offer<'a>,
    kind: u8,
    /// Something stands before in the same object.
    written: bool,
    size: usize,
}

impl Groups<'_> {
    fn split(
        mut self,
        size_of: impl Fn(&Entry) -> usize,
        has_text: impl Fn(&Entry) -> bool,
    ) -> std::vec::IntoIter<Group> {
        let (mut groups, mut shown) = (Vec::new(), 0);
        let (mut size, mut begin, mut bits, mut count) = (0, 0, vec![0_u8], 0_usize);
        let (mut has_some, entries) = (false, &self.offer.packument.entries);
        for (place, entry) in entries.iter().enumerate() {
            if count % 8 == 0 && count > 0 {
                bits.push(0);
            }
            let is_shown =
                self.offer.shown.get(shown).is_some_and(|next| std::ptr::eq(next.entry, entry));
            if is_shown {
                shown += 1;
                if let Some(last) = bits.last_mut() {
                    *last |= 1 << (count % 8);
                }
                has_some |= has_text(entry);
            }
            count += 1;
            size += size_of(entry);
            if size >= self.size || place + 1 == entries.len() {
                let bits = std::mem::replace(&mut bits, vec![0]);
                groups.push(self.group(groups.len(), begin..shown, &bits));
                self.written |= has_some;
                (size, begin, count, has_some) = (0, shown, 0, false);
            }
        }
        groups.into_iter()
    }

    fn group(&self, place: usize, shown: Range<usize>, bits: &[u8]) -> Group {
        let mut key = vec![self.kind, u8::from(self.written)];
        key.extend_from_slice(&place.to_be_bytes());
        key.extend_from_slice(bits);
        Group { shown, key: key.into(), is_first: !self.written }
    }
}

impl Sections for PackumentText<'_> {
    fn count(&self) -> usize {
        self.sections.len()
    }

    fn key(&self, section: usize) -> Option<SectionKey> {
        match self.sections.get(section)? {
            Section::Versions(group) | Section::Times(group) => Some(group.key.clone()),
            Section::Head | Section::Modified | Section::End => None,
            Section::Rest if self.form == Form::Abbreviated => None,
            // These fields follow the newest version where that is another one than the upstream's.
            Section::Rest => {
                let newest = newest(&self.offer).filter(|_| hoists(&self.offer));
                Some(format!("rest {}", newest.unwrap_or_default()).into_bytes().into())
            }
        }
    }

    fn write(&self, section: usize, out: &mut Vec<u8>) -> Result<(), PullError> {
        self.write_from(&self.offer.packument.original, section, out)
    }

    fn write_all(&self, out: &mut Vec<u8>) -> Result<(), PullError> {
        // At once is quicker than section by section.
        let original = self.offer.packument.original.hold()?;
        (0..self.count()).try_for_each(|section| self.write_from(&original, section, out))
    }
}

impl PackumentText<'_> {
    fn write_from(
        &self,
        original: &Original,
        section: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), PullError> {
        let packument = self.offer.packument;
        match self.sections.get(section) {
            Some(Section::Head) => {
                out.extend_from_slice(b"{\"name\":");
                write_text(out, packument.package.name());
                out.extend_from_slice(b",\"dist-tags\":");
                let tags = self.offer.tags.iter();
                write_texts(out, tags.map(|(tag, version)| (tag.as_str(), version.as_str())));
                out.extend_from_slice(b",\"versions\":{");
            }
            Some(Section::Versions(group)) => {
                let neighbours = &self.offer.shown[group.shown.clone()];
                let raws = neighbours.iter().map(|shown| &shown.entry.raw);
                let window = Window::over(original, raws)?;
                for (index, shown) in neighbours.iter().enumerate() {
                    separate(out, index + usize::from(!group.is_first));
                    write_text(out, shown.entry.version.as_str());
                    out.push(b':');
                    let raw = window.read(&shown.entry.raw)?;
                    write_version(out, packument, shown, &raw, self.form, self.base);
                }
            }
            Some(Section::Modified) => {
                out.push(b'}');
                if let Some(modified) = &packument.modified {
                    write_field(out, "modified", modified);
                }
                out.extend_from_slice(b",\"time\":{");
                let whole = [("created", &packument.created), ("modified", &packument.modified)];
                let whole = whole.into_iter().filter_map(|(key, time)| Some((key, time.as_ref()?)));
                for (index, (key, time)) in whole.enumerate() {
                    separate(out, index);
                    write_text(out, key);
                    out.push(b':');
                    write_text(out, time);
                }
            }
            Some(Section::Times(group)) => {
                let shown = &self.offer.shown[group.shown.clone()];
                let times = shown.iter().filter_map(|shown| published(shown.entry));
                for (index, (version, time)) in times.enumerate() {
                    separate(out, index + usize::from(!group.is_first));
                    write_text(out, version);
                    out.push(b':');
                    write_text(out, time);
                }
            }
            Some(Section::Rest) => {
                out.push(b'}');
                if self.form == Form::Full {
                    write_top_fields(out, &self.offer, original)?;
                }
            }
            Some(Section::End) => {
                if let Some(restrictions) = &self.restrictions {
                    out.extend_from_slice(b",\"policyRestrictions\":");
                    out.extend_from_slice(restrictions);
                }
                out.push(b'}');
            }
            None => {}
        }
        Ok(())
    }
}
