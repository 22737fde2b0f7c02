//! What the writer of the power-cut test writes, and its reader expects: both compute it.

/// The key and value of a batch's own record, and of the one that every batch of a writer renews.
pub fn records(round: u64, writer: u64, n: u64) -> [(Vec<u8>, Vec<u8>); 2] {
    let key = format!("test/{round:04}/{writer:02}/{n:08}");
    let length = usize::try_from(mix(n ^ (writer << 32)) % 900).unwrap_or(0);
    let value = [key.as_bytes(), &bytes(n ^ (writer << 20) ^ (round << 40), length)].concat();
    let newest = format!("newest/{round:04}/{writer:02}");
    [(key.into_bytes(), value), (newest.into_bytes(), n.to_string().into_bytes())]
}

/// Where the batch of that writer lies that is as large as one may be; each one replaces the last.
pub fn large_prefix(round: u64, writer: u64) -> String {
    format!("large/{round:04}/{writer:02}/")
}

/// The number of a batch is in every value of it, so that half of it shows. Even writers write few
/// large records, odd ones many small ones.
pub fn large(round: u64, writer: u64, n: u64) -> Vec<(Vec<u8>, Vec<u8>)> {
    let (records, length) = if writer.is_multiple_of(2) { (32, 16_000) } else { (1024, 460) };
    let record = |place: u64| {
        let key = format!("{}{place:04}", large_prefix(round, writer));
        let seed = n ^ (place << 20) ^ (writer << 40) ^ (round << 44);
        (key.into_bytes(), [format!("{n:08}").as_bytes(), &bytes(seed, length)].concat())
    };
    (0..records).map(record).collect()
}

/// Which batch a value of [`large`] is of.
pub fn large_number(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value.get(..8)?).ok()?.parse().ok()
}

/// Between nothing and 300 KB.
pub fn blob(seed: u64) -> Vec<u8> {
    let length = mix(seed) % if seed.is_multiple_of(7) { 300_000 } else { 30_000 };
    bytes(seed, usize::try_from(length).unwrap_or(0))
}

pub fn side(seed: u64) -> (Vec<u8>, Vec<u8>) {
    (format!("artifact/test/package/{seed}").into_bytes(), bytes(!seed, 200))
}

fn bytes(seed: u64, length: usize) -> Vec<u8> {
    (seed..).flat_map(|n| mix(n).to_le_bytes()).take(length).collect()
}

/// `splitmix64`: cheap, and never the same twice.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
