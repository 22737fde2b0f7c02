//! The seam by which a test makes a disk operation fail.
//!
//! Every write of both engines asks here first. Without a hook, as in production, that costs one
//! comparison. The operations themselves are the real ones: what a test sees is how the engine
//! behaves when the kernel says no at exactly that step.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A step that can fail, named by what the engine is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Asking how much room is left.
    Space,
    Create,
    Write,
    SyncFile,
    Rename,
    SyncDirectory,
    Remove,
    /// The metadata engine takes up a batch.
    Apply,
    /// The metadata engine writes its log.
    Flush,
    /// The metadata engine's log is made durable.
    SyncLog,
}

type Hook = dyn Fn(Operation) -> io::Result<()> + Send + Sync;

#[derive(Clone, Default)]
pub struct Faults(Option<Arc<Hook>>);

impl Faults {
    pub fn hooked(hook: impl Fn(Operation) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(hook)))
    }

    /// The `n`th operation fails once with `kind`; `n` counts from 1.
    pub fn nth(n: u64, kind: io::ErrorKind) -> (Self, Arc<AtomicU64>) {
        let seen = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&seen);
        let faults = Self::hooked(move |operation| {
            if counter.fetch_add(1, Ordering::SeqCst) + 1 == n {
                return Err(io::Error::new(kind, format!("injected at {operation:?}")));
            }
            Ok(())
        });
        (faults, seen)
    }

    pub fn check(&self, operation: Operation) -> io::Result<()> {
        match &self.0 {
            None => Ok(()),
            Some(hook) => hook(operation),
        }
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Faults(hooked)" } else { "Faults(none)" })
    }
}
