//! Puts the parts together.

use crate::cli::serve::ServeError;
use crate::config::Config;
use crate::discovery::Discovery;

/// Runs the garden until it is told to stop. A `discovery` comes with a configuration whose registries were
/// found and not written down.
pub fn serve(config: Config, discovery: Option<Discovery>) -> Result<(), ServeError> {
    let (listen, registries) = (config.listen, config.registries.len());
    drop(discovery);
    Err(ServeError::Start(format!(
        "the parts behind {listen} with its registries ({registries}) are not put together yet"
    )))
}
