//! The consensus log: its bytes (`golden/log.txt`), what is written when, and what a replay reads and refuses
//! (SPEC N-5; FAULTS L15).

use std::cell::RefCell;

use arc_malachitebft_core_consensus::LocallyProposedValue;
use towpath_crypto::Digest;
use towpath_crypto::ed25519::Signature;
use towpath_ledger::chain::{Vote, VoteKind};

use super::*;
use crate::error::LogError;
use crate::vote::ProposalClaim;
use crate::wire::tests::{block, golden_line, same_lines};

const HEIGHT: u64 = 12;

fn key(byte: u8) -> PublicKey {
    PublicKey([byte; 32])
}

/// A log in memory; appends fail once `broken`.
#[derive(Default)]
struct Memory {
    records: RefCell<Vec<Vec<u8>>>,
    appends: Vec<(u64, u64, usize)>,
    broken: bool,
}

impl Wal for Memory {
    fn append(&mut self, height: u64, first: u64, records: &[Vec<u8>]) -> Result<(), LogError> {
        if self.broken {
            return Err(LogError("full".to_owned()));
        }
        self.appends.push((height, first, records.len()));
        self.records.borrow_mut().extend_from_slice(records);
        Ok(())
    }

    fn load(&self, _: u64) -> Result<Vec<Vec<u8>>, LogError> {
        Ok(self.records.borrow().clone())
    }
}

fn id() -> BlockId {
    block().id()
}

fn vote(round: u32) -> SignedVote {
    let vote = Vote { kind: VoteKind::Prevote, height: HEIGHT, round, block: Some(id()) };
    SignedVote { vote, validator: key(0x21), signature: Signature([0x22; 64]) }
}

fn proposal() -> SignedProposal {
    let block = Arc::new(block());
    let (validator, signature) = (key(0x31), Signature([0x32; 64]));
    SignedProposal { round: 3, pol_round: Some(1), block, validator, signature }
}

fn claim() -> SignedClaim {
    let SignedProposal { validator, signature, .. } = proposal();
    SignedClaim { claim: proposal().claim(), validator, signature }
}

fn polka() -> PolkaCertificate {
    let signatures = vec![(key(0x41), Signature([0x42; 64]))];
    PolkaCertificate { height: HEIGHT, round: 3, block: id(), signatures }
}

fn value(valid_round: Option<u32>, verdict: Verdict) -> Record {
    Record::Value { round: 3, valid_round, proposer: key(0x31), block: id(), verdict }
}

/// One record of each kind, with and without what is optional; the body first.
fn records() -> Vec<(&'static str, Record)> {
    let without = SignedClaim { claim: ProposalClaim { pol_round: None, ..claim().claim }, ..claim() };
    vec![
        ("body", Record::Body(Arc::new(block()))),
        ("vote", Record::Vote(vote(3))),
        ("proposal", Record::Proposal(claim())),
        ("proposal without proof of lock", Record::Proposal(without)),
        ("value", value(Some(1), Verdict::Valid)),
        ("value that is invalid", value(None, Verdict::Invalid)),
        ("polka", Record::Polka(polka())),
        ("timeout propose", Record::Timeout { step: Step::Propose, round: 3 }),
        ("timeout prevote", Record::Timeout { step: Step::Prevote, round: 3 }),
        ("timeout precommit", Record::Timeout { step: Step::Precommit, round: 3 }),
    ]
}

/// The inputs that the core would ask to log, in the order of [`records`].
fn inputs() -> Vec<Input<Ctx>> {
    let records = RefCell::new(records().iter().map(|(_, record)| record.encode()).collect());
    let wal = Memory { records, ..Memory::default() };
    Log::load(HEIGHT, &wal).expect("a good log").1
}

#[test]
fn golden_records() {
    let mut text = String::new();
    for (name, record) in records() {
        let bytes = record.encode();
        assert_eq!(Record::decode(&bytes).as_ref(), Ok(&record), "{name} reads back");
        golden_line(&mut text, name, &bytes);
    }
    same_lines(include_str!("golden/log.txt"), &text);
}

#[test]
fn trap_13_every_record_is_versioned_bounded_and_has_one_encoding() {
    for (name, record) in records() {
        let bytes = record.encode();
        for length in 0..bytes.len() {
            assert!(Record::decode(&bytes[..length]).is_err(), "{name} cut to {length}");
        }
        assert!(Record::decode(&[bytes.as_slice(), &[0]].concat()).is_err(), "{name} and a byte more");
        for bit in 0..bytes.len() * 8 {
            let mut other = bytes.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            match Record::decode(&other) {
                Ok(changed) => assert_eq!(changed.encode(), other, "{name}, bit {bit}"),
                Err(reason) => assert!(!reason.is_empty()),
            }
        }
    }
    assert!(Record::decode(&vec![wire::VERSION; limits::PROPOSAL_BYTES + 2]).is_err());
}

/// What is logged leads to the very inputs that were logged.
#[test]
fn a_record_makes_the_core_do_again_what_it_did() {
    let inputs = inputs();
    let named = records().into_iter().filter(|(_, record)| !matches!(record, Record::Body(_)));
    assert_eq!(inputs.len(), named.clone().count(), "a body is no input");
    for ((name, record), input) in named.zip(&inputs) {
        let (again, body) = record_of(input).unwrap_or_else(|| panic!("{name} is logged"));
        assert_eq!(again, record, "{name}");
        let names_body = matches!(record, Record::Proposal(_) | Record::Value { .. });
        assert_eq!(body.is_some(), names_body, "{name}");
    }
}

#[test]
fn what_is_never_logged_stops_the_engine() {
    let mut log = Log::new(HEIGHT);
    let proposed = LocallyProposedValue::new(Height(HEIGHT), Round::new(0), Value::new(Arc::new(block())));
    let nil = Input::TimeoutElapsed(Timeout::new(Round::Nil, TimeoutKind::Propose));
    let rebroadcast = Input::TimeoutElapsed(Timeout::new(Round::new(0), TimeoutKind::Rebroadcast));
    for input in [Input::Propose(proposed), nil, rebroadcast] {
        assert!(matches!(log.append(HEIGHT, &input), Err(Fault::Core(_))), "{input:?}");
    }
    let good = inputs().remove(0);
    for height in [HEIGHT - 1, HEIGHT + 1] {
        assert!(matches!(log.append(height, &good), Err(Fault::Core(_))), "of height {height}");
    }
    let mut wal = Memory::default();
    log.flush(&mut wal).expect("nothing to write");
    assert_eq!(wal.appends, [], "and nothing of it was kept");
}

#[test]
fn trap_10_a_body_is_logged_once_and_first() {
    let (mut log, mut wal) = (Log::new(HEIGHT), Memory::default());
    let inputs = inputs();
    inputs.iter().for_each(|input| log.append(HEIGHT, input).expect("these are logged"));
    log.flush(&mut wal).expect("it is written");
    let written: Vec<Record> =
        wal.records.borrow().iter().map(|bytes| Record::decode(bytes).expect("our own bytes")).collect();
    let bodies = written.iter().filter(|record| matches!(record, Record::Body(_))).count();
    assert_eq!((bodies, written.len()), (1, inputs.len() + 1));
    let named = |record: &Record| matches!(record, Record::Proposal(_) | Record::Value { .. });
    let body = written.iter().position(|record| matches!(record, Record::Body(_)));
    assert!(body < written.iter().position(named), "before the first record that names it");
}

#[test]
fn records_are_numbered_without_a_gap_and_written_together() {
    let (mut log, mut wal) = (Log::new(HEIGHT), Memory::default());
    let inputs = inputs();
    log.append(HEIGHT, &inputs[0]).expect("a vote");
    log.flush(&mut wal).expect("it is written");
    log.flush(&mut wal).expect("nothing is left");
    inputs[1..3].iter().for_each(|input| log.append(HEIGHT, input).expect("two proposals"));
    log.flush(&mut wal).expect("they are written");
    assert_eq!(wal.appends, [(HEIGHT, 0, 1), (HEIGHT, 1, 3)], "the body goes with what names it");
    let (mut log, replayed) = Log::load(HEIGHT, &wal).expect("a good log");
    assert_eq!(replayed.len(), 3);
    log.replay_ended();
    log.append(HEIGHT, &inputs[6]).expect("a timeout");
    log.flush(&mut wal).expect("it is written");
    assert_eq!(wal.appends.last(), Some(&(HEIGHT, 4, 1)), "numbers go on after a restart");
}

#[test]
fn l15_a_failed_write_is_told_and_writes_nothing_else() {
    let (mut log, mut wal) = (Log::new(HEIGHT), Memory { broken: true, ..Memory::default() });
    log.append(HEIGHT, &inputs()[0]).expect("it waits");
    assert_eq!(log.flush(&mut wal), Err(Fault::Log(LogError("full".to_owned()))));
    wal.broken = false;
    log.flush(&mut wal).expect("it is written");
    assert_eq!(wal.appends, [(HEIGHT, 0, 1)], "under the number that it had");
}

/// During a replay the core asks to log again what is there; only what is new is written. Afterwards everything is new.
#[test]
fn l15_a_replay_writes_only_what_is_new() {
    let (mut log, mut wal) = (Log::new(HEIGHT), Memory::default());
    let inputs = inputs();
    inputs.iter().for_each(|input| log.append(HEIGHT, input).expect("these are logged"));
    log.flush(&mut wal).expect("it is written");
    let there = wal.records.borrow().len();
    let (mut again, replayed) = Log::load(HEIGHT, &wal).expect("a good log");
    replayed.iter().for_each(|input| again.append(HEIGHT, input).expect("these are logged"));
    again.flush(&mut wal).expect("nothing is left");
    assert_eq!(wal.records.borrow().len(), there, "nothing is written twice");
    let new = Input::Vote(convert::vote_to_core(&vote(4)));
    again.append(HEIGHT, &new).expect("a vote that was not there");
    again.flush(&mut wal).expect("it is written");
    assert_eq!(wal.records.borrow().last(), Some(&Record::Vote(vote(4)).encode()));
    again.replay_ended();
    again.append(HEIGHT, &new).expect("after the replay");
    again.flush(&mut wal).expect("it is written");
    assert_eq!(wal.records.borrow().len(), there + 2);
    let bodies = wal.records.borrow().iter().filter(|bytes| bytes[1..5] == [0; 4]).count();
    assert_eq!(bodies, 1, "the body that was there is not written again");
}

#[test]
fn l15_a_damaged_record_is_named() {
    let good: Vec<Vec<u8>> = records().iter().map(|(_, record)| record.encode()).collect();
    for index in 0..good.len() {
        let mut records = good.clone();
        records[index][0] = wire::VERSION + 1;
        let wal = Memory { records: RefCell::new(records), ..Memory::default() };
        let fault = Log::load(HEIGHT, &wal).expect_err("it must not guess");
        let Fault::LogDamaged { height: HEIGHT, index: named, .. } = fault else { panic!("{fault}") };
        assert_eq!(named, index);
    }
    for (name, record) in records().into_iter().skip(2).take(4) {
        let wal =
            Memory { records: RefCell::new(vec![record.encode(), good[0].clone()]), ..Memory::default() };
        let fault = Log::load(HEIGHT, &wal).expect_err("its body comes too late");
        assert!(matches!(fault, Fault::LogDamaged { index: 0, .. }), "{name}: {fault}");
    }
}

/// A log that cannot be read in full is not taken for an empty one.
#[test]
fn l15_a_log_that_cannot_be_read_stops_the_node() {
    struct Unreadable;
    impl Wal for Unreadable {
        fn append(&mut self, _: u64, _: u64, _: &[Vec<u8>]) -> Result<(), LogError> {
            Ok(())
        }
        fn load(&self, _: u64) -> Result<Vec<Vec<u8>>, LogError> {
            Err(LogError("unreadable".to_owned()))
        }
    }
    let fault = Log::load(HEIGHT, &Unreadable).expect_err("it must not guess");
    assert_eq!(fault, Fault::Log(LogError("unreadable".to_owned())));
}

#[test]
fn ids_in_records_are_computed_never_read() {
    let mut other = block();
    other.header.state_root = Digest([1; 32]);
    let wal = Memory {
        records: RefCell::new(vec![
            Record::Body(Arc::new(other)).encode(),
            value(None, Verdict::Valid).encode(),
        ]),
        ..Memory::default()
    };
    let fault = Log::load(HEIGHT, &wal).expect_err("the body is another block's");
    assert!(matches!(fault, Fault::LogDamaged { index: 1, .. }), "{fault}");
}
