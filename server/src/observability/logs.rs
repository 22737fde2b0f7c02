//! Sets up the one subscriber: text for people, JSON for collectors, to standard error.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    #[error(
        "the log level `{level}` cannot be read: {cause}; use error, warn, info, debug, trace, or `target=level,...`"
    )]
    Level { level: String, cause: String },
    #[error("a subscriber for logs is already set: {0}")]
    Taken(String),
}

/// Lines of libraries that a client could provoke at will, or that repeat ours.
const QUIET: [&str; 5] =
    ["actix_http=off", "actix_server=warn", "h2=error", "rustls=error", "sled=warn"];

/// Starts logging for the whole process. `level` is a level, or directives as `RUST_LOG` has them;
/// what it says of a target beats our defaults.
pub fn init(format: LogFormat, level: &str) -> Result<(), LogsError> {
    init_to(format, level, std::io::stderr)
}

fn init_to<W>(format: LogFormat, level: &str, writer: W) -> Result<(), LogsError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = filter(level)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    match format {
        LogFormat::Text => builder.with_ansi(false).try_init(),
        LogFormat::Json => {
            builder.json().flatten_event(true).with_span_list(false).with_ansi(false).try_init()
        }
    }
    .map_err(|taken| LogsError::Taken(taken.to_string()))
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
}
