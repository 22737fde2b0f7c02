//! What happens around every request: its id and span, the refusals before any handler, HEAD, the
//! panic that becomes a 500, the headers of every answer, and its access line.

use std::cell::Cell;
use std::future::{Ready, ready};
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;

use actix_http::{ConnectionType, Request, Response};
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, Service, ServiceResponse, Transform};
use actix_web::http::Method;
use actix_web::http::header::{
    CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, SERVER, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::{Error, HttpMessage, HttpResponse};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use tracing::Instrument;

use super::access::{Access, Line, on_behalf_of};
use super::body::{AnswerBody, Running};
use super::connections::Connection;
use super::limits::{Limits, check_head};
use super::path;
use super::problem::{self, Problem};
use super::request_body::{self, Fault};
use super::request_id::RequestId;
use crate::observability::{Lifecycle, Metrics};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Pages set their own; for everything else nothing may ever be active on our origin.
const NOTHING_ACTIVE: HeaderValue =
    HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; sandbox");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");

/// Of the admin API, whose clients read JSON.
const API: &str = "/api/";
/// Answered even while the server stops.
const ALWAYS_ANSWERED: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

#[derive(Clone)]
pub(super) struct Surround {
    pub(super) limits: Arc<Limits>,
    pub(super) metrics: Metrics,
    pub(super) lifecycle: Lifecycle,
}

impl<S, B> Transform<S, Request> for Surround
where
    S: Service<Request, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = Response<BoxBody>;
    type Error = Error;
    type Transform = Surrounded<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, Self::InitError>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(Surrounded { service: Rc::new(service), around: Rc::new(self.clone()) }))
    }
}

pub(super) struct Surrounded<S> {
    service: Rc<S>,
    around: Rc<Surround>,
}

impl<S, B> Service<Request> for Surrounded<S>
where
    S: Service<Request, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = Response<BoxBody>;
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self::Response, Self::Error>>;

    actix_service::forward_ready!(service);

    fn call(&self, req: Request) -> Self::Future {
        let (service, around) = (self.service.clone(), self.around.clone());
        Box::pin(async move { Ok(around.answer(service, req).await) })
    }
}

impl Surround {
    async fn answer<S, B>(&self, service: Rc<S>, mut req: Request) -> Response<BoxBody>
    where
        S: Service<Request, Response = ServiceResponse<B>, Error = Error> + 'static,
        B: MessageBody + 'static,
    {
        let connection = req.conn_data::<Arc<Connection>>().cloned();
        let streams = connection.as_ref().map_or(0, |connection| connection.request_begins());
        let running = Running(connection);
        let id = RequestId::from_header(req.headers().get(REQUEST_ID).map(HeaderValue::as_bytes));
        let is_head = req.method() == Method::HEAD;
        let access = Access::new(id.clone(), is_head, req.peer_addr());
        req.extensions_mut().insert(access.clone());
        let mut line = Line::new(self.metrics.clone(), access.clone(), &req);
        let fault: Fault = Rc::new(Cell::new(None));
        let is_api = req.uri().path().starts_with(API);

        let mut response = if let Some(refusal) = self.refusal(&mut req, streams, &fault) {
            refusal.response()
        } else {
            // Every GET route answers HEAD; actix-http itself leaves the body out.
            if is_head {
                req.head_mut().method = Method::GET;
            }
            let span = tracing::info_span!("request", id = %id);
            let answered = handled(service, req, &line).instrument(span);
            on_behalf_of(Some(access.clone()), answered).await
        };
        if let Some(fault) = fault.get() {
            response = Problem::from(fault).response();
            close(&mut response);
        }
        if is_api {
            response = problem::as_json(response);
        }
        if self.lifecycle.stopping() {
            close(&mut response);
        }
        decorate(&mut response, &id);
        line.status = response.status().as_u16();
        line.first_byte = Some(access.elapsed());
        let response = response
            .map_body(|_, body| BoxBody::new(AnswerBody::new(body, is_head, line, running)));
        response.into()
    }

    /// Why no handler shall see this request. Where none is found, its body has its bounds.
    fn refusal(&self, req: &mut Request, streams: u32, fault: &Fault) -> Option<Refusal> {
        if streams > self.limits.streams_per_connection {
            return Some(Refusal { problem: Problem::too_many_streams(), close: false });
        }
        if let Err(problem) = check_head(req.head(), &self.limits) {
            return Some(Refusal::closing(problem));
        }
        if let Err(fault) = path::check(req.uri().path()) {
            return Some(Refusal { problem: fault.into(), close: false });
        }
        if self.lifecycle.stopping() && !ALWAYS_ANSWERED.contains(&req.uri().path()) {
            return Some(Refusal::closing(Problem::stopping()));
        }
        let payload = req.take_payload();
        if !matches!(payload, Payload::None) {
            let limit = (self.limits.body_bytes)(req.method(), req.uri().path());
            *req.payload() = request_body::bounded(payload, limit, &self.limits, fault.clone());
        }
        None
    }
}

/// What the application answers; its panic is a 500, and the worker goes on.
async fn handled<S, B>(service: Rc<S>, req: Request, line: &Line) -> HttpResponse
where
    S: Service<Request, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    let called = async move { service.call(req).await };
    match AssertUnwindSafe(called).catch_unwind().await {
        Ok(Ok(answered)) => answered.into_parts().1.map_into_boxed_body(),
        Ok(Err(error)) => HttpResponse::from_error(error),
        Err(panic) => {
            line.report_panic(panic.as_ref());
            Problem::internal(line.request_id().as_str()).response()
        }
    }
}

struct Refusal {
    problem: Problem,
    /// The connection cannot be trusted, or shall not be used, any more.
    close: bool,
}

impl Refusal {
    fn response(&self) -> HttpResponse {
        let mut response = self.problem.response();
        if self.close {
            close(&mut response);
        }
        response
    }

    fn closing(problem: Problem) -> Self {
        Self { problem, close: true }
    }
}

fn close<B>(response: &mut HttpResponse<B>) {
    response.head_mut().set_connection_type(ConnectionType::Close);
}

fn decorate(response: &mut HttpResponse, id: &RequestId) {
    let headers = response.headers_mut();
    // Made of bytes that a header may hold; see `RequestId`.
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    if !headers.contains_key(CONTENT_SECURITY_POLICY) {
        headers.insert(CONTENT_SECURITY_POLICY, NOTHING_ACTIVE);
    }
    headers.remove(SERVER);
}
