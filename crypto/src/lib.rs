//! Everything cryptographic that Towpath rests on: keys and signatures, domain-separated hashes, the canonical
//! encoding, the textual ids, the seed words and the key file, and the Noise session. Pure, but for the key file.
//!
//! No other crate of the workspace names a curve, a cipher or an encoding library.

pub mod amount;
pub mod codec;
mod decoders;
mod derive;
pub mod ed25519;
pub mod hash;
pub mod id;
pub mod keyfile;
pub mod limits;
pub mod quick;
pub mod schnorr;
pub mod sealed;
pub mod seed;
pub mod session;

pub use amount::Amount;
pub use decoders::decoders;
pub use hash::{ChainId, Digest, Domain, Signable};
