//! The store on disk, from outside: that it answers like the one in memory, and that neither kills nor damage make it
//! lose an acknowledged write without a word.

mod common;
mod conformance;
mod damage;
mod kill;
mod positions;
