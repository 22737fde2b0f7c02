//! The power goes while everybody writes: what was acknowledged is there afterwards.
//!
//! A writer of its own process works on an ext4 file system in a file. The file system is shut
//! down without flushing its log, which is what it looks like to the disk when the power goes;
//! then it is mounted again, its journal is replayed, and the stores are opened by the code that
//! garth starts with. Round after round the same stores go on.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use policies::package::{Algorithm, Digest};
use server::blobs::disk::{DiskBlobs, DiskOptions};
use server::blobs::{Blobs, BlobsOptions, Side};
use server::metadata::Metadata as _;
use server::metadata::sled::{Sled, SledOptions};
use sha2::{Digest as _, Sha256};
use support::mount::{Mounted, make_ext4};
use support::powercut;

const ROUNDS: u64 = 24;
/// What was acknowledged in one round.
#[derive(Default)]
struct Acknowledged {
    /// For each writer the number of its last batch.
    records: BTreeMap<u64, u64>,
    large: BTreeMap<u64, u64>,
    blobs: Vec<u64>,
}

#[test]
fn acknowledged_writes_survive_power_cuts() {
    let scratch = tempfile::tempdir().unwrap();
    let image = scratch.path().join("disk.img");
    make_ext4(&image, 2 << 30);

    let mut rounds: Vec<Acknowledged> = Vec::new();
    for round in 0..ROUNDS {
        {
            let disk = Mounted::ext4(&image, &scratch.path().join("disk"));
            let mut writer = Writer::start(&disk.path, round);
            // From the middle of creating the stores to long after it, never twice the same. In most
            // rounds so long after the first line, that something is written on however busy a
            // machine.
            if !round.is_multiple_of(4) {
                writer.wait_until_it_writes();
            }
            let moment = Duration::from_millis(80 + (round * 257) % 900);
            std::thread::sleep(moment);
            disk.cut_power();
            rounds.push(writer.kill());
        }
        let disk = Mounted::ext4(&image, &scratch.path().join("disk"));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        // A later power cut must not take what an earlier one left either, which takes its time
        // to see.
        let all = (round + 1).is_multiple_of(6);
        runtime.block_on(verify(&disk.path, &rounds, all));
        drop(runtime);
    }
    let records: u64 = rounds.iter().flat_map(|round| round.records.values()).map(|n| n + 1).sum();
    let large: u64 = rounds.iter().flat_map(|round| round.large.values()).map(|n| n + 1).sum();
    let blobs: usize = rounds.iter().map(|round| round.blobs.len()).sum();
    println!(
        "{ROUNDS} power cuts, {records} acknowledged batches, {large} large ones and {blobs} blobs, \
         all there"
    );
    assert!(large > 5 * ROUNDS, "only {large} large batches were acknowledged");
    assert!(records > 50 * ROUNDS, "only {records} batches were acknowledged");
    assert!(blobs as u64 > 5 * ROUNDS, "only {blobs} blobs were acknowledged");
}

async fn verify(data: &Path, rounds: &[Acknowledged], all: bool) {
    let round = rounds.len() - 1;
    let first = if all { 0 } else { round.saturating_sub(1) };
    let store = match Sled::open(&data.join("metadata"), SledOptions::default()) {
        Ok(store) => store,
        Err(error) => panic!("after power cut {round}: {error}"),
    };
    for (round, acknowledged) in rounds.iter().enumerate().skip(first) {
        verify_records(&store, round as u64, acknowledged).await;
        verify_large(&store, round as u64, acknowledged).await;
    }
    let engine = Arc::new(DiskBlobs::open(data, DiskOptions::default()).unwrap());
    let alarm = Arc::new(|digest: &Digest, cause: &str| panic!("{digest} is damaged: {cause}"));
    let stage = DiskBlobs::stage_dir(data);
    let blobs = Blobs::open(engine, stage.clone(), alarm, BlobsOptions::default()).unwrap();
    assert_eq!(std::fs::read_dir(stage).unwrap().count(), 0, "leftovers are gone");
    for seed in rounds.iter().skip(first).flat_map(|round| &round.blobs) {
        let expected = powercut::blob(*seed);
        let digest = Digest::new(Algorithm::Sha256, &Sha256::digest(&expected)).unwrap();
        let found = blobs.get(&digest).await.unwrap();
        let found = found.unwrap_or_else(|| panic!("blob {seed} is lost after power cut {round}"));
        assert_eq!(found.read_all(u64::MAX).await.unwrap(), expected, "blob {seed}");
        let (key, value) = powercut::side(*seed);
        assert_eq!(blobs.sides(&digest).await.unwrap(), [Side::new(&key, &value)], "blob {seed}");
    }
    if !all {
        return;
    }
    // Nothing else that is visible is half written.
    for blob in blobs.list(None, usize::MAX).await.unwrap() {
        let found = blobs.get(&blob.digest).await.unwrap().unwrap();
        found.read_all(u64::MAX).await.unwrap();
    }
}

async fn verify_records(store: &Sled, round: u64, acknowledged: &Acknowledged) {
    for (writer, last) in &acknowledged.records {
        let prefix = format!("test/{round:04}/{writer:02}/");
        let found = store.scan(prefix.as_bytes(), None, usize::MAX).await.unwrap();
        assert!(
            found.len() as u64 > *last,
            "round {round}, writer {writer}: {last} was acknowledged and {} are there",
            found.len()
        );
        for (n, entry) in found.iter().enumerate() {
            let [(key, value), _] = powercut::records(round, *writer, n as u64);
            assert_eq!((&*entry.key, &*entry.value), (&*key, &*value));
        }
        let [_, (newest, number)] = powercut::records(round, *writer, found.len() as u64 - 1);
        let newest = store.get(&newest).await.unwrap();
        assert_eq!(
            newest.as_deref(),
            Some(&*number),
            "round {round}, writer {writer}: half a batch"
        );
    }
}

async fn verify_large(store: &Sled, round: u64, acknowledged: &Acknowledged) {
    for (writer, last) in &acknowledged.large {
        let prefix = powercut::large_prefix(round, *writer);
        let found = store.scan(prefix.as_bytes(), None, usize::MAX).await.unwrap();
        let n = found.first().and_then(|entry| powercut::large_number(&entry.value));
        let n = n.unwrap_or_else(|| panic!("round {round}: the large batch {last} is lost"));
        assert!(n >= *last, "round {round}: {last} was acknowledged and {n} is there");
        let expected = powercut::large(round, *writer, n);
        assert_eq!(found.len(), expected.len(), "round {round}: part of a large batch");
        for (entry, (key, value)) in found.iter().zip(&expected) {
            let whole = (&*entry.key, &*entry.value) == (&**key, &**value);
            assert!(whole, "round {round}, writer {writer}: half of the large batch {n}");
        }
    }
}

struct Writer {
    child: Child,
    /// Told with the first line.
    writes: Receiver<()>,
    acknowledged: Option<std::thread::JoinHandle<Acknowledged>>,
}

impl Writer {
    fn start(data: &Path, round: u64) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_powercut-writer"))
            .arg(data)
            .arg(round.to_string())
            .stdout(Stdio::piped())
            // It ends with complaints about a disk that is gone.
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        let (tell, writes) = mpsc::channel();
        let acknowledged = std::thread::spawn(move || {
            let mut acknowledged = Acknowledged::default();
            let mut tell = Some(tell);
            for line in said.split(b'\n') {
                if let Some(tell) = tell.take() {
                    // Not every round waits for it.
                    let _ = tell.send(());
                }
                let line = String::from_utf8(line.unwrap()).unwrap();
                let words: Vec<&str> = line.split(' ').collect();
                match words[..] {
                    ["record", writer, n] => {
                        let (writer, n) = (writer.parse().unwrap(), n.parse().unwrap());
                        acknowledged.records.insert(writer, n);
                    }
                    ["large", writer, n] => {
                        let (writer, n) = (writer.parse().unwrap(), n.parse().unwrap());
                        acknowledged.large.insert(writer, n);
                    }
                    ["blob", seed, _] => acknowledged.blobs.push(seed.parse().unwrap()),
                    _ => panic!("{line}"),
                }
            }
            acknowledged
        });
        Self { child, writes, acknowledged: Some(acknowledged) }
    }

    fn wait_until_it_writes(&self) {
        self.writes.recv_timeout(Duration::from_mins(1)).expect("a first line");
    }

    fn kill(&mut self) -> Acknowledged {
        // It may have given up by itself already.
        let _ended = self.child.kill();
        self.child.wait().unwrap();
        self.acknowledged.take().unwrap().join().unwrap()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}
