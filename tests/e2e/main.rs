//! The whole of garth from outside, one module a subject.

mod powercut;
