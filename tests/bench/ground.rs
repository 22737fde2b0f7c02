//! What all rows stand on: where things lie, the ports, the corpus and the origin that serves it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::arguments::Arguments;
use crate::corpus::Corpus;
use crate::process::Process;
use crate::rows::Format;
use crate::servers::built::Built;
use crate::servers::{
    self, GARTH, KELLNR, NGINX_CACHE, NGINX_PLAIN, NGINX_STATIC, NORA, VERDACCIO, Wanted,
};
use crate::servers::{garth, kellnr, nginx, nora, verdaccio};

/// The same for the whole run, since they stand in the documents.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    pub garth: u16,
    pub nginx: u16,
    pub verdaccio: u16,
    pub nora: u16,
    pub kellnr: u16,
}

pub struct Ground {
    pub format: Format,
    /// Everything that is written.
    pub directory: PathBuf,
    /// The released binary.
    pub garth: PathBuf,
    /// Or why it can not be had; nothing where no row asks for it.
    pub verdaccio: Result<PathBuf, String>,
    pub nora: Result<PathBuf, String>,
    pub kellnr: Result<PathBuf, String>,
    pub ports: Ports,
    pub corpus: Corpus,
    pub origin: Process,
    pub runs: usize,
    /// How long a hot server is loaded each time.
    pub load: Duration,
    pub quick: bool,
}

impl Ground {
    pub fn prepare(arguments: &Arguments) -> Self {
        // target/debug/bench-registries
        let program = std::env::current_exe().unwrap();
        let target = program.ancestors().nth(2).unwrap().to_owned();
        let garth = target.join("release/garth");
        assert!(garth.exists(), "{} is missing: run ./dev bench", garth.display());
        let bench = target.join("bench");
        let directory = bench.join("npm");
        std::fs::create_dir_all(&directory).unwrap();
        let hot = arguments.rows.iter().any(|row| ["packument", "large", "tarball"].contains(row));
        let unasked = || Err(String::new());
        let verdaccio = if hot { verdaccio::install(&bench) } else { unasked() };
        let crates = arguments.rows.iter().any(|row| ["index", "crate", "crates"].contains(row));
        let built = |of: &Built, is_asked| {
            if is_asked { of.install(&bench, arguments.quick) } else { unasked() }
        };
        let nora = built(&nora::BUILT, hot || crates);
        let kellnr = built(&kellnr::BUILT, crates);
        let port = origin_port(&directory);
        let runs = if arguments.quick { 1 } else { 5 };
        eprintln!("bench: making the packages");
        let corpus =
            Corpus::make(&directory.join("corpus"), &format!("http://127.0.0.1:{port}"), 5);
        let origin = nginx::start_origin(&directory, &corpus, port);
        for stale in
            ["garth/data", "nginx/cache", "verdaccio/storage", "nora/storage", "kellnr/data"]
        {
            let _ = std::fs::remove_dir_all(directory.join(stale));
        }
        let [garth_port, nginx, verdaccio_port, nora_port, kellnr_port] = free_ports();
        let ports = Ports {
            garth: garth_port,
            nginx,
            verdaccio: verdaccio_port,
            nora: nora_port,
            kellnr: kellnr_port,
        };
        let load = Duration::from_secs(if arguments.quick { 1 } else { 5 });
        let mut ground = Self {
            format: arguments.format,
            directory,
            garth,
            verdaccio,
            nora,
            kellnr,
            ports,
            corpus,
            origin,
            runs,
            load,
            quick: arguments.quick,
        };
        ground.mirror();
        if arguments.format == Format::Cargo {
            ground.try_out_others();
        }
        ground
    }

    /// Another registry that does not serve these crates is told as one that is not there.
    fn try_out_others(&mut self) {
        for server in [NORA, KELLNR] {
            let found = if server == NORA { &self.nora } else { &self.kellnr };
            if found.is_err() {
                continue;
            }
            if let Err(cause) = servers::try_out(self, server) {
                let found = if server == NORA { &mut self.nora } else { &mut self.kellnr };
                *found = Err(cause);
            }
        }
    }

    /// Gives nginx the very bytes that garth answers with.
    fn mirror(&self) {
        eprintln!("bench: garth's answers become nginx's files");
        let server = servers::start(self, GARTH);
        let mirror = self.corpus.directory.join("mirror");
        for &wanted in Wanted::all(self.format) {
            let path = servers::path(GARTH, wanted);
            let answer = server.connect().fetch(&path, wanted.headers()).unwrap();
            let said = || String::from_utf8_lossy(&answer.body[..answer.body.len().min(500)]);
            assert_eq!(answer.status, 200, "{path}: {}", said());
            let packed = answer.encoding.as_deref() == Some("gzip");
            assert_eq!(packed, wanted == Wanted::Large, "{path} is packed in another way");
            let name = wanted.mirrored();
            if packed {
                // nginx looks for the plain one too, and must not find it newer.
                std::fs::write(mirror.join(name), b"{}").unwrap();
                std::fs::write(mirror.join(format!("{name}.gz")), &answer.body).unwrap();
            } else {
                std::fs::write(mirror.join(name), &answer.body).unwrap();
            }
        }
        server.stop();
    }

    /// The length of what a client gets.
    pub fn mirrored_length(&self, wanted: Wanted) -> u64 {
        let mirror = self.corpus.directory.join("mirror");
        let name = wanted.mirrored();
        let packed = mirror.join(format!("{name}.gz"));
        let file = if wanted == Wanted::Large { packed } else { mirror.join(name) };
        std::fs::metadata(file).unwrap().len()
    }

    pub fn new_data(&self) -> PathBuf {
        self.directory.join("garth/new-data")
    }

    /// Stores that are not needed any more, until [`Ground::clear`].
    pub fn old_data(&self) -> PathBuf {
        self.directory.join("garth/old-data")
    }

    pub fn clear(&self) {
        let _ = std::fs::remove_dir_all(self.old_data());
    }

    /// Those that can be had.
    pub fn hot_servers(&self) -> Vec<&'static str> {
        let mut servers = vec![GARTH, NGINX_CACHE, NGINX_STATIC];
        servers.extend(self.verdaccio.is_ok().then_some(VERDACCIO));
        servers.extend(self.nora.is_ok().then_some(NORA));
        servers.extend(self.kellnr.is_ok().then_some(KELLNR));
        servers
    }

    pub fn blob_servers() -> [&'static str; 3] {
        [GARTH, NGINX_PLAIN, NGINX_STATIC]
    }

    /// What was written before is on the disk and does not disturb what comes.
    pub fn settle() {
        let _ = std::process::Command::new("sync").status();
        std::thread::sleep(Duration::from_millis(200));
    }

    /// An empty store for garth.
    pub fn start_anew(&self) -> Process {
        garth::start_anew(self)
    }
}

/// The same at each run where it is free: it stands in the corpus.
fn origin_port(directory: &Path) -> u16 {
    let file = directory.join("origin-port");
    let known = std::fs::read_to_string(&file).ok().and_then(|text| text.parse().ok());
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let port = known.filter(free).unwrap_or_else(|| free_ports::<1>()[0]);
    std::fs::write(file, port.to_string()).unwrap();
    port
}

fn free_ports<const N: usize>() -> [u16; N] {
    let held: [TcpListener; N] =
        std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    held.map(|listener| listener.local_addr().unwrap().port())
}
