//! What peers send is checked here, beside the driver's thread: blocks are decided there, and nobody may keep that waiting
//! with signatures to verify or blocks to serve. Two threads with bounded queues; what does not fit is dropped, and its
//! peer told so.
//!
//! A transaction reaches the driver, and by its verdict the other peers, only with valid signatures. Whoever passes on one
//! with an invalid signature is to blame: an outpoint names its output for ever, so no other tip makes it valid. One that
//! came before the block that it builds on waits for it here, within bounds (SPEC B-66), and is checked again then.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use towpath_consensus::{SyncReply as Answer, answer_sync};
use towpath_crypto::codec;
use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::chain::{ChainParams, Pace, next_time};
use towpath_ledger::mempool::{Awaited, Early, Source};
use towpath_ledger::rules::{BlockContext, Signatures, TxError, apply_transaction};
use towpath_ledger::{Transaction, limits as ledger_limits};

use super::{Chain, Input, LedgerHandle};
use crate::clock;
use crate::limits;
use crate::net::{GossipId, NetHandle, SyncReply, Topic, Verdict};

/// A transaction by gossip, as it came.
struct Unchecked {
    from: PublicKey,
    id: GossipId,
    bytes: Vec<u8>,
}

/// Something for the thread that checks transactions.
enum Work {
    Heard(Unchecked),
    /// A block was applied.
    Applied,
}

/// A request for blocks.
struct Asked {
    bytes: Vec<u8>,
    reply: SyncReply,
}

/// The way in for what comes from the network. The threads behind it end when it is dropped.
pub struct Ingress {
    ledger: LedgerHandle,
    net: NetHandle,
    transactions: SyncSender<Work>,
    requests: SyncSender<Asked>,
}

impl Ingress {
    /// Starts both threads.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        chain: &Arc<Chain>,
        params: ChainParams,
        ledger: LedgerHandle,
        net: NetHandle,
    ) -> std::io::Result<(Self, [JoinHandle<()>; 2])> {
        let checker = Checker::new(Arc::clone(chain), params);
        let (to, verdicts) = (ledger.clone(), net.clone());
        let (ingress, work, asked) = Self::queues(ledger, net);
        let gossip = std::thread::Builder::new()
            .name("gossip".into())
            .spawn(move || check_all(checker, &work, &to, &verdicts))?;
        let chain = Arc::clone(chain);
        let sync = std::thread::Builder::new().name("sync".into()).spawn(move || serve_all(&chain, asked))?;
        Ok((ingress, [gossip, sync]))
    }

    /// The same without the threads: whoever steps the node has what waits dealt with.
    pub(crate) fn by_hand(
        chain: &Arc<Chain>,
        params: ChainParams,
        ledger: LedgerHandle,
        net: NetHandle,
    ) -> (Self, SteppedIngress) {
        let checker = Checker::new(Arc::clone(chain), params);
        let (to, verdicts) = (ledger.clone(), net.clone());
        let (ingress, work, asked) = Self::queues(ledger, net);
        (
            ingress,
            SteppedIngress { checker, work, asked, chain: Arc::clone(chain), ledger: to, net: verdicts },
        )
    }

    fn queues(ledger: LedgerHandle, net: NetHandle) -> (Self, Receiver<Work>, Receiver<Asked>) {
        let (transactions, work) = sync_channel(limits::TRANSACTIONS_UNCHECKED);
        let (requests, asked) = sync_channel(limits::SYNC_REQUESTS);
        (Self { ledger, net, transactions, requests }, work, asked)
    }

    /// A gossip message.
    pub fn gossip(&self, topic: Topic, from: PublicKey, id: GossipId, bytes: Vec<u8>) {
        match topic {
            Topic::Consensus => offer(&self.ledger, &self.net, Input::Consensus { from, id, bytes }),
            Topic::Transactions => {
                let sent = self.transactions.try_send(Work::Heard(Unchecked { from, id, bytes }));
                if let Err(
                    TrySendError::Full(Work::Heard(dropped))
                    | TrySendError::Disconnected(Work::Heard(dropped)),
                ) = sent
                {
                    report(&self.net, dropped.id, Verdict::Ignore);
                }
            }
            Topic::ChannelAnnouncements => report(&self.net, id, Verdict::Ignore),
        }
    }

    /// What is to hear of each block that was applied.
    pub fn blocks(&self) -> BlockBell {
        BlockBell(self.transactions.clone())
    }

    /// A peer asks for blocks.
    pub fn sync(&self, bytes: Vec<u8>, reply: SyncReply) {
        match self.requests.try_send(Asked { bytes, reply }) {
            Ok(()) => {}
            Err(TrySendError::Full(asked) | TrySendError::Disconnected(asked)) => {
                // The peer may be gone.
                drop(asked.reply.busy());
            }
        }
    }

    /// Somebody came or went.
    pub fn peers(&self) {
        // The driver looks by itself, too, a little later.
        let _ = self.ledger.offer(Input::Peers);
    }
}

/// What the threads do, in a node that is stepped.
pub(crate) struct SteppedIngress {
    checker: Checker,
    work: Receiver<Work>,
    asked: Receiver<Asked>,
    chain: Arc<Chain>,
    ledger: LedgerHandle,
    net: NetHandle,
}

impl SteppedIngress {
    /// Deals with everything that waits; whether anything did.
    pub(crate) fn step(&mut self) -> bool {
        let mut is_any = try_ripe(&mut self.checker, &self.ledger, &self.net);
        while let Ok(work) = self.work.try_recv() {
            check(&mut self.checker, work, &self.ledger, &self.net);
            is_any = true;
        }
        while let Ok(asked) = self.asked.try_recv() {
            serve(&self.chain, asked);
            is_any = true;
        }
        is_any
    }
}

/// Wakes what waits for a block.
pub struct BlockBell(SyncSender<Work>);

impl BlockBell {
    /// A block was applied.
    pub fn ring(&self) {
        // A thread with so much to do that this is lost looks by itself before it does any of it.
        let _ = self.0.try_send(Work::Applied);
    }
}

fn check_all(mut checker: Checker, work: &Receiver<Work>, ledger: &LedgerHandle, net: &NetHandle) {
    while let Ok(next) = work.recv() {
        try_ripe(&mut checker, ledger, net);
        check(&mut checker, next, ledger, net);
    }
}

/// Hands on what the blocks since the last look made valid; whether there was any.
fn try_ripe(checker: &mut Checker, ledger: &LedgerHandle, net: &NetHandle) -> bool {
    let ripe = checker.ripe();
    let is_any = !ripe.is_empty();
    ripe.into_iter().for_each(|input| offer(ledger, net, input));
    is_any
}

fn check(checker: &mut Checker, work: Work, ledger: &LedgerHandle, net: &NetHandle) {
    let Work::Heard(Unchecked { from, id, bytes }) = work else { return };
    match checker.check(from, &bytes) {
        Ok(transaction) => {
            offer(ledger, net, Input::Heard { from, id, transaction: Box::new(transaction) });
        }
        Err(verdict) => report(net, id, verdict),
    }
}

fn serve_all(chain: &Chain, asked: Receiver<Asked>) {
    for next in asked {
        serve(chain, next);
    }
}

fn serve(chain: &Chain, Asked { bytes, reply }: Asked) {
    match answer_sync(&bytes, chain.tip().height(), |height| chain.decided(height)) {
        // The peer may be gone.
        Ok(Answer::Blocks(bytes)) => drop(reply.send(bytes)),
        Ok(Answer::Malformed) => drop(reply),
        Err(error) => {
            tracing::error!(%error, "blocks cannot be read");
            drop(reply.busy());
        }
    }
}

/// What the driver is too busy for is dropped: whoever needs it sends it again.
fn offer(ledger: &LedgerHandle, net: &NetHandle, input: Input) {
    let id = match &input {
        Input::Consensus { id, .. } | Input::Heard { id, .. } => Some(id.clone()),
        _ => None,
    };
    if ledger.offer(input).is_err()
        && let Some(id) = id
    {
        report(net, id, Verdict::Ignore);
    }
}

pub(super) fn report(net: &NetHandle, id: GossipId, verdict: Verdict) {
    if let Err(error) = net.report(id, verdict) {
        tracing::debug!(%error, "a verdict was not passed on");
    }
}

/// What can be said of a transaction without the pool.
pub(super) struct Checker {
    chain: Arc<Chain>,
    params: ChainParams,
    /// Never slowed down by blocks, so that no transaction is too early here that is not for the driver.
    pace: Pace,
    /// What waits for a block.
    early: Early,
    /// The height at which it was looked through last.
    looked_at: u64,
}

impl Checker {
    pub(super) fn new(chain: Arc<Chain>, params: ChainParams) -> Self {
        let pace = Pace::new(clock::now(), &params.blocks);
        let looked_at = chain.tip().height();
        Self { chain, params, pace, early: Early::default(), looked_at }
    }

    /// A transaction with valid signatures that the rules allow now, or the verdict over the message.
    pub(super) fn check(&mut self, from: PublicKey, bytes: &[u8]) -> Result<Transaction, Verdict> {
        let limit = usize::try_from(ledger_limits::TRANSACTION_BYTES_MAX).unwrap_or(usize::MAX);
        let transaction = codec::decode::<Transaction>(bytes, limit).map_err(|_| Verdict::Reject)?;
        let since = self.chain.tip().height();
        match self.verify(&transaction) {
            Ok(()) => Ok(transaction),
            Err(TxError::BadSignature(_) | TxError::WitnessKind(_)) => Err(Verdict::Reject),
            Err(TxError::MissingInput(waits_for)) => {
                self.keep(Awaited { transaction, source: Source::Peer(from), waits_for, since });
                Err(Verdict::Ignore)
            }
            // It may have been valid where it came from, on another tip or before another transaction: no fault.
            Err(_) => Err(Verdict::Ignore),
        }
    }

    /// What the blocks since the last look made valid, for the driver, in the order in which it is to be tried.
    pub(super) fn ripe(&mut self) -> Vec<Input> {
        let height = self.chain.tip().height();
        if self.early.is_empty() || height == std::mem::replace(&mut self.looked_at, height) {
            return Vec::new();
        }
        let chain = Arc::clone(&self.chain);
        let ripe = self.early.ripe(height, |outpoint| chain.output(outpoint).map(|found| found.is_some()));
        let ripe = ripe.unwrap_or_else(|error| {
            tracing::error!(%error, "the ledger cannot be read");
            Vec::new()
        });
        ripe.into_iter().filter_map(|awaited| self.try_again(awaited)).collect()
    }

    fn try_again(&mut self, awaited: Awaited) -> Option<Input> {
        match (self.verify(&awaited.transaction), awaited.source) {
            (Ok(()), Source::Peer(from)) => {
                Some(Input::Ripe { from, transaction: Box::new(awaited.transaction) })
            }
            // It waits for more than one block, no longer for that than for one.
            (Err(TxError::MissingInput(waits_for)), _) => {
                self.keep(Awaited { waits_for, ..awaited });
                None
            }
            (Ok(()), Source::Local) | (Err(_), _) => None,
        }
    }

    /// Keeps what waits for an output that may still come: one of the genesis, or of a transaction that is on the ledger, came,
    /// and is spent.
    fn keep(&mut self, awaited: Awaited) {
        let made_by = &awaited.waits_for.tx;
        let is_genesis = made_by.0 == self.chain.chain().0;
        if !is_genesis && self.chain.transaction_place(made_by).is_ok_and(|place| place.is_none()) {
            self.early.keep(awaited);
        }
    }

    fn verify(&self, transaction: &Transaction) -> Result<(), TxError> {
        let tip = self.chain.tip();
        let time = next_time(tip.header().time, clock::now(), &self.pace, &self.params.blocks);
        let (chain, height) = (self.chain.chain(), tip.height() + 1);
        let context = BlockContext { chain, height, time, params: &self.params.rules };
        apply_transaction(transaction, &*self.chain, &context, Signatures::Verify).map(|_changes| ())
    }
}

#[cfg(test)]
#[path = "ingress_tests.rs"]
mod tests;
