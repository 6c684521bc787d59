//! One content for each kind, height and round, whatever is asked and in whatever order (SPEC N-7; FAULTS L15).

use towpath_crypto::Digest;
use towpath_ledger::BlockId;
use towpath_ledger::chain::VoteKind::{self, Precommit, Prevote};

use super::*;

const HEIGHT: u64 = 7;

fn id(byte: u8) -> BlockId {
    BlockId(Digest([byte; 32]))
}

fn vote(kind: VoteKind, round: u32, block: Option<BlockId>) -> Vote {
    Vote { kind, height: HEIGHT, round, block }
}

fn claim(round: u32, pol_round: Option<u32>, block: u8) -> ProposalClaim {
    ProposalClaim { height: HEIGHT, round, pol_round, block: id(block) }
}

fn double(kind: Signed, height: u64, round: u32) -> Result<(), Fault> {
    Err(Fault::DoubleSign { kind, height, round })
}

#[test]
fn l15_a_slot_takes_one_content_and_that_as_often_as_asked() {
    let contents = [None, Some(id(1)), Some(id(2))];
    for kind in [Prevote, Precommit] {
        for first in contents {
            let mut guard = Guard::new(HEIGHT);
            assert_eq!(guard.vote(&vote(kind, 3, first)), Ok(()));
            for second in contents {
                let expected = if second == first { Ok(()) } else { double(Signed::Vote(kind), HEIGHT, 3) };
                assert_eq!(
                    guard.vote(&vote(kind, 3, second)),
                    expected,
                    "{kind:?}: {first:?}, then {second:?}"
                );
            }
            assert_eq!(guard.vote(&vote(kind, 3, first)), Ok(()), "a refusal changes nothing");
        }
    }
}

#[test]
fn l15_a_round_takes_one_proposal() {
    let mut guard = Guard::new(HEIGHT);
    assert!(!guard.has_proposed(2));
    assert_eq!(guard.proposal(&claim(2, Some(1), 1)), Ok(()));
    assert_eq!(guard.proposal(&claim(2, Some(1), 1)), Ok(()), "the same again");
    for other in [claim(2, Some(1), 2), claim(2, Some(0), 1), claim(2, None, 1)] {
        assert_eq!(guard.proposal(&other), double(Signed::Proposal, HEIGHT, 2), "{other:?}");
    }
    assert!(guard.has_proposed(2) && !guard.has_proposed(1) && !guard.has_proposed(3));
    assert!(guard.knows_proposal(&claim(2, Some(1), 1)) && !guard.knows_proposal(&claim(2, Some(1), 2)));
}

#[test]
fn l15_slots_do_not_touch_each_other() {
    let mut guard = Guard::new(HEIGHT);
    for round in [0, 1, u32::MAX] {
        assert_eq!(guard.vote(&vote(Prevote, round, Some(id(1)))), Ok(()));
        assert_eq!(guard.vote(&vote(Precommit, round, None)), Ok(()));
        assert_eq!(guard.proposal(&claim(round, None, 9)), Ok(()));
    }
    assert!(guard.knows_vote(&vote(Prevote, 1, Some(id(1)))));
    for unknown in [vote(Prevote, 2, Some(id(1))), vote(Prevote, 1, None), vote(Precommit, 1, Some(id(1)))] {
        assert!(!guard.knows_vote(&unknown), "{unknown:?}");
    }
}

#[test]
fn l15_nothing_is_signed_for_another_height() {
    for height in [0, HEIGHT - 1, HEIGHT + 1, u64::MAX] {
        let mut guard = Guard::new(HEIGHT);
        let elsewhere = Vote { height, ..vote(Prevote, 0, None) };
        assert_eq!(guard.vote(&elsewhere), double(Signed::Vote(Prevote), height, 0));
        assert_eq!(guard.vote(&elsewhere), double(Signed::Vote(Prevote), height, 0), "nor when asked again");
        let elsewhere = ProposalClaim { height, ..claim(0, None, 1) };
        assert_eq!(guard.proposal(&elsewhere), double(Signed::Proposal, height, 0));
    }
}
