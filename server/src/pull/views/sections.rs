//! A view's text in sections, so that what a change of the rules leaves alone is not made again.

use crate::pull::PullError;

/// How a format hands over the text of a view. Where sections begin and end must follow from the
/// document and the form alone, and not from what is shown: then a version that comes or goes
/// changes its own section and no other.
pub trait Sections {
    fn count(&self) -> usize;

    /// Everything that decides about this section's text besides document, form and base address.
    /// `None`: its text is its own key, so it has to be short.
    fn key(&self, section: usize) -> Option<SectionKey>;

    /// Appends the text. An empty section is none. What was appended before an error is no text.
    fn write(&self, section: usize, out: &mut Vec<u8>) -> Result<(), PullError>;

    fn write_all(&self, out: &mut Vec<u8>) -> Result<(), PullError> {
        (0..self.count()).try_for_each(|section| self.write(section, out))
    }
}

pub type SectionKey = Box<[u8]>;

/// A text in one piece.
impl Sections for Vec<u8> {
    fn count(&self) -> usize {
        1
    }

    fn key(&self, _: usize) -> Option<SectionKey> {
        None
    }

    fn write(&self, _: usize, out: &mut Vec<u8>) -> Result<(), PullError> {
        out.extend_from_slice(self);
        Ok(())
    }
}
