//! The page: HTML and one style sheet, no script. It is rendered of the document as JSON, so it shows
//! what a program is told, and nothing else.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

const STYLE: &str = include_str!("page.css");

/// Nothing is loaded from anywhere, and no style but ours applies.
pub fn policy() -> String {
    let style = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    )
}

pub fn render(document: &Value, base: &str) -> String {
    let (info, mut html) = (&document["info"], String::new());
    let version = escaped(&info["version"]);
    let _ = write!(
        html,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>garth's API</title>\
         <style>{STYLE}</style></head><body><h1>garth's API</h1><p>garth {version}, below \
         <code>{base}</code>. The same for programs: <a href=\"{base}/openapi.json\">\
         openapi.json</a>.</p>{}<nav>",
        prose(&info["description"])
    );
    let tags: Vec<&Value> = document["tags"].as_array().into_iter().flatten().collect();
    for tag in &tags {
        let name = escaped(&tag["name"]);
        let _ = write!(html, "<a href=\"#{name}\">{name}</a> ");
    }
    html += "<a href=\"#schemas\">schemas</a></nav>";
    for tag in tags {
        let name = escaped(&tag["name"]);
        let _ = write!(html, "<h2 id=\"{name}\">{name}</h2>{}", prose(&tag["description"]));
        for (path, item) in entries(&document["paths"]) {
            for (method, operation) in entries(item) {
                if operation["tags"][0] == tag["name"] {
                    write_operation(&mut html, path, method, operation);
                }
            }
        }
    }
    html += "<h2 id=\"schemas\">schemas</h2>";
    for (name, schema) in entries(&document["components"]["schemas"]) {
        write_schema(&mut html, name, schema);
    }
    html + "</body></html>"
}

fn write_operation(html: &mut String, path: &str, method: &str, operation: &Value) {
    let method = escape(&method.to_uppercase());
    let _ = write!(
        html,
        "<section class=\"operation\" id=\"{}\"><h3><span class=\"right\">{}</span><code>\
         <span class=\"method\">{method}</span>{}</code></h3><p>{}</p>{}",
        escaped(&operation["operationId"]),
        right_of(operation),
        escape(path),
        escaped(&operation["summary"]),
        prose(&operation["description"]),
    );
    let parameters = operation["parameters"].as_array().map_or(&[][..], Vec::as_slice);
    if !parameters.is_empty() {
        *html += "<table><tr><th>parameter</th><th>in</th><th>type</th><th></th></tr>";
        for parameter in parameters {
            let _ = write!(
                html,
                "<tr><td><code>{}</code></td><td>{}</td><td>{}</td><td>{}</td></tr>",
                escaped(&parameter["name"]),
                escaped(&parameter["in"]),
                type_of(&parameter["schema"]),
                prose(&parameter["description"]),
            );
        }
        *html += "</table>";
    }
    let body = &operation["requestBody"];
    for (kind, content) in entries(&body["content"]) {
        let _ = write!(
            html,
            "<p>Body, <code>{}</code>: {}. {}</p>",
            escape(kind),
            type_of(&content["schema"]),
            escaped(&body["description"]),
        );
    }
    *html += "<table><tr><th>answer</th><th>type</th><th></th></tr>";
    for (status, response) in entries(&operation["responses"]) {
        let kinds: Vec<String> =
            entries(&response["content"]).map(|(_, content)| type_of(&content["schema"])).collect();
        let _ = write!(
            html,
            "<tr><td><code>{}</code></td><td>{}</td><td>{}{}</td></tr>",
            escape(status),
            kinds.join(", "),
            prose(&response["description"]),
            headers_of(response),
        );
    }
    *html += "</table></section>";
}

fn right_of(operation: &Value) -> String {
    match operation["x-garth-right"].as_str() {
        Some("none") | None => "open to all".to_owned(),
        Some(right) if operation["x-garth-anonymous"] == true => {
            format!("right: {}, or nobody where everybody may read", escape(right))
        }
        Some(right) => format!("right: {}", escape(right)),
    }
}

fn headers_of(response: &Value) -> String {
    entries(&response["headers"]).fold(String::new(), |mut told, (name, header)| {
        let about = escaped(&header["description"]);
        let _ = write!(told, "<p>Header <code>{}</code>: {about}</p>", escape(name));
        told
    })
}

fn write_schema(html: &mut String, name: &str, schema: &Value) {
    let _ = write!(
        html,
        "<details id=\"schema-{0}\"><summary><code>{0}</code></summary>{1}",
        escape(name),
        prose(&schema["description"]),
    );
    let parts: Vec<&Value> = schema["allOf"].as_array().into_iter().flatten().collect();
    for part in parts.iter().filter(|part| part["$ref"].is_string()) {
        let _ = write!(html, "<p>All of {}, and:</p>", type_of(part));
    }
    *html += "<table>";
    for part in std::iter::once(schema).chain(parts) {
        for (field, of) in entries(&part["properties"]) {
            let needed = part["required"].as_array();
            let needed = needed.is_some_and(|all| all.iter().any(|one| one == field));
            let _ = write!(
                html,
                "<tr><td><code>{}</code></td><td>{}{}</td><td>{}</td></tr>",
                escape(field),
                type_of(of),
                if needed { ", always there" } else { "" },
                prose(&of["description"]),
            );
        }
    }
    *html += "</table>";
    if schema["properties"].is_null() && schema["allOf"].is_null() {
        let _ = write!(html, "<p>{}</p>", type_of(schema));
    }
    *html += "</details>";
}

/// `string`, `array of Rule`, with links to what has a name.
fn type_of(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = escape(reference.rsplit('/').next().unwrap_or_default());
        return format!("<a href=\"#schema-{name}\">{name}</a>");
    }
    for word in ["oneOf", "anyOf", "allOf"] {
        if let Some(kinds) = schema[word].as_array() {
            return kinds.iter().map(type_of).collect::<Vec<_>>().join(" or ");
        }
    }
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<String> =
            values.iter().map(|value| format!("<code>{}</code>", escaped(value))).collect();
        return values.join(", ");
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => {
            kinds.iter().map(escaped).filter(|kind| kind != "null").collect::<Vec<_>>().join(" or ")
        }
        kind => escaped(kind),
    };
    match (kind.as_str(), schema["format"].as_str()) {
        ("array", _) => format!("array of {}", type_of(&schema["items"])),
        ("object", _) if schema["properties"].is_object() => {
            let fields: Vec<String> = entries(&schema["properties"])
                .map(|(name, of)| format!("<code>{}</code>: {}", escape(name), type_of(of)))
                .collect();
            format!("object with {}", fields.join(", "))
        }
        (_, Some(format)) => format!("{kind}, {}", escape(format)),
        _ => kind,
    }
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

/// Paragraphs, with what stands between backticks as code.
fn prose(text: &Value) -> String {
    let Some(text) = text.as_str() else { return String::new() };
    let mut html = String::new();
    for paragraph in text.split("\n\n") {
        html += "<p>";
        for (n, part) in paragraph.split('`').enumerate() {
            let part = escape(part);
            let (before, after) = if n % 2 == 1 { ("<code>", "</code>") } else { ("", "") };
            html.extend([before, part.as_str(), after]);
        }
        html += "</p>";
    }
    html
}

fn escaped(value: &Value) -> String {
    value.as_str().map_or_else(
        || if value.is_null() { String::new() } else { escape(&value.to_string()) },
        escape,
    )
}

pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
