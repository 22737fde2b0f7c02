//! Words of our own in the status line, for clients that show nothing else of a refusal.
//!
//! HTTP/1 has room for them behind the number, HTTP/2 has not. actix-http takes them only if they
//! live forever, so each is kept once, for good, and there is a bound on how many. They must
//! therefore say nothing that is another for each package or each request: rules, upstreams and
//! outages are few.

use std::collections::BTreeSet;

use actix_web::HttpResponse;
use parking_lot::RwLock;

/// With their length this is a megabyte at most.
const MOST: usize = 4096;
/// Proxies have room for a head, and not for a book.
const LONGEST: usize = 256;

static KEPT: RwLock<Kept> = RwLock::new(Kept::new(MOST));

/// Without effect once there are too many: then the status has its usual words.
pub fn set_status_text(response: &mut HttpResponse, text: &str) {
    let text = in_a_line(text);
    // A guard of its own statement: it must be gone before the other lock is asked for.
    let known = KEPT.read().get(&text);
    let kept = known.or_else(|| KEPT.write().keep(text));
    if kept.is_some() {
        response.head_mut().reason = kept;
    }
}

/// What a status line can hold, wherever the words came from.
fn in_a_line(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_graphic() { c } else { ' ' };
    text.chars().take(LONGEST).map(plain).collect()
}

struct Kept {
    texts: BTreeSet<&'static str>,
    most: usize,
}

impl Kept {
    const fn new(most: usize) -> Self {
        Self { texts: BTreeSet::new(), most }
    }

    fn get(&self, text: &str) -> Option<&'static str> {
        self.texts.get(text).copied()
    }

    fn keep(&mut self, text: String) -> Option<&'static str> {
        if let Some(kept) = self.get(&text) {
            return Some(kept);
        }
        if self.texts.len() >= self.most {
            return None;
        }
        let kept: &'static str = Box::leak(text.into_boxed_str());
        self.texts.insert(kept);
        Some(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_bound_on_what_is_kept_for_good() {
        let mut kept = Kept::new(2);
        assert_eq!(kept.keep("one".to_owned()), Some("one"));
        assert_eq!(kept.keep("two".to_owned()), Some("two"));
        assert_eq!(kept.keep("three".to_owned()), None);
        assert_eq!(kept.keep("one".to_owned()), Some("one"));
    }

    #[test]
    fn an_answer_has_the_words_of_its_refusal() {
        for text in ["not today", "not today", "not ever"] {
            let mut response = HttpResponse::Forbidden().finish();
            set_status_text(&mut response, text);
            assert_eq!(response.head().reason(), text);
        }
    }

    #[test]
    fn nothing_leaves_the_line() {
        assert_eq!(in_a_line("a\r\nSet-Cookie: b\u{e9}\t"), "a  Set-Cookie: b  ");
        assert_eq!(in_a_line(&"x".repeat(10_000)).len(), LONGEST);
    }
}
