//! The fields of a version's manifest that mean something to us.

use super::fields::{Fields, Span};

/// The fields of the abbreviated form, as its documentation lists them; `dist`, which is
/// rewritten, and `hasInstallScript`, which is computed, come beside.
const SHORT_FIELDS: [&str; 19] = [
    "name",
    "version",
    "deprecated",
    "dependencies",
    "optionalDependencies",
    "devDependencies",
    "bundleDependencies",
    "bundledDependencies",
    "peerDependencies",
    "peerDependenciesMeta",
    "acceptDependencies",
    "bin",
    "directories",
    "engines",
    "funding",
    "os",
    "cpu",
    "libc",
    "_hasShrinkwrap",
];

/// One of them, by its place.
#[derive(Clone, Copy, Debug)]
pub struct ShortField(u8);

impl ShortField {
    pub fn name(self) -> &'static str {
        SHORT_FIELDS.get(usize::from(self.0)).copied().unwrap_or_default()
    }
}

/// Where its publisher or a mirror had it from.
pub const RESOLVED: &str = "_resolved";

const INSTALL_SCRIPTS: &[&str] = &["preinstall", "install", "postinstall"];

/// The fields of a version that mean something to us, of each the last.
#[derive(Default)]
pub struct Known<'a> {
    pub name: Option<&'a str>,
    pub version: Option<&'a str>,
    pub dist: Option<&'a str>,
    deprecated: Option<&'a str>,
    scripts: Option<&'a str>,
    has_install_script: Option<&'a str>,
    gypfile: Option<&'a str>,
    pub license: Option<&'a str>,
    pub licenses: Option<&'a str>,
    pub npm_user: Option<&'a str>,
    pub dependencies: Option<&'a str>,
    pub optional_dependencies: Option<&'a str>,
    pub has_resolved: bool,
    /// The first three stand once at most.
    pub repeats: bool,
    short: [Option<&'a str>; SHORT_FIELDS.len()],
}

impl<'a> Known<'a> {
    pub fn of(fields: &Fields<'a>) -> Self {
        let mut known = Self::default();
        for (key, value) in &fields.0 {
            let key: &str = key;
            match key {
                "name" => known.repeats |= known.name.replace(value).is_some(),
                "version" => known.repeats |= known.version.replace(value).is_some(),
                "dist" => known.repeats |= known.dist.replace(value).is_some(),
                "deprecated" => known.deprecated = Some(value),
                "scripts" => known.scripts = Some(value),
                "hasInstallScript" => known.has_install_script = Some(value),
                "gypfile" => known.gypfile = Some(value),
                "license" => known.license = Some(value),
                "licenses" => known.licenses = Some(value),
                "_npmUser" => known.npm_user = Some(value),
                "dependencies" => known.dependencies = Some(value),
                "optionalDependencies" => known.optional_dependencies = Some(value),
                RESOLVED => known.has_resolved = true,
                _ => {}
            }
            if let Some(at) = SHORT_FIELDS.iter().position(|name| *name == key) {
                known.short[at] = Some(value);
            }
        }
        known
    }

    pub fn is_deprecated(&self) -> bool {
        self.deprecated.is_some_and(says_deprecated)
    }

    pub fn has_install_script(&self) -> bool {
        self.has_install_script == Some("true") || self.scripts.is_some_and(has_install_script)
    }

    /// npm builds what says that it has a file for that, whether a script says so or not.
    pub fn is_built(&self) -> bool {
        self.gypfile == Some("true")
    }

    /// Where those of the abbreviated form stand in `text`.
    pub fn short(&self, text: &str) -> Result<Box<[(ShortField, Span)]>, String> {
        let mut short = Vec::with_capacity(self.short.iter().flatten().count());
        for (field, value) in (0..).map(ShortField).zip(self.short) {
            if let Some(value) = value {
                short.push((field, Span::of(text, value)?));
            }
        }
        Ok(short.into())
    }
}

/// npm takes an empty text or `false` as a deprecation that was taken back.
fn says_deprecated(raw: &str) -> bool {
    !matches!(raw, "false" | "\"\"" | "null")
}

fn has_install_script(scripts: &str) -> bool {
    // Without this and without escapes none of the names can stand there.
    if !scripts.contains("install") && !scripts.contains('\\') {
        return false;
    }
    Fields::parse(scripts)
        .is_ok_and(|scripts| INSTALL_SCRIPTS.iter().any(|name| scripts.get(name).is_some()))
}
