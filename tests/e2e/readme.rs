//! The shell blocks of README.md, pasted one after the other, do what it says.
//!
//! A comment above a block says what is special about it: `readme-test: starts the server`, or
//! `readme-test: fails`. The registry that npm is set to is a scripted upstream, so no network is
//! needed; `cargo run` runs the binary that is built already; and the port is a free one.

use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::npm::{Npm, Printed};
use support::package_managers;
use support::server::binary;
use support::upstream::ScriptedUpstream;

/// The port in README.md, which is the default one.
const PORT: &str = "8642";
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, PartialEq)]
enum Expectation {
    Works,
    Fails,
    StartsTheServer,
}

struct Block {
    line: usize,
    expectation: Expectation,
    text: String,
}

/// All blocks of the language `sh`, with the comment above them.
fn blocks(readme: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut comment = "";
    let mut lines = readme.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if let Some(said) = line.strip_prefix("<!-- readme-test: ") {
            comment = said.strip_suffix(" -->").expect("a comment of one line");
        } else if line == "```sh" {
            let inside = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```");
            let text = inside.collect::<Vec<_>>().join("\n");
            let expectation = match std::mem::take(&mut comment) {
                "" => Expectation::Works,
                "fails" => Expectation::Fails,
                "starts the server" => Expectation::StartsTheServer,
                other => panic!("README.md:{}: what is {other:?}?", number + 1),
            };
            blocks.push(Block { line: number + 1, expectation, text });
        } else {
            assert!(comment.is_empty() || line.is_empty(), "a comment stands above no block");
        }
    }
    blocks
}

/// The directory in which a reader pastes: a checkout with a built binary.
fn checkout(npm: &Npm) -> std::path::PathBuf {
    let house = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let checkout = npm.home().join("garth");
    let release = checkout.join("target/release");
    std::fs::create_dir_all(&release).unwrap();
    symlink(binary(), release.join("garth")).unwrap();
    std::fs::copy(house.join("Cargo.lock"), checkout.join("Cargo.lock")).unwrap();
    // Stands for the build, which has been done.
    let cargo = npm.home().join("bin/cargo");
    std::fs::create_dir(cargo.parent().unwrap()).unwrap();
    let script = "#!/bin/sh\n\
        [ \"$1 $2 $3\" = 'run --release --' ] || { echo \"cargo $*\" >&2; exit 1; }\n\
        shift 3\nexec target/release/garth \"$@\"\n";
    std::fs::write(&cargo, script).unwrap();
    std::fs::set_permissions(&cargo, std::fs::Permissions::from_mode(0o755)).unwrap();
    checkout
}

/// A shell in the checkout, of somebody whose npm is set to the upstream.
fn shell(npm: &Npm, checkout: &Path, script: &str) -> Command {
    let mut command = Command::new("bash");
    npm.furnish(&mut command);
    let mut path = npm.home().join("bin").into_os_string();
    path.push(":");
    path.push(package_managers::path());
    command.env("PATH", path);
    command.args(["-c", script]).current_dir(checkout).stdin(Stdio::null());
    command
}

/// The server and whatever stands between it and us.
struct Server(Child);

impl Server {
    /// None where somebody took the port before it did.
    fn start(npm: &Npm, checkout: &Path, block: &str, port: u16) -> Option<Self> {
        let log = std::fs::File::create(npm.home().join("log")).unwrap();
        let mut command = shell(npm, checkout, block);
        command.env("GARTH_LISTEN", format!("127.0.0.1:{port}")).process_group(0);
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let mut server = Self(command.spawn().unwrap());
        let begun = Instant::now();
        while !checkout.join("garth-data/run.json").exists() {
            let ended = server.0.try_wait().unwrap();
            let log = std::fs::read_to_string(npm.home().join("log")).unwrap();
            if ended.is_some() && log.contains("is in use already") {
                return None;
            }
            assert!(ended.is_none() && begun.elapsed() < PATIENCE, "garth does not start: {log}");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        let _ = Command::new("kill").args(["-s", "KILL", "--", &group]).status();
        let _ = self.0.wait();
    }
}

/// Starts the server as the README says, on a port that is free; with all the other blocks.
fn start(npm: &Npm, checkout: &Path) -> (Server, Vec<Block>) {
    for _ in 0..5 {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let readme = include_str!("../../README.md").replace(PORT, &free.port().to_string());
        let (starts, others): (Vec<Block>, Vec<Block>) = blocks(&readme)
            .into_iter()
            .partition(|block| block.expectation == Expectation::StartsTheServer);
        assert_eq!(starts.len(), 1, "README.md starts one server");
        if let Some(server) = Server::start(npm, checkout, &starts[0].text, free.port()) {
            return (server, others);
        }
    }
    panic!("no port stays free until garth listens");
}

/// One shell for all blocks, because later ones use what earlier ones have set.
fn session(blocks: &[Block]) -> String {
    let mut lines = vec!["exec 2>&1".to_owned()];
    for Block { line, expectation, text } in blocks {
        lines.push(format!("echo '== {line}'"));
        if *expectation == Expectation::Fails {
            lines.push(text.clone());
            lines.push("[ $? != 0 ] || { echo 'it works'; exit 9; }".to_owned());
            continue;
        }
        for command in text.lines() {
            lines.push(command.to_owned());
            lines.push("[ $? = 0 ] || { echo 'it fails'; exit 9; }".to_owned());
        }
    }
    lines.push("echo '== end'".to_owned());
    lines.join("\n")
}

/// What was printed between two marks.
fn of_block<'a>(printed: &'a str, block: &Block) -> &'a str {
    let mark = format!("== {}\n", block.line);
    let (_, rest) = printed.split_once(&mark).unwrap_or_else(|| panic!("no {mark}: {printed}"));
    rest.split("\n== ").next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_blocks_of_readme_md_do_what_it_says() {
    let up = ScriptedUpstream::start().await;
    up.npm("left-pad").plain_version("1.2.0").plain_version("1.3.0").publish();
    let npm = Npm::new(up.url().as_str());
    let checkout = checkout(&npm);
    let (_server, others) = start(&npm, &checkout);
    let fails = others.iter().filter(|block| block.expectation == Expectation::Fails).count();
    assert!(others.len() >= 6 && fails >= 2, "{} blocks, {fails} fail", others.len());

    let output: Printed = shell(&npm, &checkout, &session(&others)).output().unwrap().into();
    let printed = &output.stdout;
    assert!(output.success && printed.contains("== end"), "{printed}");

    for block in &others {
        let said = of_block(printed, block);
        if block.expectation == Expectation::Fails {
            assert!(
                said.contains("E403") && said.contains("npm:left-pad"),
                "{}: {said}",
                block.line
            );
        }
        if block.text.contains("garth why") {
            assert!(said.contains("allow-left-pad"), "which rule decided: {said}");
        }
    }
    // Nothing but the upstream was asked, and only for what was allowed.
    let asked: Vec<_> = up.recorded().into_iter().map(|request| request.path).collect();
    assert!(asked.contains(&"/left-pad/-/left-pad-1.3.0.tgz".to_owned()), "{asked:?}");
    let log = std::fs::read_to_string(npm.home().join("log")).unwrap();
    assert!(log.contains("npm config get registry"), "it says what it found and where: {log}");
}
