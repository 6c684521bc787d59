//! An async client with one method a route.

mod error;
mod events;
mod http;
mod routes;
mod sse;

pub use error::ClientError;
pub use events::EventReader;
pub use http::Client;
