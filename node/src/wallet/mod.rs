//! The wallet's decisions, pure: which coins pay for something, what the transaction looks like, who signs it.
//! It leaves to the ledger driver which coins exist, and which are promised to a channel that is being opened.

mod build;
mod keys;
mod select;

pub use build::{WalletError, payment, sign};
pub use keys::Keyring;
pub use select::{Coin, Rules, Selection, select};
pub use towpath_protocol::settle;

#[cfg(test)]
mod tests;
