//! Sets up the one subscriber: text for people, JSON for collectors, to standard error.

mod gathered;
mod text;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

use tracing::Metadata;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use self::gathered::Gathered;
use self::text::{TextFields, TextLines, Time};
use super::escape::is_deceptive;
use crate::clock::Clock;

#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    #[error(
        "the log level `{level}` cannot be read: {cause}; use error, warn, info, debug, trace, or `target=level,...`"
    )]
    Level { level: String, cause: String },
    #[error("a subscriber for logs is already set: {0}")]
    Taken(String),
    #[error("the thread that writes the log could not be started: {0}")]
    Thread(#[from] io::Error),
}

/// Lines of libraries that a client could provoke at will, or that repeat ours.
const QUIET: [&str; 5] =
    ["actix_http=off", "actix_server=warn", "h2=error", "rustls=error", "sled=warn"];

/// How its lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// The log of this process. What waits to be written is written when it is dropped.
#[must_use = "lines that wait are written when it is dropped"]
pub struct Logs(Gathered<io::Stderr>);

impl Drop for Logs {
    fn drop(&mut self) {
        self.0.write_out();
    }
}

/// Starts logging for the whole process. `level` is a level, or directives as `RUST_LOG` has them;
/// what it says of a target beats our defaults.
pub fn init(format: LogFormat, level: &str) -> Result<Logs, LogsError> {
    let logs = Logs(Gathered::start(io::stderr())?);
    init_to(format, level, logs.0.handle())?;
    Ok(logs)
}

fn init_to<W>(format: LogFormat, level: &str, writer: W) -> Result<(), LogsError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = filter(level)?;
    let writer = CleanLines { writer, format };
    let time = Time(Clock::system());
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(false);
    match format {
        LogFormat::Text => {
            builder.event_format(TextLines::new(time)).fmt_fields(TextFields).try_init()
        }
        LogFormat::Json => {
            let builder = builder.json().flatten_event(true).with_span_list(false);
            builder.with_timer(time).try_init()
        }
    }
    .map_err(|taken| LogsError::Taken(taken.to_string()))
}

/// Lets no character into the log that could change how a line is shown, whoever logged it.
struct CleanLines<W> {
    writer: W,
    format: LogFormat,
}

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for CleanLines<W> {
    type Writer = CleanLines<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        CleanLines { writer: self.writer.make_writer(), format: self.format }
    }

    fn make_writer_for(&'a self, line: &Metadata<'_>) -> Self::Writer {
        CleanLines { writer: self.writer.make_writer_for(line), format: self.format }
    }
}

impl<W: Write> Write for CleanLines<W> {
    /// The subscriber writes each line as one.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let is_plain = |byte: &u8| (b' '..0x7f).contains(byte);
        let body = line.strip_suffix(b"\n").unwrap_or(line);
        if body.iter().all(is_plain) {
            self.writer.write_all(line)?;
        } else {
            self.writer.write_all(clean(line, self.format).as_bytes())?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

fn clean(line: &[u8], format: LogFormat) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(line);
    let (body, end) = match text.strip_suffix('\n') {
        Some(body) => (body, "\n"),
        None => (&*text, ""),
    };
    if !body.chars().any(is_deceptive) {
        return text;
    }
    let mut cleaned = String::with_capacity(text.len() + 16);
    for character in body.chars() {
        if !is_deceptive(character) {
            cleaned.push(character);
        } else if format == LogFormat::Text {
            cleaned.extend(character.escape_unicode());
        } else {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                // Writing to a String does not fail.
                let _ = write!(cleaned, "\\u{unit:04x}");
            }
        }
    }
    cleaned.push_str(end);
    Cow::Owned(cleaned)
}

fn filter(level: &str) -> Result<EnvFilter, LogsError> {
    let directives = QUIET
        .iter()
        .filter(|quiet| {
            let target = quiet.split('=').next().unwrap_or_default();
            !level.split(',').any(|given| given.trim().starts_with(target))
        })
        .fold(level.to_owned(), |all, quiet| format!("{all},{quiet}"));
    EnvFilter::try_new(&directives)
        .map_err(|fault| LogsError::Level { level: level.to_owned(), cause: fault.to_string() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_level_or_directives_are_taken_and_nonsense_is_named() {
        for good in ["info", "warn", "server=debug,access=info", "info,actix_http=trace"] {
            assert!(filter(good).is_ok(), "{good}");
        }
        let fault = filter("server=loud").unwrap_err().to_string();
        assert!(fault.contains("server=loud"), "{fault}");
    }

    #[test]
    fn what_the_user_says_of_a_library_beats_the_default() {
        assert!(filter("info,h2=debug").unwrap().to_string().contains("h2=debug"));
        assert!(!filter("info,h2=debug").unwrap().to_string().contains("h2=error"));
    }

    #[test]
    fn a_line_stays_one_line_and_shows_what_it_is() {
        let rows = [
            (LogFormat::Text, "plain größe\n", "plain größe\n"),
            (LogFormat::Text, "a\nb\u{1b}[31m\u{202e}\n", "a\\u{a}b\\u{1b}[31m\\u{202e}\n"),
            (
                LogFormat::Json,
                "{\"a\":\"\u{202e}\u{e0041}\"}\n",
                "{\"a\":\"\\u202e\\udb40\\udc41\"}\n",
            ),
        ];
        for (format, line, expected) in rows {
            assert_eq!(clean(line.as_bytes(), format), expected);
        }
        let json = clean("{\"a\":\"\u{e0041}\u{7f}\"}".as_bytes(), LogFormat::Json);
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["a"], "\u{e0041}\u{7f}", "a collector reads what was logged");
    }
}
