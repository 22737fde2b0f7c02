//! Text from outside, made safe to print: one line, no control, no colours, no turned direction.

use std::borrow::Cow;

/// `text`, with every character that could change how a line is shown written as `\u{..}`, and
/// cut after `limit` characters.
pub fn bounded(text: &str, limit: usize) -> Cow<'_, str> {
    if text.len() <= limit && text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len().min(limit) + 8);
    for (n, character) in text.chars().enumerate() {
        if n >= limit {
            escaped.push('…');
            break;
        }
        if is_deceptive(character) {
            escaped.extend(character.escape_unicode());
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

/// Characters that are not seen, or that change how their neighbours are seen: controls, line and
/// paragraph separators, zero-width and direction marks, variation selectors, tags, private use.
pub fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{e000}'..='\u{f8ff}'
                | '\u{e0000}'..='\u{10ffff}'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_text_is_left_as_it_is() {
        assert!(matches!(bounded("npm/10.8.2 node/v22", 100), Cow::Borrowed(_)));
        assert_eq!(bounded("größe", 100), "größe");
    }

    #[test]
    fn what_would_deceive_is_written_out() {
        for (name, text, expected) in [
            ("a new line", "a\r\nb", "a\\u{d}\\u{a}b"),
            ("ANSI", "\u{1b}[31mred", "\\u{1b}[31mred"),
            ("C1", "\u{9b}31m", "\\u{9b}31m"),
            ("bidi", "\u{202e}gpj", "\\u{202e}gpj"),
            ("isolate", "\u{2066}x", "\\u{2066}x"),
            ("NUL", "\0", "\\u{0}"),
            ("line separator", "\u{2028}", "\\u{2028}"),
        ] {
            assert_eq!(bounded(text, 100), expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn nothing_deceptive_remains_and_the_bound_holds(text in any::<String>(), limit in 0..40_usize) {
            let escaped = bounded(&text, limit);
            prop_assert!(!escaped.chars().any(is_deceptive));
            prop_assert!(escaped.chars().count() <= limit * 10 + 1);
        }
    }
}
