//! Typed keys and versioned values: the only file that knows what is stored under which key.
//!
//! ```text
//! document/{registry}/{package}/{document}   DocumentRecord   newest bytes that the upstream gave
//! version/{registry}/{package}/{version}     VersionRecord    first seen, and the digests pinned then
//! artifact/{registry}/{package}/{file}       ArtifactRecord   a cached or published file
//! observation/{registry}/{package}/{n:020}   Observation      what changed upstream, and when
//! rule/{name}                                RuleRecord       a rule made through the API
//! meta/...                                   single values (the store's format, its identity)
//! ```
//!
//! Each part of a key is percent-encoded, so a `/` in a package name never shifts the parts. A
//! value is one byte of encoding version followed by JSON; a reader refuses a version that it does
//! not know, and says so.
