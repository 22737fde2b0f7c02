//! Which content coding a client gets. Pure: the header in, a choice out.

/// How a view's text is written into its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    Identity,
    Gzip,
    Zstd,
    Brotli,
}

impl Encoding {
    /// Those that pack, best first for a client that likes several alike. Gzip leads because it is
    /// the cheapest here: it is put together from pieces that outlive a change of the rules, and
    /// every client reads it, so one body serves them all from one place in memory. Of the others
    /// zstd costs a fifth of brotli.
    const PACKED: [Self; 3] = [Self::Gzip, Self::Zstd, Self::Brotli];

    /// The identity, which every text ends in, last.
    pub(super) const ALL: [Self; 4] = [Self::Gzip, Self::Zstd, Self::Brotli, Self::Identity];

    /// What `Content-Encoding` says of it.
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
            Self::Brotli => Some("br"),
        }
    }

    /// What it adds to an entity tag.
    pub(super) const fn suffix(self) -> &'static str {
        match self {
            Self::Identity => "",
            Self::Gzip => "-gzip",
            Self::Zstd => "-zstd",
            Self::Brotli => "-br",
        }
    }
}

/// What a client's `Accept-Encoding` comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Coding {
    pub encoding: Encoding,
    /// It takes the text as it is too, which is better where there is little of it.
    pub plain: bool,
}

impl Coding {
    const PLAIN: Self = Self { encoding: Encoding::Identity, plain: true };

    /// Reads the header's values; one pass, so its cost is bounded by the bound of the head. A
    /// client that says nothing gets the text as it is, and so does one that takes nothing at all,
    /// as RFC 9110 has it.
    pub fn accepted<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut said = Said::default();
        for value in values {
            for element in value.split(|byte| *byte == b',') {
                said.read(element);
            }
        }
        let best = Encoding::PACKED
            .into_iter()
            .map(|encoding| (said.weight(encoding), encoding))
            .reduce(|best, other| if other.0 > best.0 { other } else { best });
        // Who does not speak of identity takes it, but rather not.
        let identity = said.of(Encoding::Identity);
        match best {
            Some((weight, encoding)) if weight > 0 && weight >= identity.unwrap_or(0) => {
                let plain = identity.or(said.others).is_none_or(|weight| weight > 0);
                Self { encoding, plain }
            }
            _ => Self::PLAIN,
        }
    }
}

/// Weights in thousandths, of what the header names.
#[derive(Debug, Default)]
struct Said {
    named: [Option<u16>; 4],
    /// `*`: of all that it does not name.
    others: Option<u16>,
}

impl Said {
    fn read(&mut self, element: &[u8]) {
        let mut parts = element.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let name = parts.next().unwrap_or_default();
        // A weight that can not be read takes nothing.
        let weight = parts.next().map_or(1000, |part| parse_weight(part).unwrap_or(0));
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        let place = if is("gzip") || is("x-gzip") {
            &mut self.named[Encoding::Gzip as usize]
        } else if is("zstd") {
            &mut self.named[Encoding::Zstd as usize]
        } else if is("br") {
            &mut self.named[Encoding::Brotli as usize]
        } else if is("identity") {
            &mut self.named[Encoding::Identity as usize]
        } else if name == b"*" {
            &mut self.others
        } else {
            return;
        };
        *place = Some(weight);
    }

    fn of(&self, encoding: Encoding) -> Option<u16> {
        self.named[encoding as usize]
    }

    fn weight(&self, encoding: Encoding) -> u16 {
        self.of(encoding).or(self.others).unwrap_or(0)
    }
}

/// `q=0.8` in thousandths: zero or one, and up to three digits.
fn parse_weight(part: &[u8]) -> Option<u16> {
    let (name, value) = part.split_at_checked(2)?;
    if !name.eq_ignore_ascii_case(b"q=") {
        return None;
    }
    let (whole, digits) = match value {
        [whole] => (whole, &[][..]),
        [whole, b'.', digits @ ..] if digits.len() <= 3 => (whole, digits),
        _ => return None,
    };
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| u16::from(byte - b'0'));
    let mut weight = digit(whole).filter(|whole| *whole <= 1)? * 1000;
    for (digit_of, place) in digits.iter().map(digit).zip([100, 10, 1]) {
        weight += digit_of? * place;
    }
    Some(weight.min(1000))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::Encoding::{Brotli, Gzip, Identity, Zstd};
    use super::*;

    fn accepted(header: &str) -> (Encoding, bool) {
        let coding = Coding::accepted([header.as_bytes()]);
        (coding.encoding, coding.plain)
    }

    #[test]
    fn the_client_says_which_coding_it_gets() {
        let rows = [
            ("", Identity, true),
            ("gzip", Gzip, true),
            ("x-gzip", Gzip, true),
            ("GZIP", Gzip, true),
            ("br", Brotli, true),
            ("zstd", Zstd, true),
            ("gzip, deflate", Gzip, true),
            ("gzip, deflate, br, zstd", Gzip, true),
            ("br, zstd", Zstd, true),
            ("br;q=1.0, gzip;q=0.8", Brotli, true),
            ("br ; q=0.9,gzip;q=0.899", Brotli, true),
            ("gzip;q=0", Identity, true),
            ("gzip;q=0.000, br", Brotli, true),
            ("gzip;Q=0.5, zstd;q=0.4", Gzip, true),
            ("*", Gzip, true),
            ("*;q=0", Identity, true),
            ("gzip;q=0, *", Zstd, true),
            ("*;q=0.5, br", Brotli, true),
            ("gzip, *;q=0", Gzip, false),
            ("identity;q=0", Identity, true),
            ("identity;q=0, gzip", Gzip, false),
            ("identity;q=0, *;q=0.1", Gzip, false),
            ("identity, gzip;q=0.5", Identity, true),
            ("identity, gzip", Gzip, true),
            ("identity;q=0.5, gzip;q=0.4, *;q=0", Identity, true),
            ("deflate, compress", Identity, true),
            ("gzip;q=much", Identity, true),
            ("gzip;q=1.5", Gzip, true),
            ("gzip;q=2", Identity, true),
            ("gzip;level=9", Identity, true),
            (",,;;q=1,\u{e9}", Identity, true),
        ];
        for (header, encoding, plain) in rows {
            assert_eq!(accepted(header), (encoding, plain), "{header}");
        }
        assert_eq!(Coding::accepted([]), Coding::PLAIN, "none is sent");
        let several = Coding::accepted([&b"br;q=0.5"[..], b"\xff, gzip;q=0.1"]);
        assert_eq!(several.encoding, Brotli, "it may stand in several lines");
    }

    #[test]
    fn a_megabyte_of_it_is_read_in_one_pass() {
        let begun = Instant::now();
        for element in ["gzip;q=0.5,", ";;;;;;;;;;;", "*,", " ,\t", "q=0.5;q=0.5;"] {
            let header = element.repeat((1 << 20) / element.len());
            Coding::accepted([header.as_bytes()]);
        }
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}
