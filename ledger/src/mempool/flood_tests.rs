//! Flood and loot (FAULTS L20): somebody closes many channels with old states at once and fills every block and every
//! queue at many times what fits, so that the answers come too late. The real pool, packer and rules, block after block.

use std::collections::BTreeMap;

use towpath_crypto::ed25519::PublicKey;

use super::*;
use crate::chain::{NoneVerified, Proposal, build_block, execute_block};
use crate::rules::Signatures;
use crate::testing::*;
use crate::types::*;

/// The version that each victim holds; the cheat posts the first.
const NEWEST: u64 = 9;

/// What is sent beside the closes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Flood {
    /// Payments with high fees, ten times what fits.
    Payments,
    /// Besides, reveals, batches of closes and disputes of its own closings: every queue of the reserved lane.
    Everything,
}

/// The attack, from the first close on.
struct Attack {
    world: World,
    pool: Mempool,
    /// The next wallet whose coin the attacker spends.
    next_coin: u32,
    /// Closes of the attacker's own channels that wait for their turn.
    batches: Vec<Transaction>,
    /// Its own closings, which it disputes with ever newer states.
    own: Vec<(Channel, OutPoint, u64)>,
}

fn peer(number: u8) -> Source {
    Source::Peer(PublicKey([number; 32]))
}

impl Attack {
    fn insert(&mut self, transaction: Transaction, source: Source) -> Result<Admitted, Refusal> {
        self.pool.insert(transaction, source, &self.world.view, &self.world.context(), Signatures::Verify)
    }

    /// The coin of a wallet that has not been used.
    fn coin(&mut self) -> u32 {
        self.next_coin += 1;
        self.next_coin - 1
    }

    /// Fills a queue with what `make` makes, by many peers, until each of them is refused.
    fn fill(&mut self, most: u32, make: impl Fn(&World, u32) -> Transaction) {
        for number in 0..most {
            let coin = self.next_coin;
            let transaction = make(&self.world, coin);
            let source = peer(u8::try_from(number % 16).expect("small"));
            match self.insert(transaction, source) {
                Ok(_) => self.next_coin += 1,
                Err(Refusal::Full { .. } | Refusal::SourceShare { .. }) => {}
                Err(other) => panic!("the attacker's transactions are valid: {other}"),
            }
        }
    }

    fn flood(&mut self, flood: Flood, per_block: u32) {
        self.fill(per_block, |world, number| world.pay(number, 300, Amount(100_000_000)));
        if flood == Flood::Payments {
            return;
        }
        self.fill(per_block, many_secrets);
        if let Some(batch) = self.batches.pop() {
            self.insert(batch, peer(30)).expect("there is room for its closes");
        }
        for (channel, closing, version) in std::mem::take(&mut self.own) {
            let Some(entry) = self.world.view.entries.get(&closing).cloned() else {
                self.own.push((channel, closing, version));
                continue;
            };
            let version = version + 1;
            let dispute = channel.supersede(closing, &entry, version);
            let next = OutPoint { tx: dispute.id(), index: 0 };
            match self.insert(dispute, peer(31)) {
                Ok(_) => self.own.push((channel, next, version)),
                Err(_) => self.own.push((channel, closing, version)),
            }
        }
    }

    /// An honest proposer's block, ten seconds later; each node finds it valid.
    fn block(&mut self) -> crate::chain::BlockEffects {
        let tip = self.world.tip();
        let bytes = tip.params.blocks.transactions_bytes_max();
        let proposal = Proposal {
            time: self.world.parent.time.plus_ms(tip.params.blocks.block_step_ms_max),
            ..self.world.proposal()
        };
        let built = build_block(tip, &self.pool.candidates(bytes), proposal, &self.pool);
        let built = built.expect("everything is in memory");
        let checks = crate::chain::Checks::Full { now: proposal.time, rise_ms_max: u64::MAX };
        let executed = execute_block(tip, &built.block, checks, &NoneVerified);
        assert_eq!(executed.as_ref(), Ok(&built.effects));
        for dropped in &built.dropped {
            self.pool.remove(&dropped.id);
        }
        self.pool.on_block(&built.effects);
        self.world.apply(&built.block, &built.effects);
        built.effects
    }
}

/// A reveal as large as they get, of secrets that nobody asked for.
fn many_secrets(world: &World, number: u32) -> Transaction {
    let secret = |n: u32| {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        bytes[4..8].copy_from_slice(&n.to_be_bytes());
        Secret::Preimage(bytes)
    };
    let secrets = (0..256).map(secret).collect();
    let outputs = vec![paid(number, Amount(COIN.units() - FEE.units()))];
    world.spend(number, world.coin(number), outputs, Some(Payload::Reveal(secrets)))
}

/// Opens so many channels, as many to a block as fit.
fn open(world: &mut World, count: u32) -> Vec<(Channel, OutPoint)> {
    let opened: Vec<_> = (0..count).map(|number| world.open(number)).collect();
    for some in opened.chunks(200) {
        let opens: Vec<Transaction> = some.iter().map(|(open, _)| open.clone()).collect();
        world.step(&opens);
    }
    opened.into_iter().map(|(open, channel)| (channel, OutPoint { tx: open.id(), index: 0 })).collect()
}

/// Closes all, as many to a block as fit, whatever lane they use; the closings.
fn close(world: &mut World, channels: &[(Channel, OutPoint)]) -> Vec<(Channel, OutPoint)> {
    let closes: Vec<Transaction> = channels.iter().map(|(channel, at)| channel.close(*at, 1)).collect();
    for some in closes.chunks(250) {
        world.step(some);
    }
    let at = |close: &Transaction| OutPoint { tx: close.id(), index: 0 };
    channels.iter().zip(&closes).map(|((channel, _), close)| (channel.clone(), at(close))).collect()
}

fn start(victims: u32, flood: Flood) -> (Attack, Vec<(Channel, OutPoint)>) {
    let own = if flood == Flood::Everything { 900 } else { 0 };
    let mut world = World::with(victims + own + 3_000, smallest_blocks());
    let mut channels = open(&mut world, victims + own);
    let attackers = channels.split_off(usize::try_from(victims).expect("small"));
    let (disputed, batched) = attackers.split_at(attackers.len().min(300));
    let batch = |some: &[(Channel, OutPoint)]| {
        let mut closes = some.iter().map(|(channel, at)| channel.close(*at, 1));
        let mut whole = closes.next().expect("at least one");
        for close in closes {
            whole.body.inputs.extend(close.body.inputs);
            whole.body.outputs.extend(close.body.outputs);
            whole.witnesses.extend(close.witnesses);
        }
        whole
    };
    let batches = batched.chunks(100).map(batch).collect();
    let own = close(&mut world, disputed).into_iter().map(|(channel, at)| (channel, at, 1)).collect();
    let closings = close(&mut world, &channels);
    let pool = Mempool::new(PoolLimits::for_chain(&world.genesis.params));
    let next_coin = u32::try_from(world.genesis.allocations.len()).expect("small") - 3_000 + 1;
    (Attack { world, pool, next_coin, batches, own }, closings)
}

/// How many blocks it takes until every victim's answer is decided. Two watchtowers send them, and again what did not
/// get in.
fn answered_after(victims: u32, flood: Flood) -> u64 {
    let (mut attack, closings) = start(victims, flood);
    let deadlines: BTreeMap<OutPoint, Time> = closings
        .iter()
        .map(|(channel, at)| {
            (*at, attack.world.view.entries[at].time.plus_ms(channel.terms.dispute_window_ms))
        })
        .collect();
    // Somebody pays what is usually enough, and sees no block.
    let usual = attack.coin();
    let usual = attack.world.pay(usual, 1, FEE);
    attack.insert(usual.clone(), Source::Local).expect("valid");
    attack.flood(flood, 130);
    let mut open: Vec<_> = closings.iter().collect();
    let mut sent = BTreeMap::new();
    for block in 1.. {
        for (number, (channel, at)) in open.iter().copied().enumerate() {
            let waits = sent.get(at).is_some_and(|id| attack.pool.transaction(id).is_some());
            if !waits {
                let dispute = channel.supersede(*at, &attack.world.view.entries[at].clone(), NEWEST);
                sent.insert(*at, dispute.id());
                let _sent_again_if_refused =
                    attack.insert(dispute, peer(if number % 2 == 0 { 50 } else { 51 }));
            }
        }
        let effects = attack.block();
        let general: u64 = general_bytes(&effects);
        let most = attack.world.genesis.params.blocks.general_bytes_max();
        assert!(general > most - 60_000, "block {block}: the flood fills the rest: {general} of {most}");
        open.retain(|(_, at)| {
            let waits = attack.world.view.entries.contains_key(at);
            assert!(!waits || effects.time < deadlines[at], "block {block}: an answer is too late");
            waits
        });
        if open.is_empty() {
            assert!(attack.pool.transaction(&usual.id()).is_some(), "the flood keeps ordinary payments out");
            check_outcome(&attack.world, &closings);
            return block;
        }
        attack.flood(flood, 24);
    }
    0
}

fn general_bytes(effects: &crate::chain::BlockEffects) -> u64 {
    let general = |changes: &&crate::rules::Changes| changes.lane == crate::rules::Lane::General;
    effects.transactions.iter().map(|t| &t.changes).filter(general).map(|changes| changes.bytes).sum()
}

/// Every victim's channel stands at its newest state.
fn check_outcome(world: &World, closings: &[(Channel, OutPoint)]) {
    let victims: BTreeMap<ChannelId, ()> = closings.iter().map(|(c, _)| (c.terms.id, ())).collect();
    let mut right = 0;
    for entry in world.view.entries.values() {
        if let Lock::Closing(closing) = &entry.output.lock
            && victims.contains_key(&closing.terms.id)
        {
            assert_eq!(closing.state.version, NEWEST);
            right += 1;
        }
    }
    assert_eq!(right, victims.len());
}

/// The blocks of a dispute window, at their slowest.
fn window_blocks() -> u64 {
    let params = smallest_blocks();
    params.rules.dispute_window_ms_min / params.blocks.block_step_ms_max
}

#[test]
fn l20_flood_and_loot_by_payments_comes_to_nothing() {
    // With nothing else in the lane the answers have all of it: some 160 a block.
    let blocks = answered_after(600, Flood::Payments);
    assert!(blocks <= 6, "{blocks} of {} blocks", window_blocks());
}

#[test]
fn l20_flood_and_loot_in_every_queue_comes_to_nothing() {
    // Disputes have half of the lane, and the attacker's own wait in the same queue.
    let blocks = answered_after(600, Flood::Everything);
    assert!(blocks <= window_blocks() / 3, "{blocks} of {} blocks", window_blocks());
}
