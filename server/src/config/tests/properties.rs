//! What holds for every configuration: no panic, and no secret in words.

use proptest::prelude::*;

use super::*;

proptest! {
    // Each case loads many files.
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn no_secret_is_ever_in_words(secret in "[a-z][a-zA-Z0-9]{15,30}") {
        let text = [
            format!("password = \"{secret}\""),
            format!("password = {secret}"),
            format!("password = \"{secret}"),
            format!("token = {{ env = \"{secret}\" }}"),
            format!("token = [\"{secret}\"]"),
            "token = { env = \"TOKEN\" }".to_owned(),
            format!("token = {{ {secret} }}"),
            format!("upstream = \"https://u:{secret}@npm.example.com\""),
            format!("upstream = \"https://u:{secret}@[\""),
            format!("upstream = [\"https://{secret}@npm.example.com\"]"),
            String::new(),
        ];
        let env = [
            ("TOKEN", secret.as_str()),
            ("GARTH_REGISTRY_NPM_PASSWORD", &secret),
            ("GARTH_TOKNE", &secret),
        ];
        for line in text {
            for env in [&env[..1], &env[..2], &env[..]] {
                let result = load_text(&format!("[registry.npm]\n{line}\n"), env);
                let debugged = format!("{result:?}");
                prop_assert!(!debugged.contains(&secret), "{}", debugged);
                let shown = result.err().map(|faults| said(&faults)).unwrap_or_default();
                prop_assert!(!shown.contains(&secret), "{}", shown);
                let env: EnvSnapshot = env.iter().copied().collect();
                let shown = format!("{env:?}");
                prop_assert!(!shown.contains(&secret));
            }
        }
        let shown = format!("{0} {0:?}", Secret::new(secret.clone()));
        prop_assert!(!shown.contains(&secret));
    }

}

const VALUES: &[&str] = &[
    "\"\"",
    "\"5m\"",
    "\"1MiB\"",
    "\"npm\"",
    "\"https://npm.example.com\"",
    "\"\\u0000\"",
    "0",
    "-1",
    "9223372036854775807",
    "99999999999999999999",
    "1.5",
    "true",
    "2027-01-01",
    "[]",
    "[\"a\", 1]",
    "[[\"a\"]]",
    "{}",
    "{ env = 1 }",
    "{ env = \"A\" }",
    "{ file = \"/\" }",
];

proptest! {
    #[test]
    fn any_text_is_read_or_refused_without_a_panic(text in "\\PC{0,200}") {
        let _ = source::parse("garth.toml", &text);
    }

    #[test]
    fn any_setting_of_any_value_is_read_or_refused_without_a_panic(
        lines in proptest::collection::vec((0..settings().len(), 0..VALUES.len()), 0..12),
    ) {
        let text: Vec<String> = lines
            .iter()
            .map(|(row, value)| format!("{} = {}", settings()[*row].key.replace('*', "npm"), VALUES[*value]))
            .collect();
        let options = LoadOptions::default();
        let (table, _) = source::parse(FILE_NAME, &text.join("\n"));
        read_all(&mut Reader::new(table, &options, Vec::new()), None);
    }

    #[test]
    fn durations_and_sizes_never_overflow(text in "[0-9]{1,25}[ a-zA-Z]{0,4}") {
        let _ = (parse::duration(&text), parse::size(&text));
    }
}
