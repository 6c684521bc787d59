//! The driver's thread: inputs and timers in, engine and mempool stepped, outputs carried out.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use towpath_consensus::{
    Engine, EngineError, GossipVerdict, Output, PeerChange, SyncFailure, SyncReply as Answer,
};
use towpath_crypto::codec;
use towpath_crypto::ed25519::{PublicKey, SecretKey};
use towpath_ledger::chain::{ChainParams, ValidatorSet};
use towpath_ledger::mempool::{Queue, Refusal, Source};
use towpath_ledger::{Amount, Payout, Transaction, TxId, limits as ledger_limits};

use super::funds::{Funds, FundsError};
use super::host::{Chain, LedgerHost};
use super::log::EngineLog;
use super::notice::Notice;
use super::timers::Timers;
use super::{FundsCall, Input, LedgerHandle, LedgerInbox, Status, SubmitError};
use crate::clock;
use crate::journal::{Entry, Journal};
use crate::net::{GossipId, NetHandle, Topic, Verdict};

/// How long the driver sleeps when nothing is due.
const IDLE: Duration = Duration::from_secs(1);

/// Rows of `Meta`: this prefix ‖ the digest of a caller's word, with the payment that was made under it.
const SEND_PREFIX: &[u8] = b"send-key/";

/// What the driver is made of.
pub struct DriverConfig {
    /// Its parameters.
    pub params: ChainParams,
    /// Who decides.
    pub validators: ValidatorSet,
    /// This node's key.
    pub identity: SecretKey,
    /// The wallet's seed.
    pub seed: towpath_crypto::seed::Seed,
    /// What the genesis made of the native asset.
    pub issued: u64,
    /// Waits and intervals.
    pub engine: towpath_consensus::Config,
}

/// The driver.
pub struct Driver {
    engine: Engine<LedgerHost, EngineLog>,
    funds: Funds,
    timers: Timers,
    chain: Arc<Chain>,
    journal: Arc<Journal>,
    net: NetHandle,
    runtime: tokio::runtime::Handle,
    own: LedgerHandle,
    notices: Box<dyn Fn(Arc<Notice>) + Send>,
    status: watch::Sender<Status>,
}

/// The driver's thread, and how it does.
pub type Spawned = (std::thread::JoinHandle<()>, watch::Receiver<Status>);

/// Starts the driver's thread. `notices` hears of each applied block, in order.
///
/// # Errors
/// When the engine or the wallet cannot be set up.
pub fn spawn(
    config: DriverConfig,
    (chain, journal, net): (Arc<Chain>, Arc<Journal>, NetHandle),
    (handle, inbox): (LedgerHandle, LedgerInbox),
    notices: Box<dyn Fn(Arc<Notice>) + Send>,
    fatal: impl FnOnce(String) + Send + 'static,
) -> Result<Spawned, String> {
    let shared = (config.params.clone(), config.validators);
    let host = LedgerHost::new(
        Arc::clone(&chain),
        Arc::clone(&journal),
        shared,
        config.identity.public(),
        config.issued,
    );
    let log = EngineLog::new(Arc::clone(&journal));
    let engine = Engine::new(config.identity, host, log, config.engine).map_err(|error| error.to_string())?;
    let funds = Funds::open(config.seed, &chain, config.params.rules).map_err(|error| error.to_string())?;
    let (status, read) = watch::channel(Status::default());
    let driver = Driver {
        engine,
        funds,
        timers: Timers::default(),
        chain,
        journal,
        net,
        runtime: tokio::runtime::Handle::current(),
        own: handle,
        notices,
        status,
    };
    let thread = std::thread::Builder::new()
        .name("ledger".into())
        .spawn(move || {
            if let Err(error) = driver.run(&inbox) {
                fatal(error.to_string());
            }
        })
        .map_err(|error| error.to_string())?;
    Ok((thread, read))
}

impl Driver {
    fn run(mut self, inbox: &LedgerInbox) -> Result<(), EngineError> {
        let outputs = self.engine.start()?;
        self.carry_out(outputs)?;
        loop {
            let wait = self.timers.wait(Instant::now()).unwrap_or(IDLE).min(IDLE);
            match inbox.take(wait) {
                Some(Input::Stop) => return Ok(()),
                Some(input) => self.take(input)?,
                None => {}
            }
            while let Some(token) = self.timers.pop(Instant::now()) {
                let outputs = self.engine.on_timer(token)?;
                self.carry_out(outputs)?;
            }
        }
    }

    fn take(&mut self, input: Input) -> Result<(), EngineError> {
        match input {
            Input::Gossip { topic: Topic::Consensus, from, id, bytes } => {
                let gossiped = self.engine.on_gossip(from, &bytes)?;
                report(&self.net, id, verdict(gossiped.verdict));
                self.carry_out(gossiped.outputs)
            }
            Input::Gossip { topic: Topic::Transactions, from, id, bytes } => {
                let verdict = self.hear(from, &bytes);
                report(&self.net, id, verdict);
                self.wake()
            }
            Input::Gossip { topic: Topic::ChannelAnnouncements, id, .. } => {
                report(&self.net, id, Verdict::Ignore);
                Ok(())
            }
            Input::SyncRequest { bytes, reply } => {
                match self.engine.on_sync_request(&bytes)? {
                    // The peer may be gone.
                    Answer::Blocks(bytes) => drop(reply.send(bytes)),
                    Answer::Malformed => drop(reply),
                }
                Ok(())
            }
            Input::SyncResponse { peer, answer } => {
                let outputs = self.engine.on_sync_response(peer, answer.ok_or(SyncFailure::Unreachable))?;
                self.carry_out(outputs)
            }
            Input::PeerUp(peer) => self.peer(peer, PeerChange::Connected),
            Input::PeerDown(peer) => self.peer(peer, PeerChange::Disconnected),
            Input::Submit { transaction, reply } => {
                let result = self.submit(*transaction);
                match (reply, result) {
                    // A caller that is gone needs no answer.
                    (Some(reply), result) => drop(reply.send(result)),
                    (None, Err(SubmitError::Refused(reason))) => {
                        tracing::warn!(%reason, "a transaction of this node's is not taken");
                    }
                    (None, _) => {}
                }
                self.wake()
            }
            Input::Waiting { id, reply } => {
                // A caller that is gone needs no answer.
                let _ = reply.send(self.engine.host().pool.transaction(&id).cloned());
                Ok(())
            }
            Input::Funds(call) => {
                self.funds_call(call);
                self.wake()
            }
            Input::Travel(target) => {
                self.engine.host_mut().travel_to(target);
                Ok(())
            }
            Input::Stop => Ok(()),
        }
    }

    fn peer(&mut self, peer: PublicKey, change: PeerChange) -> Result<(), EngineError> {
        let outputs = self.engine.on_peer(peer, change)?;
        self.carry_out(outputs)
    }

    /// Transactions wait: the engine need not wait for its heartbeat.
    fn wake(&mut self) -> Result<(), EngineError> {
        if self.engine.host().pool.is_empty() {
            return Ok(());
        }
        let outputs = self.engine.wake()?;
        self.carry_out(outputs)
    }

    /// Carries out what the engine asks for; building a block leads to more of it.
    fn carry_out(&mut self, outputs: Vec<Output>) -> Result<(), EngineError> {
        let mut queue = VecDeque::from(outputs);
        while let Some(output) = queue.pop_front() {
            match output {
                Output::Publish(bytes) => {
                    publish(&self.net, Topic::Consensus, bytes);
                    self.status.send_modify(|status| status.consensus_messages += 1);
                }
                Output::RequestSync { peer, bytes } => self.request_sync(peer, bytes),
                Output::SetTimer { token, after } => self.timers.set(token, Instant::now() + after),
                Output::BuildValue { height, round, deadline: _ } => {
                    let built = self.engine.host_mut().build();
                    let block =
                        built.map_err(|error| EngineError::Fatal(towpath_consensus::Fault::Host(error)))?;
                    queue.extend(self.engine.on_value_built(height, round, block)?);
                }
                Output::Committed { height, round, .. } => {
                    tracing::debug!(height, round, "block applied");
                    self.committed();
                    if !self.engine.host().pool.is_empty() {
                        queue.extend(self.engine.wake()?);
                    }
                }
                Output::BlamePeer { peer, reason } => {
                    tracing::info!(?peer, ?reason, "a peer failed to serve blocks")
                }
                Output::Evidence(evidence) => tracing::warn!(?evidence, "a validator signed twice"),
            }
        }
        self.show();
        Ok(())
    }

    /// Shows readers how it does.
    fn show(&self) {
        let (pool, progress) = (&self.engine.host().pool, self.engine.progress());
        self.status.send_modify(|status| {
            status.mempool_transactions = u64::try_from(pool.len()).unwrap_or(u64::MAX);
            status.mempool_bytes = Queue::ALL.into_iter().map(|queue| pool.usage(queue).0).sum();
            status.round = progress.round.unwrap_or(0);
        });
    }

    fn request_sync(&self, peer: PublicKey, bytes: Vec<u8>) {
        let (net, own) = (self.net.clone(), self.own.clone());
        self.runtime.spawn(async move {
            let answer = net.request(peer, bytes).await.ok();
            // A full inbox loses the answer; the engine asks again after its time-out.
            let _ = own.offer(Input::SyncResponse { peer, answer });
        });
    }

    /// Tells everyone of the blocks that were applied.
    fn committed(&mut self) {
        for applied in self.engine.host_mut().take_applied() {
            self.status.send_modify(|status| {
                status.blocks_applied += 1;
                status.transactions_applied +=
                    u64::try_from(applied.block.transactions.len()).unwrap_or(u64::MAX);
            });
            for transaction in &applied.block.transactions {
                self.funds.is_final(transaction);
            }
            (self.notices)(Arc::new(applied.notice));
        }
        let pool = &self.engine.host().pool;
        self.funds.keep_waiting(|id| pool.transaction(id).is_some());
        self.funds.expire(self.chain.tip().header().time);
    }

    /// A transaction by gossip.
    fn hear(&mut self, from: PublicKey, bytes: &[u8]) -> Verdict {
        let limit = usize::try_from(ledger_limits::TRANSACTION_BYTES_MAX).unwrap_or(usize::MAX);
        let Ok(transaction) = codec::decode::<Transaction>(bytes, limit) else { return Verdict::Reject };
        match self.engine.host_mut().admit(transaction, Source::Peer(from)) {
            Ok(admitted) => {
                if let Some(transaction) = self.engine.host().pool.transaction(&admitted.id) {
                    self.funds.waits(admitted.id, transaction);
                }
                Verdict::Accept
            }
            // Who hands in a transaction again means those who forgot it: it is passed on, once in the gossip's memory.
            Err(Refusal::Known(_)) => Verdict::Accept,
            // It may have been valid where it came from, on another tip or before another transaction: no fault.
            Err(_) => Verdict::Ignore,
        }
    }

    /// A transaction of this node's.
    fn submit(&mut self, transaction: Transaction) -> Result<TxId, SubmitError> {
        let id = transaction.id();
        if self
            .chain
            .transaction_place(&id)
            .map_err(|error| SubmitError::Refused(error.to_string()))?
            .is_some()
        {
            return Err(SubmitError::Final);
        }
        let bytes = codec::encode(&transaction);
        match self.engine.host_mut().admit(transaction.clone(), Source::Local) {
            Ok(_) | Err(Refusal::Known(_)) => {}
            Err(error) => return Err(SubmitError::Refused(error.to_string())),
        }
        self.funds.waits(id, &transaction);
        publish(&self.net, Topic::Transactions, bytes);
        Ok(id)
    }

    fn funds_call(&mut self, call: FundsCall) {
        let now = self.chain.tip().header().time;
        // A caller that is gone needs no answer, so none of these sends can matter.
        match call {
            FundsCall::View(reply) => drop(reply.send(self.funds.view(&self.chain, now))),
            FundsCall::Keys(reply) => drop(reply.send(self.funds.keys())),
            FundsCall::NewAddress(reply) => drop(reply.send(self.new_address())),
            FundsCall::Send { to, amount, key, reply } => drop(reply.send(self.send((to, amount), key))),
            FundsCall::Reserve { purpose, reply } => {
                let reserved = self.funds.reserve(&self.chain, now, purpose);
                let first = reserved.as_ref().ok().and_then(super::Reserved::first_input);
                if reply.send(reserved).is_err()
                    && let Some(first) = first
                {
                    self.funds.release(&first);
                }
            }
            FundsCall::Fund { first_input, output, expiry, reply } => {
                drop(reply.send(self.fund(first_input, *output, expiry)));
            }
            FundsCall::SignFunding { body, spent, from, to, reply } => {
                drop(reply.send(self.funds.sign_funding(&body, &spent, from..to)));
            }
            FundsCall::Reach { addresses, reply } => drop(reply.send(self.reach(addresses))),
            FundsCall::Release { first_input } => self.funds.release(&first_input),
        }
    }

    /// Pays once for each word: the transaction is remembered before it is spoken of, and a repeated call submits it
    /// again.
    fn send(
        &mut self,
        (to, amount): (Payout, Amount),
        key: Option<[u8; 32]>,
    ) -> Result<(TxId, Amount), FundsError> {
        let row = key.map(|key| [SEND_PREFIX, key.as_slice()].concat());
        let known = row.as_ref().map(|row| self.chain.meta(row)).transpose()?.flatten();
        let limit = usize::try_from(ledger_limits::TRANSACTION_BYTES_MAX).unwrap_or(usize::MAX);
        let (transaction, fee) = match known {
            Some(bytes) => codec::decode::<(Transaction, Amount)>(&bytes, limit.saturating_add(8))
                .map_err(|error| FundsError::Store(error.to_string()))?,
            None => {
                let now = self.chain.tip().header().time;
                let made = self.funds.send(&self.chain, now, to, amount)?;
                if let Some(row) = row {
                    let mut batch = towpath_store::Batch::new();
                    batch.put(towpath_store::Column::Meta, row, codec::encode(&made));
                    self.journal.commit(Entry { batch, events: Vec::new() }, clock::now_ms())?;
                }
                made
            }
        };
        let id = transaction.id();
        match self.submit(transaction) {
            Ok(_) | Err(SubmitError::Final) => Ok((id, fee)),
            Err(error) => Err(FundsError::Refused(error.to_string())),
        }
    }

    fn fund(
        &mut self,
        first_input: towpath_ledger::OutPoint,
        output: towpath_ledger::Output,
        expiry: towpath_ledger::Time,
    ) -> Result<TxId, FundsError> {
        let now = self.chain.tip().header().time;
        let transaction = self.funds.fund(&self.chain, now, first_input, output, expiry)?;
        let id = transaction.id();
        match self.submit(transaction) {
            Ok(_) | Err(SubmitError::Final) => Ok(id),
            Err(error) => Err(FundsError::Refused(error.to_string())),
        }
    }

    /// Hands addresses out again, up to so many.
    fn reach(&mut self, addresses: u32) -> Result<(), FundsError> {
        while self.funds.handed_out() < addresses {
            self.new_address()?;
        }
        Ok(())
    }

    fn new_address(&mut self) -> Result<towpath_ledger::Payout, FundsError> {
        let (payout, batch) = self.funds.next_address()?;
        self.journal
            .commit(Entry { batch, events: Vec::new() }, clock::now_ms())
            .map_err(|error| FundsError::Store(error.to_string()))?;
        Ok(payout)
    }
}

const fn verdict(verdict: GossipVerdict) -> Verdict {
    match verdict {
        GossipVerdict::Accept => Verdict::Accept,
        GossipVerdict::Ignore => Verdict::Ignore,
        GossipVerdict::Reject => Verdict::Reject,
    }
}

/// Gossip that is lost is sent again, by the engine's own schedule or by whoever waits for the transaction.
fn publish(net: &NetHandle, topic: Topic, bytes: Vec<u8>) {
    if let Err(error) = net.publish(topic, bytes) {
        tracing::debug!(?topic, %error, "a message was not gossiped");
    }
}

fn report(net: &NetHandle, id: GossipId, verdict: Verdict) {
    if let Err(error) = net.report(id, verdict) {
        tracing::debug!(%error, "a verdict was not passed on");
    }
}
