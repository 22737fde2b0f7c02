//! The order of names in which npm works, that of English: it decides who comes first to a place.

/// Compares as the names do: letters without their case first, then by case, small ones first.
pub fn key(name: &str) -> Vec<u8> {
    let rank = |byte: u8| match byte {
        b'0'..=b'9' => 0x40 + (byte - b'0'),
        b'a'..=b'z' => 0x60 + (byte - b'a'),
        b'A'..=b'Z' => 0x60 + (byte - b'A'),
        _ => {
            const SIGNS: &[u8] = b"_-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$";
            let place = SIGNS.iter().position(|sign| *sign == byte).unwrap_or(SIGNS.len());
            // There are less than 0x3f signs.
            1 + u8::try_from(place).unwrap_or(0x3e)
        }
    };
    let mut key: Vec<u8> = name.bytes().map(rank).collect();
    key.push(0);
    key.extend(name.bytes().map(|byte| u8::from(byte.is_ascii_uppercase())));
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `localeCompare` of node says it.
    #[test]
    fn names_are_ordered_as_npm_orders_them() {
        let ordered = [
            "_a", "-a", ".a", "@a/b", "@b/a", "1a", "a", "A", "a_b", "a-b", "a.b", "a/b", "a1",
            "ab", "B", "z",
        ];
        for pair in ordered.windows(2) {
            assert!(key(pair[0]) < key(pair[1]), "{} < {}", pair[0], pair[1]);
        }
    }
}
