//! `garth login --browser`: a browser on this machine logs in at a provider, and hands over what this
//! command waits for at a port of this machine (RFC 8252).
//!
//! What is handed over is worth nothing without what this command keeps to itself, so whoever else
//! reaches the port, or reads the address, has nothing.

use std::io::{self, IsTerminal as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use url::Url;

use crate::access::provider::challenge_of;
use crate::access::provider::sealed::secret_word;
use crate::api::providers::{CodeRequest, ProviderList, ProviderView};
use crate::api::tokens::CreatedView;
use crate::cli::client::{Client, ClientError, parse_url};

/// As long as the server remembers that it was begun.
const PATIENCE: Duration = Duration::from_mins(10);
/// Of one request to the port.
const READING: Duration = Duration::from_secs(10);
const MAX_HEAD: usize = 16 * 1024;
/// Somebody else may find the port.
const MOST_CODES: usize = 100;
const AT_ONCE: usize = 16;

/// What the command was told.
pub struct Asked {
    pub provider: Option<String>,
    /// Where it waits; none is for any.
    pub port: Option<u16>,
    pub team: Option<String>,
}

/// Waits until somebody has logged in.
pub async fn log_in(client: &Client, asked: &Asked) -> Result<CreatedView, ClientError> {
    let known: ProviderList = client.get(&["login", "providers"], &[]).await?;
    let provider = meant(&known.providers, asked.provider.as_deref(), client.base())?;
    let failed = |what: &str, fault: &dyn std::fmt::Display| {
        ClientError::Unasked(format!("{what}: {fault}"))
    };
    let listener = TcpListener::bind(("127.0.0.1", asked.port.unwrap_or(0))).await;
    let listener = listener.map_err(|fault| failed("the port can not be had", &fault))?;
    let port = listener.local_addr().map_err(|fault| failed("no port can be had", &fault))?.port();
    let verifier = secret_word().map_err(|fault| failed("cannot log in", &fault))?;
    let mut address = parse_url(&provider.url)?;
    address.query_pairs_mut().append_pair("port", &port.to_string());
    address.query_pairs_mut().append_pair("challenge", &challenge_of(&verifier));
    if let Some(team) = &asked.team {
        address.query_pairs_mut().append_pair("team", team);
    }
    eprintln!(
        "To log in at {}, open this in a browser on this machine:\n\n  {address}\n",
        provider.name
    );
    open(&address);
    let waiting = wait(client, listener, verifier);
    timeout(PATIENCE, waiting).await.unwrap_or_else(|_| {
        Err(ClientError::Unasked(format!(
            "nobody logged in within {} minutes: begin anew",
            PATIENCE.as_secs() / 60
        )))
    })
}

fn meant<'a>(
    known: &'a [ProviderView],
    name: Option<&str>,
    server: &Url,
) -> Result<&'a ProviderView, ClientError> {
    let names: Vec<&str> = known.iter().map(|provider| provider.name.as_str()).collect();
    let found = match (name, known) {
        (Some(name), _) => known.iter().find(|provider| provider.name == name),
        (None, [only]) => Some(only),
        (None, _) => None,
    };
    found.ok_or_else(|| {
        ClientError::Unasked(if names.is_empty() {
            format!("{server} has no provider to log in at: garth login asks for a password")
        } else {
            format!("say at which provider: --provider {}", names.join(" or --provider "))
        })
    })
}

/// For a person who looks at it; others read the address.
fn open(address: &Url) {
    if !io::stderr().is_terminal() {
        return;
    }
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let quiet = Stdio::null;
    // Where there is none, the address stands there to be opened by hand.
    let _ = Command::new(program)
        .arg(address.as_str())
        .stdin(quiet())
        .stdout(quiet())
        .stderr(quiet())
        .spawn();
}

/// Browsers open connections that they do not use, so all that come are listened to.
async fn wait(
    client: &Client,
    listener: TcpListener,
    verifier: String,
) -> Result<CreatedView, ClientError> {
    let (told, mut codes) = mpsc::channel(AT_ONCE);
    let accepting = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let told = told.clone();
            tokio::spawn(async move {
                if let Ok(Some(handed)) = timeout(READING, read(stream)).await {
                    let _ = told.send(handed).await;
                }
            });
        }
    });
    let mut tried = 0;
    let made = loop {
        let Some((stream, code)) = codes.recv().await else {
            break Err(ClientError::Unasked("the port of this machine was lost".to_owned()));
        };
        tried += 1;
        let asked = CodeRequest { code, verifier: verifier.clone() };
        match client.post::<_, CreatedView>(&["login", "code"], &asked).await {
            Ok((made, _)) => {
                answer(stream, "200 OK", "You are logged in. This page can be closed.").await;
                break Ok(made);
            }
            // Not what is waited for, which may come yet.
            Err(ClientError::Refused(problem))
                if problem.code == "login-not-taken" && tried < MOST_CODES =>
            {
                answer(stream, "400 Bad Request", "This is not the login that is waited for.")
                    .await;
            }
            Err(fault) => {
                answer(stream, "400 Bad Request", "You are not logged in: the command says why.")
                    .await;
                break Err(fault);
            }
        }
    };
    accepting.abort();
    made
}

/// The code in the request, and where to answer; whatever else is asked is answered here.
async fn read(mut stream: TcpStream) -> Option<(TcpStream, String)> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut piece = [0; 2048];
        let count = stream.read(&mut piece).await.ok().filter(|count| *count > 0)?;
        head.extend_from_slice(&piece[..count]);
        if head.len() > MAX_HEAD {
            return None;
        }
    }
    if let Some(code) = code_in(&head) {
        return Some((stream, code));
    }
    answer(stream, "404 Not Found", "There is nothing here.").await;
    None
}

/// `GET /?code=...`
fn code_in(head: &[u8]) -> Option<String> {
    let line = std::str::from_utf8(head.split(|byte| *byte == b'\r').next()?).ok()?;
    let path = line.strip_prefix("GET ")?.split(' ').next()?;
    let url = Url::parse("http://127.0.0.1/").ok()?.join(path).ok()?;
    let mut codes = url.query_pairs().filter(|(name, _)| name == "code");
    let is_here = url.path() == "/";
    codes.next().filter(|_| is_here).map(|(_, code)| code.into_owned())
}

async fn answer(mut stream: TcpStream, status: &str, text: &str) {
    let body = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>garth</title></head>\
         <body><p>{text}</p></body></html>\n"
    );
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
         Content-Security-Policy: default-src 'none'\r\nCache-Control: no-store\r\n\
         Referrer-Policy: no-referrer\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    // A browser that has left misses a sentence.
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_where_it_is_handed_over_and_nowhere_else() {
        let code = |line: &str| code_in(format!("{line}\r\nHost: 127.0.0.1\r\n\r\n").as_bytes());
        assert_eq!(code("GET /?code=a-b_c HTTP/1.1").as_deref(), Some("a-b_c"));
        assert_eq!(code("GET /?x=y&code=%61 HTTP/1.1").as_deref(), Some("a"));
        for other in [
            "GET / HTTP/1.1",
            "GET /favicon.ico HTTP/1.1",
            "GET /x?code=a HTTP/1.1",
            "POST /?code=a HTTP/1.1",
            "GET",
            "",
        ] {
            assert_eq!(code(other), None, "{other}");
        }
    }
}
