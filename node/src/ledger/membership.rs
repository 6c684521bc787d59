//! Who is connected, as the engine was told. It is not told of each coming and going: those reports could be lost, and a
//! peer of which the engine never hears is one that it never asks for blocks. What counts is who is there when it looks.

use std::collections::BTreeSet;

use towpath_consensus::PeerChange;
use towpath_crypto::ed25519::PublicKey;

/// See the module.
#[derive(Default)]
pub(super) struct Membership(BTreeSet<PublicKey>);

impl Membership {
    /// What changed since the last look: first who went, then who came.
    pub(super) fn look(&mut self, now: BTreeSet<PublicKey>) -> Vec<(PublicKey, PeerChange)> {
        let went = self.0.difference(&now).map(|peer| (*peer, PeerChange::Disconnected));
        let came = now.difference(&self.0).map(|peer| (*peer, PeerChange::Connected));
        let changes = went.chain(came).collect();
        self.0 = now;
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c5_whoever_is_there_is_known_whatever_was_missed() {
        let set = |peers: &[u8]| peers.iter().map(|peer| PublicKey([*peer; 32])).collect::<BTreeSet<_>>();
        let mut membership = Membership::default();
        let mut told = BTreeSet::new();
        for now in [&[1, 2][..], &[2, 3, 4], &[2, 3, 4], &[], &[1, 4]] {
            for (peer, change) in membership.look(set(now)) {
                let is_news = match change {
                    PeerChange::Connected => told.insert(peer),
                    PeerChange::Disconnected => told.remove(&peer),
                };
                assert!(is_news, "nothing is told twice");
            }
            assert_eq!(told, set(now));
        }
    }
}
