//! What is measured beside each other. One runs at a time, on a core of its own.

pub mod built;
pub mod garth;
pub mod kellnr;
pub mod nginx;
pub mod nora;
pub mod verdaccio;

use crate::corpus;
use crate::ground::Ground;
use crate::process::Process;
use crate::rows::Format;

pub const GARTH: &str = "garth";
pub const NGINX_CACHE: &str = "nginx proxy_cache";
pub const NGINX_STATIC: &str = "nginx static";
/// Static files without sendfile.
pub const NGINX_PLAIN: &str = "nginx static, sendfile off";
pub const VERDACCIO: &str = "Verdaccio";
pub const NORA: &str = "nora-registry";
pub const KELLNR: &str = "kellnr";
/// The origin itself, without anything in front.
pub const DIRECT: &str = "direct";

/// What is asked for, in the terms of the corpus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The small one, abbreviated.
    Packument,
    /// The 5 MB one, whole, as gzip.
    Large,
    Tarball,
    Blob,
    /// Of a crate, as cargo asks.
    Index,
    Crate,
}

impl Wanted {
    /// As npm asks.
    pub fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Packument => &[("Accept", "application/vnd.npm.install-v1+json")],
            Self::Large => &[("Accept", "application/json"), ("Accept-Encoding", "gzip")],
            Self::Index => &[("cargo-protocol", "version=1"), ("Accept", "text/plain")],
            Self::Tarball | Self::Blob | Self::Crate => &[],
        }
    }

    /// Its file among those that nginx serves.
    pub fn mirrored(self) -> &'static str {
        match self {
            Self::Packument => "packument.json",
            Self::Large => "large.json",
            Self::Tarball => "tarball.tgz",
            Self::Blob => "blob.tgz",
            Self::Index => "index.txt",
            Self::Crate => "small.crate",
        }
    }

    /// What is measured of one format.
    pub fn all(format: Format) -> &'static [Self] {
        match format {
            Format::Npm => &[Self::Packument, Self::Large, Self::Tarball, Self::Blob],
            Format::Cargo => &[Self::Index, Self::Crate],
        }
    }
}

/// The path of it at a server.
pub fn path(server: &str, wanted: Wanted) -> String {
    match server {
        NGINX_CACHE => return format!("/cached/{}", wanted.mirrored()),
        NGINX_STATIC => return format!("/static/{}", wanted.mirrored()),
        NGINX_PLAIN => return format!("/plain/{}", wanted.mirrored()),
        _ => {}
    }
    let [index, file] = crate_paths(server, corpus::SMALL);
    let package = match wanted {
        Wanted::Index => return index,
        Wanted::Crate => return file,
        Wanted::Packument => format!("/{}", corpus::SMALL),
        Wanted::Large => format!("/{}", corpus::LARGE),
        Wanted::Tarball => corpus::tarball_path(corpus::SMALL, corpus::SMALL_VERSION),
        Wanted::Blob => corpus::tarball_path(corpus::BLOB, "1.0.0"),
    };
    if matches!(server, GARTH | NORA) { format!("/npm{package}") } else { package }
}

/// Where a registry of crates has the index file of one and its small version.
pub fn crate_paths(server: &str, name: &str) -> [String; 2] {
    use corpus::crates::{crate_path, index_path, origin_path};
    let version = corpus::SMALL_VERSION;
    let (index, file) = (index_path(name), crate_path(name, version));
    let at_origin = [format!("/crates/index{index}"), origin_path(name, version)];
    match server {
        GARTH => [format!("/cargo{index}"), format!("/cargo{file}")],
        NORA => [format!("/cargo/index{index}"), format!("/cargo{file}")],
        KELLNR => {
            let base = kellnr::BASE;
            [format!("{base}{index}"), format!("{base}/dl/{name}/{version}/download")]
        }
        NGINX_CACHE => at_origin.map(|path| format!("/pulled{path}")),
        _ => at_origin,
    }
}

/// Whether it answers with what is measured, where nobody has seen it do so yet.
pub fn try_out(ground: &Ground, server: &'static str) -> Result<(), String> {
    let tried = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let process = start(ground, server);
        for &wanted in Wanted::all(ground.format) {
            let path = path(server, wanted);
            let answer = process.connect().get(&path, wanted.headers());
            let status = answer.map(|answer| answer.status);
            if !matches!(status, Ok(200)) {
                return Err(format!("it answers {path} with {status:?}"));
            }
        }
        process.stop();
        Ok(())
    }));
    tried.unwrap_or_else(|_| Err("it does not start here; its log says why".to_owned()))
}

/// Starts it with what it kept from earlier starts. Why it is not there is told beforehand.
pub fn start(ground: &Ground, server: &'static str) -> Process {
    match server {
        GARTH => garth::start(ground, &ground.directory.join("garth/data")),
        VERDACCIO => verdaccio::start(ground),
        NORA => nora::start(ground),
        KELLNR => kellnr::start(ground),
        _ => nginx::start(ground, server),
    }
}
