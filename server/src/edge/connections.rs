//! Every open connection: who, since when, and how it gets on.
//!
//! [`Connections`] admits within the limits, in total and per address. A [`Connection`] is written
//! to by its socket ([`super::socket`]) and its requests; the [`super::watchdog`] reads it and may
//! condemn it, which ends the connection's task and closes the socket at once.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::limits::Limits;
use crate::observability::{CloseReason, Metrics};

/// Stands for "not now" in a field of milliseconds.
pub(super) const NEVER: u64 = u64::MAX;

/// One client connection. Times are milliseconds since the server began.
#[derive(Debug)]
pub struct Connection {
    epoch: Instant,
    id: u64,
    peer: SocketAddr,
    tls: bool,
    pub(super) accepted: u64,
    /// Accepted when the server was already stopping, to be told so.
    pub(super) late: bool,
    pub(super) multiplexed: AtomicBool,
    pub(super) requests: AtomicU64,
    pub(super) in_flight: AtomicU32,
    /// Requests whose answers have ended.
    answered: AtomicU64,
    /// Who waits for the next of them.
    waiting: AtomicWaker,
    pub(super) idle_since: AtomicU64,
    /// The first byte behind the last request; [`NEVER`] while nothing came.
    pub(super) head_since: AtomicU64,
    pub(super) write_blocked_since: AtomicU64,
    pub(super) last_write: AtomicU64,
    pub(super) written: AtomicU64,
    transfers: Mutex<Vec<Arc<Transfer>>>,
    condemned: OnceLock<CloseReason>,
    wake: Notify,
}

/// An answer's body on its way, to see whose turn it is.
#[derive(Debug)]
pub(super) struct Transfer {
    /// When the connection took the last piece and did not ask for more; [`NEVER`] while the
    /// server owes the next piece.
    pub(super) taken: AtomicU64,
}

impl Connection {
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    pub fn is_tls(&self) -> bool {
        self.tls
    }

    pub(super) fn now(&self) -> u64 {
        millis_since(self.epoch)
    }

    /// Ends the connection. The first reason stands.
    pub(super) fn condemn(&self, reason: CloseReason) {
        if self.condemned.set(reason).is_ok() {
            self.wake.notify_one();
        }
    }

    pub(super) fn condemned(&self) -> Option<CloseReason> {
        self.condemned.get().copied()
    }

    /// Waits until it is condemned; one task waits at most.
    pub(super) async fn wait_condemned(&self) -> CloseReason {
        loop {
            if let Some(reason) = self.condemned() {
                return reason;
            }
            self.wake.notified().await;
        }
    }

    pub(super) fn request_begins(&self) -> u32 {
        self.requests.fetch_add(1, Relaxed);
        self.head_since.store(NEVER, Relaxed);
        self.in_flight.fetch_add(1, Relaxed) + 1
    }

    pub(super) fn request_ends(&self) {
        self.idle_since.store(self.now(), Relaxed);
        self.head_since.store(NEVER, Relaxed);
        self.in_flight.fetch_sub(1, Relaxed);
        self.answered.fetch_add(1, Release);
        self.waiting.wake();
    }

    /// Ready when so many requests have been answered. One task waits at most.
    pub(super) fn poll_answered(&self, count: u64, cx: &Context<'_>) -> Poll<()> {
        self.waiting.register(cx.waker());
        if self.answered.load(Acquire) >= count { Poll::Ready(()) } else { Poll::Pending }
    }

    pub(super) fn bytes_came(&self) {
        if self.in_flight.load(Relaxed) == 0 && self.head_since.load(Relaxed) == NEVER {
            self.head_since.store(self.now(), Relaxed);
        }
    }

    pub(super) fn bytes_went(&self, count: usize) {
        self.written.fetch_add(count as u64, Relaxed);
        self.last_write.store(self.now(), Relaxed);
        self.write_blocked_since.store(NEVER, Relaxed);
    }

    pub(super) fn write_blocked(&self) {
        if self.write_blocked_since.load(Relaxed) == NEVER {
            self.write_blocked_since.store(self.now(), Relaxed);
        }
    }

    pub(super) fn transfer_begins(&self) -> Arc<Transfer> {
        let transfer = Arc::new(Transfer { taken: AtomicU64::new(NEVER) });
        self.transfers.lock().push(transfer.clone());
        transfer
    }

    pub(super) fn transfer_ends(&self, transfer: &Arc<Transfer>) {
        let mut transfers = self.transfers.lock();
        if let Some(at) = transfers.iter().position(|other| Arc::ptr_eq(other, transfer)) {
            transfers.swap_remove(at);
        }
    }

    /// Since when the client has not asked for the next piece of some body.
    pub(super) fn taken_since(&self) -> u64 {
        let transfers = self.transfers.lock();
        transfers.iter().map(|transfer| transfer.taken.load(Relaxed)).min().unwrap_or(NEVER)
    }
}

/// What the watchdog keeps of a connection between two rounds.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) connection: Arc<Connection>,
    /// Time that the connection spent waiting for the client in this window.
    pub(super) blocked: u64,
    /// [`Connection::written`] at the window's begin.
    pub(super) written: u64,
}

#[derive(Debug)]
pub(super) struct Connections {
    epoch: Instant,
    limits: Arc<Limits>,
    metrics: Metrics,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    next_id: u64,
    by_id: HashMap<u64, Watched>,
    by_address: HashMap<IpAddr, usize>,
}

impl Connections {
    pub(super) fn new(limits: Arc<Limits>, metrics: Metrics) -> Self {
        Self { epoch: Instant::now(), limits, metrics, open: Mutex::default() }
    }

    pub(super) fn now(&self) -> u64 {
        millis_since(self.epoch)
    }

    /// `None` where the connection is one too many; the caller closes it at once.
    pub(super) fn admit(
        self: &Arc<Self>,
        peer: SocketAddr,
        tls: bool,
        late: bool,
    ) -> Option<Admission> {
        let address = site(peer.ip());
        let mut open = self.open.lock();
        let here = open.by_address.get(&address).copied().unwrap_or(0);
        let reason = if open.by_id.len() >= self.limits.connections {
            Some(CloseReason::OverLimit)
        } else if here >= self.per_address(peer.ip().to_canonical()) {
            Some(CloseReason::OverLimitPerAddress)
        } else {
            None
        };
        if let Some(reason) = reason {
            self.metrics.connection_closed(reason);
            return None;
        }
        let now = self.now();
        let id = open.next_id;
        open.next_id += 1;
        *open.by_address.entry(address).or_default() += 1;
        let connection = Arc::new(Connection {
            epoch: self.epoch,
            id,
            peer,
            tls,
            accepted: now,
            late,
            multiplexed: AtomicBool::new(false),
            requests: AtomicU64::new(0),
            in_flight: AtomicU32::new(0),
            answered: AtomicU64::new(0),
            waiting: AtomicWaker::new(),
            idle_since: AtomicU64::new(now),
            head_since: AtomicU64::new(NEVER),
            write_blocked_since: AtomicU64::new(NEVER),
            last_write: AtomicU64::new(now),
            written: AtomicU64::new(0),
            transfers: Mutex::default(),
            condemned: OnceLock::new(),
            wake: Notify::new(),
        });
        let watched = Watched { connection: connection.clone(), blocked: 0, written: 0 };
        open.by_id.insert(id, watched);
        self.metrics.connection_opened();
        Some(Admission { connections: self.clone(), connection, address })
    }

    fn per_address(&self, address: IpAddr) -> usize {
        let trusted = &self.limits.trusted_proxies;
        if address.is_loopback() || trusted.iter().any(|proxies| proxies.contains(&address)) {
            self.limits.connections_per_trusted_address
        } else {
            self.limits.connections_per_address
        }
    }

    pub(super) fn for_each(&self, mut visit: impl FnMut(&mut Watched)) {
        self.open.lock().by_id.values_mut().for_each(&mut visit);
    }
}

/// The right to be connected; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Admission {
    connections: Arc<Connections>,
    pub(super) connection: Arc<Connection>,
    address: IpAddr,
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut open = self.connections.open.lock();
        open.by_id.remove(&self.connection.id);
        if let Some(here) = open.by_address.get_mut(&self.address) {
            *here -= 1;
            if *here == 0 {
                open.by_address.remove(&self.address);
            }
        }
        drop(open);
        self.connections.metrics.connection_gone();
        if let Some(reason) = self.connection.condemned() {
            self.connections.metrics.connection_closed(reason);
        }
    }
}

fn millis_since(epoch: Instant) -> u64 {
    u64::try_from(epoch.elapsed().as_millis()).unwrap_or(NEVER - 1)
}

/// What counts as one address: of IPv6 the first half, since a site may use the rest as it likes.
fn site(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn one_site_is_one_address_however_it_is_written() {
        for (name, address, expected) in [
            ("IPv4", "192.0.2.7", "192.0.2.7"),
            ("IPv4 within IPv6", "::ffff:192.0.2.7", "192.0.2.7"),
            ("IPv6", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("loopback", "::1", "::1"),
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(site(address), expected.parse::<IpAddr>().unwrap(), "{name}");
        }
    }

    #[test]
    fn limits_hold_in_total_and_per_address_and_are_given_back() {
        let limits = Limits {
            connections: 3,
            connections_per_address: 1,
            connections_per_trusted_address: 2,
            trusted_proxies: vec!["192.0.2.0/24".parse().unwrap()],
            ..Limits::default()
        };
        let connections = Arc::new(Connections::new(Arc::new(limits), Metrics::new()));
        let admit = |peer: &str| connections.admit(peer.parse().unwrap(), false, false);
        let first = admit("198.51.100.1:1");
        assert!(first.is_some() && admit("198.51.100.1:2").is_none());
        let proxied = (admit("192.0.2.1:1"), admit("192.0.2.1:2"));
        assert!(proxied.0.is_some() && proxied.1.is_some());
        assert!(admit("198.51.100.2:1").is_none(), "three in all");
        drop(first);
        assert!(admit("198.51.100.1:3").is_some());
    }
}
