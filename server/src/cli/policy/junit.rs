//! What became of expectations, as the XML of `JUnit`: a suite a file, a case an expectation. Pure.

use policies::expect::Outcome;
use xml::writer::{EmitterConfig, EventWriter, XmlEvent};

pub(super) fn document(outcomes: &[Outcome<'_>]) -> Result<String, xml::writer::Error> {
    let mut bytes = Vec::new();
    let mut writer = EmitterConfig::new().perform_indent(true).create_writer(&mut bytes);
    let (tests, failures) = counts(outcomes);
    let root = XmlEvent::start_element("testsuites").attr("name", "garth policy test");
    writer.write(root.attr("tests", &tests).attr("failures", &failures))?;
    // Expectations come file by file.
    for suite in outcomes.chunk_by(|a, b| a.expectation.file == b.expectation.file) {
        let file = plain(&suite[0].expectation.file);
        let (tests, failures) = counts(suite);
        let start = XmlEvent::start_element("testsuite").attr("name", &file);
        writer.write(start.attr("tests", &tests).attr("failures", &failures))?;
        for outcome in suite {
            case(&mut writer, &file, outcome)?;
        }
        writer.write(XmlEvent::end_element())?;
    }
    writer.write(XmlEvent::end_element())?;
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    text.push('\n');
    Ok(text)
}

fn case(
    writer: &mut EventWriter<&mut Vec<u8>>,
    file: &str,
    outcome: &Outcome<'_>,
) -> Result<(), xml::writer::Error> {
    let asked = outcome.expectation;
    let (name, line) = (plain(&asked.to_string()), asked.line.to_string());
    let start = XmlEvent::start_element("testcase").attr("name", &name);
    writer.write(start.attr("classname", file).attr("file", file).attr("line", &line))?;
    if !outcome.met {
        let message = plain(&outcome.explanation.decision.reason);
        writer.write(XmlEvent::start_element("failure").attr("message", &message))?;
        writer.write(XmlEvent::characters(&plain(&outcome.to_string())))?;
        writer.write(XmlEvent::end_element())?;
    }
    writer.write(XmlEvent::end_element())
}

fn counts(outcomes: &[Outcome<'_>]) -> (String, String) {
    let failures = outcomes.iter().filter(|outcome| !outcome.met).count();
    (outcomes.len().to_string(), failures.to_string())
}

/// Characters that no XML document may have are written out.
fn plain(text: &str) -> String {
    let odd = |c: char| {
        c.is_control() && !matches!(c, '\n' | '\t') || matches!(c, '\u{fffe}' | '\u{ffff}')
    };
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if odd(c) { plain.extend(c.escape_default()) } else { plain.push(c) }
    }
    plain
}
