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
    assert_eq!(difference(&object(name(published)), &archive), expected, "{what}");
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
    for (what, archived, published) in rows {
        check(what, archived.clone(), published.clone(), None);
        check(what, archived.clone(), archived, None);
    }
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
    ];
    for (field, archived, published) in rows {
        check(field, archived, published, Some(field));
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
    assert_eq!(difference(&object(quiet), &contents(json!({}))), Some("scripts"));
}

proptest! {
    #[test]
    fn any_field_can_be_anything(field in "[a-zA-Z]{1,20}", text in "\\PC{0,30}", n in 0_usize..13) {
        let fields = [
            "dependencies", "optionalDependencies", "peerDependencies", "bundleDependencies", "bin",
            "scripts", "engines", "os", "directories", "name", "version", "peerDependenciesMeta", "gypfile",
        ];
        let values = [json!(text), json!([text]), json!({ &field: text }), json!(n), json!(null), json!(true)];
        for value in values {
            let manifest = json!({ fields[n]: value });
            let archive = archive(manifest.clone());
            prop_assert_eq!(difference(&object(manifest), &archive), None);
        }
    }

    #[test]
    fn no_path_leaves_the_package(path in "[./\\\\:a-b]{0,20}") {
        let inside = inside(&path);
        prop_assert!(!inside.starts_with('/') && !inside.split('/').any(|part| part == ".."));
    }
}
