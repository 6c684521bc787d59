//! Handshakes with changed, cut, recorded and weak messages (FAULTS N7, N8).

use snow::params::{CipherChoice, HashChoice};
use snow::resolvers::CryptoResolver as _;

use super::*;
use crate::Digest;

const CHAIN: ChainId = ChainId(Digest([7; 32]));

fn begin(role: Role, number: u8) -> Handshake {
    Handshake::new(role, &[number ^ 0x80; 32], &SecretKey::from_bytes(&[number; 32]), &CHAIN).unwrap()
}

/// Runs a whole handshake; `tamper` sees the number (from 0) and the bytes of each message on its way.
fn run(mut tamper: impl FnMut(usize, &mut Vec<u8>)) -> Result<(), SessionError> {
    let (mut calling, mut called) = (begin(Role::Initiator, 1), begin(Role::Responder, 2));
    let mut first = calling.write()?;
    tamper(0, &mut first);
    called.read(&first)?;
    let mut second = called.write()?;
    tamper(1, &mut second);
    calling.read(&second)?;
    let mut third = calling.write()?;
    tamper(2, &mut third);
    called.read(&third)?;
    calling.finish().and(called.finish()).map(|_| ())
}

/// What `handshake` says of a responder's proof over `binding`, made by `signer` for `node`.
fn judge(
    handshake: &Handshake,
    node: PublicKey,
    signature: Signature,
    transcript: [u8; 32],
) -> Result<PublicKey, SessionError> {
    handshake.check(&codec::encode(&Proof { node, signature }), transcript)
}

#[test]
fn the_lengths_are_those_of_the_format() {
    let mut lengths = Vec::new();
    run(|_, bytes| lengths.push(bytes.len())).unwrap();
    assert_eq!(lengths, [32, 192, 160]);
    assert_eq!(lengths, MESSAGE_BYTES);
}

#[test]
fn n8_every_changed_byte_of_a_handshake_is_refused() {
    for (number, length) in MESSAGE_BYTES.into_iter().enumerate() {
        for at in (0..length).step_by(5) {
            let result = run(|message, bytes| {
                if message == number {
                    bytes[at] ^= 1;
                }
            });
            assert_eq!(result, Err(SessionError::Handshake), "message {number} byte {at}");
        }
    }
}

#[test]
fn n8_handshake_messages_of_other_lengths_are_refused() {
    for number in 0..3 {
        for change in [-1_isize, 1, 300] {
            let result = run(|message, bytes| {
                if message == number {
                    bytes.resize(bytes.len().saturating_add_signed(change), 0);
                }
            });
            assert_eq!(result, Err(SessionError::Handshake), "message {number} {change}");
        }
    }
}

#[test]
fn n8_a_recorded_handshake_is_refused() {
    let mut recorded: Vec<Vec<u8>> = Vec::new();
    run(|_, bytes| recorded.push(bytes.clone())).unwrap();
    // The called side meets the recorded caller again: its own ephemeral key is new, so the third message fails.
    let mut called = begin(Role::Responder, 2);
    called.read(&recorded[0]).unwrap();
    called.write().unwrap();
    assert_eq!(called.read(&recorded[2]), Err(SessionError::Handshake));
    let mut calling = begin(Role::Initiator, 1);
    calling.write().unwrap();
    assert_eq!(calling.read(&recorded[1]), Err(SessionError::Handshake));
}

#[test]
fn n7_ephemeral_keys_of_small_order_are_refused() {
    let mut one = [0; 32];
    one[0] = 1;
    for low_order in [[0; 32], one] {
        assert!(!contributes(&low_order));
        for number in 0..2 {
            let result = run(|message, bytes| {
                if message == number {
                    bytes[..32].copy_from_slice(&low_order);
                }
            });
            assert_eq!(result, Err(SessionError::Handshake));
        }
        // Before anything is computed with it: a peer that chose it itself would agree on all that follows.
        let mut called = begin(Role::Responder, 2);
        assert_eq!(called.read(&low_order), Err(SessionError::Handshake));
    }
}

#[test]
fn n3_the_longest_message_is_refused_for_what_it_is_and_a_longer_one_for_its_length() {
    let read = |length| begin(Role::Responder, 2).read(&vec![9; length]);
    assert_eq!(read(HANDSHAKE_BYTES_MAX), Err(SessionError::Handshake));
    let (length, limit) = (HANDSHAKE_BYTES_MAX + 1, HANDSHAKE_BYTES_MAX);
    assert_eq!(read(length), Err(SessionError::TooLong { length, limit }));
}

#[test]
fn n7_a_proof_fits_one_handshake_role_key_and_chain_only() {
    // An initiator that has read the responder's static key, so that proofs can be held against it.
    let mut calling = begin(Role::Initiator, 1);
    let mut called = begin(Role::Responder, 2);
    called.read(&calling.write().unwrap()).unwrap();
    calling.read(&called.write().unwrap()).unwrap();
    let (session_key, transcript) = (called.own_session_key, [5; 32]);
    let binding = |role, session_key, transcript| Binding { role, session_key, transcript };
    let (peer, id) = (&called.node, called.node.public());
    let sign = |binding: &Binding| peer.sign(&CHAIN, binding);

    let good = sign(&binding(Role::Responder, session_key, transcript));
    assert_eq!(judge(&calling, id, good, transcript), Ok(id));
    let stranger = SecretKey::from_bytes(&[3; 32]).public();
    let elsewhere = peer.sign(&ChainId(Digest([8; 32])), &binding(Role::Responder, session_key, transcript));
    let refused = [
        (stranger, good, transcript),
        (id, good, [6; 32]),
        (id, sign(&binding(Role::Initiator, session_key, transcript)), transcript),
        (id, sign(&binding(Role::Responder, [1; 32], transcript)), transcript),
        (id, elsewhere, transcript),
    ];
    for (node, signature, transcript) in refused {
        assert_eq!(judge(&calling, node, signature, transcript), Err(SessionError::Identity));
    }
}

/// What a proof is bound to: both sides have the same at each step, and no two handshakes or steps of one share it.
#[test]
fn n7_no_two_handshakes_have_one_transcript() {
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..2 {
        let (mut calling, mut called) = (begin(Role::Initiator, 1), begin(Role::Responder, 2));
        let mut agreed = |calling: &Handshake, called: &Handshake| {
            assert_eq!(calling.transcript(), called.transcript());
            seen.insert(calling.transcript())
        };
        called.read(&calling.write().unwrap()).unwrap();
        assert!(agreed(&calling, &called));
        calling.read(&called.write().unwrap()).unwrap();
        assert!(agreed(&calling, &called));
    }
}

/// The neutral element signs everything: `R = 0`, `S = 0` satisfies the equation for any message.
#[test]
fn n7_a_weak_identity_proves_nothing() {
    let mut calling = begin(Role::Initiator, 1);
    let mut called = begin(Role::Responder, 2);
    called.read(&calling.write().unwrap()).unwrap();
    calling.read(&called.write().unwrap()).unwrap();
    let (mut neutral, mut signature) = ([0; 32], [0; 64]);
    (neutral[0], signature[0]) = (1, 1);
    let (node, signature) = (PublicKey(neutral), Signature(signature));
    let binding = Binding { role: Role::Responder, session_key: called.own_session_key, transcript: [5; 32] };
    assert!(verify(&node, &CHAIN, &binding, &signature), "valid under ZIP 215");
    assert_eq!(judge(&calling, node, signature, [5; 32]), Err(SessionError::Identity));
}

#[test]
fn ring_computes_the_cipher_and_the_hash() {
    let ring = RingResolver;
    assert!(ring.resolve_cipher(&CipherChoice::ChaChaPoly).is_some());
    assert!(ring.resolve_hash(&HashChoice::SHA256).is_some());
    assert!(ring.resolve_rng().is_some());
    assert!(DefaultResolver.resolve_rng().is_none(), "the operating system's random bytes come through ring");
}
