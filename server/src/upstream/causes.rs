//! From reqwest's errors to ours.
//!
//! Their own texts can hold the whole URL and the proxy's, so only the innermost cause is told,
//! which speaks of sockets, names and certificates.

use std::error::Error;
use std::io;

use super::addresses::ForbiddenAddress;

/// What went wrong while a request was sent or a body read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    Forbidden(ForbiddenAddress),
    Tls(String),
    TimedOut(String),
    /// Names, sockets, a connection that ended too early, an answer that is not HTTP.
    Connection(String),
    Malformed(String),
}

pub fn fault_of(error: &reqwest::Error) -> Fault {
    let causes = causes(error);
    if let Some(forbidden) = causes.iter().find_map(|cause| cause.downcast_ref()) {
        return Fault::Forbidden(ForbiddenAddress::clone(forbidden));
    }
    if let Some(tls) = causes.iter().find_map(|cause| cause.downcast_ref::<rustls::Error>()) {
        return Fault::Tls(tls.to_string());
    }
    let innermost = causes.last().map_or_else(|| "unknown".to_owned(), ToString::to_string);
    if error.is_timeout() {
        return Fault::TimedOut(if error.is_connect() {
            "it takes no connections".to_owned()
        } else {
            innermost
        });
    }
    let malformed = causes
        .iter()
        .any(|cause| cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse));
    if malformed { Fault::Malformed(innermost) } else { Fault::Connection(innermost) }
}

/// The error and all below it; an I/O error's content does not show as its source.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> Vec<&'a (dyn Error + 'static)> {
    let mut causes = vec![error];
    let mut present = error;
    loop {
        let inside = present
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            .map(|inner| inner as &(dyn Error + 'static));
        match inside.or_else(|| present.source()) {
            // A chain of causes ends; the bound holds if somebody's does not.
            Some(next) if causes.len() < 32 => {
                causes.push(next);
                present = next;
            }
            _ => return causes,
        }
    }
}
