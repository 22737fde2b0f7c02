//! What goes wrong, where and how often.

use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use parking_lot::Mutex;

use super::answer::{Answer, Body};

#[derive(Clone, Debug)]
pub enum Fault {
    /// Nothing but the delay.
    None,
    /// Another answer in place of the real one.
    Instead(Answer),
    /// The body a few bytes at a time.
    Dribble { bytes: usize, every: Duration },
    /// The connection ends, in order, after so many bytes of the body.
    TruncateAfter(u64),
    /// The body stops after so many bytes and the connection stays open.
    StallAfter(u64),
    /// `Content-Length` promises so many bytes more than come.
    LengthTooLong(u64),
    /// `Content-Length` promises so many bytes less than come.
    LengthTooShort(u64),
    /// The last byte is another one; length and headers stay.
    OtherBytes,
    /// The answer follows at once by these bytes, which nobody asked for.
    Trailing(Bytes),
    /// A chunked body whose framing breaks in the middle.
    BrokenChunk,
    /// The request is read and never answered.
    Silence,
    /// The connection is reset before the answer.
    Reset,
    /// Not HTTP at all.
    Garbage,
}

#[derive(Default)]
pub struct Scripts(Mutex<Vec<Scripted>>);

struct Scripted {
    path: Option<String>,
    left: Option<usize>,
    delay: Duration,
    fault: Fault,
}

/// A fault in the making: where is known, how often and how late can be said, the last word says
/// what. Without [`Script::times`] it lasts until [`super::ScriptedUpstream::heal`].
#[must_use = "a script needs its last word, such as status(503)"]
pub struct Script<'a> {
    scripts: &'a Scripts,
    scripted: Scripted,
}

impl Scripts {
    pub fn at(&self, path: Option<&str>) -> Script<'_> {
        let path = path.map(str::to_owned);
        let scripted = Scripted { path, left: None, delay: Duration::ZERO, fault: Fault::None };
        Script { scripts: self, scripted }
    }

    pub fn clear(&self) {
        self.0.lock().clear();
    }

    /// What to do with a request now. The path's own scripts come before those for everywhere, and
    /// the older before the newer.
    pub fn take(&self, path: &str) -> (Duration, Fault) {
        let mut scripts = self.0.lock();
        let own = scripts.iter().position(|script| script.path.as_deref() == Some(path));
        let Some(index) = own.or_else(|| scripts.iter().position(|script| script.path.is_none()))
        else {
            return (Duration::ZERO, Fault::None);
        };
        let script = &mut scripts[index];
        let taken = (script.delay, script.fault.clone());
        if let Some(left) = &mut script.left {
            *left -= 1;
            if *left == 0 {
                scripts.remove(index);
            }
        }
        taken
    }
}

impl Script<'_> {
    /// For so many requests; then the next script or the truth.
    pub fn times(mut self, times: usize) -> Self {
        assert!(times > 0, "a script for no request says nothing");
        self.scripted.left = Some(times);
        self
    }

    /// So long before the headers.
    pub fn after(mut self, delay: Duration) -> Self {
        self.scripted.delay = delay;
        self
    }

    /// The truth, perhaps late.
    pub fn serve(self) {
        self.fault(Fault::None);
    }

    pub fn fault(mut self, fault: Fault) {
        self.scripted.fault = fault;
        self.scripts.0.lock().push(self.scripted);
    }

    pub fn answer(self, answer: Answer) {
        self.fault(Fault::Instead(answer));
    }

    pub fn status(self, status: u16) {
        self.answer(Answer::status(status));
    }

    /// 429; `retry_after` in seconds or as a date, as it is sent.
    pub fn rate_limit(self, retry_after: Option<&str>) {
        let answer = Answer::status(429);
        self.answer(match retry_after {
            Some(text) => answer.header("Retry-After", text),
            None => answer,
        });
    }

    /// A login page with status 200.
    pub fn html(self) {
        let page = "<!doctype html><html><body>Please log in</body></html>";
        self.answer(Answer::ok("text/html; charset=utf-8", Body::Bytes(page.into())));
    }

    /// The same page, called JSON.
    pub fn html_called_json(self) {
        let page = "<!doctype html><html><body>Please log in</body></html>";
        self.answer(Answer::ok("application/json", Body::Bytes(page.into())));
    }

    /// 302.
    pub fn redirect(self, location: &str) {
        self.answer(Answer::empty(302).header("Location", location));
    }

    /// 401 that names a login elsewhere.
    pub fn foreign_realm(self, realm: &str) {
        let challenge = format!("Bearer realm=\"{realm}\",service=\"registry\"");
        self.answer(Answer::status(401).header("WWW-Authenticate", challenge));
    }

    /// JSON that is small packed and `size` bytes unpacked.
    pub fn gzip_bomb(self, size: usize) {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        let spaces = vec![b' '; 1 << 20];
        for offset in (0..size).step_by(spaces.len()) {
            let part = &spaces[..spaces.len().min(size - offset)];
            gzip.write_all(part).expect("writing to memory does not fail");
        }
        let packed = gzip.finish().expect("writing to memory does not fail");
        let answer = Answer::ok("application/json", Body::Bytes(packed.into()));
        self.answer(answer.header("Content-Encoding", "gzip"));
    }

    pub fn dribble(self, bytes: usize, every: Duration) {
        self.fault(Fault::Dribble { bytes, every });
    }

    pub fn truncate_after(self, bytes: u64) {
        self.fault(Fault::TruncateAfter(bytes));
    }

    pub fn stall_after(self, bytes: u64) {
        self.fault(Fault::StallAfter(bytes));
    }

    pub fn other_bytes(self) {
        self.fault(Fault::OtherBytes);
    }

    pub fn silence(self) {
        self.fault(Fault::Silence);
    }

    pub fn reset(self) {
        self.fault(Fault::Reset);
    }
}
