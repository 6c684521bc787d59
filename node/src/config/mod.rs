//! A node's configuration: what can be set, where a value came from, and whether it makes sense.
//!
//! A value is taken from the flag, else the environment, else the file, else the default. Nothing is guessed: unknown
//! keys are refused, and every error names the key and the place that set it.

mod error;
mod file;
mod key;
mod layers;
mod resolve;
mod retention;
mod values;

#[cfg(test)]
mod tests;

pub use error::ConfigError;
pub use key::{Key, Shape};
pub use layers::{Origin, Overrides};
pub use resolve::{Api, Channels, Config, Log, LogFormat, Network, Retentions, Tower};
pub use retention::Retention;
