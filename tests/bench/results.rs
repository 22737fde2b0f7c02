//! What was measured: one series of values for each case, server and measure. Pure.

use crate::stats::{Spread, spread};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    RequestsPerSecond,
    CpuPerRequest,
    NinetyNinth,
    MegabytesPerSecond,
    CpuPerGigabyte,
    FirstByte,
    Total,
    Cpu,
    CpuPerMegabyte,
    PackagesPerSecond,
    CratesPerSecond,
    CpuPerCrate,
    CoreUsed,
    Resident,
    Growth,
    Start,
    Seconds,
    CpuSeconds,
    PeakResident,
    BytesEach,
}

impl Measure {
    /// The head of its column.
    pub fn title(self) -> &'static str {
        match self {
            Self::RequestsPerSecond => "requests/s",
            Self::CpuPerRequest => "CPU per request",
            Self::NinetyNinth => "p99",
            Self::MegabytesPerSecond => "MB/s",
            Self::CpuPerGigabyte => "CPU per GB",
            Self::FirstByte => "first byte",
            Self::Total => "total",
            Self::Cpu | Self::CpuSeconds => "CPU",
            Self::CpuPerMegabyte => "CPU per MB of document",
            Self::PackagesPerSecond => "packages/s",
            Self::CratesPerSecond => "crates/s",
            Self::CpuPerCrate => "CPU per crate",
            Self::CoreUsed => "of its core",
            Self::Resident => "RSS",
            Self::Growth => "growth of the peak RSS",
            Self::Start => "until ready",
            Self::Seconds => "takes",
            Self::PeakResident => "peak RSS",
            Self::BytesEach => "of memory for each",
        }
    }

    pub fn unit(self) -> &'static str {
        match self {
            Self::RequestsPerSecond
            | Self::PackagesPerSecond
            | Self::CratesPerSecond
            | Self::MegabytesPerSecond => "",
            Self::CpuPerRequest | Self::CpuPerCrate => " µs",
            Self::NinetyNinth
            | Self::CpuPerGigabyte
            | Self::FirstByte
            | Self::Total
            | Self::Cpu
            | Self::CpuPerMegabyte
            | Self::Start => " ms",
            Self::CoreUsed => " %",
            Self::Resident | Self::Growth | Self::PeakResident => " MB",
            Self::Seconds | Self::CpuSeconds => " s",
            Self::BytesEach => " bytes",
        }
    }
}

/// What one series is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub row: &'static str,
    pub case: &'static str,
    pub server: &'static str,
    pub measure: Measure,
}

#[derive(Debug, Default)]
pub struct Results(Vec<(Place, Vec<f64>)>);

impl Results {
    pub fn add(&mut self, place: Place, value: f64) {
        match self.0.iter_mut().find(|(known, _)| *known == place) {
            Some((_, values)) => values.push(value),
            None => self.0.push((place, vec![value])),
        }
    }

    pub fn get(&self, place: Place) -> Option<Spread> {
        spread(&self.0.iter().find(|(known, _)| *known == place)?.1)
    }

    /// The places of one row, in the order in which they were first measured.
    pub fn places(&self, row: &str) -> impl Iterator<Item = Place> {
        self.0.iter().map(|(place, _)| *place).filter(move |place| place.row == row)
    }
}
