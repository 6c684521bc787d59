//! A world with its ledger: what the machines order becomes blocks, and what the blocks do is told to the machines.

use std::collections::VecDeque;

use towpath_ledger::rules::TxError;
use towpath_ledger::{Transaction, Witness};
use towpath_protocol::{Event, Funding, LedgerEvent, Settlement};

use super::ledger::Ledger;
use super::world::{Crypto, Cut, World, open};

/// What lies in the wallet that opens the channel, beside what the channel takes.
pub const SPARE: u64 = 1_000;

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
            ledger: Ledger::new(crypto, &[(first_input, 0, amount_a + amount_b + SPARE)]),
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

    /// What a side was paid out of the channel.
    pub fn paid(&self, side: usize) -> u64 {
        self.ledger.wealth(side) - if side == 0 { SPARE } else { 0 }
    }

    /// Makes transactions of what the machines ordered.
    pub fn collect(&mut self) {
        for side in 0..2 {
            for effect in std::mem::take(&mut self.world.orders[side]) {
                let channel = &self.world.sides[side].channel;
                if let Some(transaction) = self.ledger.transaction(channel, &effect) {
                    self.pool.push_back((side, transaction));
                }
            }
        }
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
        let news = std::mem::take(&mut self.news[side]);
        let rejects = self.world.turn(side, news.into_iter().map(Event::Ledger).collect(), Cut::Nowhere);
        assert_eq!(rejects, [], "what the ledger shows fits");
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

/// What a pool keeps of two transactions that spend one closing.
fn rank(transaction: &Transaction) -> u8 {
    match transaction.witnesses[..] {
        [Witness::Answer { .. } | Witness::Cooperative { .. }] => 0,
        [Witness::Finalize { .. }] => 2,
        _ => 1,
    }
}
