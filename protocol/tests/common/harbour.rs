//! A world with its ledger: what the machines order becomes blocks, and what the blocks do is told to the machines.

use std::collections::VecDeque;

use towpath_ledger::rules::TxError;
use towpath_ledger::{Amount, Digest, Entry, Lock, OutPoint, Transaction, TxId, Witness};
use towpath_protocol::{
    Change, Effect, Event, Funding, FundingInput, LedgerEvent, Reject, ResizePlan, Settlement,
};

use super::ledger::{Ledger, native, wallet, witness};
use super::world::{Crypto, Cut, World, open};

/// What lies in the wallet that opens the channel, beside what the channel takes.
pub const SPARE: u64 = 1_000;

/// What lies in each wallet for resizes, in coins of a quarter of it.
pub const PURSE: u64 = 4_000;

/// A world, its ledger, and the transactions that wait for a block.
pub struct Harbour {
    pub world: World,
    pub ledger: Ledger,
    /// Who ordered what; a test may take some out, or change their order.
    pub pool: VecDeque<(usize, Transaction)>,
    /// What each side's replica shows and its machine was not told yet.
    pub news: [VecDeque<LedgerEvent>; 2],
    /// Transactions that the rules refused.
    pub refused: Vec<TxError>,
    /// How the channel ended, once it has.
    pub end: Option<(u64, Settlement)>,
}

impl Harbour {
    /// Two parties with an offer accepted, and a ledger that has the coin which pays for the channel.
    pub fn unfunded(crypto: Crypto, amount_a: u64, amount_b: u64, reserve: u64) -> Self {
        let Funding::Single { first_input, .. } = open(crypto, amount_a, amount_b, reserve).funding else {
            panic!("A funds alone")
        };
        Self {
            world: World::unfunded(crypto, amount_a, amount_b, reserve),
            ledger: Ledger::new(crypto, &coins(first_input, amount_a + amount_b + SPARE)),
            pool: VecDeque::new(),
            news: [VecDeque::new(), VecDeque::new()],
            refused: Vec::new(),
            end: None,
        }
    }

    /// A channel that both replicas show, over a session that is up.
    pub fn open(crypto: Crypto, amount_a: u64, amount_b: u64, reserve: u64) -> Self {
        let mut harbour = Self::unfunded(crypto, amount_a, amount_b, reserve);
        harbour.block(1_000);
        harbour.tell_all();
        harbour.world.settle();
        assert!(harbour.world.sides.iter().all(|side| side.channel.funding().is_some()), "it is funded");
        harbour
    }

    /// What a side was paid out of the channel when it ended.
    pub fn paid(&self, side: usize) -> u64 {
        let me = &self.world.sides[side];
        let before = PURSE + me.paid_out + if side == 0 { SPARE } else { 0 };
        self.ledger.wealth(side) + me.added - before
    }

    /// Makes transactions of what the machines ordered.
    pub fn collect(&mut self) {
        for side in 0..2 {
            let mut effects: VecDeque<_> = std::mem::take(&mut self.world.orders[side]).into();
            while let Some(effect) = effects.pop_front() {
                if let Effect::SignFunding { body, spent, from, to } = effect {
                    let signed = (from..to).map(|_| witness(side, &body, spent.clone())).collect();
                    let signed = vec![Event::FundingSigned(signed)];
                    assert_eq!(self.world.turn(side, signed, Cut::Nowhere), [], "the wallet signs");
                    effects.extend(std::mem::take(&mut self.world.orders[side]));
                    continue;
                }
                let channel = &self.world.sides[side].channel;
                if let Some(transaction) = self.ledger.transaction(channel, &effect) {
                    self.pool.push_back((side, transaction));
                }
            }
        }
    }

    /// How a side resizes the channel, out of its wallet or into it; it expires so much later. None without a coin for it.
    pub fn plan(&self, side: usize, change: Change, ms: u64) -> Option<ResizePlan> {
        let expiry = self.world.now.ledger.plus_ms(ms);
        let lock = || Lock::Wallet(wallet(side));
        let (inputs, left) = match change {
            Change::PayOut(amount) => (Vec::new(), amount.0),
            Change::Add(amount) => {
                let coins = self.ledger.view.entries.iter().filter(|(_, entry)| entry.output.lock == lock());
                let coin = coins.into_iter().find(|(_, entry)| entry.output.amount >= amount);
                let (outpoint, entry) = coin?;
                let output = entry.output.clone();
                let left = output.amount.0 - amount.0;
                (vec![FundingInput { outpoint: *outpoint, output }], left)
            }
        };
        let outputs = (left > 0).then(|| native(Amount(left), lock())).into_iter().collect();
        Some(ResizePlan { change, inputs, outputs, expiry })
    }

    pub fn resize(&mut self, side: usize, change: Change) -> Result<(), Reject> {
        let plan = self.plan(side, change, 20_000).expect("a coin that is large enough");
        self.world.resize(side, plan)
    }

    /// A block, so much later, of everything that waits and that the rules accept: what settles at once first, as pools
    /// prefer it (SPEC L-24), else in its order. Orders to finalize stay until they can be carried out.
    pub fn block(&mut self, ms: u64) {
        self.collect();
        self.world.now.ledger = self.world.now.ledger.plus_ms(ms);
        let mut pool: Vec<_> = std::mem::take(&mut self.pool).into();
        pool.sort_by_key(|(_, transaction)| rank(transaction));
        for (side, transaction) in pool {
            if let Err(refused) = self.apply(&transaction) {
                let early = matches!(transaction.witnesses[..], [Witness::Finalize { .. }]);
                if early && self.ledger.closing(&transaction.body.inputs[0]).is_some() {
                    self.pool.push_back((side, transaction));
                } else {
                    self.refused.push(refused);
                }
            }
        }
    }

    /// Applies one transaction now; both replicas show what it did.
    pub fn apply(&mut self, transaction: &Transaction) -> Result<(), TxError> {
        for event in self.ledger.apply(transaction, self.world.now.ledger)? {
            if let LedgerEvent::Settled { version, outcome } = event {
                assert_eq!(self.end.replace((version, outcome)), None, "a channel ends once");
            }
            self.news.iter_mut().for_each(|news| news.push_back(event.clone()));
        }
        Ok(())
    }

    /// The replica of `side` shows all that happened, in one turn.
    pub fn tell(&mut self, side: usize) {
        let mut news = std::mem::take(&mut self.news[side]);
        // As after a restart: what it shows now, known or not.
        news.extend(self.shown());
        let rejects = self.world.turn(side, news.into_iter().map(Event::Ledger).collect(), Cut::Nowhere);
        assert_eq!(rejects, [], "what the ledger shows fits");
    }

    /// The channel's output, if it is not being closed.
    fn shown(&self) -> Option<LedgerEvent> {
        let is_channel = |entry: &Entry| matches!(entry.output.lock, Lock::Channel(_));
        let found = self.ledger.view.entries.iter().find(|(_, entry)| is_channel(entry));
        found.map(|(outpoint, entry)| LedgerEvent::Funded {
            outpoint: *outpoint,
            entry: Box::new(entry.clone()),
        })
    }

    pub fn tell_all(&mut self) {
        self.tell(0);
        self.tell(1);
    }

    /// Blocks and messages until nothing happens any more; a dispute window passes if one is open.
    pub fn run_to_rest(&mut self) {
        for _ in 0..6 {
            self.tell_all();
            if self.world.connected {
                self.world.settle_in_session();
            }
            self.block(6_000);
        }
        self.tell_all();
    }
}

fn coins(first_input: OutPoint, funds: u64) -> Vec<(OutPoint, usize, u64)> {
    let purse = |side: u8, place: u32| {
        let outpoint = OutPoint { tx: TxId(Digest([0x70 + side; 32])), index: place };
        (outpoint, usize::from(side), PURSE / 4)
    };
    let purses = (0..2).flat_map(|side| (0..4).map(move |place| purse(side, place)));
    std::iter::once((first_input, 0, funds)).chain(purses).collect()
}

/// What a pool keeps of two transactions that spend one closing.
fn rank(transaction: &Transaction) -> u8 {
    match transaction.witnesses[..] {
        [Witness::Answer { .. } | Witness::Cooperative { .. }] => 0,
        [Witness::Finalize { .. }] => 2,
        _ => 1,
    }
}
