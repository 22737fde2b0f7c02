//! Which names exist: one grammar an ecosystem, and one spelling of each name.
//!
//! A name that passes can be a key, a path segment and a header value without being one of the
//! tricks that these are prone to. Names that a registry could never hold are refused here, before
//! anything is looked up.

use std::borrow::Cow;

use super::{Ecosystem, InvalidName};

/// Longest name of any ecosystem, in bytes.
pub const MAX_NAME: usize = 255;
const MAX_NPM: usize = 214;
const MAX_CARGO: usize = 64;
const MAX_NUGET: usize = 100;
const MAX_VERSION: usize = 256;

/// The normal form of `name`, or why it is none.
pub(super) fn normalise(ecosystem: Ecosystem, name: &str) -> Result<Cow<'_, str>, InvalidName> {
    let refuse = |why: &'static str| Err(InvalidName::new(name, why));
    if name.is_empty() {
        return refuse("the name is empty");
    }
    let longest = match ecosystem {
        Ecosystem::Npm => MAX_NPM,
        Ecosystem::Cargo => MAX_CARGO,
        Ecosystem::Nuget => MAX_NUGET,
        Ecosystem::Oci => MAX_NAME,
    };
    if name.len() > longest {
        return refuse("the name is longer than this ecosystem allows");
    }
    if name.contains("..") {
        return refuse("a name has no `..`");
    }
    let fault = match ecosystem {
        Ecosystem::Npm => npm_fault(name),
        Ecosystem::Cargo => cargo_fault(name),
        Ecosystem::Nuget => nuget_fault(name),
        Ecosystem::Oci => oci_fault(name),
    };
    if let Some(why) = fault {
        return refuse(why);
    }
    Ok(match ecosystem {
        // Registries have one index path for `Inflector` and `inflector`, in lower case.
        Ecosystem::Nuget | Ecosystem::Cargo => lower(name),
        Ecosystem::Npm | Ecosystem::Oci => Cow::Borrowed(name),
    })
}

/// Folds what the ecosystem takes for one name; works on patterns as well as on names.
pub(crate) fn collision_key(ecosystem: Ecosystem, name: &str) -> Cow<'_, str> {
    match ecosystem {
        // Old npm packages differ by case alone (`JSONStream`, `jsonstream`).
        Ecosystem::Npm | Ecosystem::Oci => Cow::Borrowed(name),
        Ecosystem::Cargo if name.contains('_') => {
            Cow::Owned(name.replace('_', "-").to_ascii_lowercase())
        }
        Ecosystem::Nuget | Ecosystem::Cargo => lower(name),
    }
}

/// Whether `byte` can be in a name of this ecosystem at all; patterns are checked by it.
pub(crate) fn is_name_byte(ecosystem: Ecosystem, byte: u8) -> bool {
    match ecosystem {
        Ecosystem::Npm => is_npm_byte(byte) || byte == b'@' || byte == b'/',
        Ecosystem::Cargo => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'),
        Ecosystem::Nuget => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'),
        Ecosystem::Oci => {
            byte.is_ascii_lowercase()
                || byte.is_ascii_digit()
                || matches!(byte, b'_' | b'-' | b'.' | b'/')
        }
    }
}

pub(super) fn check_version(text: &str) -> Result<(), InvalidName> {
    let refuse = |why: &'static str| Err(InvalidName::new(text, why));
    if text.is_empty() {
        return refuse("the version is empty");
    }
    if text.len() > MAX_VERSION {
        return refuse("the version is longer than any ecosystem allows");
    }
    if text.starts_with('.') {
        return refuse("a version does not start with a dot");
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_+:~=^!*".contains(&byte);
    if !text.bytes().all(plain) {
        return refuse("a version has only ASCII letters, digits and . - _ + :");
    }
    Ok(())
}

fn lower(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

/// What `encodeURIComponent` leaves alone, which is what npm lets a name have; `*` is left out
/// because it would read as a pattern.
fn is_npm_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.!~'()".contains(&byte)
}

fn npm_fault(name: &str) -> Option<&'static str> {
    let parts: Vec<&str> = match name.strip_prefix('@') {
        None => vec![name],
        Some(rest) => match rest.split_once('/') {
            Some((scope, package)) => vec![scope, package],
            None => return Some("a scope needs a package: @scope/name"),
        },
    };
    for part in &parts {
        if part.is_empty() {
            return Some("a part of the name is empty");
        }
        if part.starts_with('.') {
            return Some("no part of the name starts with a dot");
        }
        if !part.bytes().all(is_npm_byte) {
            return Some("an npm name has only letters, digits and - _ . ! ~ ' ( )");
        }
    }
    // Browsers and tools ask for these as paths; npm never lets them be published.
    if parts.len() == 1 && matches!(name, "node_modules" | "favicon.ico") {
        return Some("npm reserves this name");
    }
    None
}

fn cargo_fault(name: &str) -> Option<&'static str> {
    if !name.bytes().all(|byte| is_name_byte(Ecosystem::Cargo, byte)) {
        return Some("a crate's name has only ASCII letters, digits, - and _");
    }
    (!name.as_bytes()[0].is_ascii_alphanumeric() && name.as_bytes()[0] != b'_')
        .then_some("a crate's name starts with a letter")
}

fn nuget_fault(name: &str) -> Option<&'static str> {
    let word = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    (!name.split(['.', '-']).all(word))
        .then_some("a NuGet id is words of ASCII letters, digits and _, joined by . or -")
}

/// The grammar of the distribution specification, with our registry's name as the first part.
fn oci_fault(name: &str) -> Option<&'static str> {
    let component = |part: &str| {
        let bytes = part.as_bytes();
        let edge = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        !bytes.is_empty()
            && edge(bytes[0])
            && edge(bytes[bytes.len() - 1])
            && bytes.iter().all(|&byte| edge(byte) || matches!(byte, b'.' | b'_' | b'-'))
            && !["___", "._", "_.", ".-", "-.", "_-", "-_"].iter().any(|run| part.contains(run))
    };
    (!name.split('/').all(component)).then_some(
        "an image's name is parts of a-z, 0-9 and single . _ - between them, joined by /",
    )
}
