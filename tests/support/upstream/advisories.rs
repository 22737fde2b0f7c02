//! What is known of packages' holes, and how a registry answers an audit.

use policies::package::Ecosystem;
use policies::versions::{Parsed, Range};
use serde_json::{Map, Value, json};

use super::Ground;
use super::answer::{Answer, Body};
use super::recorded::Recorded;

/// One hole that is known.
#[derive(Clone, Debug)]
pub struct Advisory {
    package: String,
    vulnerable: String,
    severity: String,
}

impl Advisory {
    pub fn new(package: &str, vulnerable: &str, severity: &str) -> Self {
        let [package, vulnerable, severity] = [package, vulnerable, severity].map(str::to_owned);
        Self { package, vulnerable, severity }
    }

    fn is_about(&self, name: &str, version: &str) -> bool {
        let range = Range::parse(Ecosystem::Npm, &self.vulnerable).expect("a range");
        let version = Parsed::new(Ecosystem::Npm, version);
        self.package == name && version.is_some_and(|version| range.covers(&version))
    }

    fn json(&self, id: usize) -> Value {
        json!({
            "id": 1000 + id,
            "url": format!("https://advisories.example/{}", 1000 + id),
            "title": format!("a hole in {}", self.package),
            "severity": self.severity,
            "vulnerable_versions": self.vulnerable,
            "cwe": ["CWE-1"],
            "cvss": { "score": 7.5, "vectorString": null },
        })
    }
}

/// The answer to a POST, if it is an audit.
pub fn answer(ground: &Ground, request: &Recorded) -> Option<Answer> {
    let form = request.path.strip_prefix("/-/npm/v1/security/")?;
    let advisories = ground.advisories.lock().clone();
    let Ok(asked) = serde_json::from_slice::<Value>(&request.body) else {
        return Some(Answer::status(400));
    };
    let answer = match form {
        "advisories/bulk" => bulk(&advisories, &asked),
        "audits" | "audits/quick" => tree(&advisories, &asked),
        _ => return None,
    };
    Some(Answer::ok("application/json", Body::Bytes(answer.to_string().into())).packable())
}

fn bulk(advisories: &[Advisory], asked: &Value) -> Value {
    let mut answer = Map::new();
    for (name, versions) in asked.as_object().into_iter().flatten() {
        let versions: Vec<&str> =
            versions.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let known: Vec<Value> = advisories
            .iter()
            .enumerate()
            .filter(|(_, known)| versions.iter().any(|version| known.is_about(name, version)))
            .map(|(id, known)| known.json(id))
            .collect();
        if !known.is_empty() {
            answer.insert(name.clone(), known.into());
        }
    }
    answer.into()
}

fn tree(advisories: &[Advisory], asked: &Value) -> Value {
    let mut places = Vec::new();
    walk(asked, &mut Vec::new(), &mut places);
    let mut known = Map::new();
    let mut counts = json!({ "info": 0, "low": 0, "moderate": 0, "high": 0, "critical": 0 });
    for (id, advisory) in advisories.iter().enumerate() {
        let findings: Vec<Value> = places
            .iter()
            .filter(|(name, version, _)| advisory.is_about(name, version))
            .map(|(_, version, path)| json!({ "version": version, "paths": [path] }))
            .collect();
        if findings.is_empty() {
            continue;
        }
        let count = counts[&advisory.severity].as_u64().unwrap_or(0) + findings.len() as u64;
        counts[&advisory.severity] = count.into();
        let mut json = advisory.json(id);
        json["findings"] = findings.into();
        json["module_name"] = advisory.package.clone().into();
        json["patched_versions"] = "none".into();
        json["overview"] = "a hole".into();
        json["recommendation"] = "mend it".into();
        json["references"] = "".into();
        json["access"] = "public".into();
        json["cves"] = json!([]);
        known.insert((1000 + id).to_string(), json);
    }
    json!({
        "actions": [],
        "advisories": known,
        "muted": [],
        "metadata": {
            "vulnerabilities": counts,
            "dependencies": places.len(),
            "devDependencies": 0,
            "optionalDependencies": 0,
            "totalDependencies": places.len(),
        },
    })
}

fn walk(node: &Value, path: &mut Vec<String>, places: &mut Vec<(String, String, String)>) {
    for (name, below) in node["dependencies"].as_object().into_iter().flatten() {
        path.push(name.clone());
        let version = below["version"].as_str().unwrap_or_default().to_owned();
        places.push((name.clone(), version, path.join(">")));
        walk(below, path, places);
        path.pop();
    }
}
