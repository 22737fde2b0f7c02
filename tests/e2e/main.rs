//! The whole of garth from outside, one module a subject.

mod powercut;
//! Real clients against the real thing, one file a subject.
#![allow(clippy::unwrap_used)]

mod edge;
