//! Which process of a node speaks (SPEC P-40 to P-44): two that run with one node's key, on copies of its data, find out
//! about each other from their peers before they sign against each other (FAULTS S11).

use bincode::{Decode, Encode};
use towpath_crypto::ed25519::{PublicKey, SecretKey, Signature, verify};
use towpath_crypto::{ChainId, Domain, Signable};

/// A process of a node: each has a higher number than all that it knows of before it, and random bytes, so that two that
/// know nothing of each other differ.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub struct Epoch {
    /// Rises with each start: the clock, in milliseconds, or one more than the last.
    pub start: u64,
    /// Drawn at the start.
    pub instance: [u8; 16],
}

impl Signable for Epoch {
    const DOMAIN: Domain = Domain::SessionEpoch;
}

/// An epoch with the signature of the node's key: a proof, for the node itself, that another process of it runs or ran.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub struct Hello {
    /// The process.
    pub epoch: Epoch,
    /// The node's.
    pub signature: Signature,
}

/// What a process's word is worth to a peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It is newer than all before it: remember it, then speak with it.
    Newer,
    /// It is the newest one, again.
    Newest,
    /// Another one came after it, or at the same time: nothing is spoken with it.
    Stale,
}

/// What a peer's word, that another process came later, means to the process that hears it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rival {
    /// Nothing: it is not signed by this node's key, or it is this process, or an earlier one.
    None,
    /// There is, or was, a process with this number, of which this one knows nothing.
    Proven(u64),
}

impl Hello {
    /// The word of a process.
    #[must_use]
    pub fn sign(secret: &SecretKey, chain: &ChainId, epoch: Epoch) -> Self {
        Self { epoch, signature: secret.sign(chain, &epoch) }
    }

    /// Whether `node`'s key signed it.
    #[must_use]
    pub fn is_of(&self, node: &PublicKey, chain: &ChainId) -> bool {
        verify(node, chain, &self.epoch, &self.signature)
    }

    /// What it is worth, next to the newest that was heard of the same node.
    #[must_use]
    pub fn standing(&self, newest: Option<&Self>) -> Standing {
        match newest {
            None => Standing::Newer,
            Some(newest) if self.epoch == newest.epoch => Standing::Newest,
            Some(newest) if self.epoch.start > newest.epoch.start => Standing::Newer,
            Some(_) => Standing::Stale,
        }
    }

    /// What it proves to the process that is `own`, whose node is `node`, when a peer shows it.
    #[must_use]
    pub fn rival_of(&self, own: &Epoch, node: &PublicKey, chain: &ChainId) -> Rival {
        let other = self.epoch.instance != own.instance && self.epoch.start >= own.start;
        if other && self.is_of(node, chain) { Rival::Proven(self.epoch.start) } else { Rival::None }
    }
}

#[cfg(test)]
mod tests {
    use towpath_crypto::Digest;

    use super::*;

    const CHAIN: ChainId = ChainId(Digest([7; 32]));

    fn hello(start: u64, instance: u8) -> Hello {
        Hello::sign(&SecretKey::from_bytes(&[1; 32]), &CHAIN, Epoch { start, instance: [instance; 16] })
    }

    #[test]
    fn s11_of_two_processes_the_later_one_is_spoken_with() {
        let (first, again, copy) = (hello(5, 1), hello(5, 1), hello(5, 2));
        assert_eq!(first.standing(None), Standing::Newer);
        assert_eq!(again.standing(Some(&first)), Standing::Newest);
        assert_eq!(copy.standing(Some(&first)), Standing::Stale, "neither is newer: the first stays");
        assert_eq!(hello(6, 2).standing(Some(&first)), Standing::Newer);
        assert_eq!(hello(4, 1).standing(Some(&first)), Standing::Stale);
    }

    #[test]
    fn s11_a_rival_is_proven_by_the_nodes_own_signature_alone() {
        let node = SecretKey::from_bytes(&[1; 32]).public();
        let own = hello(5, 1);
        for (shown, expected) in [
            (hello(6, 2), Rival::Proven(6)),
            (hello(5, 2), Rival::Proven(5)),
            (hello(4, 2), Rival::None),
            (hello(5, 1), Rival::None),
            (hello(9, 1), Rival::None),
        ] {
            assert_eq!(shown.rival_of(&own.epoch, &node, &CHAIN), expected, "{shown:?}");
        }
        let mut forged = hello(4, 2);
        forged.epoch.start = 9;
        assert_eq!(forged.rival_of(&own.epoch, &node, &CHAIN), Rival::None);
        let liar = SecretKey::from_bytes(&[2; 32]);
        let lie = Hello::sign(&liar, &CHAIN, Epoch { start: 9, instance: [2; 16] });
        assert_eq!(lie.rival_of(&own.epoch, &node, &CHAIN), Rival::None);
        let elsewhere = ChainId(Digest([8; 32]));
        assert_eq!(
            hello(6, 2).rival_of(&own.epoch, &node, &elsewhere),
            Rival::None,
            "signed for another ledger"
        );
    }
}
