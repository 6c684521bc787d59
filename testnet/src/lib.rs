//! towpath-testnet
