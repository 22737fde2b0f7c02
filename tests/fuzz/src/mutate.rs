//! New inputs from old ones, by a seeded generator: the same seed gives the same inputs.

/// Inputs do not grow beyond this, but for the rare one that is meant to be large.
const MAX: usize = 4 * 1024;
/// A repetition of one piece, to nest deeply or to be long.
const MAX_LARGE: usize = 256 * 1024;

/// `SplitMix64`.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `bound`, and 0 where that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = bound.max(1) as u64;
        usize::try_from(self.next() % bound).unwrap_or_default()
    }

    fn span(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        start..start + self.below((length - start).min(64) + 1)
    }

    fn pick<'a, T: ?Sized>(&mut self, of: &'a [&'a T]) -> Option<&'a T> {
        of.get(self.below(of.len())).copied()
    }
}

/// One to four changes of `input`; `other` is a second one to take pieces from, `words` are those
/// of the language.
pub fn mutate(input: &[u8], other: &[u8], words: &[&str], random: &mut Random) -> Vec<u8> {
    let mut made = input.to_vec();
    for _ in 0..=random.below(4) {
        change(&mut made, other, words, random);
    }
    made.truncate(MAX_LARGE);
    made
}

fn change(made: &mut Vec<u8>, other: &[u8], words: &[&str], random: &mut Random) {
    const ODD: [&[u8]; 12] = [
        b"\0",
        b"\xff",
        b"\xe2\x80\xae",
        b"\r\n",
        b"\"",
        b"'",
        b"\\",
        b"-1",
        b"18446744073709551616",
        b"9223372036854775807",
        b"1e309",
        b"\xf0\x9f\xa6\x80",
    ];
    let place = random.below(made.len() + 1);
    let span = random.span(made.len());
    match random.below(10) {
        0 if !made.is_empty() => {
            let place = place.min(made.len() - 1);
            made[place] ^= 1 << random.below(8);
        }
        1 => drop(made.drain(span)),
        2 => {
            let piece = made[span].to_vec();
            insert(made, place, &piece);
        }
        3 => {
            let piece = other[random.span(other.len())].to_vec();
            insert(made, place, &piece);
        }
        4 | 5 => {
            if let Some(word) = random.pick(words) {
                insert(made, place, word.as_bytes());
            }
        }
        6 => {
            if let Some(word) = random.pick(words) {
                made.splice(span, word.bytes());
            }
        }
        7 => {
            let odd = ODD[random.below(ODD.len())];
            insert(made, place, odd);
        }
        8 if random.below(50) == 0 => {
            // Rarely, and much of it.
            let piece = made[span].to_vec();
            let times = MAX_LARGE / piece.len().max(1) / (1 + random.below(64));
            let many = piece.repeat(times.min(MAX_LARGE));
            made.splice(place..place, many);
        }
        8 => {
            let piece = made[span].to_vec();
            insert(made, place, &piece.repeat(1 + random.below(40)));
        }
        _ => {
            for byte in &mut made[span] {
                *byte = if byte.is_ascii_digit() { b'0' + (*byte % 7) } else { *byte ^ 0x20 };
            }
        }
    }
}

fn insert(made: &mut Vec<u8>, place: usize, piece: &[u8]) {
    if made.len() + piece.len() <= MAX {
        made.splice(place..place, piece.iter().copied());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_inputs() {
        let made = |seed| {
            let mut random = Random::new(seed);
            (0..50)
                .map(|_| mutate(b"[[rule]]", b"name", &["when"], &mut random))
                .collect::<Vec<_>>()
        };
        assert_eq!(made(1), made(1));
        assert_ne!(made(1), made(2));
        assert!(made(1).iter().any(|input| input.len() > 8));
        assert!(made(1).iter().any(|input| input.len() < 8));
    }
}
