//! One piece of work for all who ask for the same thing at the same time.
//!
//! The work runs in a task of its own: it goes on when the first who asked leaves, and its result
//! goes to everybody who joined. Nothing is remembered behind the end of a flight; that is the
//! caches' business.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use tokio::runtime::Handle;

/// The flights under way, by what they fetch.
pub struct Flights<K, V> {
    runtime: Handle,
    under_way: Arc<Mutex<HashMap<K, Flight<V>>>>,
}

/// `None`: the task died before it had a result.
type Flight<V> = Shared<BoxFuture<'static, Option<V>>>;

/// A result, and whether somebody else had started the work.
#[derive(Debug)]
pub struct Landed<V> {
    pub value: V,
    pub joined: bool,
}

impl<K, V> Flights<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub fn new(runtime: Handle) -> Self {
        Self { runtime, under_way: Arc::default() }
    }

    /// Joins the flight for `key`, or starts it with `work`. `None` means that the work panicked,
    /// which is a fault of ours: it is logged with the panic, and the next who asks starts anew.
    pub async fn join<W>(&self, key: K, work: impl FnOnce() -> W) -> Option<Landed<V>>
    where
        W: Future<Output = V> + Send + 'static,
    {
        let (flight, joined) = {
            let mut under_way = self.under_way.lock();
            if let Some(flight) = under_way.get(&key) {
                (flight.clone(), true)
            } else {
                let flight = self.start(key.clone(), work());
                under_way.insert(key, flight.clone());
                (flight, false)
            }
        };
        flight.await.map(|value| Landed { value, joined })
    }

    fn start(&self, key: K, work: impl Future<Output = V> + Send + 'static) -> Flight<V> {
        let landing = Landing { key: Some(key), under_way: Arc::clone(&self.under_way) };
        let task = self.runtime.spawn(async move {
            // Dropped with the task, also when the work panics.
            let _landing = landing;
            work.await
        });
        task.map(Result::ok).boxed().shared()
    }
}

/// Takes its flight off the board when it is dropped.
struct Landing<K: Eq + Hash, V> {
    key: Option<K>,
    under_way: Arc<Mutex<HashMap<K, Flight<V>>>>,
}

impl<K: Eq + Hash, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.under_way.lock().remove(&key);
        }
    }
}

impl<K, V> std::fmt::Debug for Flights<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flights")
            .field("under_way", &self.under_way.lock().len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn a_thousand_who_ask_at_once_cause_one_piece_of_work() {
        let flights = Arc::new(Flights::new(Handle::current()));
        let count = Arc::new(AtomicUsize::new(0));
        let all_are_here = Arc::new(Notify::new());
        let mut asking: Vec<_> = (0..1000)
            .map(|_| {
                let (count, all_are_here) = (Arc::clone(&count), Arc::clone(&all_are_here));
                Box::pin(flights.join("cold", || async move {
                    all_are_here.notified().await;
                    count.fetch_add(1, Ordering::SeqCst)
                }))
            })
            .collect();
        assert!(asking.iter_mut().all(|asked| asked.now_or_never().is_none()));
        all_are_here.notify_one();
        let landed: Vec<_> = futures_util::future::join_all(asking).await;
        assert!(landed.iter().all(|result| result.as_ref().unwrap().value == 0));
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn the_first_who_leaves_does_not_harm_the_others() {
        let flights = Arc::new(Flights::new(Handle::current()));
        let release = Arc::new(Notify::new());
        let released = Arc::clone(&release);
        let work = || async move {
            released.notified().await;
            7
        };
        assert!(flights.join("cold", work).now_or_never().is_none(), "the first has left");
        let mut second = Box::pin(flights.join("cold", || async { 8 }));
        assert!((&mut second).now_or_never().is_none());
        release.notify_one();
        let second = second.await.unwrap();
        assert_eq!((second.value, second.joined), (7, true));
    }

    #[tokio::test]
    async fn work_that_panics_is_taken_off_the_board() {
        let flights: Flights<&str, u8> = Flights::new(Handle::current());
        let panics = flights.join("cold", || async { panic!("a fault of ours") }).await;
        assert!(panics.is_none());
        assert_eq!(flights.join("cold", || async { 1 }).await.unwrap().value, 1);
    }
}
