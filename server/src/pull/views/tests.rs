#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::io::Read as _;

use flate2::read::GzDecoder;

use super::*;

/// Twenty sections that go by their place, and an end with what is only told to some.
struct Told(Option<&'static str>);

const SECTIONS: usize = 20;

impl Sections for Told {
    fn count(&self) -> usize {
        SECTIONS + 1
    }

    fn key(&self, section: usize) -> Option<SectionKey> {
        (section < SECTIONS).then(|| section.to_be_bytes().into())
    }

    fn write(&self, section: usize, out: &mut Vec<u8>) -> Result<(), PullError> {
        if section == SECTIONS {
            out.extend_from_slice(self.0.unwrap_or_default().as_bytes());
        } else {
            let versions = (0..1000).map(|n| format!("{section}.{n}.{} ", n * 7919 % 1013));
            versions.for_each(|version| out.extend_from_slice(version.as_bytes()));
        }
        Ok(())
    }
}

fn bindery(with_reasons: bool, pieces: &Pieces) -> Bindery {
    let digest = policies::package::Digest::parse(&format!("sha256:{}", "0".repeat(64))).unwrap();
    let key = ViewKey {
        content: ContentId::of(&digest, None, &HashMap::new()),
        audience: Audience::EVERYBODY,
        form: "packument".into(),
        with_reasons,
        base: "https://garth.example/npm".into(),
        coding: Coding { encoding: Encoding::Gzip, plain: true },
    };
    Bindery { key, size: 1 << 20, before: [None, None], pieces: pieces.clone() }
}

#[test]
fn where_there_are_no_reasons_the_body_is_that_of_the_twin() {
    let mut told = bindery(true, &Pieces::new(0));
    let plain = bindery(false, &Pieces::new(0)).recipe(&Told(None)).unwrap();
    let body = Bytes::from_static(b"packed");
    let view = View {
        body: body.clone(),
        encoding: Encoding::Gzip,
        notice: None,
        etag: Bytes::new(),
        recipe: plain,
        effect: Effect::Allow,
    };
    told.before[1] = Some(Answer::View(Arc::new(view)));
    assert_eq!(told.same(told.recipe(&Told(None)).unwrap()).unwrap().body, body);
    assert!(told.same(told.recipe(&Told(Some("because of a rule"))).unwrap()).is_none());
}

#[test]
fn what_is_told_with_reasons_and_without_is_packed_once() {
    let pieces = Pieces::new(8 << 20);
    let bindery = |with_reasons| bindery(with_reasons, &pieces);
    let text = |body: &[u8]| {
        let mut text = String::new();
        GzDecoder::new(body).read_to_string(&mut text).unwrap();
        text
    };
    let plain = bindery(false).pack(&Told(None)).unwrap().body;
    let (count, bytes) = pieces.kept();
    assert_eq!(count, SECTIONS);
    assert!(bytes > 40_000, "{bytes}");
    let told = bindery(true).pack(&Told(Some("because of a rule"))).unwrap().body;
    assert_eq!(pieces.kept(), (count, bytes), "only the end was packed again");
    assert_eq!(text(&told), text(&plain) + "because of a rule");
}

#[test]
fn a_tag_names_its_view_in_any_coding_and_no_other_view() {
    let view = |etag: &str| View {
        body: Bytes::new(),
        encoding: Encoding::Gzip,
        notice: None,
        etag: Bytes::copy_from_slice(etag.as_bytes()),
        recipe: [0; 32],
        effect: Effect::Allow,
    };
    let rows = [
        ("\"abc-gzip\"", true),
        ("\"abc-zstd\"", true),
        ("\"abc-br\"", true),
        ("\"abc\"", true),
        ("\"abc-lzma\"", false),
        ("\"abc-gzip-gzip\"", false),
        ("\"ab-gzip\"", false),
        ("\"abcgzip\"", false),
        ("abc-gzip", false),
        ("\"-gzip\"", false),
        ("\"\"", false),
        ("\"", false),
        ("", false),
    ];
    for (etag, named) in rows {
        for ours in ["\"abc-gzip\"", "\"abc\"", "\"abc-br\""] {
            assert_eq!(view(ours).is_named_by(etag), named, "{etag}");
        }
    }
}
