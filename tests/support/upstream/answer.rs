//! What is sent back, before any fault touches it.

use bytes::Bytes;

use super::generated::Generated;

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Body,
    /// Documents are packed for who accepts it, artifacts never.
    pub packable: bool,
}

#[derive(Clone, Debug)]
pub enum Body {
    Bytes(Bytes),
    Generated(Generated),
}

impl Answer {
    pub fn ok(media_type: &str, body: Body) -> Self {
        Self { status: 200, headers: Vec::new(), body, packable: false }
            .header("Content-Type", media_type)
    }

    pub fn status(status: u16) -> Self {
        let text = format!("{{\"error\":\"scripted {status}\"}}");
        Self { status, ..Self::ok("application/json", Body::Bytes(text.into())) }
    }

    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Body::Bytes(Bytes::new()), packable: false }
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    #[must_use]
    pub fn packable(mut self) -> Self {
        self.packable = true;
        self
    }
}

impl Body {
    pub fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Generated(generated) => generated.length(),
        }
    }

    /// Up to `most` bytes from `offset` on; none at the end.
    pub fn piece(&self, offset: u64, most: usize) -> Bytes {
        match self {
            Self::Bytes(bytes) => {
                let from = usize::try_from(offset).map_or(bytes.len(), |at| at.min(bytes.len()));
                bytes.slice(from..(from + most).min(bytes.len()))
            }
            Self::Generated(generated) => generated.piece(offset, most),
        }
    }
}

pub fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        301 => "Moved Permanently",
        302 => "Found",
        304 => "Not Modified",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        _ => "Scripted",
    }
}
