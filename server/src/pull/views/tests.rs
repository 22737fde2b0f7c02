use super::*;

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
