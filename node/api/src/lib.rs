//! towpath-api
