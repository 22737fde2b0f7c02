//! From an accepted socket to HTTP.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, KeepAlive, Protocol};
use actix_service::{
    IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, apply, fn_factory, fn_service,
    map_config,
};
use actix_web::dev::AppConfig;
use actix_web::{App, HttpResponse, web};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::access;
use super::body::PIECE;
use super::connections::{Connection, Connections};
use super::limits::Limits;
use super::middleware::Surround;
use super::problem::Problem;
use super::socket::{Socket, Transport};
use crate::observability::{CloseReason, Lifecycle, Metrics};

/// What every connection of every worker shares.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) limits: Arc<Limits>,
    pub(super) metrics: Metrics,
    pub(super) lifecycle: Lifecycle,
    pub(super) connections: Arc<Connections>,
    pub(super) acceptor: Option<TlsAcceptor>,
}

type Accepted = (Transport, Protocol, Option<SocketAddr>);

/// Makes a worker's service: the application once, and a task for each connection.
pub(super) fn factory<F>(shared: Shared, routes: F) -> impl Fn() -> Boxed + Clone + Send + 'static
where
    F: Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
{
    move || {
        let (shared, routes) = (shared.clone(), routes.clone());
        actix_service::boxed::factory(fn_factory(move || {
            let (shared, routes) = (shared.clone(), routes.clone());
            async move {
                let http = Rc::new(http(&shared, routes).new_service(()).await?);
                Ok::<_, ()>(fn_service(move |tcp: TcpStream| {
                    let (shared, http) = (shared.clone(), http.clone());
                    async move {
                        connection(shared, http, tcp).await;
                        Ok::<_, Infallible>(())
                    }
                }))
            }
        }))
    }
}

type Boxed = actix_service::boxed::BoxServiceFactory<(), TcpStream, (), Infallible, ()>;

fn http<F>(
    shared: &Shared,
    routes: F,
) -> impl ServiceFactory<Accepted, Config = (), Response = (), Error = DispatchError, InitError = ()>
+ use<F>
where
    F: Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
{
    let limits = &shared.limits;
    let surround = Surround {
        limits: limits.clone(),
        metrics: shared.metrics.clone(),
        lifecycle: shared.lifecycle.clone(),
    };
    let app = App::new()
        // The edge bounds bodies itself, by route; extractors shall not have another opinion.
        .app_data(web::PayloadConfig::new(usize::MAX))
        .app_data(web::JsonConfig::default().limit(usize::MAX))
        .default_service(web::to(|| async { Problem::not_found().response() }))
        .configure(routes);
    let app = apply(surround, map_config(app.into_factory(), |()| AppConfig::default()))
        .map_err(|error: actix_web::Error| -> HttpResponse { error.error_response() });
    HttpService::build()
        // The watchdog decides; actix-http measures from a clock that may be half a second late.
        .keep_alive(KeepAlive::Timeout(limits.idle * 2))
        .client_request_timeout(Duration::ZERO)
        // Zero, its default, would leave a closing connection to the client's good will.
        .client_disconnect_timeout(limits.head)
        .h1_write_buffer_size(2 * PIECE)
        .on_connect_ext(|transport: &Transport, data| {
            data.insert(transport.connection().clone());
        })
        .finish(app)
}

/// One client, from the first to the last byte.
async fn connection<H>(shared: Shared, http: Rc<H>, tcp: TcpStream)
where
    H: Service<Accepted, Response = (), Error = DispatchError>,
{
    let Ok(peer) = tcp.peer_addr() else { return };
    let tls = shared.acceptor.is_some();
    let late = shared.lifecycle.stopping();
    let Some(admission) = shared.connections.admit(peer, tls, late) else { return };
    let connection = admission.connection.clone();
    // Twice, so that the watchdog is the first to say why.
    let user_timeout = shared.limits.read_stall * 2;
    let Ok(socket) = Socket::new(tcp, connection.clone(), user_timeout) else { return };
    tokio::select! {
        biased;
        reason = connection.wait_condemned() => {
            tracing::debug!(peer = %peer, reason = ?reason, "a connection was ended");
        }
        () = speak(&shared, http, socket, &connection) => {}
    }
}

async fn speak<H>(shared: &Shared, http: Rc<H>, socket: Socket, connection: &Arc<Connection>)
where
    H: Service<Accepted, Response = (), Error = DispatchError>,
{
    let peer = Some(connection.peer());
    let (transport, protocol) = match &shared.acceptor {
        None => (Transport::plain(socket), Protocol::Http1),
        Some(acceptor) => match acceptor.accept(socket).await {
            Ok(stream) => {
                let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                connection.multiplexed.store(h2, Relaxed);
                let protocol = if h2 { Protocol::Http2 } else { Protocol::Http1 };
                (Transport::tls(stream, h2), protocol)
            }
            Err(error) => {
                tracing::debug!(peer = %connection.peer(), %error, "no TLS came about");
                shared.metrics.connection_closed(CloseReason::Tls);
                return;
            }
        },
    };
    match http.call((transport, protocol, peer)).await {
        Ok(()) => {}
        Err(DispatchError::Parse(error)) => {
            shared.metrics.connection_closed(CloseReason::Malformed);
            access::refused_by_parser(connection.peer(), &error);
        }
        Err(error) => {
            tracing::debug!(peer = %connection.peer(), %error, "a connection ended with an error");
        }
    }
}
