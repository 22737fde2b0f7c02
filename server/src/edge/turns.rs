//! One request at a time: where a request ends in what a client sends on one connection.
//!
//! The HTTP library reads ahead, and writes an answer by the head that it has read last: a GET that a
//! HEAD follows at once would be answered without its body, and whoever reads would take the next
//! answer for that body. So the connection hands on one request, and the next one when that one is
//! answered.
//!
//! A client that offers another protocol is answered in this one (RFC 9110, 7.8): that offer is masked,
//! since the library would end the connection behind the answer. cargo and Java's client offer HTTP/2
//! with each request where there is no TLS.
//!
//! Pure, and no judge: what is no HTTP is handed on as it is, and the parser refuses it.

/// Of a line so many bytes are kept: a length and the name of a header are in them.
const LINE: usize = 80;

#[derive(Debug, Default)]
pub(super) struct Framing {
    state: State,
    /// The beginning of the line that is being read.
    line: Vec<u8>,
    /// What the head says of its body.
    length: Option<u64>,
    chunked: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Before the request: empty lines may stand there.
    #[default]
    Before,
    Head,
    Body(u64),
    ChunkSize,
    Chunk(u64),
    Trailers,
    /// All of it was handed on.
    Done,
    /// Where it ends can not be told here: the parser refuses it, or takes it for the last.
    Endless,
}

impl Framing {
    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    pub(super) fn next(&mut self) {
        *self = Self { line: std::mem::take(&mut self.line), ..Self::default() };
        self.line.clear();
    }

    /// How many of these bytes belong to the request: at least one, where it is not done.
    pub(super) fn take(&mut self, bytes: &mut [u8]) -> usize {
        let mut taken = 0;
        while taken < bytes.len() {
            let rest = &mut bytes[taken..];
            match self.state {
                State::Done => break,
                State::Endless => return bytes.len(),
                State::Body(left) | State::Chunk(left) => {
                    let now = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    taken += now;
                    self.state = match (self.state, left - now as u64) {
                        (State::Body(_), 0) => State::Done,
                        (State::Body(_), left) => State::Body(left),
                        (_, 0) => State::ChunkSize,
                        (_, left) => State::Chunk(left),
                    };
                }
                State::Before | State::Head | State::ChunkSize | State::Trailers => {
                    let end = rest.iter().position(|byte| *byte == b'\n');
                    let until = end.unwrap_or(rest.len());
                    let part = &mut rest[..until];
                    let room = LINE.saturating_sub(self.line.len()).min(part.len());
                    self.line.extend_from_slice(&part[..room]);
                    if self.state == State::Head && is_connection(&self.line) {
                        mask_upgrade(part);
                    }
                    taken += end.map_or(until, |end| end + 1);
                    if end.is_some() {
                        self.state = self.behind_line();
                        self.line.clear();
                    }
                }
            }
        }
        taken
    }

    fn behind_line(&mut self) -> State {
        let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
        match (self.state, line.is_empty()) {
            (State::Before, true) => State::Before,
            (State::Before, false) => State::Head,
            (State::Head, false) => {
                match said(line) {
                    Said::Nothing => {}
                    Said::Chunked => self.chunked = true,
                    Said::Length(length) => self.length = Some(length),
                    Said::Unreadable => return State::Endless,
                }
                State::Head
            }
            (State::Head, true) => match (self.chunked, self.length) {
                (true, _) => State::ChunkSize,
                (false, None | Some(0)) => State::Done,
                (false, Some(length)) => State::Body(length),
            },
            (State::ChunkSize, _) => match chunk_size(line) {
                None => State::Endless,
                Some(0) => State::Trailers,
                // With the end of its line.
                Some(size) => size.checked_add(2).map_or(State::Endless, State::Chunk),
            },
            (State::Trailers, false) => State::Trailers,
            (State::Trailers, true) => State::Done,
            (other, _) => other,
        }
    }
}

/// What a line of the head says of the body.
enum Said {
    Nothing,
    Chunked,
    Length(u64),
    /// A length that is no number.
    Unreadable,
}

fn said(line: &[u8]) -> Said {
    let Some(colon) = line.iter().position(|byte| *byte == b':') else { return Said::Nothing };
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if name.eq_ignore_ascii_case(b"transfer-encoding") {
        return Said::Chunked;
    }
    if !name.eq_ignore_ascii_case(b"content-length") {
        return Said::Nothing;
    }
    let digits = std::str::from_utf8(value.trim_ascii()).ok().filter(|_| line.len() < LINE);
    digits.and_then(|digits| digits.parse().ok()).map_or(Said::Unreadable, Said::Length)
}

fn is_connection(line: &[u8]) -> bool {
    const NAME: &[u8] = b"connection:";
    line.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME))
}

/// `upgrade` becomes a word without a meaning, wherever in the line it stands and also where it comes in
/// pieces. `close`, `keep-alive` and the name of the header have neither of the two letters.
fn mask_upgrade(part: &mut [u8]) {
    for byte in part {
        if matches!(byte, b'u' | b'U') {
            *byte = b'x';
        }
    }
}

fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|byte| matches!(byte, b';' | b' ' | b'\t')).next()?;
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &str = "GET /a HTTP/1.1\r\nhost: t\r\n\r\n";

    /// What is handed on of two requests before the first is answered, in pieces of any size.
    fn handed_on(text: &str, piece: usize) -> usize {
        let mut framing = Framing::default();
        let mut all = 0;
        for bytes in text.to_owned().into_bytes().chunks_mut(piece) {
            let taken = framing.take(bytes);
            all += taken;
            if taken < bytes.len() {
                assert!(framing.is_done(), "{text:?}");
                break;
            }
        }
        all
    }

    #[test]
    fn a_request_ends_where_http_says_whatever_comes_behind_it() {
        let with = |head: &str, body: &str| format!("PUT /a HTTP/1.1\r\n{head}\r\n\r\n{body}");
        let long = format!("x: {}", "y".repeat(500));
        let rows = [
            GET.to_owned(),
            format!("\r\n\r\n{GET}"),
            "GET /content-length:5 HTTP/1.1\nhost: t\n\n".to_owned(),
            with("host: t\r\ncontent-length: 5", "a\r\n\r\n"),
            with("CONTENT-LENGTH:\t5 ", "GET /"),
            with("content-length: 0", ""),
            with(&long, ""),
            with(&format!("{long}\r\nContent-Length: 3"), "abc"),
            with("x-content-length: 5", ""),
            with("transfer-encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"),
            with(
                "Transfer-Encoding: chunked",
                "A;x=1\r\n\r\n\r\n\r\n\r\n\r\n\r\n0\r\nx: y\r\n\r\n",
            ),
        ];
        for first in rows {
            for second in [GET, "HEAD /b HTTP/1.1\r\n\r\n", "\r\n\r\n", "x"] {
                for piece in [1, 2, 3, 7, 64, 4096] {
                    let text = format!("{first}{second}");
                    assert_eq!(handed_on(&text, piece), first.len(), "{text:?} by {piece}");
                }
            }
        }
    }

    #[test]
    fn what_has_no_end_that_can_be_told_is_handed_on() {
        for head in
            ["content-length: five", "content-length: -1", "content-length: 99999999999999999999"]
        {
            let text = format!("PUT /a HTTP/1.1\r\n{head}\r\n\r\n{GET}");
            assert_eq!(handed_on(&text, 9), text.len(), "{head}");
        }
        let text = format!("PUT /a HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nx\r\n{GET}");
        assert_eq!(handed_on(&text, 9), text.len());
    }

    #[test]
    fn the_next_request_begins_anew() {
        let mut framing = Framing::default();
        let put = "PUT /a HTTP/1.1\r\ncontent-length: 2\r\n\r\nab";
        assert_eq!(framing.take(&mut put.to_owned().into_bytes()), put.len());
        assert!(framing.is_done());
        assert_eq!(framing.take(&mut [b'x']), 0);
        framing.next();
        assert_eq!(framing.take(&mut format!("{GET}{put}").into_bytes()), GET.len());
    }

    #[test]
    fn an_offer_of_another_protocol_is_masked_and_nothing_else() {
        let rows = [
            ("Connection: Upgrade, HTTP2-Settings", "Connection: xpgrade, HTTP2-Settings"),
            ("CONNECTION:close,UPGRADE", "CONNECTION:close,xPGRADE"),
            ("connection: keep-alive", "connection: keep-alive"),
            ("upgrade: h2c", "upgrade: h2c"),
            ("x-connection: upgrade", "x-connection: upgrade"),
            ("connection-a: upgrade", "connection-a: upgrade"),
        ];
        for (sent, handed_on) in rows {
            let around = |line: &str| {
                let head = format!("PUT /connection:upgrade HTTP/1.1\r\n{line}\r\nx: u\r\n");
                format!("{head}content-length: 19\r\n\r\nconnection: upgrade").into_bytes()
            };
            for piece in [1, 2, 5, 4096] {
                let (mut framing, mut bytes) = (Framing::default(), around(sent));
                for part in bytes.chunks_mut(piece) {
                    assert_eq!(framing.take(part), part.len());
                }
                assert_eq!(bytes, around(handed_on), "{sent} by {piece}");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn it_takes_something_until_it_is_done(pieces in proptest::collection::vec(".{1,60}", 1..9)) {
            let mut framing = Framing::default();
            for piece in pieces {
                let taken = framing.take(&mut piece.clone().into_bytes());
                proptest::prop_assert!(taken > 0 || framing.is_done());
                proptest::prop_assert!(taken == piece.len() || framing.is_done());
            }
        }
    }
}
