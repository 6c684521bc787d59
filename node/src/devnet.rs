//! The keys of local test networks: the same on every machine, so that ids in a tutorial are those on the screen. They
//! are public, so a node refuses them anywhere else.

use towpath_crypto::hash::sha256;
use towpath_crypto::seed::Seed;

/// The names of a local network's nodes, in the order in which they are used.
pub const NAMES: [&str; 16] = [
    "alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy", "kim", "leo", "mia",
    "nils", "olga", "pia",
];

/// What the well-known keys derive from.
const PHRASE: &[u8] = b"towpath local network: these keys are public, never use them for anything of value";

/// The well-known seed of a name.
#[must_use]
pub fn seed(name: &str) -> Seed {
    Seed::from_entropy(&sha256(&[PHRASE, b"/", name.as_bytes()].concat()).0)
}

/// Whether a seed is one of these.
#[must_use]
pub fn is_known(other: &Seed) -> bool {
    NAMES.iter().any(|name| seed(name).entropy() == other.entropy())
}
