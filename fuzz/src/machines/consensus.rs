//! Three honest validators, and a fourth whose every word the script makes up: votes and proposals for any height, round and
//! block, to some and not to others; certificates; what it overheard, again and bent; answers to requests for blocks; and
//! crashes, partitions and loss beside that. Up to a third of the power forks nothing, makes nobody sign twice, stops no
//! honest node, and once the network works again blocks go on (FAULTS L11, L13, L15, L17).

#[path = "../../../ledger/consensus/tests/simulation/sim/mod.rs"]
mod sim;

use std::sync::Arc;

use sim::byzantine::Behaviour;
use sim::disk::CHAIN;
use sim::{CrashPoint, Sim, config, secret};
use towpath_consensus::wire::{
    Message, PolkaCertificate, RoundCertificate, RoundReason, RoundVote, SignedProposal, SignedVote, Status,
    encode,
};
use towpath_consensus::{Host as _, SyncFailure};
use towpath_crypto::Digest;
use towpath_crypto::ed25519::Signature;
use towpath_ledger::chain::{Vote, VoteKind};
use towpath_ledger::{Block, BlockId};

use crate::script::Script;

/// Actions of a script: each may decide a block.
const ACTIONS_MAX: usize = 60;

/// Honest validators; the last one is the script's.
const HONEST: usize = 3;
const ROGUE: u8 = 3;

/// Simulated seconds within which blocks go on.
const PATIENCE_S: u64 = 120;

/// Whether the script said anything.
pub fn run(bytes: &[u8]) -> bool {
    let mut script = Script::new(bytes);
    let Some(seed) = script.byte() else { return false };
    let mut sim = Sim::new(4, config(), u64::from(seed));
    sim.nodes[usize::from(ROGUE)].behaviour = Behaviour::Silent;
    (0..HONEST).for_each(|node| sim.boot(node));
    let mut copies = 0;
    let mut any = false;
    for _ in 0..ACTIONS_MAX {
        if act(&mut sim, &mut script, &mut copies).is_none() {
            break;
        }
        any = true;
        check(&sim);
    }
    sim.network.loss_percent = 0;
    let now_ms = sim.now / 1_000;
    sim.partition_at(now_ms, &[0; 4]);
    let tip = (0..HONEST).map(|node| sim.tip(node)).max().unwrap_or(0);
    assert!(sim.run_until(tip + 2, PATIENCE_S), "blocks go on once the network works");
    check(&sim);
    any
}

fn check(sim: &Sim) {
    assert!(sim.agrees(), "I5: a fork at {:?}", sim.audit.forks);
    assert_eq!(sim.audit.double_signs(), 0, "I4: an honest validator signed twice");
    for node in &sim.nodes[..HONEST] {
        assert!(node.fault.is_none(), "an honest node stopped: {:?}", node.fault);
    }
}

fn act(sim: &mut Sim, script: &mut Script<'_>, copies: &mut u64) -> Option<()> {
    match script.below(16)? {
        0..4 => {
            // Blocks come every tenth of a second or so.
            let until = sim.now + (1 + script.number()? % 400) * 1_000;
            sim.run(1, |sim| sim.now >= until);
        }
        4 | 5 => {
            let vote = vote(sim, script)?;
            say(sim, script, copies, Message::Vote(vote))?;
        }
        6 | 7 => {
            let proposal = proposal(sim, script)?;
            say(sim, script, copies, Message::Proposal(proposal))?;
        }
        8 => {
            let certificate = certificate(sim, script)?;
            say(sim, script, copies, certificate)?;
        }
        9 | 10 => again(sim, script)?,
        11 => answer(sim, script)?,
        12 => {
            let (node, back_ms) = (script.below(HONEST)?, 20 + script.number()? % 500);
            let when = match script.below(4)? {
                0 => CrashPoint::Now,
                1 => CrashPoint::InTurn,
                2 => CrashPoint::WriteLost,
                _ => CrashPoint::WriteDone,
            };
            let now_ms = sim.now / 1_000;
            sim.crash_at(node, now_ms, when, Some(back_ms));
        }
        13 => {
            let bits = script.byte()?;
            let groups: Vec<u8> = (0..4).map(|node| bits >> node & 1).collect();
            let now_ms = sim.now / 1_000;
            sim.partition_at(now_ms, &groups);
        }
        14 => sim.network.loss_percent = u64::from(script.byte()? % 40),
        _ => {
            let status =
                Status { tip: height(sim, script)?, block: block_id(sim, script)?.unwrap_or(NOWHERE) };
            say(sim, script, copies, Message::Status(status))?;
        }
    }
    Some(())
}

/// The id of no block.
const NOWHERE: BlockId = BlockId(Digest([9; 32]));

/// A height about where the honest ones are.
fn height(sim: &Sim, script: &mut Script<'_>) -> Option<u64> {
    let tip = sim.tip(script.below(HONEST)?);
    Some((tip + u64::try_from(script.below(5)?).unwrap_or(0)).saturating_sub(1))
}

fn round(script: &mut Script<'_>) -> Option<u32> {
    let byte = u32::from(script.byte()?);
    Some(if byte < 224 { byte % 4 } else { (byte - 224) * 40 })
}

/// A block that some honest node has, one that was proposed, none, or one that nobody knows.
fn block_id(sim: &Sim, script: &mut Script<'_>) -> Option<Option<BlockId>> {
    Some(match script.below(4)? {
        0 => None,
        1 => Some(NOWHERE),
        2 => {
            let mut proposals =
                sim.overheard.iter().filter_map(|bytes| match towpath_consensus::wire::decode(bytes) {
                    Ok(Message::Proposal(proposal)) => Some(proposal.block.id()),
                    _ => None,
                });
            proposals.next_back().or(Some(NOWHERE))
        }
        _ => {
            let disk = sim.nodes[script.below(HONEST)?].disk.borrow();
            let last = disk.chain.len().checked_sub(1 + script.below(4)?);
            last.and_then(|at| disk.chain.get(at)).map(|(block, _)| block.id())
        }
    })
}

fn kind(script: &mut Script<'_>) -> Option<VoteKind> {
    Some(if script.flip()? { VoteKind::Prevote } else { VoteKind::Precommit })
}

fn vote(sim: &Sim, script: &mut Script<'_>) -> Option<SignedVote> {
    let (kind, height, round) = (kind(script)?, height(sim, script)?, round(script)?);
    let vote = Vote { kind, height, round, block: block_id(sim, script)? };
    // Mostly its own key; else another's name under its own signature.
    let validator = if script.below(8)? == 0 { secret(0).public() } else { secret(ROGUE).public() };
    Some(SignedVote { vote, validator, signature: secret(ROGUE).sign(&CHAIN, &vote) })
}

fn proposal(sim: &Sim, script: &mut Script<'_>) -> Option<SignedProposal> {
    let node = &sim.nodes[script.below(HONEST)?];
    let mut block: Block = match &node.engine {
        Some(engine) => engine.host().build(engine.host().tip().height + 1),
        None => (*node.disk.borrow().chain.last()?.0).clone(),
    };
    block.header.proposer = secret(ROGUE).public();
    if script.flip()? {
        let place = script.below(16)?;
        block.header.state_root.0[place] ^= script.byte()?;
    }
    if script.below(8)? == 0 {
        block.header.height = height(sim, script)?;
    }
    let round = round(script)?;
    let pol_round = if script.flip()? { round.checked_sub(1 + u32::from(script.byte()? % 2)) } else { None };
    let mut proposal = SignedProposal {
        round,
        pol_round,
        block: Arc::new(block),
        validator: secret(ROGUE).public(),
        signature: Signature([0; 64]),
    };
    proposal.signature = secret(ROGUE).sign(&CHAIN, &proposal.claim());
    Some(proposal)
}

/// Votes of its own, as often as it likes, and of others, which it overheard or makes up.
fn certificate(sim: &Sim, script: &mut Script<'_>) -> Option<Message> {
    let (height, round, block) = (height(sim, script)?, round(script)?, block_id(sim, script)?);
    let kind = kind(script)?;
    let mut votes = Vec::new();
    for _ in 0..=script.below(4)? {
        let vote = Vote { kind, height, round, block };
        let overheard =
            sim.overheard.iter().filter_map(|bytes| match towpath_consensus::wire::decode(bytes) {
                Ok(Message::Vote(signed)) if script_agrees(&signed, &vote) => Some(signed),
                _ => None,
            });
        let overheard: Vec<SignedVote> = overheard.collect();
        let (validator, signature) = match script.below(4)? {
            0 => (secret(0).public(), secret(ROGUE).sign(&CHAIN, &vote)),
            1 => (secret(ROGUE).public(), secret(ROGUE).sign(&CHAIN, &vote)),
            _ => match overheard.get(script.below(overheard.len())?) {
                Some(signed) => (signed.validator, signed.signature),
                None => (secret(ROGUE).public(), secret(ROGUE).sign(&CHAIN, &vote)),
            },
        };
        votes.push(RoundVote { kind, block, validator, signature });
    }
    Some(if script.flip()? {
        let signatures = votes.iter().map(|vote| (vote.validator, vote.signature)).collect();
        Message::Polka(PolkaCertificate { height, round, block: block.unwrap_or(NOWHERE), signatures })
    } else {
        let reason = if script.flip()? { RoundReason::Precommits } else { RoundReason::Skip };
        Message::Round(RoundCertificate { height, round, reason, votes })
    })
}

/// Whether a vote that was overheard is of this kind, height and round.
fn script_agrees(signed: &SignedVote, vote: &Vote) -> bool {
    (signed.vote.kind, signed.vote.height, signed.vote.round) == (vote.kind, vote.height, vote.round)
}

/// It says something to those whom the script names.
fn say(sim: &mut Sim, script: &mut Script<'_>, copies: &mut u64, message: Message) -> Option<()> {
    let to = script.byte()?;
    *copies += 1;
    let bytes = encode(u64::MAX - *copies, message);
    (0..HONEST).filter(|node| to >> node & 1 == 1).for_each(|node| hand(sim, node, &bytes));
    Some(())
}

fn hand(sim: &mut Sim, node: usize, bytes: &[u8]) {
    let peer = secret(ROGUE).public();
    sim.with(node, |engine| engine.on_gossip(peer, bytes).map(|gossiped| gossiped.outputs));
}

/// Something that was overheard, as it was or bent.
fn again(sim: &mut Sim, script: &mut Script<'_>) -> Option<()> {
    let (which, node, place, bits) =
        (script.below(64)?, script.below(HONEST)?, script.number()?, script.byte()?);
    let Some(bytes) = sim.overheard.get(which) else { return Some(()) };
    let mut bytes = bytes.to_vec();
    let place = usize::try_from(place).unwrap_or(0) % bytes.len().max(1);
    if let Some(byte) = bytes.get_mut(place) {
        *byte ^= bits;
    }
    hand(sim, node, &bytes);
    Some(())
}

/// Blocks that nobody asked for, or an answer that is none.
fn answer(sim: &mut Sim, script: &mut Script<'_>) -> Option<()> {
    let (node, peer) = (script.below(HONEST)?, secret(ROGUE).public());
    let count = script.below(64)?;
    let bytes = if script.flip()? { Ok(script.bytes(count).to_vec()) } else { Err(SyncFailure::Unreachable) };
    sim.with(node, |engine| engine.on_sync_response(peer, bytes));
    Some(())
}
