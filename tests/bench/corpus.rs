//! The packages that are measured, as files below the origin's directory. Made once, always the
//! same, and as large and as compressible as real ones.
//!
//! ```text
//! corpus/
//!   packuments/{name}               what the registry says of the package
//!   packuments/{name}.gz            the same as a registry sends it
//!   templates/{name}                packuments with @NAME@ in it, for packages by the thousand
//!   tarballs/{name}/-/{file}
//!   crates/                         a sparse registry of cargo, see [`crates`]
//! ```

pub mod crates;
mod packument;
mod random;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha1::Digest as _;

pub use packument::Published;
use packument::{Shape, packument};
use random::Random;

/// Abbreviated it has 15 KB, and its newest tarball 40 KB.
pub const SMALL: &str = "small-utility";
/// More than 5 MB, whole.
pub const LARGE: &str = "large-framework";
/// As large, to be asked for the first time.
pub const COLD: usize = 4;
pub const BLOB: &str = "blob-archive";
pub const BLOB_BYTES: usize = 256 << 20;
/// A version of 64 MB for each run.
pub const MISS: &str = "miss-archive";
pub const MISS_BYTES: usize = 64 << 20;
/// The origin has packages `fresh-N`, `seed-N` and `filler-N` for every N.
pub const SEED_VERSIONS: usize = 50;
const TARBALL_BYTES: usize = 40_000;
/// Another content makes another directory.
const FORMAT: &str = "5";

#[derive(Debug)]
pub struct Corpus {
    pub directory: PathBuf,
    /// The 5 MB one as it lies at the origin.
    pub large_bytes: usize,
}

pub fn cold_package(n: usize) -> String {
    format!("cold-framework-{n}")
}

/// The last version of a package whose versions are 1.0.0, 1.0.1 and so on.
pub fn tarball_path(name: &str, version: &str) -> String {
    format!("/{name}/-/{name}-{version}.tgz")
}

pub const SMALL_VERSION: &str = "1.0.0";

impl Corpus {
    /// `origin` is the address that the packuments name; `misses` the versions that are pulled.
    pub fn make(directory: &Path, origin: &str, misses: usize) -> Self {
        let stamp = format!("{FORMAT} {origin} {misses}");
        let mark = directory.join("stamp");
        let large = directory.join("packuments").join(LARGE);
        if fs::read_to_string(&mark).is_ok_and(|known| known == stamp) {
            let large_bytes = fs::metadata(large).map_or(0, |file| file.len());
            let large_bytes = usize::try_from(large_bytes).unwrap_or(0);
            return Self { directory: directory.to_owned(), large_bytes };
        }
        let _ = fs::remove_dir_all(directory);
        let maker = Maker { directory, origin };
        maker.make(misses);
        fs::write(mark, stamp).unwrap();
        let large_bytes = usize::try_from(fs::metadata(large).unwrap().len()).unwrap_or(0);
        Self { directory: directory.to_owned(), large_bytes }
    }
}

struct Maker<'a> {
    directory: &'a Path,
    origin: &'a str,
}

impl Maker<'_> {
    fn make(&self, misses: usize) {
        crates::make(self.directory, self.origin);
        for directory in ["packuments", "templates", "tarballs", "mirror"] {
            fs::create_dir_all(self.directory.join(directory)).unwrap();
        }
        let small = self.tarball(SMALL, SMALL_VERSION, TARBALL_BYTES, 1);
        self.publish(SMALL, &Shape::small(), &[small], 1);
        self.publish(LARGE, &Shape::large(), &[], 2);
        for n in 0..COLD {
            self.publish(&cold_package(n), &Shape::large(), &[], 100 + n as u64);
        }
        let blob = self.tarball(BLOB, "1.0.0", BLOB_BYTES, 3);
        self.publish(BLOB, &Shape::tiny(), &[blob], 3);
        let pulled: Vec<_> = (0..misses)
            .map(|n| self.tarball(MISS, &format!("1.0.{n}"), MISS_BYTES, 1000 + n as u64))
            .collect();
        self.publish(MISS, &Shape::tiny().with_versions(misses), &pulled, 4);

        let filler = self.tarball("filler", "1.0.0", TARBALL_BYTES, 5);
        for (template, shape, tarballs) in [
            ("fresh", Shape::tiny(), vec![]),
            ("seed", Shape::small().with_versions(SEED_VERSIONS), vec![]),
            ("filler", Shape::large().with_versions(60), vec![filler]),
        ] {
            let text = packument("@NAME@", self.origin, &shape, &tarballs, &mut Random::new(6));
            fs::write(self.directory.join("templates").join(template), text).unwrap();
        }
    }

    fn publish(&self, name: &str, shape: &Shape, tarballs: &[Published], seed: u64) {
        let text = packument(name, self.origin, shape, tarballs, &mut Random::new(seed));
        let file = self.directory.join("packuments").join(name);
        let mut packed = GzEncoder::new(Vec::new(), Compression::new(6));
        packed.write_all(text.as_bytes()).unwrap();
        fs::write(file.with_added_extension("gz"), packed.finish().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    /// What can not be compressed, as a tarball is.
    fn tarball(&self, name: &str, version: &str, size: usize, seed: u64) -> Published {
        let path = tarball_path(name, version);
        let file = self.directory.join(format!("tarballs{path}"));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let bytes = Random::new(seed).bytes(size);
        fs::write(file, &bytes).unwrap();
        Published {
            version: version.to_owned(),
            sha512: aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, &bytes).as_ref().to_vec(),
            sha1: sha1::Sha1::digest(&bytes).to_vec(),
        }
    }
}
