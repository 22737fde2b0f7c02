//! Images: tags and digests. They have no order; a range is exact names or anchored globs.

use crate::package::Digest;
use crate::rules::pattern::Glob;

/// A tag of the distribution specification, or a digest.
pub(super) fn is_reference(text: &str) -> bool {
    is_tag(text) || Digest::parse(text).is_ok()
}

fn is_tag(text: &str) -> bool {
    let bytes = text.as_bytes();
    !bytes.is_empty()
        && bytes.len() <= 128
        && (bytes[0].is_ascii_alphanumeric() || bytes[0] == b'_')
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(byte))
}

/// Alternatives joined by `||`: `3.20`, `3.*`, `sha256:…`.
#[derive(Clone, Debug)]
pub struct Range(Vec<Glob>);

impl Range {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        text.split("||").map(|part| alternative(part.trim())).collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn matches(&self, reference: &str) -> bool {
        self.0.iter().any(|glob| glob.matches(reference))
    }
}

fn alternative(text: &str) -> Result<Glob, String> {
    // A glob is a tag with stars in it; a star stands where a letter could.
    if is_reference(text) || (text.contains('*') && is_tag(&text.replace('*', "x"))) {
        Glob::new(text)
    } else {
        Err(format!("`{}` is no tag, no tag with `*`, and no digest", text.escape_debug()))
    }
}
