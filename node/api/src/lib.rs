//! The HTTP/JSON API of a Towpath node: its types, its stable error codes, and a client with one method a route.
//!
//! Amounts are decimal strings of base units ([`Units`]); ids are bech32m texts (`node1…`, `chan1…`, `tx1…`,
//! `block1…`, `out1…`, `addr1…`, `asset1…`, `chain1…`) in plain strings; times are integers of milliseconds since
//! the Unix epoch. Requests refuse fields that they don't know; answers may gain fields in any version.
//!
//! The server is in `towpath-node`; what the texts mean to the ledger is decided there.

pub mod client;
pub mod codes;
mod error;
pub mod limits;
mod token;
pub mod types;

pub use client::{Client, ClientError, EventReader};
pub use codes::Code;
pub use error::{ApiError, PROBLEM_JSON};
pub use token::{TOKEN_FILE, Token, TokenError};
pub use types::*;
