#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn object(value: Value) -> Manifest {
    match value {
        Value::Object(fields) => fields,
        other => panic!("{other}"),
    }
}

fn archive(manifest: Value) -> Contents {
    Contents {
        manifest: object(manifest),
        has_gyp: false,
        has_shrinkwrap: false,
        readme: None,
        files: 1,
        unpacked: 1,
        names: Some(vec!["bin/one".into(), "bin/sub/two".into(), "bin/.hidden".into()]),
    }
}

fn check(what: &str, archived: Value, published: Value, expected: Option<&str>) {
    let name = |mut manifest: Value| {
        if manifest.get("name").is_none() {
            manifest["name"] = "@acme/x".into();
        }
        if manifest.get("version").is_none() {
            manifest["version"] = "1.0.0".into();
        }
        manifest
    };
    let archive = archive(name(archived));
    assert_eq!(difference(&object(name(published)), &archive).as_deref(), expected, "{what}");
}

/// Left what lies in the archive, right what a client makes of it.
#[test]
fn what_clients_normalise_is_no_difference() {
    let rows = [
        ("nothing", json!({}), json!({})),
        ("a version with a v", json!({ "version": " v1.0.0+b" }), json!({ "version": "1.0.0" })),
        ("one command", json!({ "bin": "./cli.js" }), json!({ "bin": { "x": "cli.js" } })),
        (
            "commands in a list",
            json!({ "bin": ["./a/one.js"] }),
            json!({ "bin": { "one.js": "a/one.js" } }),
        ),
        (
            "commands in a directory",
            json!({ "directories": { "bin": "./bin" } }),
            json!({
                "directories": { "bin": "./bin" },
                "bin": { "one": "bin/one", "two": "bin/sub/two", "sub": "bin/sub" },
            }),
        ),
        (
            "an optional dependency in both places",
            json!({ "dependencies": { "a": "1", "b": "2" }, "optionalDependencies": { "a": "1" } }),
            json!({ "dependencies": { "b": "2" }, "optionalDependencies": { "a": "1" } }),
        ),
        (
            "an optional dependency put back",
            json!({ "optionalDependencies": { "a": "1" } }),
            json!({ "dependencies": { "a": "1" }, "optionalDependencies": { "a": "1" } }),
        ),
        (
            "everything bundled",
            json!({ "dependencies": { "a": "1" }, "bundledDependencies": true }),
            json!({ "dependencies": { "a": "1" }, "bundleDependencies": ["a"] }),
        ),
        ("nothing bundled", json!({ "bundleDependencies": false }), json!({})),
        (
            "bundled and not named",
            json!({ "bundleDependencies": ["a"] }),
            json!({ "bundleDependencies": ["a"], "dependencies": { "a": "*" } }),
        ),
        (
            "a script by its path",
            json!({ "scripts": { "install": "./node_modules/.bin/build", "test": "x" } }),
            json!({ "scripts": { "install": "build" } }),
        ),
        ("one system", json!({ "os": "linux" }), json!({ "os": ["linux"] })),
        (
            "git in short",
            json!({ "dependencies": { "a": "acme/a#v1", "b": "git@github.com:acme/b.git" } }),
            json!({ "dependencies": {
                "a": "github:acme/a#v1", "b": "git+ssh://git@github.com/acme/b.git",
            } }),
        ),
        (
            "what is no text",
            json!({ "dependencies": { "a": 1 }, "scripts": { "install": false } }),
            json!({}),
        ),
    ];
    check_same(&rows);
}

fn check_same(rows: &[(&str, Value, Value)]) {
    for (what, archived, published) in rows {
        check(what, archived.clone(), published.clone(), None);
        check(what, archived.clone(), archived.clone(), None);
    }
}

#[test]
fn what_clients_make_of_the_words_for_people_is_no_difference() {
    let rows = [
        (
            "people in short",
            json!({ "author": "Ann <a@example.com> (https://example.com)", "contributors": ["Bob"] }),
            json!({
                "author": { "name": "Ann", "email": "a@example.com", "url": "https://example.com" },
                "contributors": [{ "name": "Bob" }],
            }),
        ),
        (
            "a person with old names",
            json!({ "author": { "name": "Ann", "mail": "a@example.com", "web": "example.com" } }),
            json!({ "author": { "name": "Ann", "email": "a@example.com", "url": "example.com" } }),
        ),
        (
            "a repository in short",
            json!({ "repository": "acme/x" }),
            json!({ "repository": { "type": "git", "url": "git+https://github.com/acme/x.git" } }),
        ),
        (
            "a repository by ssh",
            json!({ "repository": { "url": "git@github.com:acme/x.git", "directory": "p" } }),
            json!({ "repository": { "url": "git+ssh://git@github.com/acme/x.git", "directory": "p" } }),
        ),
        (
            "a place in a repository",
            json!({ "repository": "https://github.com/acme/x/tree/main/p" }),
            json!({ "repository": { "type": "git", "url": "git+https://github.com/acme/x.git#main" } }),
        ),
        (
            "a repository elsewhere",
            json!({ "repository": "https://git.example.com/x.git" }),
            json!({ "repository": { "type": "git", "url": "git+https://git.example.com/x.git" } }),
        ),
        (
            "words in a text",
            json!({ "keywords": "a, b c" }),
            json!({ "keywords": ["a,", "b", "c"] }),
        ),
        ("words that are none", json!({ "keywords": ["a", 1, ""] }), json!({ "keywords": ["a"] })),
        (
            "a homepage without its scheme",
            json!({ "homepage": "example.com" }),
            json!({ "homepage": "http://example.com/" }),
        ),
        (
            "where to report",
            json!({ "bugs": "https://example.com/bugs" }),
            json!({ "bugs": { "url": "https://example.com/bugs" } }),
        ),
    ];
    check_same(&rows);
}

#[test]
fn what_clients_find_out_or_leave_out_is_no_difference() {
    let rows = [
        (
            "what is found out",
            json!({ "repository": { "url": "github:acme/x" } }),
            json!({
                "repository": { "url": "git+https://github.com/acme/x.git" },
                "description": "The words of the readme.",
                "homepage": "https://github.com/acme/x#readme",
                "bugs": { "url": "https://github.com/acme/x/issues" },
                "contributors": [{ "name": "Eve" }],
                "man": ["man/x.1"],
                "types": "./index.d.ts",
                "scripts": { "start": "node server.js" },
            }),
        ),
        (
            "a licence that yarn reads",
            json!({}),
            json!({ "license": "MIT", "licenseText": "The MIT License" }),
        ),
        (
            "a licence that yarn makes precise",
            json!({ "license": "BSD" }),
            json!({ "license": "BSD-3-Clause", "licenseText": "Copyright" }),
        ),
        (
            "a licence in the old form",
            json!({ "license": { "type": "MIT", "url": "x" } }),
            json!({ "license": "MIT" }),
        ),
        (
            "engines in a list",
            json!({ "engines": ["node >= 6"] }),
            json!({ "engines": { "node": ">= 6" } }),
        ),
        ("a number", json!({ "config": { "x": [1.0] } }), json!({ "config": { "x": [1] } })),
        ("nothing, in words", json!({ "exports": null }), json!({ "funding": [], "config": {} })),
        (
            "what is said of the publish",
            json!({ "_resolved": "x" }),
            json!({
                "_id": "x", "_nodeVersion": "26.0.0", "gitHead": "abc", "gypfile": true,
                "integrity": "sha512-x", "shasum": "x", "readme": "# x", "readmeFilename": "README.md",
                "maintainers": [{ "name": "Eve" }], "dist": {},
            }),
        ),
        (
            "directories that yarn leaves out",
            json!({ "directories": { "lib": "lib" }, "modules": [], "files": "x", "description": 5 }),
            json!({}),
        ),
    ];
    check_same(&rows);
}

#[test]
fn what_installs_would_go_by_is_named_where_it_differs() {
    let rows = [
        ("name", json!({ "name": "@acme/y" }), json!({})),
        ("version", json!({ "version": "1.0.1" }), json!({})),
        ("dependencies", json!({}), json!({ "dependencies": { "a": "1" } })),
        (
            "dependencies",
            json!({ "dependencies": { "a": "1" } }),
            json!({ "dependencies": { "a": "2" } }),
        ),
        (
            "dependencies",
            json!({ "dependencies": { "a": "acme/a#v1" } }),
            json!({ "dependencies": { "a": "github:acme/a#v2" } }),
        ),
        (
            "dependencies",
            json!({ "dependencies": { "a": "github:acme/a" } }),
            json!({ "dependencies": { "a": "gitlab:acme/a" } }),
        ),
        ("optionalDependencies", json!({}), json!({ "optionalDependencies": { "a": "1" } })),
        ("peerDependencies", json!({}), json!({ "peerDependencies": { "a": "1" } })),
        (
            "peerDependenciesMeta",
            json!({}),
            json!({ "peerDependenciesMeta": { "a": { "optional": true } } }),
        ),
        ("bin", json!({ "bin": "a.js" }), json!({ "bin": "b.js" })),
        ("bin", json!({}), json!({ "bin": { "sudo": "a.js" } })),
        ("scripts", json!({ "scripts": { "postinstall": "evil" } }), json!({})),
        ("scripts", json!({}), json!({ "scripts": { "preinstall": "evil" } })),
        ("engines", json!({ "engines": { "node": ">=1" } }), json!({})),
        ("cpu", json!({ "cpu": ["x64"] }), json!({})),
        ("license", json!({ "license": "GPL-3.0" }), json!({ "license": "MIT" })),
        ("license", json!({}), json!({ "license": "MIT" })),
        ("license", json!({ "license": "GPL-3.0" }), json!({})),
        (
            "license",
            json!({ "license": "GPL-3.0" }),
            json!({ "license": "MIT", "licenseText": "x" }),
        ),
        ("licenses", json!({}), json!({ "licenses": [{ "type": "MIT" }] })),
    ];
    for (field, archived, published) in rows {
        check(field, archived, published, Some(field));
    }
}

#[test]
fn what_people_and_tools_would_go_by_is_named_where_it_differs() {
    let one = |field: &str, value: Value| json!({ field: value });
    let plain = [
        "main",
        "module",
        "type",
        "typings",
        "browser",
        "unpkg",
        "exports",
        "imports",
        "overrides",
        "resolutions",
        "config",
        "publishConfig",
        "funding",
        "sideEffects",
        "workspaces",
        "deprecated",
        "packageManager",
        "private",
        "whatever",
    ];
    for field in plain {
        check(field, one(field, "a".into()), one(field, "b".into()), Some(field));
        check(field, json!({}), one(field, "b".into()), Some(field));
        check(field, one(field, "a".into()), json!({}), Some(field));
        check(
            field,
            one(field, json!({ "x": ["a"] })),
            one(field, json!({ "x": ["b"] })),
            Some(field),
        );
        check(field, one(field, json!({ "x": "a" })), one(field, json!({ "y": "a" })), Some(field));
    }
    let rows = [
        ("description", json!("good"), json!("bad")),
        ("keywords", json!(["good"]), json!(["good", "bad"])),
        ("homepage", json!("https://example.com"), json!("https://example.org")),
        ("bugs", json!("https://example.com"), json!({ "url": "https://example.org" })),
        ("repository", json!("acme/x"), json!({ "url": "git+https://github.com/evil/x.git" })),
        ("repository", json!("acme/x"), json!({ "url": "git+https://gitlab.com/acme/x.git" })),
        ("repository", json!("acme/x"), json!("acme/y")),
        ("repository", json!({ "url": "acme/x" }), json!({ "url": "acme/x", "directory": "p" })),
        (
            "author",
            json!("Ann <a@example.com>"),
            json!({ "name": "Ann", "email": "e@example.com" }),
        ),
        ("contributors", json!(["Ann"]), json!([{ "name": "Ann" }, { "name": "Eve" }])),
        ("types", json!("./a.d.ts"), json!("./b.d.ts")),
        ("files", json!(["a"]), json!(["a", "b"])),
        ("man", json!("./a.1"), json!(["b.1"])),
        ("directories", json!({ "lib": "a" }), json!({ "lib": "b" })),
        ("scripts", json!({ "test": "a" }), json!({ "test": "b" })),
        ("devDependencies", json!({ "a": "1" }), json!({ "a": "2" })),
    ];
    for (field, archived, published) in rows {
        check(field, one(field, archived), one(field, published), Some(field));
    }
    for field in ["keywords", "repository", "author", "files", "scripts", "devDependencies"] {
        let published = if field == "scripts" || field == "devDependencies" {
            json!({ field: { "x": "y" } })
        } else {
            json!({ field: ["x"] })
        };
        let said = field != "author";
        check(field, json!({}), published, said.then_some(field));
    }
}

#[test]
fn what_is_registered_is_what_the_archive_says_in_the_form_of_the_clients() {
    let archive = archive(json!({
        "name": "@acme/x", "version": "1.0.0", "_id": "evil", "dist": {}, "maintainers": ["Eve"],
        "readme": "evil", "license": "MIT", "exports": { ".": "./a.js" }, "bin": "./cli.js",
        "repository": "acme/x", "author": "Ann <a@example.com>", "bugs": "b@example.com",
        "keywords": "a, b", "sideEffects": [], "contributors": ["Bob (https://example.com)"],
        "dependencies": { "a": "acme/a", "b": 1, "c": "1" }, "optionalDependencies": { "c": "1" },
        "bundledDependencies": ["d"], "engines": {}, "os": "linux", "gypfile": false,
        "scripts": { "install": "./node_modules/.bin/build", "test": "x" },
    }));
    let expected = json!({
        "name": "@acme/x", "version": "1.0.0", "license": "MIT", "exports": { ".": "./a.js" },
        "bin": { "x": "cli.js" },
        "repository": { "type": "git", "url": "git+https://github.com/acme/x.git" },
        "author": { "name": "Ann", "email": "a@example.com" }, "bugs": { "email": "b@example.com" },
        "keywords": ["a", "b"], "sideEffects": [],
        "contributors": [{ "name": "Bob", "url": "https://example.com" }],
        "dependencies": { "a": "acme/a", "d": "*" }, "optionalDependencies": { "c": "1" },
        "bundleDependencies": ["d"], "os": ["linux"], "gypfile": false,
        "scripts": { "install": "build", "test": "x" },
    });
    let shown = registered(&archive);
    assert_eq!(Value::Object(shown.clone()), expected);
    assert_eq!(difference(&shown, &archive), None, "whoever publishes it again says the same");
    let rows = [
        ("https://git.example.com/x", "https://git.example.com/x"),
        ("gitlab:a/b", "git+https://gitlab.com/a/b.git"),
        ("git@github.com:a/b.git", "git@github.com:a/b.git"),
        ("a/b#main", "git+https://github.com/a/b.git#main"),
        // No user, or no repository: as it stands.
        ("#/", "#/"),
        ("a/", "a/"),
        ("github:a", "github:a"),
        ("github:", "github:"),
        ("gitlab:a/", "gitlab:a/"),
        ("gitlab:#x", "gitlab:#x"),
        ("github.com/a", "github.com/a"),
        ("github:a/b/", "git+https://github.com/a/b.git"),
        ("https://github.com/a/b/", "https://github.com/a/b/"),
        ("gitlab:a/b/c", "git+https://gitlab.com/a/b/c.git"),
    ];
    for (written, url) in rows {
        for repository in [json!(written), json!({ "type": "git", "url": written })] {
            let mut manifest = archive.manifest.clone();
            manifest["repository"] = repository;
            let archive = Contents { manifest, readme: None, names: None, ..archive };
            let shown = registered(&archive);
            assert_eq!(difference(&shown, &archive), None, "{written}");
            assert_eq!(shown["repository"], json!({ "type": "git", "url": url }));
        }
    }
}

#[test]
fn a_gyp_file_is_built_unless_the_package_says_otherwise() {
    let contents = |manifest| Contents { has_gyp: true, ..archive(manifest) };
    let rows = [
        (json!({}), true),
        (json!({ "gypfile": false }), false),
        (json!({ "scripts": { "install": "make" } }), true),
    ];
    for (manifest, expected) in rows {
        assert_eq!(has_install_script(&contents(manifest.clone())), expected, "{manifest}");
    }
    let built = json!({ "gypfile": true, "scripts": { "install": "node-gyp rebuild" } });
    assert_eq!(difference(&object(built), &contents(json!({}))), None);
    let quiet = json!({ "gypfile": false });
    assert_eq!(difference(&object(quiet), &contents(json!({}))).as_deref(), Some("scripts"));
}

proptest! {
    #[test]
    fn any_field_can_be_anything(field in "[a-zA-Z]{1,20}", text in "\\PC{0,30}", n in 0_usize..25) {
        let fields = [
            "dependencies", "optionalDependencies", "peerDependencies", "bundleDependencies", "bin",
            "scripts", "engines", "os", "directories", "name", "version", "peerDependenciesMeta", "gypfile",
            "author", "bugs", "contributors", "keywords", "repository", "homepage", "man", "files", "license",
            "licenses", "description", "exports",
        ];
        let values = [json!(text), json!([text]), json!({ &field: text }), json!(n), json!(null), json!(true)];
        for value in values {
            let manifest = json!({ fields[n]: value });
            let archive = archive(manifest.clone());
            prop_assert_eq!(difference(&object(manifest), &archive), None);
            prop_assert_eq!(difference(&registered(&archive), &archive), None);
        }
    }

    #[test]
    fn no_path_leaves_the_package(path in "[./\\\\:a-b]{0,20}") {
        let inside = installs::inside(&path);
        prop_assert!(!inside.starts_with('/') && !inside.split('/').any(|part| part == ".."));
    }
}
