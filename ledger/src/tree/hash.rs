//! The hashes of the state tree: those of a Jellyfish Merkle tree, inside `Domain::StateTree` (SPEC B-14).

use std::sync::LazyLock;

use towpath_crypto::hash::Hasher;
use towpath_crypto::{Digest, Domain};

/// The hash of a subtree without entries.
pub const PLACEHOLDER: Digest = Digest(*b"SPARSE_MERKLE_PLACEHOLDER_HASH__");

const LEAF_LABEL: &[u8] = b"JMT::LeafNode";
const INNER_LABEL: &[u8] = b"JMT::IntrnalNode";

/// The state after the tag, which would otherwise cost two compressions of each hash.
static TAGGED: LazyLock<Hasher> = LazyLock::new(|| Hasher::new(Domain::StateTree));

/// The hash of a leaf: the key, and the tree's own hash of the value.
pub(super) fn leaf(key: &Digest, value: &Digest) -> Digest {
    let mut hasher = TAGGED.clone();
    hasher.update(LEAF_LABEL);
    hasher.update(&key.0);
    hasher.update(&value_hash(value).0);
    hasher.finish()
}

/// The hash of an inner node of the binary tree.
pub(super) fn inner(left: &Digest, right: &Digest) -> Digest {
    let mut hasher = TAGGED.clone();
    hasher.update(INNER_LABEL);
    hasher.update(&left.0);
    hasher.update(&right.0);
    hasher.finish()
}

fn value_hash(value: &Digest) -> Digest {
    let mut hasher = TAGGED.clone();
    hasher.update(&value.0);
    hasher.finish()
}
