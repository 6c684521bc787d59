//! The Merkle tree over a block's transactions (RFC 6962 shape, SPEC B-20, B-21), and the proof that one is in it.
//!
//! The root commits to the number of leaves too, so a proof also fixes the leaf's position.

use bincode::{Decode, Encode};
use towpath_crypto::hash::digest;
use towpath_crypto::{Digest, Domain, codec};

use crate::types::Transaction;

/// The most hashes in a proof: the depth of a tree over more transactions than any block holds.
const DEPTH_MAX: usize = 32;

/// A transaction's leaf: the hash of its encoding, witnesses included. Unlike the id it names these very bytes.
#[must_use]
pub fn leaf(transaction: &Transaction) -> Digest {
    leaf_of_bytes(&codec::encode(transaction))
}

/// The leaf of a transaction that is at hand as its encoding.
#[must_use]
pub fn leaf_of_bytes(encoding: &[u8]) -> Digest {
    digest(Domain::TransactionsLeaf, &[encoding])
}

/// The root over `leaves`; zero without any.
#[must_use]
pub fn root(leaves: &[Digest]) -> Digest {
    if leaves.is_empty() { Digest::ZERO } else { seal(count(leaves), &subtree(leaves)) }
}

/// Proves that a transaction is in a block, at which position.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct TransactionProof {
    /// Its position.
    pub index: u64,
    /// How many transactions the block has.
    pub count: u64,
    /// The hashes beside the way, from the leaf up.
    pub siblings: Vec<Digest>,
}

impl TransactionProof {
    /// The proof for position `index` of `leaves`; `None` past the end.
    #[must_use]
    pub fn new(leaves: &[Digest], index: usize) -> Option<Self> {
        if index >= leaves.len() {
            return None;
        }
        let mut siblings = Vec::new();
        collect(leaves, index, &mut siblings);
        Some(Self { index: u64::try_from(index).ok()?, count: count(leaves), siblings })
    }

    /// Whether under `root` the transaction with this leaf stands at this position.
    #[must_use]
    pub fn verify(&self, root: &Digest, leaf: &Digest) -> bool {
        if self.index >= self.count || self.siblings.len() > DEPTH_MAX {
            return false;
        }
        climb(*leaf, self.index, self.count, &self.siblings)
            .is_some_and(|top| &seal(self.count, &top) == root)
    }
}

fn count(leaves: &[Digest]) -> u64 {
    u64::try_from(leaves.len()).expect("a slice's length fits 64 bits")
}

fn node(left: &Digest, right: &Digest) -> Digest {
    digest(Domain::TransactionsNode, &[&left.0, &right.0])
}

/// 40 bytes, where a node hashes 64: neither can be shown as the other.
fn seal(count: u64, top: &Digest) -> Digest {
    digest(Domain::TransactionsNode, &[&count.to_le_bytes(), &top.0])
}

/// The largest power of two below `count`, which is at least two.
fn left_size(count: usize) -> usize {
    count.next_power_of_two() / 2
}

fn subtree(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => Digest::ZERO,
        [leaf] => *leaf,
        many => {
            let (left, right) = many.split_at(left_size(many.len()));
            node(&subtree(left), &subtree(right))
        }
    }
}

fn collect(leaves: &[Digest], index: usize, siblings: &mut Vec<Digest>) {
    if leaves.len() < 2 {
        return;
    }
    let middle = left_size(leaves.len());
    let (left, right) = leaves.split_at(middle);
    if index < middle {
        collect(left, index, siblings);
        siblings.push(subtree(right));
    } else {
        collect(right, index - middle, siblings);
        siblings.push(subtree(left));
    }
}

/// The hash at the top, if exactly these siblings lead there from position `index` of `count`.
fn climb(leaf: Digest, index: u64, count: u64, siblings: &[Digest]) -> Option<Digest> {
    if count <= 1 {
        return siblings.is_empty().then_some(leaf);
    }
    let (sibling, below) = siblings.split_last()?;
    let middle = 1_u64 << (u64::BITS - 1 - (count - 1).leading_zeros());
    if index < middle {
        Some(node(&climb(leaf, index, middle, below)?, sibling))
    } else {
        Some(node(sibling, &climb(leaf, index - middle, count - middle, below)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(count: u8) -> Vec<Digest> {
        (0..count).map(|n| digest(Domain::Test, &[&[n]])).collect()
    }

    #[test]
    fn every_leaf_is_proven_at_its_place_alone() {
        for count in 1..20 {
            let leaves = leaves(count);
            let root = root(&leaves);
            for (index, leaf) in leaves.iter().enumerate() {
                let proof = TransactionProof::new(&leaves, index).expect("within the leaves");
                assert!(proof.verify(&root, leaf), "{index} of {count}");
                for other in &leaves {
                    assert_eq!(proof.verify(&root, other), other == leaf, "{index} of {count}");
                }
            }
            assert_eq!(TransactionProof::new(&leaves, leaves.len()), None);
        }
    }

    #[test]
    fn a_changed_proof_fails() {
        let leaves = leaves(11);
        let root = root(&leaves);
        let proof = TransactionProof::new(&leaves, 5).expect("within the leaves");
        let bytes = codec::encode(&proof);
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            let verified =
                codec::decode::<TransactionProof>(&changed, 4096).is_ok_and(|p| p.verify(&root, &leaves[5]));
            assert!(!verified, "byte {place}");
        }
    }

    #[test]
    fn a_root_is_no_other_trees_root() {
        let leaves = leaves(4);
        let inner = [node(&leaves[0], &leaves[1]), node(&leaves[2], &leaves[3])];
        assert_ne!(root(&leaves), root(&inner), "the number of leaves is part of the root");
        assert_eq!(root(&[]), Digest::ZERO);
        assert_ne!(root(&leaves[..1]), leaves[0]);
    }

    #[test]
    fn golden_root() {
        assert_eq!(
            root(&leaves(7)).to_string(),
            "e530cabab63f5a72381456ff91d5de36af8f047d68bef9f32fe9a93cd2589b35"
        );
    }
}
