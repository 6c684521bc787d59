//! towpath-consensus
