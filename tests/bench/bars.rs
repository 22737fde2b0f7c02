//! What the measured figures are held against. Pure.

use self::Limit::{AtLeast, AtMost};
use crate::results::{Measure, Place, Results};
use crate::rows;
use crate::servers::{DIRECT, GARTH, NGINX_CACHE, NGINX_PLAIN, NGINX_STATIC, VERDACCIO};

#[derive(Clone, Copy, Debug)]
pub enum Value {
    Of(Place),
    Ratio(Place, Place),
    Difference(Place, Place),
}

#[derive(Clone, Copy, Debug)]
pub enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

#[derive(Clone, Copy, Debug)]
pub struct Bar {
    pub what: &'static str,
    pub value: Value,
    pub limit: Limit,
    pub unit: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    Miss,
    NotMeasured,
}

#[derive(Clone, Debug)]
pub struct Judged {
    pub what: &'static str,
    pub measured: Option<f64>,
    pub limit_text: String,
    pub unit: &'static str,
    pub verdict: Verdict,
}

pub fn judge(results: &Results, bar: &Bar) -> Judged {
    let median = |place| results.get(place).map(|found| found.median);
    let measured = match bar.value {
        Value::Of(place) => median(place),
        Value::Ratio(one, other) => median(one).zip(median(other)).map(|(one, other)| one / other),
        Value::Difference(one, other) => {
            median(one).zip(median(other)).map(|(one, other)| one - other)
        }
    };
    let (limit_text, is_met) = match bar.limit {
        Limit::AtMost(limit) => (format!("at most {limit}"), measured.map(|value| value <= limit)),
        Limit::AtLeast(limit) => {
            (format!("at least {limit}"), measured.map(|value| value >= limit))
        }
    };
    let verdict = match is_met {
        Some(true) => Verdict::Pass,
        Some(false) => Verdict::Miss,
        None => Verdict::NotMeasured,
    };
    Judged { what: bar.what, measured, limit_text, unit: bar.unit, verdict }
}

const fn at(
    row: &'static str,
    case: &'static str,
    server: &'static str,
    measure: Measure,
) -> Place {
    Place { row, case, server, measure }
}

const fn cpu(row: &'static str, server: &'static str) -> Place {
    at(row, "", server, Measure::CpuPerRequest)
}

const fn ratio(what: &'static str, one: Place, other: Place, limit: Limit) -> Bar {
    Bar { what, value: Value::Ratio(one, other), limit, unit: "" }
}

const fn of(what: &'static str, place: Place, limit: Limit, unit: &'static str) -> Bar {
    Bar { what, value: Value::Of(place), limit, unit }
}

/// The bars of one row.
pub fn of_row(row: &str) -> Vec<Bar> {
    HOT.iter()
        .chain(&TRANSFERS)
        .chain(&STANDING)
        .copied()
        .filter(|bar| bar.row() == row)
        .chain(rows::cold::CASES.iter().filter(|_| row == "cold").map(|case| {
            let place = at("cold", case.name, GARTH, Measure::CpuPerMegabyte);
            of(case.bar, place, AtMost(case.limit), " ms")
        }))
        .collect()
}

impl Bar {
    fn row(&self) -> &'static str {
        match self.value {
            Value::Of(place) | Value::Ratio(place, _) | Value::Difference(place, _) => place.row,
        }
    }
}

const HOT: [Bar; 5] = [
    ratio(
        "packument of 15 KB: CPU per request, to nginx's proxy_cache hit",
        cpu("packument", GARTH),
        cpu("packument", NGINX_CACHE),
        AtMost(1.1),
    ),
    ratio(
        "packument of 15 KB: requests/s, to Verdaccio's",
        at("packument", "", GARTH, Measure::RequestsPerSecond),
        at("packument", "", VERDACCIO, Measure::RequestsPerSecond),
        AtLeast(70.0),
    ),
    ratio(
        "packument of 5 MB: CPU per request, to nginx's proxy_cache hit of the same gzip",
        cpu("large", GARTH),
        cpu("large", NGINX_CACHE),
        AtMost(1.2),
    ),
    ratio(
        "packument of 5 MB: CPU per request, to nginx's gzip_static of the same gzip",
        cpu("large", GARTH),
        cpu("large", NGINX_STATIC),
        AtMost(1.2),
    ),
    ratio(
        "tarball of 40 KB: CPU per request, to nginx's proxy_cache hit",
        cpu("tarball", GARTH),
        cpu("tarball", NGINX_CACHE),
        AtMost(1.35),
    ),
];

const TRANSFERS: [Bar; 4] = [
    ratio(
        "blob of 256 MB: MB/s, to nginx's without sendfile",
        at("blob", "", GARTH, Measure::MegabytesPerSecond),
        at("blob", "", NGINX_PLAIN, Measure::MegabytesPerSecond),
        AtLeast(0.9),
    ),
    of(
        "blob of 256 MB: growth of the peak RSS while it is sent",
        at("blob", "", GARTH, Measure::Growth),
        AtMost(32.0),
        " MB",
    ),
    Bar {
        what: "miss of 64 MB: first byte, later than direct by",
        value: Value::Difference(
            at("miss", "", GARTH, Measure::FirstByte),
            at("miss", "", DIRECT, Measure::FirstByte),
        ),
        limit: AtMost(5.0),
        unit: " ms",
    },
    ratio(
        "miss of 64 MB: total, to nginx's proxy_cache miss",
        at("miss", "", GARTH, Measure::Total),
        at("miss", "", NGINX_CACHE, Measure::Total),
        AtMost(1.1),
    ),
];

const STANDING: [Bar; 5] = [
    ratio(
        "warm workspace of 420 crates: cargo fetch, to nginx's static files",
        at("workspace", rows::workspace::WARM, GARTH, Measure::Seconds),
        at("workspace", rows::workspace::WARM, NGINX_STATIC, Measure::Seconds),
        AtMost(1.0),
    ),
    of(
        "new packages recorded durably in a second",
        at("record", "", GARTH, Measure::PackagesPerSecond),
        AtLeast(1000.0),
        "",
    ),
    of(
        "RSS with full caches of the default size",
        at("memory", "after the load", GARTH, Measure::Resident),
        AtMost(150.0),
        " MB",
    ),
    of(
        "start on an empty store",
        at("start", "empty store", GARTH, Measure::Start),
        AtMost(100.0),
        " ms",
    ),
    of(
        "start on a store of 1,000,000 versions",
        at("start", "1,000,000 versions", GARTH, Measure::Start),
        AtMost(3000.0),
        " ms",
    ),
];
