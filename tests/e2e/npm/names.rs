//! Names and paths: one identity for every spelling, and nothing but packages at the end of one.

use support::http::Asked;

use super::{npm, registry, setup, upstream};

#[tokio::test(flavor = "multi_thread")]
async fn no_path_trick_opens_anything_or_reaches_the_upstream() {
    let up = upstream().await;
    let garth = setup(&up).start();
    garth.run(&["allow", "*"]);
    let tricks = [
        "/%2F%2F..%2F..%2Fetc%2Fpasswd",
        "/npm/%2F%2F..%2F..%2Fetc%2Fpasswd",
        "/npm/..%2f..%2fetc%2fpasswd",
        "/npm/..%5c..%5cetc%5cpasswd",
        "/npm/%252e%252e/%252e%252e/etc/passwd",
        "/npm/%2e%2e/%2e%2e/data/admin-token",
        "/npm/../../data/admin-token",
        "/npm/left-pad/-/..%2f..%2f..%2fdata%2fadmin-token",
        "/npm/left-pad/-/%2e%2e",
        "/npm/left-pad%00",
        "/npm/left-pad/-/left-pad-1.3.0.tgz%00.png",
        "/npm/@s%252fn",
        "/npm/%2540s/n",
        "/npm/@s%2f..%2fleft-pad",
        "/npm/@s%2f%2fn",
        "/npm/@s//n",
        "/npm/left-pad//1.3.0",
        "/npm/left-pad%0d%0aX-Evil:%20y",
        "/npm/left-pad%ff",
        "/npm/%",
        "/npm/%zz",
        "/npm/@s",
        "/npm/@",
        "/npm//",
        "/npm/-/all",
        "/npm/-/",
        "/npm/left-pad/-/",
        "/npm/left-pad/-/left-pad-1.3.0.tgz/x",
        "/npm/.left-pad",
        "/npm/_left-pad",
        "/npm/node_modules/..",
        "/%6epm/../npm/left-pad",
    ];
    up.forget_requests();
    for path in tricks {
        for method in ["GET", "HEAD"] {
            let answer = garth.ask(&Asked::new(method, path)).await;
            assert!(matches!(answer.status, 400 | 404), "{method} {path}: {}", answer.status);
            assert_eq!(answer.header("x-evil"), None);
            assert!(!answer.text().contains("root:"), "{path}");
        }
    }
    let reached: Vec<_> = up.recorded().into_iter().map(|request| request.target).collect();
    let odd = |target: &String| target.contains("..") || target.contains("%25");
    assert!(!reached.iter().any(odd), "{reached:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_spellings_of_a_scoped_name_share_one_packument_and_one_upstream_request() {
    let up = upstream().await;
    let garth = registry(&up, "max_age = \"1h\"").start();
    garth.run(&["allow", "npm:@s/n"]);
    let mut bodies = Vec::new();
    for name in ["@s/n", "@s%2fn", "@s%2Fn", "%40s/n", "%40s%2fn", "/@s/n"] {
        let answer = garth.get(&format!("/npm/{name}")).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        bodies.push((answer.header("etag").map(str::to_owned), answer.whole()));
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(up.requests("/@s/n"), 1);
    assert_eq!(up.total_requests(), 1);
    assert_eq!(garth.get("/npm/@s%252fn").await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_differ_in_case_are_two_packages_in_rules_storage_and_answers() {
    let up = upstream().await;
    up.npm("JSONStream").version("1.0.0", |v| v.file("index.js", "'upper'")).publish();
    up.npm("jsonstream").version("1.0.0", |v| v.file("index.js", "'lower'")).publish();
    let garth = setup(&up).start();
    garth.run(&["allow", "npm:JSONStream"]);
    assert_eq!(garth.get("/npm/jsonstream").await.status, 403);
    assert_eq!(garth.get("/npm/jsonstream/-/jsonstream-1.0.0.tgz").await.status, 403);
    garth.run(&["allow", "npm:jsonstream"]);
    let npm = npm(&garth);
    for (name, content) in [("JSONStream", "'upper'"), ("jsonstream", "'lower'")] {
        npm.must(&["install", name]);
        let path = format!("node_modules/{name}/index.js");
        assert_eq!(npm.read(&path).as_deref(), Some(content));
        garth.hold(&format!("/npm/{name}/-/{name}-1.0.0.tgz")).await;
    }
    let (setup, _) = garth.stop();
    up.go_offline();
    let garth = setup.start();
    for name in ["JSONStream", "jsonstream"] {
        let tarball = garth.get(&format!("/npm/{name}/-/{name}-1.0.0.tgz")).await;
        let expected = up.tarball(name, "1.0.0").bytes();
        assert_eq!(tarball.whole().as_deref(), Some(&*expected), "{name}, from disk");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pattern_matches_the_whole_name() {
    let up = upstream().await;
    for name in ["@acme/x", "@acme-evil/x", "@acmex/x", "acme.tools", "acmextools", "my-acme.tools"]
    {
        up.npm(name).plain_version("1.0.0").publish();
    }
    let garth = setup(&up).start();
    garth.run(&["allow", "npm:@acme/*", "npm:acme.*"]);
    for (name, status) in [
        ("@acme/x", 200),
        ("@acme-evil/x", 403),
        ("@acmex/x", 403),
        ("acme.tools", 200),
        ("acmextools", 403),
        ("my-acme.tools", 403),
    ] {
        let answer = garth.get(&format!("/npm/{name}")).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
    }
}
