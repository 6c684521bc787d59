//! The one place where a node id becomes a libp2p peer id and back. A node id is an Ed25519 public key, and so is the
//! libp2p identity: a peer id *is* the key, and no directory stands between them. Peers with other keys are no nodes.

use libp2p::PeerId;
use libp2p::identity::{Keypair, PublicKey as PeerKey, ed25519};
use towpath_crypto::ed25519::PublicKey;

use super::error::NetError;

/// A node's id: its Ed25519 public key.
pub type NodeId = PublicKey;

/// The multihash code of a peer id that holds its key in full.
const IDENTITY_HASH: u64 = 0;

/// The libp2p key pair of a node.
///
/// # Errors
/// [`NetError::Identity`] if the bytes are not usable.
pub(crate) fn keypair(secret: &[u8; 32]) -> Result<Keypair, NetError> {
    Keypair::ed25519_from_bytes(*secret).map_err(|_| NetError::Identity)
}

/// The peer id of `node`.
///
/// # Errors
/// [`NetError::NotANode`] if the key is not a point of the curve.
pub fn peer_of(node: &NodeId) -> Result<PeerId, NetError> {
    let key = ed25519::PublicKey::try_from_bytes(&node.0).map_err(|_| NetError::NotANode(*node))?;
    Ok(PeerKey::from(key).to_peer_id())
}

/// The node behind `peer`; none for a peer whose key is not Ed25519.
#[must_use]
pub fn node_of(peer: &PeerId) -> Option<NodeId> {
    let hash = peer.as_ref();
    if hash.code() != IDENTITY_HASH {
        return None;
    }
    let key = PeerKey::try_decode_protobuf(hash.digest()).ok()?;
    Some(PublicKey(key.try_into_ed25519().ok()?.to_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_id_survives_the_way_to_a_peer_id_and_back() {
        for seed in 1..=20u8 {
            let node = towpath_crypto::ed25519::SecretKey::from_bytes(&[seed; 32]).public();
            let peer = peer_of(&node).unwrap();
            assert_eq!(node_of(&peer), Some(node));
            assert_eq!(keypair(&[seed; 32]).unwrap().public().to_peer_id(), peer);
        }
    }

    #[test]
    fn n7_a_peer_with_another_kind_of_key_is_no_node() {
        // The SHA-256 multihash of some key: the key itself cannot be had from it.
        let mut bytes = vec![0x12, 0x20];
        bytes.extend([7; 32]);
        assert_eq!(node_of(&PeerId::from_bytes(&bytes).unwrap()), None);
        // An inline digest that is no key.
        assert_eq!(node_of(&PeerId::from_bytes(&[0, 3, 1, 2, 3]).unwrap()), None);
    }

    #[test]
    fn a_key_off_the_curve_is_refused() {
        let mut off = [0; 32];
        off[0] = 2;
        assert!(matches!(peer_of(&PublicKey(off)), Err(NetError::NotANode(_))));
    }
}
