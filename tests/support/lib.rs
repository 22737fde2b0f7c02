//! What the tests share.

pub mod powercut;
