//! Faults as a person reads them, and what wins over what.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::fmt::Write;
use std::fs;

use super::setting::variable;
use super::*;

mod properties;

/// A directory with a garth.toml, the files that it may name, and nothing else.
fn load_text(text: &str, env: &[(&str, &str)]) -> Result<Config, Vec<ConfigFault>> {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("there.txt"), "from-the-file\n").unwrap();
    fs::write(directory.path().join("empty.txt"), "\n").unwrap();
    fs::create_dir(directory.path().join("policies")).unwrap();
    let file = directory.path().join(FILE_NAME);
    fs::write(&file, text).unwrap();
    let env = env.iter().copied().collect();
    Config::load(&LoadOptions { file: Some(file), env, ..LoadOptions::default() })
}

fn load_env(env: &[(&str, &str)]) -> Result<Config, Vec<ConfigFault>> {
    Config::load(&LoadOptions { env: env.iter().copied().collect(), ..LoadOptions::default() })
}

/// The faults without the temporary directory's name.
fn said(faults: &[ConfigFault]) -> String {
    let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
    let directory =
        lines.iter().find_map(|line| line.split_once("/garth.toml")).map(|(name, _)| name);
    let text = lines.join("\n");
    directory.map_or(text.clone(), |name| text.replace(&format!("{name}/"), ""))
}

const NPM: &str = "[registry.npm]\nformat = \"npm\"\nupstream = \"https://npm.example.com\"\n";

#[test]
fn every_fault_says_where_what_and_what_instead() {
    let with_npm = |line: &str| format!("{NPM}{line}\n");
    #[rustfmt::skip]
    let rows: &[(&str, String)] = &[
        ("unknown key", "listne = \"127.0.0.1:1\"".into()),
        ("unknown key in a section", "[limits]\nheader_byte = \"64KiB\"".into()),
        ("unknown section", "[registries.npm]\nformat = \"npm\"".into()),
        ("nothing is near", "colour = \"red\"".into()),
        ("right key, wrong section", "header_bytes = \"64KiB\"\n[log]\nmode = \"observe\"".into()),
        ("control characters in a key", "\"a\\u001bb\" = 1".into()),
        ("wrong types", "listen = 8642\ndata = []\nmode = true\ntrusted_proxies = \"all\"\nlimits = 3".into()),
        ("not an address", "listen = \"garth.example.com\"".into()),
        ("bad mode", "mode = \"enforced\"".into()),
        ("bad duration", with_npm("max_age = \"5 minutes\"\nmax_stale = 7")),
        ("duration out of bounds", "[limits]\nheader_timeout = \"0s\"\nbody_timeout = \"99999999999999999999d\"".into()),
        ("bad size", "[limits]\nbody_bytes = \"4Mib\"\nheader_bytes = \"1KiB\"\nuri_length = -1".into()),
        ("bad count", "[limits]\nconnections = 0\nconnections_per_address = \"many\"".into()),
        ("bad archives", "[advisories]\nurls = [\"osv.example.com\", \"https://osv.example.com/\"]\nevery = \"1s\"".into()),
        ("bad networks", "trusted_proxies = [\"10.0.0.0/33\"]".into()),
        ("bad log", "[log]\nformat = \"xml\"\nlevel = \"a=b=c\"".into()),
        ("engines of other versions", "[store]\nkind = \"postgres\"\n[blobs]\nkind = \"s3\"".into()),
        ("formats of other versions", "[registry.hub]\nformat = \"oci\"\n[registry.cargo]\nupstream = \"https://c.example.com\"".into()),
        ("unknown format", "[registry.a]\nformat = \"nmp\"".into()),
        ("settings of another format", "[registry.npm]\nupstream_search = true\n[registry.cargo]\nunpublish = false".into()),
        ("no format", "[registry.mirror]\nupstream = \"https://npm.example.com\"".into()),
        ("reserved names", "[registry.api]\nformat = \"npm\"\n[registry.v2]\nformat = \"npm\"".into()),
        ("names that are no part of a URL", "[registry.\"a/b\"]\nformat = \"npm\"\n[registry.NPM]\nformat = \"npm\"".into()),
        ("registry and environment clash", with_npm("[environment.npm]\n[environment.ui]")),
        ("twice the same registry", with_npm("[registry.npm]\nformat = \"npm\"")),
        ("userinfo in a URL", "public_url = \"https://me@garth.example.com\"\n[registry.npm]\nupstream = \"https://a:b@npm.example.com\"".into()),
        ("not URLs", "public_url = \"garth\"\n[registry.npm]\nupstream = \"ftp://npm.example.com\"".into()),
        ("URLs with a query", "public_url = \"https://garth.example.com/?a\"".into()),
        ("garth behind itself", "[registry.npm]\nupstream = \"http://localhost:8642/npm/\"".into()),
        ("garth behind its public name", "public_url = \"https://garth.example.com\"\n[registry.npm]\nupstream = \"https://garth.example.com/npm\"".into()),
        ("inline secrets", with_npm("username = \"acme\"\npassword = \"hush-hush\"")),
        ("secrets that are not there", with_npm("token = { env = \"NOT_SET\" }")),
        ("secret file is missing", with_npm("token = { file = \"gone.txt\" }")),
        ("secret file is empty", with_npm("token = { file = \"empty.txt\" }")),
        ("secret of an odd shape", with_npm("token = { vault = \"x\" }\npassword = { env = \"A\", file = \"b\" }\nusername = \"u\"")),
        ("secret where its name belongs", with_npm("token = { env = \"hush-hush\" }")),
        ("half of the credentials", with_npm("username = \"acme\"")),
        ("the other half", with_npm("password = { file = \"there.txt\" }")),
        ("two kinds of credentials", with_npm("username = \"a\"\npassword = { file = \"there.txt\" }\ntoken = { file = \"there.txt\" }")),
        ("bad patterns and hosts", with_npm("own = [\"acme *\", 3]\nallow_hosts = [\"https://files.example.com\"]")),
        ("a pattern with a blank", with_npm("own = [\"acme *\", \"\"]")),
        ("missing files", "policies = \"gone\"\n[tls]\ncertificate = \"gone.pem\"\nkey = \"policies\"".into()),
        ("a file for a directory", "policies = \"there.txt\"\ndata = \"there.txt\"".into()),
        ("half of TLS", "[tls]\nkey = \"there.txt\"".into()),
        ("a network that is none", "trusted_proxies = [\"10.0.0.0/8\", \"all\"]".into()),
        ("not TOML, and more", "listen = \nmode = \"enforced\"\n[log\nformat = \"text\"".into()),
        ("columns count characters", "\"ä\" = 1".into()),
    ];
    let mut text = String::new();
    for (name, toml) in rows {
        let faults = load_text(toml, &[]).expect_err(name);
        let faults = said(&faults);
        assert!(!faults.contains("hush-hush"), "{faults}");
        writeln!(text, "## {name}\n{}\n----\n{faults}\n", toml.trim_end()).unwrap();
    }
    insta::assert_snapshot!(text);
}

#[test]
fn every_variable_that_is_no_setting_is_a_fault() {
    let rows: &[(&str, &[(&str, &str)])] = &[
        ("misspelt", &[("GARTH_LISTNE", "127.0.0.1:1")]),
        ("misspelt of a registry", &[("GARTH_REGISTRY_NPM_UPSTREM", "https://npm.example.com")]),
        ("misspelt of a registry with a hyphen", &[("GARTH_REGISTRY_MY_NPM_MAX_AEG", "5m")]),
        (
            "registry without a format",
            &[("GARTH_REGISTRY_MY_NPM_UPSTREAM", "https://npm.example.com")],
        ),
        (
            "wrong values",
            &[
                ("GARTH_MODE", "observed"),
                ("GARTH_LIMITS_CONNECTIONS", "1e3"),
                ("GARTH_REGISTRY_NPM_UPSTREAM", "https://a:hush-hush@npm.example.com"),
                ("GARTH_TRUSTED_PROXIES", "10.0.0.0/8, all"),
            ],
        ),
    ];
    let mut text = String::new();
    for (name, env) in rows {
        let faults = load_env(env).expect_err(name);
        writeln!(text, "## {name}\n{}", said(&faults)).unwrap();
    }
    assert!(!text.contains("hush-hush"));
    insta::assert_snapshot!(text);
}

#[test]
fn variables_of_commands_secrets_kubernetes_and_empty_ones_are_no_faults() {
    let env: &[(&str, &str)] = &[
        ("GARTH_CONFIG", "x"),
        ("GARTH_URL", "x"),
        ("GARTH_TOKEN", "x"),
        ("GARTH_UPSTREAM_TOKEN", "t"),
        ("GARTH_SERVICE_HOST", "10.0.0.1"),
        ("GARTH_SERVICE_PORT", "8642"),
        ("GARTH_PORT", "tcp://10.0.0.1:8642"),
        ("GARTH_PORT_8642_TCP_ADDR", "10.0.0.1"),
        ("GARTH_LISTEN", ""),
        ("GARTH_NONSENSE", ""),
    ];
    let config =
        load_text(&format!("{NPM}token = {{ env = \"GARTH_UPSTREAM_TOKEN\" }}"), env).unwrap();
    let token = Credentials::Bearer(Secret::new("t"));
    assert_eq!(config.registries[0].credentials, Some(token));
}

#[test]
fn defaults_hold_without_any_configuration() {
    let config = load_env(&[]).unwrap();
    assert_eq!(config.listen, "127.0.0.1:8642".parse().unwrap());
    assert_eq!(config.data, Path::new("garth-data"));
    assert_eq!(config.mode, Mode::Enforce);
    assert!(config.registries.is_empty());
    insta::assert_debug_snapshot!(config);
}

#[test]
fn the_whole_of_a_file_is_read() {
    let text = format!(
        "listen = \"0.0.0.0:1\"\npublic_url = \"https://garth.example.com\"\ndata = \"d\"\n\
         policies = \"policies\"\nmode = \"observe\"\ntrusted_proxies = [\"10.0.0.0/8\", \"::1\"]\n\
         [store]\nkind = \"sled\"\ncache = \"1GiB\"\n[blobs]\nkind = \"disk\"\n\
         [tls]\ncertificate = \"there.txt\"\nkey = \"there.txt\"\n\
         [log]\nformat = \"json\"\nlevel = \"info,server=debug\"\n\
         [upstream]\nmax_concurrent = 8\n[limits]\nbody_bytes = 4096\nshutdown_grace = \"0s\"\n\
         {NPM}own = [\"@acme/*\"]\nmax_age = \"90s\"\nmax_stale = \"1d\"\nusername = \"acme\"\n\
         password = {{ file = \"there.txt\" }}\nallow_hosts = [\"Files.example.com\", \"10.1.2.3:80\"]\n"
    );
    let config = load_text(&text, &[]).unwrap();
    let base = config.file.as_ref().unwrap().parent().unwrap();
    assert_eq!(config.data, base.join("d"), "relative to the file");
    assert_eq!(config.policies, Some(base.join("policies")));
    assert_eq!(config.public_url.unwrap().as_str(), "https://garth.example.com/");
    assert_eq!(config.trusted_proxies.len(), 2);
    assert_eq!(config.store, StoreConfig::Sled { cache_bytes: 1 << 30 });
    assert_eq!(config.limits.body_bytes, 4096);
    let [npm] = &config.registries[..] else { panic!("one registry") };
    assert_eq!(npm.upstream.as_ref().unwrap().as_str(), "https://npm.example.com/");
    assert_eq!(npm.max_age.as_secs(), 90);
    assert_eq!(npm.allow_hosts, ["files.example.com", "10.1.2.3:80"]);
    let password = Secret::new("from-the-file");
    assert_eq!(npm.credentials, Some(Credentials::Basic { username: "acme".into(), password }));
}

#[test]
fn the_command_line_beats_the_environment_which_beats_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(FILE_NAME);
    fs::write(&file, "listen = \"127.0.0.1:1\"\ndata = \"one\"\nmode = \"observe\"").unwrap();
    let mut options = LoadOptions { file: Some(file), ..LoadOptions::default() };
    options.env = [("GARTH_LISTEN", "127.0.0.1:2"), ("GARTH_DATA", "two")].into_iter().collect();
    let config = Config::load(&options).unwrap();
    assert_eq!((config.listen.port(), config.mode), (2, Mode::Observe));
    assert_eq!(
        config.data,
        Path::new("two"),
        "a variable's path starts from the current directory"
    );
    options.listen = Some("127.0.0.1:3".into());
    options.data = Some("three".into());
    options.mode = Some("enforce".into());
    let config = Config::load(&options).unwrap();
    assert_eq!((config.listen.port(), config.mode), (3, Mode::Enforce));
    assert_eq!(config.data, Path::new("three"));
    options.listen = Some("here".into());
    insta::assert_snapshot!(said(&Config::load(&options).unwrap_err()), @r#"--listen: expected an IP address with a port such as "127.0.0.1:8642", found "here""#);
}

#[test]
fn each_setting_can_be_given_by_its_variable() {
    let directory = tempfile::tempdir().unwrap();
    let there = directory.path().join("there");
    fs::write(&there, "x").unwrap();
    let given = |row: &SettingDoc| match (row.key, row.kind) {
        ("policies", _) => directory.path().display().to_string(),
        ("registry.*.token", _) => String::new(),
        ("registry.*.format", _) => "npm".to_owned(),
        ("advisories.urls", _) => "https://osv.example.com/npm/all.zip".to_owned(),
        ("registry.*.dependency_indexes", _) => "sparse+https://one.example.com/i/".to_owned(),
        (_, Kind::Path) if row.default.is_none() => there.display().to_string(),
        (_, Kind::Url) => "https://one.example.com/".to_owned(),
        (_, Kind::Networks) => "10.0.0.0/8,::1".to_owned(),
        (_, Kind::Texts) => "a.example.com, b.example.com".to_owned(),
        (_, Kind::Secret | Kind::Text) if row.default.is_none() => "text".to_owned(),
        _ => row.default.unwrap_or("other").to_owned(),
    };
    let of_crates = ["registry.*.dependency_indexes", "registry.*.upstream_search"];
    let named = |row: &SettingDoc| {
        row.key.replace('*', if of_crates.contains(&row.key) { "cargo" } else { "my-npm" })
    };
    let env: Vec<(String, String)> = settings()
        .iter()
        .map(|row| (variable(&named(row)), given(row)))
        .chain([("GARTH_PUBLIC_URL".to_owned(), "https://garth.example.com".to_owned())])
        .collect();
    let options = LoadOptions { env: env.into_iter().collect(), ..LoadOptions::default() };
    let config = Config::load(&options).unwrap();
    assert_eq!(config.registries[0].dependency_indexes, ["sparse+https://one.example.com/i/"]);
    assert_eq!(config.registries[1].name, "my-npm");
    assert_eq!(config.registries[1].own, ["a.example.com", "b.example.com"]);
    assert_eq!(config.tls.unwrap().key, there);
}

#[test]
fn a_registry_in_the_file_is_changed_by_its_variables() {
    let file = "[registry.my-npm]\nformat = \"npm\"\nupstream = \"https://npm.example.com\"";
    let env = [("GARTH_REGISTRY_MY_NPM_UPSTREAM", "https://other.example.com")];
    let config = load_text(file, &env).unwrap();
    assert_eq!(config.registries.len(), 1);
    assert_eq!(
        config.registries[0].upstream.as_ref().unwrap().host_str(),
        Some("other.example.com")
    );
}

#[test]
fn a_variable_alone_adds_a_registry_that_is_called_like_its_format() {
    let config = load_env(&[("GARTH_REGISTRY_NPM_UPSTREAM", "https://npm.example.com")]).unwrap();
    assert_eq!(
        (config.registries[0].name.as_str(), config.registries[0].format),
        ("npm", Format::Npm)
    );
}

#[test]
fn discovered_upstreams_yield_to_everything_else() {
    let url = Url::parse("https://npm.example.com/").unwrap();
    let mut options =
        LoadOptions { discovered: vec![(Format::Npm, url.clone())], ..LoadOptions::default() };
    assert_eq!(Config::load(&options).unwrap().registries[0].upstream, Some(url));
    options.env =
        [("GARTH_REGISTRY_NPM_UPSTREAM", "https://other.example.com")].into_iter().collect();
    let other = Config::load(&options).unwrap().registries[0].upstream.clone().unwrap();
    assert_eq!(other.host_str(), Some("other.example.com"));
}

#[test]
fn a_missing_file_is_one_fault_with_a_remedy() {
    let options =
        LoadOptions { file: Some("/nowhere/garth.toml".into()), ..LoadOptions::default() };
    insta::assert_snapshot!(said(&Config::load(&options).unwrap_err()), @"garth.toml: cannot be read: No such file or directory (os error 2); `garth init` writes one, and `garth serve` also starts without");
}

#[test]
fn garth_knows_itself_by_every_spelling() {
    let yes = [
        "http://127.0.0.1:8642/npm/",
        "http://localhost:8642",
        "http://[::1]:8642/",
        "http://2130706433:8642/",
        "http://[::ffff:127.0.0.1]:8642/",
        "http://0.0.0.0:8642",
    ];
    for url in yes {
        let listen = "0.0.0.0:8642".parse().unwrap();
        assert!(leads_to(&Url::parse(url).unwrap(), listen), "{url}");
    }
    for url in ["http://127.0.0.1:8643/", "http://npm.example.com:8642/", "https://localhost/"] {
        let listen = "127.0.0.1:8642".parse().unwrap();
        assert!(!leads_to(&Url::parse(url).unwrap(), listen), "{url}");
    }
}

#[test]
fn the_data_directory_is_found_whatever_else_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(FILE_NAME);
    fs::write(&file, "data = \"kept\"\nmode = \"bad\"\nlisten = ").unwrap();
    let options = LoadOptions { file: Some(file), ..LoadOptions::default() };
    assert_eq!(data_directory(&options), directory.path().join("kept"));
    assert_eq!(data_directory(&LoadOptions::default()), Path::new("garth-data"));
}

#[test]
fn no_key_of_a_registry_ends_like_another() {
    let keys: Vec<&str> =
        settings().iter().filter_map(|row| row.key.strip_prefix("registry.*.")).collect();
    for key in &keys {
        for other in &keys {
            assert!(!key.ends_with(&format!("_{other}")), "{key} and {other} share variables");
        }
    }
}

#[test]
fn the_reference_lists_each_setting_as_it_is() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/settings.md");
    let reference = fs::read_to_string(path).unwrap();
    let rows: Vec<String> = settings().iter().map(setting::reference_row).collect();
    let missing: Vec<&String> =
        rows.iter().filter(|row| !reference.lines().any(|line| line == row.as_str())).collect();
    assert!(missing.is_empty(), "docs/settings.md lacks these lines:\n{missing:#?}");
    let listed = reference.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(listed, rows.len(), "docs/settings.md lists a setting that there is not");
}

#[test]
fn the_public_registry_of_crates_may_keep_files_below_the_name_it_lies_below() {
    let public = tame_index::CRATES_IO_HTTP_INDEX.trim_start_matches("sparse+");
    let hosts = |format, upstream: &str| usual_hosts(format, &upstream.parse().unwrap());
    let [host] = hosts(Format::Cargo, public).try_into().unwrap();
    let url: Url = public.parse().unwrap();
    assert!(url.host_str().unwrap().ends_with(host.strip_prefix('*').unwrap()), "{host}");
    assert_eq!(host.matches('.').count(), 2, "no more than that: {host}");
    assert_eq!(hosts(Format::Npm, public), Vec::<String>::new());
    assert_eq!(hosts(Format::Cargo, "https://index.example.com/"), Vec::<String>::new());
}
