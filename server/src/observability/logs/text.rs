//! A log's line as text, for people.
//!
//! The same text as the subscriber's own format without colours, but without styles that are never
//! shown, and with a date that is made once a second: each request writes a line, and that one took
//! a sixth of the instructions of a document that is answered from memory.

use std::cell::RefCell;
use std::fmt::{self, Debug, Write as _};

use jiff::Timestamp;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::{LookupSpan, Scope};

use crate::clock::Clock;

/// `2026-01-02T03:04:05.000006Z`, as the subscriber writes it.
#[derive(Clone, Debug)]
pub(super) struct Time(pub(super) Clock);

thread_local! {
    /// The second of the last line of this thread, and its text up to the point.
    static SECOND: RefCell<(i64, String)> = const { RefCell::new((i64::MIN, String::new())) };
}

impl FormatTime for Time {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let now = self.0.now();
        let (second, micros) = (now.as_second(), now.subsec_microsecond().unsigned_abs());
        SECOND.with_borrow_mut(|(known, text)| {
            if *known != second {
                let whole = Timestamp::from_second(second).map_err(|_| fmt::Error)?;
                text.clear();
                write!(text, "{whole}")?;
                text.pop();
                text.push('.');
                *known = second;
            }
            writer.write_str(text)
        })?;
        let mut digits = *b"000000Z";
        let mut rest = micros;
        for digit in digits[..6].iter_mut().rev() {
            *digit += u8::try_from(rest % 10).unwrap_or_default();
            rest /= 10;
        }
        writer.write_str(std::str::from_utf8(&digits).unwrap_or_default())
    }
}

pub(super) struct TextLines {
    time: Time,
    /// For what comes from `log`, whose target and level only the subscriber can tell.
    foreign: Format<Full, Time>,
}

impl TextLines {
    pub(super) fn new(time: Time) -> Self {
        Self { foreign: Format::default().with_timer(time.clone()), time }
    }
}

impl<S, N> FormatEvent<S, N> for TextLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        if metadata.target() == "log" {
            return self.foreign.format_event(context, writer, event);
        }
        self.time.format_time(&mut writer)?;
        writer.write_str(padded(*metadata.level()))?;
        let mut is_within = false;
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            writer.write_str(span.metadata().name())?;
            let extensions = span.extensions();
            if let Some(fields) = extensions.get::<FormattedFields<N>>()
                && !fields.is_empty()
            {
                write!(writer, "{{{fields}}}")?;
            }
            writer.write_char(':')?;
            is_within = true;
        }
        if is_within {
            writer.write_char(' ')?;
        }
        writer.write_str(metadata.target())?;
        writer.write_str(": ")?;
        context.format_fields(writer.by_ref(), event)?;
        writer.write_char('\n')
    }
}

fn padded(level: Level) -> &'static str {
    match level {
        Level::ERROR => " ERROR ",
        Level::WARN => "  WARN ",
        Level::INFO => "  INFO ",
        Level::DEBUG => " DEBUG ",
        Level::TRACE => " TRACE ",
    }
}

/// `message name=value name=value`.
#[derive(Debug)]
pub(super) struct TextFields;

impl<'writer> FormatFields<'writer> for TextFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut visitor = Fields { writer, is_first: true, result: Ok(()) };
        fields.record(&mut visitor);
        visitor.result
    }
}

struct Fields<'writer> {
    writer: Writer<'writer>,
    is_first: bool,
    result: fmt::Result,
}

impl Fields<'_> {
    fn write(&mut self, field: &Field, value: &dyn Debug) -> fmt::Result {
        let name = field.name();
        // What `log` says of the record itself: it is told already.
        if name.starts_with("log.") {
            return Ok(());
        }
        if !std::mem::take(&mut self.is_first) {
            self.writer.write_char(' ')?;
        }
        if name != "message" {
            self.writer.write_str(name.strip_prefix("r#").unwrap_or(name))?;
            self.writer.write_char('=')?;
        }
        write!(self.writer, "{value:?}")
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if self.result.is_ok() {
            self.result = self.write(field, value);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.record_debug(field, &format_args!("{value}"));
        } else {
            self.record_debug(field, &value);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io;
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(line);
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn say_all() {
        let outer = tracing::info_span!("request", id = %"trip-1");
        let _outer = outer.enter();
        tracing::warn!(target: "other", fault = "a \"b\"", n = 3, "it {}", "failed");
        let inner = tracing::info_span!("inner");
        let _inner = inner.enter();
        tracing::error!(yes = true, r#type = ?Some(1), none = Option::<u8>::None, size = -1.5);
        tracing::info!("done");
    }

    fn lines(subscribe: impl FnOnce(Lines)) -> String {
        let lines = Lines::default();
        subscribe(lines.clone());
        let text = lines.0.lock().clone();
        String::from_utf8(text).unwrap()
    }

    fn without_time(text: &str) -> Vec<String> {
        let rest = |line: &str| line.split_once('Z').unwrap().1.to_owned();
        text.lines().map(rest).collect()
    }

    #[test]
    fn a_line_is_what_the_subscriber_itself_would_write() {
        let ours = lines(|lines| {
            let time = Time(Clock::from_fn(|| Timestamp::new(1_767_323_045, 6_999).unwrap()));
            let subscriber = tracing_subscriber::fmt()
                .event_format(TextLines::new(time))
                .fmt_fields(TextFields)
                .with_writer(move || lines.clone())
                .finish();
            tracing::subscriber::with_default(subscriber, say_all);
        });
        let theirs = lines(|lines| {
            let subscriber = tracing_subscriber::fmt()
                .with_ansi(false)
                .with_writer(move || lines.clone())
                .finish();
            tracing::subscriber::with_default(subscriber, say_all);
        });
        assert_eq!(without_time(&ours), without_time(&theirs));
        assert_eq!(ours.lines().count(), 3);
        assert!(
            ours.starts_with("2026-01-02T03:04:05.000006Z  WARN request{id=trip-1}: other: it")
        );
    }
}
