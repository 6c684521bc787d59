//! towpath-tests
