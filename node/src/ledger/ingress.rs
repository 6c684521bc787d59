//! What peers send is checked here, beside the driver's thread: blocks are decided there, and nobody may keep that waiting
//! with signatures to verify or blocks to serve. Two threads with bounded queues; what does not fit is dropped, and its
//! peer told so.
//!
//! A transaction reaches the driver, and by its verdict the other peers, only with valid signatures. Whoever passes on one
//! with an invalid signature is to blame: an outpoint names its output for ever, so no other tip makes it valid.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use towpath_consensus::{SyncReply as Answer, answer_sync};
use towpath_crypto::codec;
use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::chain::{ChainParams, Pace, next_time};
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

/// A request for blocks.
struct Asked {
    bytes: Vec<u8>,
    reply: SyncReply,
}

/// The way in for what comes from the network. The threads behind it end when it is dropped.
pub struct Ingress {
    ledger: LedgerHandle,
    net: NetHandle,
    transactions: SyncSender<Unchecked>,
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
        let (ingress, unchecked, asked) = Self::queues(ledger, net);
        let gossip = std::thread::Builder::new()
            .name("gossip".into())
            .spawn(move || check_all(&checker, &unchecked, &to, &verdicts))?;
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
        let (ingress, unchecked, asked) = Self::queues(ledger, net);
        (
            ingress,
            SteppedIngress { checker, unchecked, asked, chain: Arc::clone(chain), ledger: to, net: verdicts },
        )
    }

    fn queues(ledger: LedgerHandle, net: NetHandle) -> (Self, Receiver<Unchecked>, Receiver<Asked>) {
        let (transactions, unchecked) = sync_channel(limits::TRANSACTIONS_UNCHECKED);
        let (requests, asked) = sync_channel(limits::SYNC_REQUESTS);
        (Self { ledger, net, transactions, requests }, unchecked, asked)
    }

    /// A gossip message.
    pub fn gossip(&self, topic: Topic, from: PublicKey, id: GossipId, bytes: Vec<u8>) {
        match topic {
            Topic::Consensus => offer(&self.ledger, &self.net, Input::Consensus { from, id, bytes }),
            Topic::Transactions => match self.transactions.try_send(Unchecked { from, id, bytes }) {
                Ok(()) => {}
                Err(TrySendError::Full(dropped) | TrySendError::Disconnected(dropped)) => {
                    report(&self.net, dropped.id, Verdict::Ignore);
                }
            },
            Topic::ChannelAnnouncements => report(&self.net, id, Verdict::Ignore),
        }
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
    unchecked: Receiver<Unchecked>,
    asked: Receiver<Asked>,
    chain: Arc<Chain>,
    ledger: LedgerHandle,
    net: NetHandle,
}

impl SteppedIngress {
    /// Deals with everything that waits; whether anything did.
    pub(crate) fn step(&self) -> bool {
        let mut is_any = false;
        while let Ok(unchecked) = self.unchecked.try_recv() {
            check(&self.checker, unchecked, &self.ledger, &self.net);
            is_any = true;
        }
        while let Ok(asked) = self.asked.try_recv() {
            serve(&self.chain, asked);
            is_any = true;
        }
        is_any
    }
}

fn check_all(checker: &Checker, unchecked: &Receiver<Unchecked>, ledger: &LedgerHandle, net: &NetHandle) {
    while let Ok(next) = unchecked.recv() {
        check(checker, next, ledger, net);
    }
}

fn check(
    checker: &Checker,
    Unchecked { from, id, bytes }: Unchecked,
    ledger: &LedgerHandle,
    net: &NetHandle,
) {
    match checker.check(&bytes) {
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
}

impl Checker {
    pub(super) fn new(chain: Arc<Chain>, params: ChainParams) -> Self {
        let pace = Pace::new(clock::now(), &params.blocks);
        Self { chain, params, pace }
    }

    /// A transaction with valid signatures that the rules allow now, or the verdict over the message.
    pub(super) fn check(&self, bytes: &[u8]) -> Result<Transaction, Verdict> {
        let limit = usize::try_from(ledger_limits::TRANSACTION_BYTES_MAX).unwrap_or(usize::MAX);
        let transaction = codec::decode::<Transaction>(bytes, limit).map_err(|_| Verdict::Reject)?;
        let tip = self.chain.tip();
        let time = next_time(tip.header().time, clock::now(), &self.pace, &self.params.blocks);
        let (chain, height) = (self.chain.chain(), tip.height() + 1);
        let context = BlockContext { chain, height, time, params: &self.params.rules };
        match apply_transaction(&transaction, &*self.chain, &context, Signatures::Verify) {
            Ok(_changes) => Ok(transaction),
            Err(TxError::BadSignature(_) | TxError::WitnessKind(_)) => Err(Verdict::Reject),
            // It may have been valid where it came from, on another tip or before another transaction: no fault.
            Err(_) => Err(Verdict::Ignore),
        }
    }
}

#[cfg(test)]
#[path = "ingress_tests.rs"]
mod tests;
