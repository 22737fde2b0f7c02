//! Access lines, gathered for a moment and written together.
//!
//! A hot answer writes one line, and a write for each was an eighteenth of its CPU time. So lines of
//! requests wait for their neighbours, for [`PATIENCE`] at most; a thread writes them. Every other
//! line is written at once, behind all that waited: the order stays, and what a fault said last is
//! there when the process ends by it. A kill takes the access lines of that moment with it.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// The target of the lines that may wait.
pub(super) const ACCESS: &str = "access";

const PATIENCE: Duration = Duration::from_millis(20);
/// Who finds so many bytes waiting writes them: memory is bounded, and a slow pipe slows its
/// writers as it always did.
const ROOM: usize = 64 << 10;

/// Where all lines go.
pub(super) struct Gathered<S> {
    shared: Arc<Shared<S>>,
}

struct Shared<S> {
    waiting: Mutex<Vec<u8>>,
    filled: Condvar,
    /// Is taken before `waiting`, and held while writing: so lines keep their order.
    sink: Mutex<Sink<S>>,
}

struct Sink<S> {
    open: S,
    /// Takes the place of what is written, so that neither is allocated anew.
    spare: Vec<u8>,
}

impl<S: Write + Send + 'static> Gathered<S> {
    /// Starts the thread that writes, which lives as long as the process.
    pub(super) fn start(open: S) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            waiting: Mutex::default(),
            filled: Condvar::new(),
            sink: Mutex::new(Sink { open, spare: Vec::new() }),
        });
        let writing = Arc::clone(&shared);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || writing.write_on())?;
        Ok(Self { shared })
    }

    pub(super) fn handle(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }

    /// Writes what waits, at once.
    pub(super) fn write_out(&self) {
        // Nobody is left who could be told that the log cannot be written.
        let _ = self.shared.write_behind(b"");
    }
}

impl<S: Write> Shared<S> {
    #[allow(clippy::disallowed_methods, reason = "a thread of its own, which may block")]
    fn write_on(&self) {
        loop {
            let mut waiting = self.waiting.lock();
            self.filled.wait_while(&mut waiting, |waiting| waiting.is_empty());
            drop(waiting);
            std::thread::sleep(PATIENCE);
            // As in `write_out`; the next line tries again.
            let _ = self.write_behind(b"");
        }
    }

    fn add(&self, line: &[u8]) -> io::Result<()> {
        let mut waiting = self.waiting.lock();
        let was_empty = waiting.is_empty();
        waiting.extend_from_slice(line);
        let is_full = waiting.len() >= ROOM;
        drop(waiting);
        if is_full {
            return self.write_behind(b"");
        }
        if was_empty {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// What waits, and then this line.
    fn write_behind(&self, line: &[u8]) -> io::Result<()> {
        let mut sink = self.sink.lock();
        let sink = &mut *sink;
        std::mem::swap(&mut *self.waiting.lock(), &mut sink.spare);
        let written = sink.open.write_all(&sink.spare).and_then(|()| sink.open.write_all(line));
        sink.spare.clear();
        written
    }
}

/// Writes one line.
pub(super) struct LineWriter<'a, S> {
    shared: &'a Shared<S>,
    waits: bool,
}

impl<S: Write> Write for LineWriter<'_, S> {
    /// The subscriber writes each line as one.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.waits {
            self.shared.add(line)?;
        } else {
            self.shared.write_behind(line)?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a, S: Write + 'a> MakeWriter<'a> for Gathered<S> {
    type Writer = LineWriter<'a, S>;

    fn make_writer(&'a self) -> Self::Writer {
        LineWriter { shared: &self.shared, waits: false }
    }

    fn make_writer_for(&'a self, line: &Metadata<'_>) -> Self::Writer {
        let waits = line.target() == ACCESS && *line.level() >= Level::INFO;
        LineWriter { shared: &self.shared, waits }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<Vec<u8>>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if !bytes.is_empty() {
                self.0.lock().push(bytes.to_vec());
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Written {
        fn writes(&self) -> Vec<String> {
            self.0.lock().iter().map(|bytes| String::from_utf8(bytes.clone()).unwrap()).collect()
        }
    }

    fn gathering(written: &Written) -> (Gathered<Written>, tracing::subscriber::DefaultGuard) {
        let gathered = Gathered::start(written.clone()).unwrap();
        let subscriber = tracing_subscriber::fmt()
            .without_time()
            .with_ansi(false)
            .with_writer(gathered.handle())
            .finish();
        (gathered, tracing::subscriber::set_default(subscriber))
    }

    #[test]
    fn lines_of_requests_are_written_together_and_soon() {
        let written = Written::default();
        let (_gathered, _subscriber) = gathering(&written);
        for n in 0..100 {
            tracing::info!(target: ACCESS, n);
        }
        let patience = std::time::Instant::now();
        while written.writes().concat().lines().count() < 100 {
            assert!(patience.elapsed() < Duration::from_secs(10), "{:?}", written.writes());
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(written.writes().len() < 50, "{} writes", written.writes().len());
        let text = written.writes().concat();
        assert_eq!(text.lines().next_back(), Some(" INFO access: n=99"));
    }

    #[test]
    fn any_other_line_is_there_at_once_behind_those_that_waited() {
        let written = Written::default();
        let (_gathered, _subscriber) = gathering(&written);
        tracing::info!(target: ACCESS, n = 1);
        tracing::error!("the disk is full");
        let text = written.writes().concat();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].ends_with("access: n=1"), "{text}");
        assert!(lines[1].starts_with("ERROR") && lines[1].ends_with("the disk is full"), "{text}");
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn what_waits_is_bounded_and_can_be_written_out() {
        let written = Written::default();
        let (gathered, _subscriber) = gathering(&written);
        let long = "x".repeat(ROOM);
        tracing::info!(target: ACCESS, long);
        assert!(written.writes().concat().len() > ROOM, "who fills the room empties it");
        tracing::info!(target: ACCESS, "the last one");
        gathered.write_out();
        assert!(written.writes().concat().ends_with("access: the last one\n"));
    }

    #[test]
    fn a_sink_that_fails_once_does_not_end_the_log() {
        struct Broken(Written, bool);
        impl Write for Broken {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                if std::mem::take(&mut self.1) {
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
                self.0.write(bytes)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let written = Written::default();
        let gathered = Gathered::start(Broken(written.clone(), true)).unwrap();
        assert!(gathered.shared.write_behind(b"lost\n").is_err());
        gathered.shared.write_behind(b"kept\n").unwrap();
        assert_eq!(written.writes(), ["kept\n"]);
    }
}
