//! The driver's thread: inputs and timers in, engine and mempool stepped, outputs carried out.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use towpath_consensus::{Engine, EngineError, Fault, GossipVerdict, HostError, Output, SyncFailure};
use towpath_crypto::codec;
use towpath_crypto::ed25519::{PublicKey, SecretKey};
use towpath_ledger::chain::{ChainParams, ValidatorSet};
use towpath_ledger::mempool::{Queue, Refusal, Source};
use towpath_ledger::rules::Signatures;
use towpath_ledger::{Amount, OutPoint, Payout, Time, Transaction, TxId};
use towpath_store::Batch;

use super::funds::{Funds, FundsError};
use super::host::{Chain, LedgerHost};
use super::ingress::report;
use super::log::EngineLog;
use super::membership::Membership;
use super::notice::Notice;
use super::sends::{self, Made};
use super::timers::Timers;
use super::{FundsCall, Input, LedgerHandle, LedgerInbox, Reserved, SharedFunding, Status, SubmitError};
use crate::clock;
use crate::idempotency::{Claim, IdempotencyKeys, Kept, Opening, Outcome, SendState};
use crate::journal::{Entry, Journal};
use crate::net::{NetHandle, Topic, Verdict};

/// How long the driver sleeps when nothing is due.
const IDLE: Duration = Duration::from_secs(1);

/// How often it is looked who is connected, and whether a payment of the wallet is to be handed in again, in milliseconds.
const INSIST_MS: u64 = 500;

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
    /// The callers' words, and what became of their calls.
    pub idempotency: IdempotencyKeys,
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
    idempotency: IdempotencyKeys,
    insist_at_ms: u64,
    membership: Membership,
}

/// The driver's thread, and how it does.
pub type Spawned = (std::thread::JoinHandle<()>, watch::Receiver<Status>);

/// What the driver works with: the chain, the way to disk, and the network.
pub(super) type Surroundings = (Arc<Chain>, Arc<Journal>, NetHandle);

/// Starts the driver's thread. `notices` hears of each applied block, in order.
///
/// # Errors
/// When the engine or the wallet cannot be set up.
pub fn spawn(
    config: DriverConfig,
    surroundings: Surroundings,
    (handle, inbox): (LedgerHandle, LedgerInbox),
    notices: Box<dyn Fn(Arc<Notice>) + Send>,
    fatal: impl FnOnce(String) + Send + 'static,
) -> Result<Spawned, String> {
    let (driver, read) = Driver::open(config, surroundings, handle, notices)?;
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
    /// The driver, before it has done anything, and how it does.
    pub(super) fn open(
        config: DriverConfig,
        (chain, journal, net): Surroundings,
        own: LedgerHandle,
        notices: Box<dyn Fn(Arc<Notice>) + Send>,
    ) -> Result<(Self, watch::Receiver<Status>), String> {
        let host = LedgerHost::new(
            Arc::clone(&chain),
            Arc::clone(&journal),
            (config.params.clone(), config.validators),
            config.identity.public(),
            config.issued,
        );
        let log = EngineLog::new(Arc::clone(&journal));
        let engine = Engine::new(config.identity, host, log, config.engine);
        let engine = engine.map_err(|error| error.to_string())?;
        let funds =
            Funds::open(config.seed, &chain, config.params.rules).map_err(|error| error.to_string())?;
        let (status, read) = watch::channel(Status::default());
        let driver = Self {
            engine,
            funds,
            timers: Timers::default(),
            chain,
            journal,
            net,
            runtime: tokio::runtime::Handle::current(),
            own,
            notices,
            status,
            idempotency: config.idempotency,
            insist_at_ms: 0,
            membership: Membership::default(),
        };
        Ok((driver, read))
    }

    fn run(mut self, inbox: &LedgerInbox) -> Result<(), EngineError> {
        self.begin()?;
        loop {
            self.insist()?;
            match inbox.take(self.due_in().unwrap_or(IDLE).min(IDLE)) {
                Some(Input::Stop) => return Ok(()),
                Some(input) => self.take(input)?,
                None => {}
            }
            self.timers_due()?;
        }
    }

    /// Comes up to date with what is stored, and joins the others.
    pub(super) fn begin(&mut self) -> Result<(), EngineError> {
        let ended = self.funds.sends().catch_up(&self.chain);
        let ended = ended.map_err(|error| EngineError::Fatal(Fault::Host(HostError(error.to_string()))))?;
        self.end_sends(ended);
        let outputs = self.engine.start()?;
        self.carry_out(outputs)
    }

    /// Until the next timer is due; none if there is none.
    pub(super) fn due_in(&self) -> Option<Duration> {
        self.timers.wait(clock::instant())
    }

    pub(super) fn timers_due(&mut self) -> Result<(), EngineError> {
        while let Some(token) = self.timers.pop(clock::instant()) {
            let outputs = self.engine.on_timer(token)?;
            self.carry_out(outputs)?;
        }
        Ok(())
    }

    pub(super) fn take(&mut self, input: Input) -> Result<(), EngineError> {
        match input {
            Input::Consensus { from, id, bytes } => {
                let gossiped = self.engine.on_gossip(from, &bytes)?;
                report(&self.net, id, verdict(gossiped.verdict));
                self.carry_out(gossiped.outputs)
            }
            Input::Heard { from, id, transaction } => {
                let verdict = self.hear(from, *transaction);
                report(&self.net, id, verdict);
                self.wake()
            }
            Input::Ripe { from, transaction } => {
                self.hear_again(from, *transaction);
                self.wake()
            }
            Input::SyncResponse { peer, answer } => {
                let outputs = self.engine.on_sync_response(peer, answer.ok_or(SyncFailure::Unreachable))?;
                self.carry_out(outputs)
            }
            Input::Peers => self.look_at_peers(),
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

    /// Tells the engine who came and went since the last look.
    fn look_at_peers(&mut self) -> Result<(), EngineError> {
        for (peer, change) in self.membership.look(self.net.peer_ids()) {
            let outputs = self.engine.on_peer(peer, change)?;
            self.carry_out(outputs)?;
        }
        Ok(())
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
                Output::SetTimer { token, after } => self.timers.set(token, clock::instant() + after),
                Output::BuildValue { height, round, deadline: _ } => {
                    let built = self.engine.host_mut().build();
                    let block = built.map_err(|error| EngineError::Fatal(Fault::Host(error)))?;
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
            let transactions = applied.block.transactions.iter();
            let ended: Vec<_> = transactions.flat_map(|it| self.funds.is_final(it)).collect();
            self.funds.sends().on_block();
            self.end_sends(ended);
            (self.notices)(Arc::new(applied.notice));
        }
        let pool = &self.engine.host().pool;
        self.funds.keep_waiting(|id| pool.transaction(id).is_some());
        self.funds.expire(self.chain.tip().header().time);
    }

    /// A transaction by gossip, whose signatures are valid.
    fn hear(&mut self, from: PublicKey, transaction: Transaction) -> Verdict {
        let source = Source::Peer(from);
        match self.engine.host_mut().admit(transaction, source, Signatures::AlreadyVerified) {
            Ok(admitted) => {
                if let Some(transaction) = self.engine.host().pool.transaction(&admitted.id) {
                    self.funds.waits(admitted.id, transaction);
                }
                Verdict::Accept
            }
            // Who hands in a transaction again means those who forgot it, or were told too early: it is passed on.
            Err(Refusal::Known(_)) => Verdict::Accept,
            // It may have been valid where it came from, on another tip or before another transaction: no fault.
            Err(_) => Verdict::Ignore,
        }
    }

    /// A transaction by gossip that came too early: nobody heard of it through this node then.
    fn hear_again(&mut self, from: PublicKey, transaction: Transaction) {
        let bytes = codec::encode(&transaction);
        match self.hear(from, transaction) {
            Verdict::Accept => publish(&self.net, Topic::Transactions, bytes),
            Verdict::Ignore | Verdict::Reject => {}
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
        match self.engine.host_mut().admit(transaction.clone(), Source::Local, Signatures::Verify) {
            Ok(_) | Err(Refusal::Known(_)) => {}
            Err(error) => {
                if let Refusal::Conflict { with } = &error {
                    self.pass_on(with);
                }
                return Err(SubmitError::Refused(error.to_string()));
            }
        }
        self.funds.waits(id, &transaction);
        publish(&self.net, Topic::Transactions, bytes);
        Ok(id)
    }

    /// Gossips what waits here, whoever brought it: it may have reached nobody who decides, and nobody may insist on it any
    /// more, while it keeps out what this node owes (SPEC B-61a).
    fn pass_on(&self, waiting: &TxId) {
        if let Some(transaction) = self.engine.host().pool.transaction(waiting) {
            publish(&self.net, Topic::Transactions, codec::encode(&**transaction));
        }
    }

    fn funds_call(&mut self, call: FundsCall) {
        let now = self.chain.tip().header().time;
        // A caller that is gone needs no answer, so none of these sends can matter.
        match call {
            FundsCall::View(reply) => drop(reply.send(self.funds.view(&self.chain, now))),
            FundsCall::Keys(reply) => drop(reply.send(self.funds.keys())),
            FundsCall::Pending(reply) => drop(reply.send(self.funds.pending())),
            FundsCall::NewAddress(reply) => drop(reply.send(self.new_address())),
            FundsCall::Send { to, amount, claim, reply } => drop(reply.send(self.send((to, amount), claim))),
            FundsCall::Reserve { purpose, reply } => {
                let reserved = self.funds.reserve(&self.chain, now, purpose);
                self.hand_over(reserved, reply);
            }
            FundsCall::ReserveShared { purpose, channels, reply } => {
                let reserved = self.funds.reserve_shared(&self.chain, now, purpose, channels);
                self.hand_over(reserved, reply);
            }
            FundsCall::Fund { first_input, index, output, expiry, reply } => {
                drop(reply.send(self.fund(first_input, (index, *output), expiry)));
            }
            FundsCall::FundShared { plan, claim, reply } => {
                let first_input = plan.first_input;
                let funded = self.fund_shared(&plan, claim);
                if funded.is_err() {
                    self.funds.release(&first_input);
                }
                drop(reply.send(funded));
            }
            FundsCall::SignFunding { body, spent, from, to, reply } => {
                drop(reply.send(self.funds.sign_funding(&body, &spent, from..to)));
            }
            FundsCall::Sponsor { transaction, short } => self.sponsor(*transaction, short, now),
            FundsCall::Reach { addresses, reply } => drop(reply.send(self.reach(addresses))),
            FundsCall::Keep { coins, until } => self.funds.keep(&coins, until),
            FundsCall::Release { first_input } => self.funds.release(&first_input),
        }
    }

    /// Gives coins that are set aside to whoever asked for them; if nobody takes them, they are free.
    fn hand_over(
        &mut self,
        reserved: Result<Reserved, FundsError>,
        reply: oneshot::Sender<Result<Reserved, FundsError>>,
    ) {
        let first = reserved.as_ref().ok().and_then(Reserved::first_input);
        if reply.send(reserved).is_err()
            && let Some(first) = first
        {
            self.funds.release(&first);
        }
    }

    /// Pays on the ledger: the payment is remembered before it is handed out, and handed in until it is final.
    fn send(
        &mut self,
        (to, amount): (Payout, Amount),
        claim: Option<Claim>,
    ) -> Result<(TxId, Amount), FundsError> {
        let now = self.chain.tip().header().time;
        let (transaction, fee) = self.funds.send(&self.chain, now, to, amount)?;
        // What the rules refuse now is refused for ever. What a pool refuses is not: its coins stay promised.
        let checked = self.engine.host().check(&transaction);
        checked.map_err(|error| FundsError::Refused(error.to_string()))?;
        let (now_ms, mut batch) = (clock::now_ms(), Batch::new());
        let when = Made { time_ms: now_ms, height: self.chain.tip().height() };
        let tx = self.funds.promise(&mut batch, (transaction, fee), when);
        let outcome = Outcome::Send { tx, fee, state: SendState::Pending };
        let kept = claim.map(|claim| claim.keep(&mut batch, outcome, now_ms));
        self.journal.commit(Entry { batch, events: Vec::new() }, now_ms)?;
        kept.into_iter().for_each(Kept::show);
        self.hand_in_sends(now_ms);
        Ok((tx, fee))
    }

    /// Looks at who is connected, and hands in again what was sent and is not final.
    pub(super) fn insist(&mut self) -> Result<(), EngineError> {
        let now_ms = clock::now_ms();
        if now_ms < self.insist_at_ms {
            return Ok(());
        }
        self.insist_at_ms = now_ms.saturating_add(INSIST_MS);
        self.look_at_peers()?;
        if self.hand_in_sends(now_ms) { self.wake() } else { Ok(()) }
    }

    /// Hands in the payments of the wallet that are due; whether there were any.
    fn hand_in_sends(&mut self, now_ms: u64) -> bool {
        let due = self.funds.sends().due(now_ms);
        let is_any = !due.is_empty();
        for transaction in due {
            let id = transaction.id();
            if let Err(SubmitError::Refused(reason)) = self.submit(transaction)
                && self.funds.sends().refused(&id, &reason)
            {
                tracing::warn!(transaction = %id, %reason, "a payment is not taken now; it is handed in again");
            }
        }
        is_any
    }

    /// It is known what became of some payments of the wallet. If this write is lost, the next start finds it out again.
    fn end_sends(&mut self, ended: Vec<(TxId, SendState)>) {
        let (now_ms, mut batch) = (clock::now_ms(), Batch::new());
        self.funds.forget_shared(&mut batch);
        for (id, state) in ended {
            if state == SendState::Void {
                tracing::error!(transaction = %id, "a payment will never be made: another transaction spent its coins");
            }
            sends::forget(&mut batch, &id);
            self.idempotency.sent(&mut batch, &id, state, now_ms);
        }
        if !batch.is_empty() {
            self.journal.submit(Entry { batch, events: Vec::new() }, now_ms, || {});
        }
    }

    /// Hands in the funding of a channel, which may be that of others, too.
    fn fund(
        &mut self,
        first_input: OutPoint,
        (index, output): (u32, towpath_ledger::Output),
        expiry: Time,
    ) -> Result<Option<TxId>, FundsError> {
        let now = self.chain.tip().header().time;
        let transaction = if index == 0 {
            self.funds.fund(&self.chain, now, first_input, output, expiry)?
        } else {
            let again = self.funds.shared_again(&self.chain, &first_input, (index, &output))?;
            let Some(transaction) = again else { return Ok(None) };
            transaction
        };
        let id = transaction.id();
        match self.submit(transaction) {
            Ok(_) | Err(SubmitError::Final) => Ok(Some(id)),
            Err(error) => Err(FundsError::Refused(error.to_string())),
        }
    }

    /// Funds many channels, all of which are durable: the transaction is remembered before it is handed out, in one write with
    /// what a repeated call is told. Whatever becomes of the first try, the channels ask for it again.
    fn fund_shared(
        &mut self,
        plan: &SharedFunding,
        claim: Option<(Claim, Vec<Opening>)>,
    ) -> Result<(TxId, Amount), FundsError> {
        let (transaction, fee) = self.funds.plan_shared(plan)?;
        let checked = self.engine.host().check(&transaction);
        checked.map_err(|error| FundsError::Refused(error.to_string()))?;
        let (now_ms, mut batch, tx) = (clock::now_ms(), Batch::new(), transaction.id());
        let height = self.chain.tip().height();
        self.funds.promise_shared(&mut batch, height, transaction.body.clone());
        let kept = claim
            .map(|(claim, openings)| claim.keep(&mut batch, Outcome::Openings { tx, fee, openings }, now_ms));
        self.journal.commit(Entry { batch, events: Vec::new() }, now_ms)?;
        kept.into_iter().for_each(Kept::show);
        if let Err(SubmitError::Refused(reason)) = self.submit(transaction) {
            tracing::warn!(transaction = %tx, %reason, "a funding is not taken now; it is handed in again");
        }
        Ok((tx, fee))
    }

    fn sponsor(&mut self, transaction: Transaction, short: Amount, now: Time) {
        let sponsored = self.funds.sponsor(&self.chain, now, transaction, short);
        match sponsored.map(|transaction| self.submit(transaction)) {
            Ok(Ok(_) | Err(SubmitError::Final)) => {}
            Ok(Err(error)) => tracing::debug!(%error, "an answer that this wallet paid for is refused"),
            Err(error) => tracing::error!(%error, "the wallet cannot pay for a tower's answer"),
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
