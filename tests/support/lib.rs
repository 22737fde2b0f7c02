//! What the tests share.

pub mod powercut;
//! What the tests stand on.

pub mod edge;
