//! A scripted upstream: a registry on a real socket that publishes, counts and lies.
//!
//! ```no_run
//! # async fn example() {
//! use support::upstream::ScriptedUpstream;
//! let up = ScriptedUpstream::start().await;
//! up.npm("left-pad").version("1.3.0", |v| v.file("index.js", "module.exports = 1")).publish();
//! up.on("/left-pad").times(2).status(503);
//! // … ask a server for left-pad …
//! assert_eq!(up.requests("/left-pad"), 3);
//! # }
//! ```
//!
//! It speaks HTTP/1.1 by hand ([`serve`]), because a library would not let it lie. Paths are
//! compared decoded and without query: `/@scope/name` stands for every spelling of it.

mod advisories;
mod answer;
mod faults;
mod generated;
mod npm;
mod packument;
mod recorded;
mod serve;
mod signer;
mod tarball;
pub mod tls;
mod wire;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use url::Url;

use advisories::Advisory;
pub use answer::{Answer, Body};
pub use faults::{Fault, Script};
pub use generated::Generated;
pub use npm::{NpmPackage, NpmVersion};
pub use recorded::Recorded;
pub use tarball::Tarball;

use faults::Scripts;
use npm::Shelf;
use signer::Signer;

/// Clones are the same upstream; it stops when the last one is dropped.
#[derive(Clone)]
pub struct ScriptedUpstream(Arc<Running>);

struct Running {
    ground: Arc<Ground>,
    certificate: Option<String>,
    accepting: JoinHandle<()>,
}

/// Answers one path by what it is asked.
pub type Handler = Arc<dyn Fn(&Recorded) -> Answer + Send + Sync>;

/// What the connections share.
pub(crate) struct Ground {
    pub address: SocketAddr,
    pub base: Url,
    pub shelf: Mutex<Shelf>,
    pub places: Mutex<BTreeMap<String, Answer>>,
    pub handlers: Mutex<BTreeMap<String, Handler>>,
    pub advisories: Mutex<Vec<Advisory>>,
    pub signer: Mutex<Option<Signer>>,
    pub scripts: Scripts,
    pub recorded: Mutex<Vec<Recorded>>,
    pub offline: AtomicBool,
    /// Changes when every open connection has to go.
    pub goodbye: watch::Sender<u64>,
    pub connections: AtomicUsize,
    pub active: AtomicUsize,
    pub most_active: AtomicUsize,
}

impl ScriptedUpstream {
    pub async fn start() -> Self {
        Self::launch(None).await
    }

    /// With TLS, by a certificate of its own: see [`Self::certificate`].
    pub async fn start_tls() -> Self {
        let identity = tls::Identity::for_this_machine();
        Self::launch(Some(identity)).await
    }

    async fn launch(identity: Option<tls::Identity>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port on this machine");
        let address = listener.local_addr().expect("a bound listener has an address");
        let scheme = if identity.is_some() { "https" } else { "http" };
        let base = Url::parse(&format!("{scheme}://{address}/")).expect("a correct URL");
        let ground = Arc::new(Ground {
            address,
            base,
            shelf: Mutex::default(),
            places: Mutex::default(),
            handlers: Mutex::default(),
            advisories: Mutex::default(),
            signer: Mutex::default(),
            scripts: Scripts::default(),
            recorded: Mutex::default(),
            offline: AtomicBool::new(false),
            goodbye: watch::Sender::new(0),
            connections: AtomicUsize::new(0),
            active: AtomicUsize::new(0),
            most_active: AtomicUsize::new(0),
        });
        let certificate = identity.as_ref().map(|identity| identity.certificate.clone());
        let acceptor = identity.map(|identity| TlsAcceptor::from(identity.config));
        let accepting = tokio::spawn(serve::accept(Arc::clone(&ground), listener, acceptor));
        Self(Arc::new(Running { ground, certificate, accepting }))
    }

    /// Ends in `/`.
    pub fn url(&self) -> Url {
        self.ground().base.clone()
    }

    /// A URL on this upstream, for redirects and documents.
    pub fn at(&self, path: &str) -> String {
        format!("{}{}", self.ground().base, path.trim_start_matches('/'))
    }

    pub fn address(&self) -> SocketAddr {
        self.ground().address
    }

    pub fn port(&self) -> u16 {
        self.address().port()
    }

    /// What a client must trust, in PEM.
    pub fn certificate(&self) -> &str {
        self.0.certificate.as_deref().expect("started by start_tls")
    }

    /// The npm package of this name, to be changed and published; a new one if there is none.
    pub fn npm(&self, name: &str) -> NpmPackage {
        NpmPackage::of(Arc::clone(self.ground()), name)
    }

    /// The tarball that is published under a version.
    pub fn tarball(&self, name: &str, version: &str) -> Tarball {
        self.ground()
            .shelf
            .lock()
            .tarball(name, version)
            .unwrap_or_else(|| panic!("{name}@{version} is not published here"))
    }

    /// From now on this is known of a package, and told to whoever audits it.
    pub fn advise(&self, package: &str, vulnerable: &str, severity: &str) {
        let advisory = Advisory::new(package, vulnerable, severity);
        self.ground().advisories.lock().push(advisory);
    }

    /// From now on every version is signed by a key of this upstream's own.
    pub fn sign(&self) {
        self.sign_with(Signer::new(), true);
    }

    /// From now on every version is signed by the key in this text, which is not listed here.
    pub fn sign_by_key_of(&self, pem: &str) {
        self.sign_with(Signer::of_pem(pem), false);
    }

    fn sign_with(&self, signer: Signer, listed: bool) {
        if listed {
            self.place("/-/npm/v1/keys", "application/json", signer.keys().to_string());
        }
        *self.ground().signer.lock() = Some(signer);
    }

    /// The signature of `name@version` is one of other bytes.
    pub fn forge_signature(&self, subject: &str) {
        self.ground().signer.lock().as_mut().expect("an upstream that signs").forge(subject);
    }

    /// Serves these bytes at a path.
    pub fn place(&self, path: &str, media_type: &str, body: impl Into<Bytes>) {
        self.put(path, Answer::ok(media_type, Body::Bytes(body.into())));
    }

    /// Serves generated bytes at a path, without ever having them all in memory.
    pub fn generate(&self, path: &str, generated: Generated) {
        self.put(path, Answer::ok("application/octet-stream", Body::Generated(generated)));
    }

    pub fn put(&self, path: &str, answer: Answer) {
        self.ground().places.lock().insert(path.to_owned(), answer);
    }

    /// Answers a path, whatever the method, by what it is asked.
    pub fn handle(
        &self,
        path: &str,
        handler: impl Fn(&Recorded) -> Answer + Send + Sync + 'static,
    ) {
        self.ground().handlers.lock().insert(path.to_owned(), Arc::new(handler));
    }

    /// What was placed at a path.
    pub fn bytes_at(&self, path: &str) -> Bytes {
        let places = self.ground().places.lock();
        let placed = places.get(path).unwrap_or_else(|| panic!("nothing is at {path}"));
        placed.body.piece(0, usize::MAX >> 1)
    }

    pub fn text_at(&self, path: &str) -> String {
        String::from_utf8(self.bytes_at(path).to_vec()).expect("a text")
    }

    pub fn remove(&self, path: &str) {
        self.ground().places.lock().remove(path);
    }

    /// Scripts what happens at one path.
    pub fn on(&self, path: &str) -> Script<'_> {
        self.ground().scripts.at(Some(path))
    }

    /// Scripts what happens wherever nothing else is scripted.
    pub fn everywhere(&self) -> Script<'_> {
        self.ground().scripts.at(None)
    }

    /// Ends all that was scripted.
    pub fn heal(&self) {
        self.ground().scripts.clear();
    }

    /// From now on connections are reset, open ones included. The port stays ours.
    pub fn go_offline(&self) {
        self.ground().offline.store(true, Ordering::SeqCst);
        self.close_connections();
    }

    pub fn go_online(&self) {
        self.ground().offline.store(false, Ordering::SeqCst);
    }

    /// Resets what is open; new connections are welcome.
    pub fn close_connections(&self) {
        self.ground().goodbye.send_modify(|count| *count += 1);
    }

    /// Requests for a path, with whatever outcome.
    pub fn requests(&self, path: &str) -> usize {
        self.ground().recorded.lock().iter().filter(|request| request.path == path).count()
    }

    pub fn total_requests(&self) -> usize {
        self.ground().recorded.lock().len()
    }

    /// Every request so far, in order.
    pub fn recorded(&self) -> Vec<Recorded> {
        self.ground().recorded.lock().clone()
    }

    pub fn last_request(&self, path: &str) -> Recorded {
        let all = self.ground().recorded.lock();
        let last = all.iter().rev().find(|request| request.path == path);
        last.unwrap_or_else(|| panic!("nobody asked for {path}")).clone()
    }

    /// Starts counting anew.
    pub fn forget_requests(&self) {
        self.ground().recorded.lock().clear();
        self.ground().most_active.store(0, Ordering::SeqCst);
    }

    /// The most requests that were under way at once.
    pub fn most_at_once(&self) -> usize {
        self.ground().most_active.load(Ordering::SeqCst)
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.ground().connections.load(Ordering::SeqCst)
    }

    fn ground(&self) -> &Arc<Ground> {
        &self.0.ground
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.accepting.abort();
        self.ground.goodbye.send_modify(|count| *count += 1);
    }
}
