//! What lies beside the store: the key, and the last checkpoint that it signed.

use std::path::Path;

use super::{ACCEPT, FILES, Fault, NEXT};
use crate::audit::checkpoint::{Checkpoint, KEY_FILE, LogKey};
use crate::audit::opening::{CHECKPOINT_FILE, read_checkpoint};
use crate::metadata::records::AuditHead;

pub struct Beside {
    /// That the key signed it is verified.
    pub checkpoint: Option<Checkpoint>,
    pub faults: Vec<Fault>,
}

impl Beside {
    /// Without a log there need be nothing.
    pub async fn read(data: &Path, head: Option<&AuditHead>) -> Self {
        let (directory, mut faults) = (data.to_owned(), Vec::new());
        let reading = move || (LogKey::find(&directory), read_checkpoint(&directory));
        let (key, note) = match tokio::task::spawn_blocking(reading).await {
            Ok((key, note)) => (key.map_err(|fault| fault.to_string()), note),
            Err(panic) => (Err(panic.to_string()), Ok(None)),
        };
        let mut tell = |place: &str, what: String, remedy| {
            faults.push(Fault { place: place.to_owned(), what, remedy });
        };
        let signed_by = head.and_then(|head| head.key.as_deref());
        let key = match key {
            Ok(key) => key.map(|key| key.public().to_owned()),
            Err(why) => {
                tell(KEY_FILE, why, FILES);
                return Self { checkpoint: None, faults };
            }
        };
        match (signed_by, &key) {
            (Some(by), None) => {
                tell(
                    KEY_FILE,
                    format!("it is not there, and the log was signed by the key {by}"),
                    FILES,
                );
            }
            (Some(by), Some(key)) if by != key => {
                let what = format!("it is the key {key}, and the log was signed by the key {by}");
                tell(KEY_FILE, what, ACCEPT);
            }
            _ => {}
        }
        let note = match note {
            Ok(note) => note,
            Err(fault) => {
                tell(CHECKPOINT_FILE, format!("it can not be read: {fault}"), NEXT);
                return Self { checkpoint: None, faults };
            }
        };
        let checkpoint = match (note, key.as_deref().or(signed_by)) {
            (Some(note), Some(key)) => match Checkpoint::read(&note, key) {
                Ok(checkpoint) => Some(checkpoint),
                Err(fault) => {
                    tell(CHECKPOINT_FILE, format!("it is not believed: {fault}"), ACCEPT);
                    None
                }
            },
            (None, _) if signed_by.is_some() => {
                let what = "it is not there, so nothing vouches for the log".to_owned();
                tell(CHECKPOINT_FILE, what, NEXT);
                None
            }
            _ => None,
        };
        Self { checkpoint, faults }
    }
}
