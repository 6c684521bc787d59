//! One engine, and hand-made messages for it.

use std::sync::Arc;

use towpath_consensus::wire::{self, Message, SignedProposal, SignedVote};
use towpath_consensus::{
    Config, DecidedBlock, Engine, GossipVerdict, Gossiped, Output, PeerChange, PeerId, SyncRequest,
    SyncResponse,
};
use towpath_crypto::{Digest, Signable};
use towpath_ledger::chain::{CommitCertificate, Vote, VoteKind};
use towpath_ledger::{Amount, Block, BlockId, Header, Payload, Time, Transaction, TxBody, merkle};

use super::sim::disk::{CHAIN, Disk, DiskLog, Ledger, SharedDisk, Traits};
use super::sim::{SimEngine, config, equal, secret};

/// Validator `index` of `count`, connected to all others, not started.
pub fn engine(index: u8, count: u8) -> (SimEngine, SharedDisk) {
    let disk = SharedDisk::default();
    (engine_on(index, count, &disk, config()), disk)
}

/// The same, on a disk that exists.
pub fn engine_on(index: u8, count: u8, disk: &SharedDisk, config: Config) -> SimEngine {
    let own = secret(index).public();
    let (validators, traits) = (equal(count), Traits::default());
    let now = std::rc::Rc::default();
    let ledger = Ledger { disk: disk.clone(), own, validators, traits, now, real: None };
    let mut engine =
        Engine::new(secret(index), ledger, DiskLog(disk.clone()), config).expect("a readable ledger");
    for peer in (0..count).filter(|peer| *peer != index) {
        engine.on_peer(secret(peer).public(), PeerChange::Connected).expect("never fatal");
    }
    engine
}

/// A copy of what a disk holds.
pub fn copy(disk: &SharedDisk) -> SharedDisk {
    let disk = disk.borrow();
    let copy = Disk { chain: disk.chain.clone(), log: disk.log.clone(), ..Disk::default() };
    std::rc::Rc::new(std::cell::RefCell::new(copy))
}

/// A block; `salt` tells blocks of one height apart.
pub fn block(parent: BlockId, height: u64, salt: u8) -> Block {
    let mut state_root = [0; 32];
    state_root[31] = salt;
    Block {
        header: Header {
            chain: CHAIN,
            height,
            parent,
            time: Time(height),
            transactions_root: Digest::ZERO,
            state_root: Digest(state_root),
            validators: Digest::ZERO,
            proposer: secret(0).public(),
        },
        transactions: Vec::new(),
    }
}

/// The parent of the first block.
pub const GENESIS: BlockId = BlockId(Digest::ZERO);

/// Makes a block some `bytes` large.
pub fn fill(mut block: Block, bytes: usize) -> Block {
    let payload = Payload::Issue { amount: Amount::ZERO, symbol: "x".repeat(bytes) };
    let body = TxBody {
        chain: CHAIN,
        inputs: Vec::new(),
        outputs: Vec::new(),
        not_before: None,
        expiry: None,
        payload: Some(payload),
    };
    block.transactions = vec![Transaction { body, witnesses: Vec::new() }];
    let leaves: Vec<Digest> = block.transactions.iter().map(merkle::leaf).collect();
    block.header.transactions_root = merkle::root(&leaves);
    block
}

/// A vote of validator `index`.
pub fn vote(index: u8, kind: VoteKind, height: u64, round: u32, block: Option<BlockId>) -> SignedVote {
    let vote = Vote { kind, height, round, block };
    SignedVote { vote, validator: secret(index).public(), signature: secret(index).sign(&CHAIN, &vote) }
}

/// A proposal of validator `index`.
pub fn proposal(index: u8, round: u32, block: &Block) -> SignedProposal {
    let signature = towpath_crypto::ed25519::Signature([0; 64]);
    let block = Arc::new(block.clone());
    let validator = secret(index).public();
    let mut proposal = SignedProposal { round, pol_round: None, block, validator, signature };
    proposal.signature = secret(index).sign(&CHAIN, &proposal.claim());
    proposal
}

/// A decision by the validators `signers`.
pub fn certificate(block: &Block, round: u32, signers: &[u8]) -> CommitCertificate {
    let (height, id) = (block.header.height, block.id());
    let vote = Vote::precommit(height, round, id);
    let sign = |index: &u8| (secret(*index).public(), secret(*index).sign(&CHAIN, &vote));
    let mut signatures: Vec<_> = signers.iter().map(sign).collect();
    signatures.sort_unstable();
    CommitCertificate { height, round, block: id, signatures }
}

/// A decided block.
pub fn decided(block: &Block, signers: &[u8]) -> DecidedBlock {
    DecidedBlock { block: Arc::new(block.clone()), certificate: certificate(block, 0, signers) }
}

/// What validator `index` would propose at `height`, in round 0: the round-robin over the keys' order.
pub fn proposer(height: u64, round: u32, count: u8) -> u8 {
    let mut keys: Vec<(PeerId, u8)> = (0..count).map(|index| (secret(index).public(), index)).collect();
    keys.sort_unstable();
    let turn = (height + u64::from(round)) % u64::from(count);
    keys[usize::try_from(turn).expect("small")].1
}

/// Feeds a message from peer `from`.
pub fn hear(engine: &mut SimEngine, from: u8, copy: u64, message: Message) -> Gossiped {
    engine.on_gossip(secret(from).public(), &wire::encode(copy, message)).expect("no peer's message is fatal")
}

/// The verdict on a message.
pub fn verdict(engine: &mut SimEngine, from: u8, message: Message) -> GossipVerdict {
    hear(engine, from, 0, message).verdict
}

/// The messages among outputs.
pub fn published(outputs: &[Output]) -> Vec<Message> {
    let message = |output: &Output| match output {
        Output::Publish(bytes) => Some(wire::decode(bytes).expect("our own bytes")),
        _ => None,
    };
    outputs.iter().filter_map(message).collect()
}

/// The votes among outputs.
pub fn votes(outputs: &[Output]) -> Vec<Vote> {
    published(outputs)
        .into_iter()
        .filter_map(|message| match message {
            Message::Vote(signed) => Some(signed.vote),
            _ => None,
        })
        .collect()
}

/// The timers that outputs arm, in their order.
pub fn timers(outputs: &[Output]) -> Vec<(u64, std::time::Duration)> {
    let timer = |output: &Output| match output {
        Output::SetTimer { token, after } => Some((*token, *after)),
        _ => None,
    };
    outputs.iter().filter_map(timer).collect()
}

/// The sync request among outputs, and whom it is for.
pub fn requested(outputs: &[Output]) -> Option<(PeerId, SyncRequest)> {
    outputs.iter().find_map(|output| match output {
        Output::RequestSync { peer, bytes } => {
            Some((*peer, SyncRequest::decode(bytes).expect("our own bytes")))
        }
        _ => None,
    })
}

/// The answer to a sync request.
pub fn response(blocks: Vec<DecidedBlock>) -> Vec<u8> {
    SyncResponse { blocks }.encode()
}

/// Whether `value` is signed for another chain, `signature` would differ: used by tests of the chain id.
pub fn other_chain<T: Signable>(index: u8, value: &T) -> towpath_crypto::ed25519::Signature {
    secret(index).sign(&towpath_crypto::ChainId(Digest([8; 32])), value)
}
