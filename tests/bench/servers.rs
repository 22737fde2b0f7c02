//! What is measured beside each other. One runs at a time, on a core of its own.

pub mod built;
pub mod garth;
pub mod kellnr;
pub mod nginx;
pub mod nora;
pub mod verdaccio;

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

    /// At a registry.
    fn at_registry(self) -> String {
        use crate::corpus::crates::{crate_path, index_path};
        use crate::corpus::{BLOB, LARGE, SMALL, SMALL_VERSION, tarball_path};
        match self {
            Self::Packument => format!("/{SMALL}"),
            Self::Large => format!("/{LARGE}"),
            Self::Tarball => tarball_path(SMALL, SMALL_VERSION),
            Self::Blob => tarball_path(BLOB, "1.0.0"),
            Self::Index => index_path(SMALL),
            Self::Crate => crate_path(SMALL, SMALL_VERSION),
        }
    }
}

/// The path of it at a server.
pub fn path(server: &str, wanted: Wanted) -> String {
    match server {
        GARTH if matches!(wanted, Wanted::Index | Wanted::Crate) => {
            format!("/cargo{}", wanted.at_registry())
        }
        NORA if wanted == Wanted::Index => format!("/cargo/index{}", wanted.at_registry()),
        NORA if wanted == Wanted::Crate => format!("/cargo{}", wanted.at_registry()),
        KELLNR if wanted == Wanted::Crate => {
            use crate::corpus::{SMALL, SMALL_VERSION};
            format!("{}/dl/{SMALL}/{SMALL_VERSION}/download", kellnr::BASE)
        }
        KELLNR => format!("{}{}", kellnr::BASE, wanted.at_registry()),
        GARTH | NORA => format!("/npm{}", wanted.at_registry()),
        NGINX_CACHE => format!("/cached/{}", wanted.mirrored()),
        NGINX_STATIC => format!("/static/{}", wanted.mirrored()),
        NGINX_PLAIN => format!("/plain/{}", wanted.mirrored()),
        _ => wanted.at_registry(),
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
