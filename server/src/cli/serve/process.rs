//! The process around a garden: its logs, its threads, what it prints, and how it ends.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::app::{App, StartError, descriptors, open_engines};
use crate::cli::banner::local_url;
use crate::cli::client::RunFile;
use crate::cli::{Banner, banner};
use crate::clock::Clock;
use crate::config::Config;
use crate::discovery::Discovery;
use crate::edge::stop_signal;
use crate::observability::logs;

/// Runs the garden until it is told to stop. A `discovery` comes with a configuration whose
/// registries were found and not written down.
pub fn run(
    config: &Config,
    discovery: Option<&Discovery>,
    unsettled: Option<&io::Error>,
) -> Result<(), StartError> {
    let _logs = logs::init(config.log.format, &config.log.level)
        .map_err(|fault| StartError::Failed(fault.to_string()))?;
    if let Some(fault) = unsettled {
        tracing::warn!(%fault, "the allocator could not be told to give memory back; garth takes more of it");
    }
    descriptors::raise(config);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|fault| failed("starting threads", &fault))?;
    runtime.block_on(serve(config, discovery))
}

async fn serve(config: &Config, discovery: Option<&Discovery>) -> Result<(), StartError> {
    let engines = open_engines(config).await?;
    let app = App::start(config, engines, Clock::system()).await?;
    let listening = app.address();
    note_run(config, listening, app.token_file().to_owned()).await?;
    print!(
        "{}",
        banner(&Banner {
            config,
            listening,
            discovery,
            token_file: app.token_file(),
            has_rules: app.has_rules(),
        })
    );
    let signal = stop_signal().await.map_err(|fault| failed("waiting for signals", &fault))?;
    tracing::info!(?signal, "stopping; a second signal stops at once");
    tokio::select! {
        () = app.stop(config.limits.shutdown_grace) => {}
        _ = stop_signal() => tracing::warn!("stopped at once"),
    }
    forget_run(&config.data).await;
    Ok(())
}

/// For the commands on this machine.
async fn note_run(
    config: &Config,
    listening: SocketAddr,
    token_file: PathBuf,
) -> Result<(), StartError> {
    const DOING: &str = "noting the address for this machine's commands";
    let (url, data) = (local_url(config, listening), config.data.clone());
    let writing = move || -> Result<(), StartError> {
        let url = url.parse().map_err(|fault: url::ParseError| failed(DOING, &fault))?;
        let token_file = std::path::absolute(token_file).map_err(|fault| failed(DOING, &fault))?;
        RunFile { url, token_file }.write(&data).map_err(|fault| failed(DOING, &fault))
    };
    tokio::task::spawn_blocking(writing).await.map_err(|fault| failed(DOING, &fault))?
}

async fn forget_run(data: &Path) {
    let data = data.to_owned();
    if let Ok(Err(fault)) = tokio::task::spawn_blocking(move || RunFile::remove(&data)).await {
        tracing::warn!(%fault, "the note for this machine's commands could not be removed");
    }
}

fn failed(doing: &str, fault: &dyn std::fmt::Display) -> StartError {
    StartError::Failed(format!("{doing} failed: {fault}"))
}
