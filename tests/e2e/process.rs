//! The process as a whole: how it starts, stops, is killed, and lives with a disk that fails.

mod damage;
mod disk;
mod failing;
mod kill;
mod limits;
mod log;
mod start;
mod stop;
