//! `matches`: CEL's regular expressions are RE2's, ours are those of the `regex` crate.
//!
//! The two differ in what a few signs mean. Those are written anew so that they mean what RE2 says
//! (`\d`, `\w`, `\s` and `\b` are of ASCII), and what has no such spelling is refused.

use regex::{Regex, RegexBuilder};

const MAX_COMPILED: usize = 256 * 1024;
const MAX_NESTING: u32 = 16;

/// The expression, or why it is none.
pub(super) fn compile(text: &str) -> Result<Regex, String> {
    let translated = translate(text)?;
    RegexBuilder::new(&translated)
        .size_limit(MAX_COMPILED)
        .dfa_size_limit(MAX_COMPILED)
        .nest_limit(MAX_NESTING)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "it is too large when it is compiled".to_owned(),
            // The last line says what; those before draw the place in the text as we changed it.
            other => {
                let told = other.to_string();
                told.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
            }
        })
}

fn translate(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len() + 16);
    let mut in_class = false;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let rest = &text[at..];
        match c {
            '\\' => {
                let Some((_, escaped)) = chars.next() else {
                    return Err("it ends in a backslash".to_owned());
                };
                escape(&mut out, escaped, in_class, &text[at + 1 + escaped.len_utf8()..])?;
                continue;
            }
            '[' if in_class => {
                // `[:alpha:]` is the same for both; anything else would begin a class in the class.
                let known = rest.strip_prefix("[:").and_then(|rest| rest.split_once(":]"));
                let Some((name, _)) = known.filter(|(name, _)| is_ascii_class(name)) else {
                    return Err("`[` within brackets must be written as `\\[`".to_owned());
                };
                out.push_str("[:");
                out.push_str(name);
                out.push_str(":]");
                for _ in 0..name.len() + 3 {
                    chars.next();
                }
                continue;
            }
            '[' => {
                in_class = true;
                out.push('[');
                // A bracket that comes first stands for itself.
                if chars.next_if(|(_, next)| *next == '^').is_some() {
                    out.push('^');
                }
                if chars.next_if(|(_, next)| *next == ']').is_some() {
                    out.push_str("\\]");
                }
                continue;
            }
            ']' if in_class => in_class = false,
            '&' | '-' | '~' if in_class && rest[1..].starts_with(c) => {
                return Err(format!(
                    "`{c}{c}` within brackets must be written once, or as `\\{c}`"
                ));
            }
            '(' if !in_class && rest.starts_with("(?") => check_group(rest)?,
            _ => {}
        }
        out.push(c);
    }
    Ok(out)
}

fn escape(out: &mut String, escaped: char, in_class: bool, rest: &str) -> Result<(), String> {
    let set = match escaped.to_ascii_lowercase() {
        'd' => Some("0-9"),
        'w' => Some("0-9A-Za-z_"),
        's' => Some("\\t\\n\\x0c\\r "),
        _ => None,
    };
    match (escaped, set) {
        ('d' | 'w' | 's', Some(set)) if in_class => out.push_str(set),
        ('d' | 'w' | 's', Some(set)) => out.extend(["[", set, "]"]),
        // In brackets, too: a class in a class adds to it.
        (_, Some(set)) => out.extend(["[^", set, "]"]),
        ('b', None) if !in_class && !rest.starts_with('{') => out.push_str("(?-u:\\b)"),
        ('A' | 'z', None) if !in_class => out.extend(['\\', escaped]),
        ('t' | 'n' | 'r' | 'f' | 'v' | 'a', None) => out.extend(['\\', escaped]),
        // `\<` would be the start of a word.
        ('<' | '>', None) => out.push(escaped),
        _ if escaped.is_ascii_punctuation() => out.extend(['\\', escaped]),
        _ => return Err(format!("`\\{}` is not supported", escaped.escape_debug())),
    }
    Ok(())
}

/// `(?:`, `(?P<name>`, and the flags i, m, s, U of RE2; what else the crate knows is not RE2's.
fn check_group(rest: &str) -> Result<(), String> {
    let inside = &rest[2..];
    if inside.starts_with("P<") || inside.starts_with('<') {
        return Ok(());
    }
    let flags = inside.find([':', ')']).map_or(inside, |end| &inside[..end]);
    if flags.chars().all(|flag| matches!(flag, 'i' | 'm' | 's' | 'U' | '-')) {
        Ok(())
    } else {
        Err("only (?:…), (?P<name>…) and the flags i, m, s and U are supported".to_owned())
    }
}

fn is_ascii_class(name: &str) -> bool {
    matches!(
        name.strip_prefix('^').unwrap_or(name),
        "alnum"
            | "alpha"
            | "ascii"
            | "blank"
            | "cntrl"
            | "digit"
            | "graph"
            | "lower"
            | "print"
            | "punct"
            | "space"
            | "upper"
            | "word"
            | "xdigit"
    )
}
