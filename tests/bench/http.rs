//! A client that measures: one connection, no buffering library between the socket and the clock.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Large, so that reading is not what limits.
const BUFFER: usize = 256 * 1024;
const PATIENCE: Duration = Duration::from_mins(2);

pub struct Connection {
    stream: TcpStream,
    port: u16,
    buffer: Vec<u8>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// From the request to the first byte of the body.
    pub first_byte: Duration,
    /// To its last.
    pub total: Duration,
    pub length: usize,
    pub encoding: Option<String>,
    /// Kept only by [`Connection::fetch`].
    pub body: Vec<u8>,
}

/// How the end of a body is found.
enum Framing {
    Length(usize),
    Chunked,
}

impl Connection {
    pub fn open(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, port, buffer: vec![0; BUFFER] })
    }

    /// The body is counted and let go.
    pub fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> io::Result<Answer> {
        self.ask("GET", path, headers, "", false)
    }

    pub fn fetch(&mut self, path: &str, headers: &[(&str, &str)]) -> io::Result<Answer> {
        self.ask("GET", path, headers, "", true)
    }

    pub fn post(&mut self, path: &str, headers: &[(&str, &str)], body: &str) -> io::Result<Answer> {
        self.ask("POST", path, headers, body, true)
    }

    fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
        keep: bool,
    ) -> io::Result<Answer> {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n", self.port);
        for (name, value) in headers {
            request.extend([name, ": ", value, "\r\n"]);
        }
        if method == "POST" {
            request.extend(["Content-Length: ", &body.len().to_string(), "\r\n"]);
        }
        request.extend(["\r\n", body]);
        let begun = Instant::now();
        self.stream.write_all(request.as_bytes())?;
        self.read_answer(begun, keep)
    }

    fn read_answer(&mut self, begun: Instant, keep: bool) -> io::Result<Answer> {
        let mut filled = 0;
        let (mut answer, framing, head) = loop {
            filled += self.read_into(filled)?;
            if let Some(found) = parse_head(&self.buffer[..filled])? {
                break found;
            }
        };
        let mut rest = self.buffer[head..filled].to_vec();
        if rest.is_empty() && !matches!(framing, Framing::Length(0)) {
            let read = self.read_into(0)?;
            rest.extend_from_slice(&self.buffer[..read]);
        }
        answer.first_byte = begun.elapsed();
        match framing {
            Framing::Length(length) => {
                answer.length = length;
                let mut left = length.saturating_sub(rest.len());
                if keep {
                    answer.body = rest;
                }
                while left > 0 {
                    let read = self.read_into(0)?;
                    if keep {
                        answer.body.extend_from_slice(&self.buffer[..read]);
                    }
                    left = left.saturating_sub(read);
                }
            }
            Framing::Chunked => {
                while !rest.ends_with(b"0\r\n\r\n") {
                    let read = self.read_into(0)?;
                    rest.extend_from_slice(&self.buffer[..read]);
                }
                answer.body = dechunked(&rest).ok_or_else(|| broken("its chunks"))?;
                answer.length = answer.body.len();
            }
        }
        answer.total = begun.elapsed();
        Ok(answer)
    }

    fn read_into(&mut self, at: usize) -> io::Result<usize> {
        match self.stream.read(&mut self.buffer[at..])? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => Ok(read),
        }
    }
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} can not be read"))
}

/// `None` while the head is not whole.
fn parse_head(bytes: &[u8]) -> io::Result<Option<(Answer, Framing, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(bytes).map_err(|_| broken("the head"))?;
    let httparse::Status::Complete(head) = parsed else { return Ok(None) };
    let header = |wanted: &str| {
        let found = response.headers.iter().find(|one| one.name.eq_ignore_ascii_case(wanted));
        found.map(|one| String::from_utf8_lossy(one.value).into_owned())
    };
    let framing = match header("content-length") {
        Some(length) => Framing::Length(length.parse().map_err(|_| broken("the length"))?),
        None if header("transfer-encoding").is_some() => Framing::Chunked,
        None => Framing::Length(0),
    };
    let answer = Answer {
        status: response.code.unwrap_or(0),
        first_byte: Duration::ZERO,
        total: Duration::ZERO,
        length: 0,
        encoding: header("content-encoding"),
        body: Vec::new(),
    };
    Ok(Some((answer, framing, head)))
}

fn dechunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
        let size = std::str::from_utf8(&rest[..end]).ok()?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(end + 2..end + 2 + size)?);
        rest = rest.get(end + 4 + size..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_framed_by_its_length_or_its_chunks() {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nContent-Encoding: gzip\r\n\r\nbody";
        let (answer, framing, at) = parse_head(head).unwrap().unwrap();
        assert_eq!((answer.status, answer.encoding.as_deref()), (200, Some("gzip")));
        assert!(matches!(framing, Framing::Length(12)));
        assert_eq!(&head[at..], b"body");
        assert!(parse_head(&head[..20]).unwrap().is_none());
        assert_eq!(dechunked(b"3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n").unwrap(), b"abcde");
        assert!(dechunked(b"3\r\nab").is_none());
    }
}
