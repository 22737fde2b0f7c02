//! The edge: where clients' connections come in.
//!
//! A connection goes [`connections`] (is there room?) → [`tls`] → HTTP (actix-http) → [`middleware`]
//! (id, refusals, access line) → the mounted routes. The [`socket`] under all of it notes every byte
//! of the client and hands on one request at a time ([`turns`]), and the [`watchdog`] ends connections that hold on without using what they hold,
//! since actix-http's own deadlines cover only a connection's first head and its idle time.
//!
//! Handlers find here: [`access`] for the access line, [`base_url()`]
//! for links, [`range`], [`stream_body`] for streams, and [`Problem`] for refusals that belong to no
//! registry. No package, registry or rule is known here.

mod accept;
mod access;
pub mod base_url;
mod body;
mod client;
mod connections;
mod limits;
mod middleware;
pub mod path;
mod problem;
pub mod range;
mod request_body;
mod request_id;
mod shutdown;
mod socket;
mod status_text;
pub mod tls;
mod turns;
mod watchdog;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use actix_server::Server;
use actix_web::web;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::task::JoinHandle;

pub use access::{Access, access, current, on_behalf_of};
pub use base_url::{asked_host, base_url};
pub use body::{PIECE, stream_body};
pub use client::{client_address, network_of};
pub use connections::Connection;
pub use limits::{BodyLimit, Limits};
pub use problem::{PROBLEM_HEADER, Problem};
pub use request_id::RequestId;
pub use shutdown::{EdgeHandle, Signal, stop_signal};
pub use status_text::set_status_text;
pub use tls::{TlsError, TlsSettings};

use crate::observability::{Lifecycle, Metrics};
use accept::Shared;
use connections::Connections;

#[derive(Clone, Debug)]
pub struct EdgeSettings {
    /// Port 0 lets the system choose; [`EdgeHandle::addresses`] says what it chose.
    pub listen: Vec<SocketAddr>,
    pub tls: Option<TlsSettings>,
    pub limits: Limits,
    /// Threads that answer requests.
    pub workers: usize,
    /// Shared with `/readyz`, which says "stopping" once [`EdgeHandle::stop`] was called.
    pub lifecycle: Lifecycle,
}

#[derive(Debug, thiserror::Error)]
pub enum EdgeError {
    #[error("cannot listen on {address}: {cause}")]
    Listen { address: SocketAddr, cause: io::Error },
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Starts to serve; returns when the addresses are bound. `routes` mounts everything that is
/// answered, once on each worker's thread; a path that it does not mount is 404 in plain text.
pub async fn serve<F>(
    settings: EdgeSettings,
    metrics: Metrics,
    routes: F,
) -> Result<EdgeHandle, EdgeError>
where
    F: Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
{
    let EdgeSettings { listen, tls, limits, workers, lifecycle } = settings;
    let limits = Arc::new(limits);
    let connections = Arc::new(Connections::new(limits.clone(), metrics.clone()));
    let tls = match tls {
        Some(settings) => Some(tls::Tls::open(settings, metrics.clone()).await?),
        None => None,
    };
    let listeners = listen
        .into_iter()
        .map(|address| bind(address).map_err(|cause| EdgeError::Listen { address, cause }))
        .collect::<Result<Vec<_>, _>>()?;

    let mut builder = Server::build()
        .workers(workers.max(1))
        .disable_signals()
        // Over this the accept thread waits, and clients with it, instead of being told.
        .max_concurrent_connections(limits.connections.saturating_add(1024))
        .shutdown_timeout(1);
    let shared = Shared {
        limits: limits.clone(),
        metrics,
        lifecycle: lifecycle.clone(),
        connections: connections.clone(),
        acceptor: tls.as_ref().map(tls::Tls::acceptor),
    };
    let mut addresses = Vec::new();
    for (address, listener) in listeners {
        let factory = accept::factory(shared.clone(), routes.clone());
        builder = builder
            .listen(format!("edge {address}"), listener, factory)
            .map_err(|cause| EdgeError::Listen { address, cause })?;
        addresses.push(address);
    }
    let server = builder.run();
    let control = server.handle();
    let watchdog = tokio::spawn(watchdog::watch(connections.clone(), limits, lifecycle.clone()));
    let reloading: Option<JoinHandle<()>> = tls.map(|tls| tokio::spawn(tls.reload()));
    let tasks = std::iter::once(watchdog).chain(reloading).collect();
    let running = tokio::spawn(server);
    Ok(EdgeHandle::new(addresses, lifecycle, connections, control, running, tasks))
}

fn bind(address: SocketAddr) -> io::Result<(SocketAddr, TcpListener)> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    let listener = TcpListener::from(socket);
    Ok((listener.local_addr()?, listener))
}
