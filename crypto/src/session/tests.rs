//! Who may talk to whom, and what an attacker on the wire can do: nothing but end the session.

use super::*;
use crate::ed25519::SecretKey;
use crate::hash::{ChainId, Digest};

const CHAIN: ChainId = ChainId(Digest([7; 32]));

fn node(seed: u8) -> SecretKey {
    SecretKey::from_bytes(&[seed; 32])
}

fn begin(role: Role, seed: u8, chain: &ChainId) -> Handshake {
    Handshake::new(role, &[seed ^ 0x55; 32], &node(seed), chain).unwrap()
}

fn run(mut one: Handshake, mut other: Handshake) -> Result<(Session, Session), SessionError> {
    while !one.is_done() || !other.is_done() {
        if one.is_my_turn() {
            other.read(&one.write()?)?;
        } else {
            one.read(&other.write()?)?;
        }
    }
    Ok((one.finish()?, other.finish()?))
}

fn pair() -> (Session, Session) {
    run(begin(Role::Initiator, 1, &CHAIN), begin(Role::Responder, 2, &CHAIN)).unwrap()
}

fn seal(session: &mut Session, plain: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    session.seal(plain, &mut wire).unwrap();
    wire
}

fn open(session: &mut Session, sealed: &[u8]) -> Result<Vec<u8>, SessionError> {
    let mut plain = Vec::new();
    session.open(sealed, &mut plain)?;
    Ok(plain)
}

#[test]
fn both_sides_prove_who_they_are_and_understand_each_other() {
    let (mut one, mut other) = pair();
    assert_eq!((one.peer(), other.peer()), (node(2).public(), node(1).public()));
    for message in [&b"a"[..], &[9; CHUNK_BYTES_MAX]] {
        let sealed = seal(&mut one, message);
        assert_eq!(sealed.len(), message.len() + TAG_BYTES);
        assert_eq!(open(&mut other, &sealed).unwrap(), message);
        let back = seal(&mut other, message);
        assert_eq!(open(&mut one, &back).unwrap(), message);
    }
}

#[test]
fn l3_nodes_of_two_chains_agree_on_nothing() {
    let elsewhere = ChainId(Digest([8; 32]));
    let result = run(begin(Role::Initiator, 1, &CHAIN), begin(Role::Responder, 2, &elsewhere));
    assert_eq!(result.unwrap_err(), SessionError::Handshake);
}

#[test]
fn n9_another_protocol_version_agrees_on_nothing() {
    let mut prologue = CHAIN.0.0.to_vec();
    prologue.extend((PROTOCOL_VERSION - 1).to_be_bytes());
    let old = Handshake::with_prologue(Role::Responder, &[3; 32], &node(2), &CHAIN, &prologue).unwrap();
    assert_eq!(run(begin(Role::Initiator, 1, &CHAIN), old).unwrap_err(), SessionError::Handshake);
}

#[test]
fn n7_a_proof_is_worth_nothing_in_another_session() {
    // All that Mallory could have of Bob's is a proof over another key and transcript.
    let mut forged = begin(Role::Responder, 9, &CHAIN);
    forged.node = node(2);
    forged.own_session_key = [0; 32];
    let mut alice = begin(Role::Initiator, 1, &CHAIN);
    forged.read(&alice.write().unwrap()).unwrap();
    assert_eq!(alice.read(&forged.write().unwrap()).unwrap_err(), SessionError::Identity);
}

#[test]
fn n8_reflected_messages_are_noticed() {
    let mut alice = begin(Role::Initiator, 1, &CHAIN);
    let mut mirror = begin(Role::Responder, 1, &CHAIN);
    mirror.read(&alice.write().unwrap()).unwrap();
    assert_eq!(alice.read(&mirror.write().unwrap()).unwrap_err(), SessionError::Reflected);
    let (mut one, _) = pair();
    let own = seal(&mut one, b"mine");
    assert_eq!(open(&mut one, &own).unwrap_err(), SessionError::Message);
}

#[test]
fn n8_a_replayed_reordered_cut_or_changed_message_ends_the_session() {
    type Attack = fn(&[u8], &[u8]) -> Vec<u8>;
    let attacks: [Attack; 4] = [
        |first, _| first.to_vec(),
        |_, third| third.to_vec(),
        |_, third| third[..third.len() - 1].to_vec(),
        |_, third| third.iter().enumerate().map(|(i, byte)| if i == 0 { byte ^ 1 } else { *byte }).collect(),
    ];
    for attack in attacks {
        let (mut one, mut other) = pair();
        let (first, second, third) =
            (seal(&mut one, b"first"), seal(&mut one, b"second"), seal(&mut one, b"third"));
        open(&mut other, &first).unwrap();
        assert_eq!(open(&mut other, &attack(&first, &third)).unwrap_err(), SessionError::Message);
        assert_eq!(
            open(&mut other, &second).unwrap_err(),
            SessionError::Poisoned,
            "nothing is opened afterwards"
        );
    }
}

#[test]
fn n8_keys_are_renewed_on_schedule_on_both_sides() {
    let (mut one, mut other) = pair();
    for number in 0..(1_u32 << 16) + 10 {
        let sealed = seal(&mut one, &number.to_le_bytes());
        assert_eq!(open(&mut other, &sealed).unwrap(), number.to_le_bytes());
    }
}

#[test]
fn n3_lengths_beyond_the_bound_are_refused() {
    let (mut one, mut other) = pair();
    let mut wire = Vec::new();
    let long = vec![0; CHUNK_BYTES_MAX + 1];
    assert!(matches!(one.seal(&long, &mut wire), Err(SessionError::TooLong { .. })));
    assert!(matches!(open(&mut other, &vec![0; 70_000]), Err(SessionError::TooLong { .. })));
    let mut handshake = begin(Role::Responder, 2, &CHAIN);
    assert!(matches!(handshake.read(&vec![0; HANDSHAKE_BYTES_MAX + 1]), Err(SessionError::TooLong { .. })));
}

#[test]
fn calls_out_of_turn_are_refused() {
    let mut one = begin(Role::Initiator, 1, &CHAIN);
    assert_eq!(one.read(b"?").unwrap_err(), SessionError::OutOfTurn);
    one.write().unwrap();
    assert_eq!(one.write().unwrap_err(), SessionError::OutOfTurn);
}
