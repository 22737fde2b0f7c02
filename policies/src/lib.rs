//! What is allowed: packages, rules, facts and decisions.
//!
//! Pure by construction: no file, no network, no clock, no async, no logging. The caller gathers
//! facts (`now` included), and gets the same decision for the same input for ever.

pub mod advisories;
pub mod approval;
pub mod asker;
pub mod backtest;
pub mod check;
pub mod condition;
pub mod decide;
pub mod decision;
pub mod expect;
pub mod facts;
pub mod licence;
pub mod package;
pub mod rules;
pub mod similar;
mod tri;
pub mod versions;
