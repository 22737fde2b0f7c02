#![allow(clippy::unwrap_used)]

use std::io::Read as _;

use flate2::read::{GzDecoder, MultiGzDecoder};
use proptest::prelude::*;

use super::*;
use crate::pull::content::ContentId;

/// Sections with their keys: `None` is not kept.
struct Parts(Vec<(Option<u8>, Vec<u8>)>);

impl Sections for Parts {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn key(&self, section: usize) -> Option<SectionKey> {
        self.0[section].0.map(|key| Box::from([u8::try_from(section).unwrap(), key]))
    }

    fn write(&self, section: usize, out: &mut Vec<u8>) -> Result<(), PullError> {
        out.extend_from_slice(&self.0[section].1);
        Ok(())
    }
}

fn name() -> TextName {
    let digest = policies::package::Digest::parse(&format!("sha256:{}", "0".repeat(64))).unwrap();
    let content = ContentId::of(&digest, None, &std::collections::HashMap::default()).text();
    TextName { content, form: "full".into(), base: "http://garth.example".into() }
}

fn text_of(parts: &Parts) -> Vec<u8> {
    parts.0.iter().flat_map(|(_, text)| text.iter().copied()).collect()
}

/// The first member alone, and all members: they are the same.
fn unpacked(body: &[u8]) -> Vec<u8> {
    let (mut first, mut all) = (Vec::new(), Vec::new());
    let mut decoder = GzDecoder::new(body);
    decoder.read_to_end(&mut first).unwrap();
    assert!(decoder.into_inner().is_empty(), "nothing follows the member");
    MultiGzDecoder::new(body).read_to_end(&mut all).unwrap();
    assert_eq!(first, all);
    first
}

fn versions(section: u32, count: u32) -> Vec<u8> {
    (0..count)
        .flat_map(|n| format!(r#"{{"version":"{section}.{n}.0","name":"left-pad"}},"#).into_bytes())
        .collect()
}

#[test]
fn only_the_changed_section_and_the_one_behind_it_are_packed_anew() {
    let pieces = Pieces::new(1 << 20);
    let mut parts = Parts(vec![(None, b"{head".to_vec())]);
    parts.0.extend((0..10).map(|n| (Some(0), versions(n, 500))));
    parts.0.push((None, b"tail}".to_vec()));
    let first = pieces.pack(&name(), LARGE, &parts).unwrap();
    assert_eq!(unpacked(&first.body), text_of(&parts));
    let kept = |pieces: &Pieces| {
        pieces.0.run_pending_tasks();
        pieces.0.entry_count()
    };
    assert_eq!(kept(&pieces), 10);

    parts.0[0].1 = b"{another head".to_vec();
    parts.0[5] = (Some(1), versions(5, 499));
    let second = pieces.pack(&name(), LARGE, &parts).unwrap();
    assert_eq!(unpacked(&second.body), text_of(&parts));
    assert_eq!(kept(&pieces), 12);
    assert_eq!(second.crc, crc32fast::hash(&text_of(&parts)));
    assert_eq!(second.length, text_of(&parts).len() as u64);

    let other = TextName { form: "abbreviated".into(), ..name() };
    pieces.pack(&other, LARGE, &parts).unwrap();
    assert_eq!(kept(&pieces), 22, "another form shares nothing");
}

#[test]
fn pieces_pack_as_well_as_the_whole() {
    let parts = Parts((0..20).map(|n| (Some(0), versions(n, 1000))).collect());
    let pieces = Pieces::new(1 << 20).pack(&name(), WORTH_KEEPING, &parts).unwrap().body.len();
    let whole = Pieces::new(1 << 20).pack(&name(), 0, &text_of(&parts)).unwrap().body.len();
    assert!(pieces < whole + whole / 20, "{pieces} {whole}");
}

proptest! {
    #[test]
    fn whatever_is_kept_the_text_comes_out(
        texts in prop::collection::vec((any::<bool>(), 0..3_u8, 0..5000_u32), 0..8),
        again in prop::collection::vec(0..3_u8, 8),
        size in prop_oneof![Just(0), Just(WORTH_KEEPING), Just(LARGE)],
    ) {
        let pieces = Pieces::new(1 << 20);
        let part = |key: u8, count: u32| (Some(key), versions(u32::from(key), count));
        let mut parts = Parts(texts.iter().map(|(kept, key, count)| {
            let (key, text) = part(*key, *count / (u32::from(*key) + 1));
            (key.filter(|_| *kept), text)
        }).collect());
        prop_assert_eq!(unpacked(&pieces.pack(&name(), size, &parts).unwrap().body), text_of(&parts));
        for ((part_of, (_, _, count)), key) in parts.0.iter_mut().zip(&texts).zip(&again) {
            let (new, text) = part(*key, *count / (u32::from(*key) + 1));
            *part_of = (part_of.0.and(new), text);
        }
        prop_assert_eq!(unpacked(&pieces.pack(&name(), size, &parts).unwrap().body), text_of(&parts));
    }
}
