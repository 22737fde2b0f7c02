//! npm, from outside: the real client and raw requests, against the real binary and a scripted
//! upstream.

pub mod advisories;
mod audit;
mod client_names;
mod clients;
mod closures;
mod contradictions;
mod damage;
mod facts;
mod hostile;
mod login;
mod memory;
mod modes;
mod names;
mod often;
mod people;
mod publish;
mod recorded;
mod refusals;
mod registries;
mod requests;
mod rights;
mod rules;
mod search;
mod signatures;
mod starters;
mod tarballs;
pub mod teams;
mod tokens;
mod versions;
mod views;

use server::metadata::sled::{Sled, SledOptions};
use server::metadata::{Batch, Metadata};
use support::npm::Npm;
use support::server::{Setup, TestServer};
use support::upstream::ScriptedUpstream;

/// An upstream that has `left-pad` in three versions and `@s/n` in one.
pub async fn upstream() -> ScriptedUpstream {
    let up = ScriptedUpstream::start().await;
    let left_pad = up.npm("left-pad").plain_version("1.1.0").plain_version("1.2.0");
    left_pad.plain_version("1.3.0").publish();
    up.npm("@s/n").plain_version("1.0.0").publish();
    up
}

/// A garth in front of it that asks the upstream each time whether something changed.
pub fn setup(up: &ScriptedUpstream) -> Setup {
    registry(up, "max_age = \"0s\"")
}

/// One registry with these settings of its own.
fn registry(up: &ScriptedUpstream, more: &str) -> Setup {
    Setup::new(&format!("[registry.npm]\nupstream = \"{}\"\n{more}\n", up.url()))
}

/// A person whose npm is set to this garth.
fn npm(garth: &TestServer) -> Npm {
    Npm::new(&format!("{}/npm/", garth.url))
}

/// Puts other bytes into the store of a server that does not run; what was there.
pub async fn replace_record(setup: &Setup, key: &'static [u8], value: &[u8]) -> Vec<u8> {
    let directory = Sled::directory_in(&setup.data());
    let store = Sled::open(&directory, SledOptions::default()).unwrap();
    let before = store.get(key).await.unwrap().expect("a record with this key");
    store.commit(Batch::default().put(key, value.to_vec())).await.unwrap();
    store.close().await;
    before.to_vec()
}
