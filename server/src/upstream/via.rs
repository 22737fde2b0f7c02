//! Noticing our own requests come back to us: a garth whose upstream is itself would otherwise ask
//! itself until something breaks.

use std::sync::OnceLock;

use crate::random;

static OUR_VIA: OnceLock<String> = OnceLock::new();

/// The `Via` of every request that leaves this process; by chance, so it names no machine.
pub fn our_via() -> &'static str {
    OUR_VIA.get_or_init(|| format!("1.1 garth-{}", random::name()))
}

/// Whether one of these `Via` headers of an incoming request is ours. Such a request is refused
/// (508) by whoever accepts requests.
pub fn has_passed_through_us<'a>(via: impl IntoIterator<Item = &'a str>) -> bool {
    let ours = our_via().split_once(' ').map_or("", |(_, name)| name);
    via.into_iter().flat_map(|header| header.split(',')).any(|entry| {
        // protocol, received-by, and perhaps a comment.
        entry.split_whitespace().nth(1) == Some(ours)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_via_is_recognised() {
        let ours = our_via();
        assert!(has_passed_through_us([ours]));
        assert!(has_passed_through_us(["1.1 proxy.example", &format!("2 other, {ours} (x)")]));
        assert!(!has_passed_through_us(["1.1 garth-0000000000000000", "1.1 proxy"]));
        assert!(!has_passed_through_us([]));
    }
}
