//! The HTTP/JSON API: who may call it, what a valid call looks like, and how answers and errors travel.
//!
//! What a call does is left to the [`Backend`], which the node implements; the types are `towpath_api`'s. Routes and
//! the OpenAPI document come from the same declarations, so they can't part.

mod backend;
mod body;
mod check;
mod guard;
mod limits;
mod openapi;
mod problem;
mod routes;
mod secret;
mod server;
mod sse;

#[cfg(test)]
mod tests;

pub use backend::{ApiUsage, Backend, EventFeed, Reply};
pub use guard::{Access, Public, Reach};
pub use openapi::document;
pub use secret::{SecretFileError, load_or_create};
pub use server::{ADDRESS_FILE, Server, ServerError};
