//! What the commands do, a file for each group.

mod backup;
mod bench;
mod channel;
mod cheat;
mod crash;
mod events;
mod exit_codes;
mod info;
mod init;
mod ledger;
mod node;
mod peer;
mod testnet;
mod tower;
mod verify;
mod wallet;

pub use backup::backup;
pub use bench::bench;
pub use channel::channel;
pub use events::events;
pub use exit_codes::exit_codes;
pub use info::info;
pub use init::init;
pub use ledger::ledger;
pub use node::node;
pub use peer::peer;
pub use testnet::testnet;
pub use tower::tower;
pub use wallet::wallet;
