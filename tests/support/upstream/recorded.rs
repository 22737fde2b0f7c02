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

    /// Whether this stands anywhere in it.
    pub fn says(&self, text: &str) -> bool {
        let headers = self.headers.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]);
        let parts = [self.target.as_str(), self.path.as_str()].into_iter().chain(headers);
        let body = String::from_utf8_lossy(&self.body);
        parts.chain([&*body]).any(|part| part.contains(text))
    }
}
