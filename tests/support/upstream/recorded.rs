//! A request as it came in.

#[derive(Clone, Debug)]
pub struct Recorded {
    pub method: String,
    /// As it was written: encoded, with query, absolute if it came as to a proxy.
    pub target: String,
    /// Decoded, without query.
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Recorded {
    /// The first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}
