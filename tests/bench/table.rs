//! Results as Markdown: a table for each row, and one of the bars. Pure.

use std::fmt::Write as _;

use crate::bars::{Judged, Verdict};
use crate::results::{Measure, Place, Results};
use crate::stats::Spread;

/// Every server of a row with its medians, and the least and the most behind each.
pub fn row_table(results: &Results, row: &'static str) -> String {
    let measures = distinct(results.places(row).map(|place| place.measure));
    let lines = distinct(results.places(row).map(|place| (place.case, place.server)));
    let mut text = String::from("| |");
    for measure in &measures {
        let _ = write!(text, " {} |", measure.title());
    }
    let _ = write!(text, "\n|---|{}\n", "---|".repeat(measures.len()));
    for (case, server) in lines {
        let label = if case.is_empty() { server.to_owned() } else { format!("{server}, {case}") };
        let _ = write!(text, "| {label} |");
        for &measure in &measures {
            let found = results.get(Place { row, case, server, measure });
            let _ =
                write!(text, " {} |", found.map_or(String::new(), |found| cell(found, measure)));
        }
        text.push('\n');
    }
    text
}

/// Each bar with what was measured beside it.
pub fn bar_table(judged: &[Judged]) -> String {
    let mut text = String::from("| | measured | bar | |\n|---|---|---|---|\n");
    for bar in judged {
        let measured = bar.measured.map_or_else(|| "–".to_owned(), number);
        let verdict = match bar.verdict {
            Verdict::Pass => "pass",
            Verdict::Miss => "**miss**",
            Verdict::NotMeasured => "not measured",
        };
        let _ = writeln!(
            text,
            "| {} | {measured}{unit} | {limit}{unit} | {verdict} |",
            bar.what,
            limit = bar.limit_text,
            unit = if bar.measured.is_some() { bar.unit } else { "" },
        );
    }
    text
}

fn cell(found: Spread, measure: Measure) -> String {
    let unit = measure.unit();
    let median = number(found.median);
    let (least, most) = (number(found.least), number(found.most));
    if least == most {
        return format!("{median}{unit}");
    }
    format!("{median}{unit} ({least}–{most})")
}

/// Three digits that count, and thousands apart.
pub fn number(value: f64) -> String {
    let size = value.abs();
    let text = match size {
        _ if size >= 100.0 => format!("{value:.0}"),
        _ if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    };
    let digits = text.find('.').unwrap_or(text.len());
    let mut grouped = String::new();
    for (at, character) in text.chars().enumerate() {
        let left = digits.saturating_sub(at);
        if at > 0 && left > 0 && left % 3 == 0 && text.as_bytes()[at - 1].is_ascii_digit() {
            grouped.push(',');
        }
        grouped.push(character);
    }
    grouped
}

fn distinct<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut found = Vec::new();
    for one in all {
        if !found.contains(&one) {
            found.push(one);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bars::{Bar, Limit, Value, judge};

    fn place(server: &'static str, measure: Measure) -> Place {
        Place { row: "tarball", case: "", server, measure }
    }

    #[test]
    fn numbers_have_three_digits_that_count() {
        let rows = [
            (0.0, "0.00"),
            (1.234, "1.23"),
            (12.34, "12.3"),
            (123.4, "123"),
            (1234.5, "1,234"),
            (1_234_567.0, "1,234,567"),
            (-4321.0, "-4,321"),
        ];
        for (value, expected) in rows {
            assert_eq!(number(value), expected);
        }
    }

    #[test]
    fn a_row_has_a_line_for_each_server_and_a_column_for_each_measure() {
        let mut results = Results::default();
        for value in [10.0, 30.0, 20.0] {
            results.add(place("garth", Measure::CpuPerRequest), value);
        }
        results.add(place("nginx", Measure::RequestsPerSecond), 50_000.0);
        assert_eq!(
            row_table(&results, "tarball"),
            "| | CPU per request | requests/s |\n\
             |---|---|---|\n\
             | garth | 20.0 µs (10.0–30.0) |  |\n\
             | nginx |  | 50,000 |\n"
        );
    }

    #[test]
    fn a_bar_says_what_was_measured_and_whether_that_is_enough() {
        let mut results = Results::default();
        results.add(place("garth", Measure::CpuPerRequest), 15.0);
        results.add(place("nginx", Measure::CpuPerRequest), 10.0);
        let bar = |limit| Bar {
            what: "CPU per request, to nginx's",
            value: Value::Ratio(
                place("garth", Measure::CpuPerRequest),
                place("nginx", Measure::CpuPerRequest),
            ),
            limit,
            unit: "",
        };
        let absent = Bar {
            what: "never run",
            value: Value::Of(place("nora", Measure::Resident)),
            limit: Limit::AtMost(150.0),
            unit: " MB",
        };
        let bars = [bar(Limit::AtMost(1.1)), bar(Limit::AtLeast(1.1)), absent];
        let judged: Vec<_> = bars.iter().map(|bar| judge(&results, bar)).collect();
        assert_eq!(
            bar_table(&judged),
            "| | measured | bar | |\n\
             |---|---|---|---|\n\
             | CPU per request, to nginx's | 1.50 | at most 1.1 | **miss** |\n\
             | CPU per request, to nginx's | 1.50 | at least 1.1 | pass |\n\
             | never run | – | at most 150 | not measured |\n"
        );
    }
}
