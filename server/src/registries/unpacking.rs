//! What unpacking an archive may cost: bytes in all, bytes between two files, and time. For all formats.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

/// What stands in front of one file (long names, dates) may be so long: readers of tar keep it in memory.
pub const BETWEEN_ENTRIES: u64 = 64 << 10;

/// What may still be unpacked, in all and until the next file, and until when.
#[derive(Debug)]
pub struct Meter {
    left: Cell<u64>,
    step: Cell<u64>,
    end: Instant,
}

impl Meter {
    pub fn new(unpacked: u64, time: Duration) -> Rc<Self> {
        let step = Cell::new(BETWEEN_ENTRIES);
        Rc::new(Self { left: Cell::new(unpacked), step, end: Instant::now() + time })
    }

    /// A header comes next, and what stands in front of its file.
    pub fn before_header(&self) {
        self.step.set(BETWEEN_ENTRIES);
    }

    /// A file comes next, of whatever size.
    pub fn before_file(&self) {
        self.step.set(u64::MAX);
    }
}

/// What is unpacked, within those bounds.
pub struct Metered<R> {
    inner: R,
    meter: Rc<Meter>,
}

impl<R> Metered<R> {
    pub fn new(inner: R, meter: &Rc<Meter>) -> Self {
        Self { inner, meter: Rc::clone(meter) }
    }
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(out)?;
        let meter = &self.meter;
        let left = meter.left.get().checked_sub(length as u64);
        let left = left.ok_or_else(|| io::Error::other("it unpacks to far too many bytes"))?;
        meter.left.set(left);
        let step = meter.step.get().checked_sub(length as u64);
        let step = step.ok_or_else(|| io::Error::other("a name in it is far too long"))?;
        meter.step.set(step);
        if Instant::now() > meter.end {
            return Err(io::Error::other("unpacking it takes too long"));
        }
        Ok(length)
    }
}

/// The innermost cause: readers of tar wrap errors of what they read in their own.
pub fn cause_of(fault: &io::Error) -> String {
    let mut text = fault.to_string();
    let mut source = std::error::Error::source(fault);
    while let Some(inner) = source {
        text = inner.to_string();
        source = inner.source();
    }
    text
}
