//! The end: no new work, the running transfers finished up to a limit, then everything closed.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_server::ServerHandle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, sleep, timeout};

use super::connections::Connections;
use crate::observability::{CloseReason, Lifecycle};

/// A running edge. Dropping it leaves the edge running; [`EdgeHandle::stop`] ends it.
pub struct EdgeHandle {
    addresses: Vec<SocketAddr>,
    lifecycle: Lifecycle,
    connections: Arc<Connections>,
    control: ServerHandle,
    running: JoinHandle<io::Result<()>>,
    tasks: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for EdgeHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EdgeHandle").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

/// How a stop went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Connections that were still busy at the limit, and were cut.
    pub cut: usize,
}

impl EdgeHandle {
    pub(super) fn new(
        addresses: Vec<SocketAddr>,
        lifecycle: Lifecycle,
        connections: Arc<Connections>,
        control: ServerHandle,
        running: JoinHandle<io::Result<()>>,
        tasks: Vec<JoinHandle<()>>,
    ) -> Self {
        Self { addresses, lifecycle, connections, control, running, tasks }
    }

    /// Where it listens, in the order of the settings.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Finishes what was begun within `limit`, then closes everything.
    ///
    /// Meanwhile new connections are taken, so that `/readyz` can say "stopping"; everything but
    /// health and metrics is answered 503 on them.
    pub async fn stop(self, limit: Duration) -> Stopped {
        self.lifecycle.set_stopping();
        let end = Instant::now() + limit;
        while self.busy() > 0 && Instant::now() < end {
            sleep(Duration::from_millis(20)).await;
        }
        let cut = self.busy();
        self.connections.for_each(|watched| watched.connection.condemn(CloseReason::Stopping));
        self.control.stop(false).await;
        for task in &self.tasks {
            task.abort();
        }
        match timeout(Duration::from_secs(5), self.running).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::error!(%error, "the edge ended with an error"),
            Ok(Err(error)) => report_join(&error),
            Err(_) => tracing::error!("the edge did not end in time"),
        }
        Stopped { cut }
    }

    /// Connections from before the stop that are not closed yet.
    fn busy(&self) -> usize {
        let mut busy = 0;
        self.connections.for_each(|watched| busy += usize::from(!watched.connection.late));
        busy
    }
}

fn report_join(error: &JoinError) {
    tracing::error!(%error, "the edge's task failed");
}

/// Why the process should end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    Terminate,
    Interrupt,
}

/// Waits for SIGTERM or SIGINT. Wait again while stopping: a second signal means "at once".
pub async fn stop_signal() -> io::Result<Signal> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        _ = terminate.recv() => Signal::Terminate,
        _ = interrupt.recv() => Signal::Interrupt,
    })
}
