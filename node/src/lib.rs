//! towpath-node
