//! Proofs that an output or a secret is in the ledger at a height, or is not: for clients that know the header alone.
//!
//! What stands in the state tree is fixed here (SPEC B-13, B-19): under `digest(StateKey, key)` the value
//! `digest(StateValue, entry)`. Whether the header is to be trusted is `light.rs`'s.

use std::collections::BTreeMap;

use bincode::{Decode, Encode};
use towpath_crypto::hash::digest;
use towpath_crypto::{Digest, Domain, codec};

use crate::tree::{self, MerklePath, NodeSource, PathError, TreeError};
use crate::types::{Entry, OutPoint, Secret, Time};

/// The largest encoded proof, in bytes: 256 siblings, the leaf and the counts.
pub const STATE_PROOF_BYTES_MAX: usize = 256 * 32 + 128;

/// What the state tree is asked about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Debug)]
pub enum StateKey {
    /// An output.
    Output(OutPoint),
    /// The secret of a condition, by the condition's key.
    Secret(Digest),
}

impl StateKey {
    /// Its place in the tree.
    #[must_use]
    pub fn digest(&self) -> Digest {
        digest(Domain::StateKey, &[&codec::encode(self)])
    }
}

/// What the state tree holds.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub enum StateEntry {
    /// An unspent output.
    Output(Entry),
    /// A recorded secret.
    Secret(RecordedSecret),
}

/// A secret with the time of the block that recorded it.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub struct RecordedSecret {
    /// When.
    pub time: Time,
    /// What.
    pub secret: Secret,
}

impl StateEntry {
    /// Its value in the tree.
    #[must_use]
    pub fn digest(&self) -> Digest {
        digest(Domain::StateValue, &[&codec::encode(self)])
    }
}

/// The tree's changes for some entries that come and keys that go; a key in both comes.
#[must_use]
pub fn tree_changes<'a>(
    come: impl IntoIterator<Item = (StateKey, StateEntry)>,
    go: impl IntoIterator<Item = &'a StateKey>,
) -> BTreeMap<Digest, Option<Digest>> {
    let mut changes: BTreeMap<_, _> = go.into_iter().map(|key| (key.digest(), None)).collect();
    changes.extend(come.into_iter().map(|(key, entry)| (key.digest(), Some(entry.digest()))));
    changes
}

/// Proves what the ledger of one height says about one key.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct StateProof {
    path: MerklePath,
}

/// Why a proof is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}; ask another node")]
pub struct ProofError(#[from] pub PathError);

impl StateProof {
    /// Checks that under the state root of a header `key` holds exactly `entry`, or nothing.
    ///
    /// # Errors
    /// [`ProofError`] says why it proves nothing of the kind.
    pub fn verify(
        &self,
        state_root: &Digest,
        key: &StateKey,
        entry: Option<&StateEntry>,
    ) -> Result<(), ProofError> {
        let value = entry.map(StateEntry::digest);
        Ok(self.path.verify(state_root, &key.digest(), value.as_ref())?)
    }
}

/// The proof about `key` at `height`.
///
/// # Errors
/// [`TreeError::NoVersion`] if that height is not kept, the others if the storage is damaged or unreachable.
pub fn prove(source: &impl NodeSource, height: u64, key: &StateKey) -> Result<StateProof, TreeError> {
    Ok(StateProof { path: tree::prove(source, height, &key.digest())? })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tree::MemoryNodes;
    use crate::types::TxId;

    fn key(number: u32) -> StateKey {
        let digest = digest(Domain::Test, &[b"proof"]);
        if number.is_multiple_of(2) {
            StateKey::Output(OutPoint { tx: TxId(digest), index: number })
        } else {
            StateKey::Secret(towpath_crypto::hash::digest(Domain::Test, &[&number.to_le_bytes()]))
        }
    }

    fn secret(number: u32) -> StateEntry {
        let mut preimage = [0; 32];
        preimage[..4].copy_from_slice(&number.to_le_bytes());
        StateEntry::Secret(RecordedSecret {
            time: Time(u64::from(number)),
            secret: Secret::Preimage(preimage),
        })
    }

    fn tree(count: u32) -> (MemoryNodes, Digest) {
        let mut nodes = MemoryNodes::new();
        let changes = tree_changes((0..count).map(|n| (key(n), secret(n))), []);
        let (root, batch) = tree::update(&nodes, None, 3, &changes).expect("nothing is read");
        nodes.apply(batch);
        (nodes, root)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn presence_and_absence_verify_and_any_changed_byte_fails(count in 0_u32..40, asked in 0_u32..60) {
            let (nodes, root) = tree(count);
            let proof = prove(&nodes, 3, &key(asked)).expect("the height is kept");
            let entry = (asked < count).then(|| secret(asked));
            prop_assert_eq!(proof.verify(&root, &key(asked), entry.as_ref()), Ok(()));
            let bytes = codec::encode(&proof);
            for place in 0..bytes.len() {
                for flip in [1_u8, 0x80] {
                    let mut changed = bytes.clone();
                    changed[place] ^= flip;
                    let verified = codec::decode::<StateProof>(&changed, STATE_PROOF_BYTES_MAX)
                        .is_ok_and(|p| p.verify(&root, &key(asked), entry.as_ref()).is_ok());
                    prop_assert!(!verified, "byte {} changed", place);
                }
            }
        }
    }

    #[test]
    fn a_proof_is_of_one_root_and_one_entry() {
        let (nodes, root) = tree(20);
        let proof = prove(&nodes, 3, &key(4)).expect("the height is kept");
        assert!(proof.verify(&Digest::ZERO, &key(4), Some(&secret(4))).is_err());
        assert!(proof.verify(&root, &key(4), Some(&secret(5))).is_err());
        assert!(proof.verify(&root, &key(6), Some(&secret(4))).is_err());
        assert!(proof.verify(&root, &key(4), None).is_err());
        assert!(proof.verify(&root, &key(100), None).is_err(), "not a proof of that absence");
    }

    #[test]
    fn n11_the_longest_proof_fits_its_limit() {
        let path = MerklePath { leaf: Some((Digest::ZERO, Digest::ZERO)), siblings: vec![Digest::ZERO; 256] };
        let bytes = codec::encode(&StateProof { path });
        assert!(codec::decode::<StateProof>(&bytes, STATE_PROOF_BYTES_MAX).is_ok());
        let path = MerklePath { leaf: None, siblings: vec![Digest::ZERO; 257] };
        let refused = path.verify(&Digest::ZERO, &Digest::ZERO, None);
        assert_eq!(refused, Err(PathError::TooLong(257)));
    }
}
