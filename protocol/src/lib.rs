//! towpath-protocol
