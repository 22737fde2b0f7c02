#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::Value;
use utoipa::PartialSchema as _;

use super::*;
use crate::api::codes::{self, CODES};
use crate::api::table::table;

fn json() -> Value {
    document("/api/v1")
}

/// A change of it is a change of the API: what is in it stays, what is new is added.
#[test]
fn the_document_is_the_committed_one() {
    let text = serde_json::to_string_pretty(&json()).unwrap();
    insta::with_settings!({ filters => vec![(r#""version": "\d+\.\d+\.\d+""#, r#""version": "VERSION""#)] }, {
        insta::assert_snapshot!("openapi", text);
    });
}

#[test]
fn every_endpoint_is_one_and_says_what_can_go_wrong() {
    let (mut ids, mut places) = (HashSet::new(), HashSet::new());
    for endpoint in table() {
        assert!(ids.insert(endpoint.id), "{endpoint:?}: {} is taken", endpoint.id);
        assert!(places.insert((&endpoint.method, endpoint.path)), "{endpoint:?} is there twice");
        assert!(endpoint.path.starts_with('/') && !endpoint.path.ends_with('/'), "{endpoint:?}");
        for code in endpoint.own_problems() {
            assert!(codes::find(code).is_some(), "{endpoint:?}: {code} is in no list of codes");
        }
    }
}

#[test]
fn codes_are_listed_once_and_in_order() {
    assert!(CODES.is_sorted_by(|one, other| one.code < other.code));
    for code in CODES {
        assert!(codes::find(code.code) == Some(code) && code.meaning.ends_with('.'), "{code:?}");
        assert!(code.statuses.iter().all(|status| (400..600).contains(status)), "{code:?}");
    }
}

#[test]
fn docs_list_every_code_and_no_other() {
    let listed: Vec<&str> = include_str!("../../../../docs/api.md")
        .lines()
        .skip_while(|line| *line != "| code | status | means |")
        .take_while(|line| line.starts_with('|'))
        .collect();
    let rows = CODES.iter().map(|code| {
        let statuses: Vec<String> = code.statuses.iter().map(u16::to_string).collect();
        format!("| `{}` | {} | {} |", code.code, statuses.join(", "), code.meaning)
    });
    let expected: Vec<String> = ["| code | status | means |", "|---|---|---|"]
        .into_iter()
        .map(str::to_owned)
        .chain(rows)
        .collect();
    assert_eq!(listed, expected);
}

/// Whoever makes a problem of a new code is told here that it belongs in the list.
#[test]
fn every_code_that_is_made_is_listed() {
    let mut found = 0;
    let api = concat!(env!("CARGO_MANIFEST_DIR"), "/src/api");
    let mut folders = vec![std::path::PathBuf::from(api)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                for code in made_codes(&text) {
                    assert!(codes::find(&code).is_some(), "{}: {code}", path.display());
                    found += 1;
                }
            }
        }
    }
    assert!(found > 40, "only {found} were found: is the pattern still how they are made?");
}

fn made_codes(text: &str) -> Vec<String> {
    let making = r#"(?:Problem|Self)::(?:new|bad_request|not_found)\(\s*(?:StatusCode::[A-Z_]+,\s*|status,\s*)?"([a-z-]+)""#;
    let making = regex::Regex::new(making).unwrap();
    making.captures_iter(text).map(|found| found[1].to_owned()).collect()
}

#[test]
fn the_parts_of_a_path_and_the_groups_are_those_that_are_described() {
    let document = json();
    let groups: BTreeSet<&str> = table().iter().map(super::super::table::Endpoint::tag).collect();
    let described: BTreeSet<&str> = GROUPS.iter().map(|(name, _)| *name).collect();
    assert_eq!(groups, described);
    for (path, item) in document["paths"].as_object().unwrap() {
        let parts: BTreeSet<&str> =
            path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
        for (method, operation) in item.as_object().unwrap() {
            let told = operation["parameters"].as_array().map_or(&[][..], Vec::as_slice);
            let told: BTreeSet<&str> = told
                .iter()
                .filter(|parameter| parameter["in"] == "path")
                .map(|parameter| parameter["name"].as_str().unwrap())
                .collect();
            assert_eq!(parts, told, "{method} {path}");
        }
    }
}

#[test]
fn every_schema_parameter_header_and_answer_is_described() {
    let document = json();
    let told = |value: &Value| value["description"].as_str().is_some_and(|text| !text.is_empty());
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        assert!(told(schema), "the schema {name} is not described");
        let parts = schema["allOf"].as_array().map_or(&[][..], Vec::as_slice);
        for part in std::iter::once(schema).chain(parts) {
            for (field, of) in part["properties"].as_object().into_iter().flatten() {
                assert!(told(of) || refers(of), "{name}.{field} is not described");
            }
        }
    }
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let here = format!("{method} {path}");
            assert!(operation["summary"].is_string() && operation["x-garth-right"].is_string());
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                assert!(told(parameter), "{here}: {parameter}");
            }
            for (status, response) in operation["responses"].as_object().unwrap() {
                assert!(told(response), "{here}: {status}");
                for (name, header) in response["headers"].as_object().into_iter().flatten() {
                    assert!(told(header), "{here}: {status}: {name}");
                }
            }
        }
    }
}

/// It is what its schema says that it is.
fn refers(schema: &Value) -> bool {
    let kinds = schema["oneOf"].as_array().or(schema["allOf"].as_array());
    schema["$ref"].is_string() || kinds.is_some_and(|kinds| kinds.iter().any(refers))
}

#[test]
fn schemas_of_one_name_are_one() {
    let mut known: HashMap<String, Value> = HashMap::new();
    let mut more = Vec::new();
    Problem::schemas(&mut more);
    more.push((Problem::name().into_owned(), Problem::schema()));
    for (name, schema) in
        table().iter().flat_map(super::super::table::Endpoint::schemas).chain(more)
    {
        let schema = serde_json::to_value(schema).unwrap();
        let before = known.entry(name.clone()).or_insert_with(|| schema.clone());
        assert_eq!(*before, schema, "two schemas are called {name}");
    }
    let document = json();
    for reference in document.to_string().split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        let there = &document["components"]["schemas"][name];
        assert!(there.is_object(), "{name} is referred to, and is not there");
    }
    assert_eq!(document["components"]["schemas"]["Time"]["format"], "date-time");
}
