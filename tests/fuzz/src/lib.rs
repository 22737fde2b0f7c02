//! Throws broken input at what reads policies (rule files, patterns, conditions, ranges) and at what
//! reads requests, upstreams' answers and what is published.
//!
//! [`targets`] are functions over bytes that panic where something that must hold does not.
//! [`mutate`] makes inputs of a corpus of seeds; an input after which a target behaved in a new way
//! joins them for the run ([`run`]). That needs no instrumented build, so it works with the compiler
//! that builds everything else, and a short run with a fixed seed is part of the tests.

pub mod corpus;
pub mod memory;
pub mod mutate;
pub mod run;
pub mod targets;
