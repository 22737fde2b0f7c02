//! What `garth policy check` found, in the forms that machines read. Pure.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use policies::check::Checked;
use policies::rules::{Code, Finding, Severity};
use serde_json::{Value, json};

/// What a path may have in a URI as it is.
const ESCAPED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(super) fn json(checked: &Checked) -> Value {
    let findings: Vec<Value> = checked
        .findings
        .iter()
        .map(|finding| {
            let Finding { code, rule, fault, .. } = finding;
            json!({
                "severity": finding.severity(),
                "code": code,
                "rule": rule,
                "file": fault.file,
                "line": fault.line,
                "column": fault.column,
                "message": fault.message,
                "remedy": fault.remedy,
            })
        })
        .collect();
    json!({
        "findings": findings,
        "errors": checked.count(Severity::Error),
        "warnings": checked.count(Severity::Warning),
        "files": checked.files,
        "rules": checked.rules,
        "expectations": checked.expectations,
        "partial": checked.partial,
    })
}

/// A workflow command a line: what comes from a file can not begin another one.
pub(super) fn annotations(checked: &Checked) -> String {
    let mut text = String::new();
    for finding in &checked.findings {
        let fault = &finding.fault;
        let _ = write!(text, "::{} file={}", finding.severity(), property(&fault.file));
        if fault.line > 0 {
            let _ = write!(text, ",line={},col={}", fault.line, fault.column);
        }
        let title = property(finding.code.as_str());
        let message = message(&format!("{}; {}", fault.message, fault.remedy));
        let _ = writeln!(text, ",title={title}::{message}");
    }
    text
}

fn message(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    message(text).replace(':', "%3A").replace(',', "%2C")
}

pub(super) fn sarif(checked: &Checked) -> Value {
    let level = |severity: Severity| severity.to_string();
    let rules: Vec<Value> = Code::ALL
        .into_iter()
        .map(|code| {
            let configuration = json!({ "level": level(code.severity()) });
            json!({ "id": code, "defaultConfiguration": configuration })
        })
        .collect();
    let results: Vec<Value> = checked
        .findings
        .iter()
        .map(|finding| {
            let fault = &finding.fault;
            let mut place = json!({ "artifactLocation": { "uri": uri(&fault.file) } });
            if fault.line > 0 {
                place["region"] = json!({ "startLine": fault.line, "startColumn": fault.column });
            }
            json!({
                "ruleId": finding.code,
                "level": level(finding.severity()),
                "message": { "text": format!("{}; {}", fault.message, fault.remedy) },
                "locations": [{ "physicalLocation": place }],
            })
        })
        .collect();
    let driver = json!({ "name": "garth", "version": env!("CARGO_PKG_VERSION"), "rules": rules });
    json!({
        "version": "2.1.0",
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "runs": [{ "tool": { "driver": driver }, "results": results }],
    })
}

fn uri(path: &str) -> String {
    let path = path.strip_prefix("./").unwrap_or(path);
    utf8_percent_encode(path, ESCAPED).to_string()
}
