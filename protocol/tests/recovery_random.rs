//! Random schedules of payments, crashes, lost and restored data: whatever happens, no version is ever signed with two
//! contents, whoever lost nothing has what it was told, and in the end the channel goes on.

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::Random;
use common::world::{Crypto, Cut, World, chain};
use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::Time;
use towpath_protocol::{Channel, Effect, Event, Evidence, Online, Origin, RecoveryEvent};

/// Steps of one schedule.
const STEPS: u64 = 120;

struct Story {
    world: World,
    random: Random,
    /// Old copies of each side's disk.
    copies: [Vec<BTreeMap<Vec<u8>, Vec<u8>>>; 2],
    /// What each side's tower keeps: the newest state that the side held when it last said so.
    towers: [Option<Evidence>; 2],
    losses: u64,
}

impl Story {
    fn begin(seed: u64) -> Self {
        let mut world = World::open(Crypto::Fast, 10_000, 8_000, 10);
        // Time as it is: what keeps the versions of two recoveries apart when nobody remembers the first.
        world.now.local_ms = 1_790_000_000_000;
        world.now.ledger = Time(world.now.local_ms);
        Self {
            world,
            random: Random::new(seed),
            copies: [Vec::new(), Vec::new()],
            towers: [None, None],
            losses: 0,
        }
    }

    fn side(&mut self) -> usize {
        usize::from(self.random.below(2) == 1)
    }

    fn step(&mut self) {
        self.world.now.local_ms += 1 + self.random.below(700);
        self.world.now.ledger = Time(self.world.now.local_ms - self.random.below(500));
        let side = self.side();
        match self.random.below(100) {
            0..30 => drop(self.world.pay(side, 1 + self.random.below(20))),
            30..65 => {
                let (count, cut) = (1 + self.random.below(4), self.cut());
                self.world.deliver(side, usize::try_from(count).expect("fits"), cut);
            }
            65..75 => self.world.connect(),
            75..79 => self.world.disconnect(),
            79..84 => drop(self.world.turn(side, Vec::new(), Cut::Nowhere)),
            84..88 => self.keep(side),
            88..92 => self.copies[side].push(self.world.sides[side].rows.clone()),
            92..95 => self.put_back(side),
            95..97 => self.lose_everything(side),
            _ => self.search(side),
        }
    }

    fn cut(&mut self) -> Cut {
        match self.random.below(12) {
            0 => Cut::BeforeWrite,
            1 => Cut::BeforeEffects,
            _ => Cut::Nowhere,
        }
    }

    /// The tower gets what the side holds.
    fn keep(&mut self, side: usize) {
        let channel = &self.world.sides[side].channel;
        let held = channel.held();
        if let (false, Some(newest)) = (channel.is_lost(), held.co_signed(channel.me())) {
            self.towers[side] = Some(Evidence { content: held.content.clone(), a: newest.a, b: newest.b });
        }
    }

    fn other_is_whole(&self, side: usize) -> bool {
        !self.world.sides[1 - side].channel.is_lost()
    }

    /// The side starts on an old copy, and knows that it is one: the other may have been put back, too.
    fn put_back(&mut self, side: usize) {
        if self.copies[side].is_empty() || !self.other_is_whole(side) {
            return;
        }
        let count = u64::try_from(self.copies[side].len()).expect("fits");
        let which = usize::try_from(self.random.below(count)).expect("fits");
        self.losses += 1;
        self.world.disconnect();
        self.world.sides[side].rows = self.copies[side][which].clone();
        self.world.sides[side].asked.clear();
        self.world.sides[side].channel = self.world.sides[side].restored();
        let mut channel = self.world.sides[side].channel.clone();
        // Both in one turn: nothing is said in between.
        let now = self.world.now;
        channel
            .step(Event::Recovery(RecoveryEvent::Distrust), now, &mut common::fast::FastVerifier)
            .expect("taken");
        self.world.sides[side].channel = channel;
        self.world.turn(side, Vec::new(), Cut::Nowhere);
    }

    fn lose_everything(&mut self, side: usize) {
        if !self.other_is_whole(side) {
            return;
        }
        self.losses += 1;
        self.world.disconnect();
        let (outpoint, entry) = World::funding_entry(&self.world.sides[side].channel);
        let (peer, output) = (PublicKey([0; 32]), entry.output);
        let origin = Origin { chain: chain(), outpoint, output, peer, key_index: 1 };
        let keys = Arc::clone(&self.world.sides[side].keys);
        let channel = Channel::rebuild(origin, keys, self.world.now).expect("its key is in it");
        self.world.sides[side].rows.clear();
        self.world.sides[side].asked.clear();
        self.world.sides[side].channel = channel;
        self.world.turn(side, Vec::new(), Cut::Nowhere);
    }

    /// A lost side asks its tower, then its peer.
    fn search(&mut self, side: usize) {
        if !self.world.sides[side].channel.is_lost() {
            return;
        }
        if let Some(found) = self.towers[side].clone() {
            let found = Event::Recovery(RecoveryEvent::Found(Box::new(found)));
            self.world.turn(side, vec![found], Cut::Nowhere);
        }
        let cut = self.cut();
        self.world.turn(side, vec![Event::Recovery(RecoveryEvent::Searched)], cut);
    }

    /// Everything works again: both find each other, and go on.
    fn end(&mut self) {
        for _ in 0..6 {
            self.world.connect();
            self.world.settle();
            for side in 0..2 {
                if self.world.sides[side].channel.is_lost() {
                    self.world.turn(side, vec![Event::Recovery(RecoveryEvent::Searched)], Cut::Nowhere);
                }
            }
            self.world.settle();
        }
        let [a, b] = &self.world.sides;
        assert_eq!(a.channel.state(), b.channel.state(), "both hold the same state");
        let state = a.channel.state();
        assert_eq!(state.balance_a.0 + state.balance_b.0, 18_000, "funds are conserved");
        for side in &self.world.sides {
            let view = side.channel.view();
            assert!(!view.data_lost && view.online == Online::Yes, "{view:?}");
            assert_eq!((view.in_flight, view.waiting), (0, 0));
            assert!(view.version < 1 << 53);
        }
        for orders in &self.world.orders {
            assert!(
                !orders.iter().any(|effect| matches!(effect, Effect::PostClose { .. })),
                "nothing was posted"
            );
        }
    }
}

/// A story from its seed; also what must find a known bug (`canaries.rs`).
pub fn run(seed: u64) -> u64 {
    let mut story = Story::begin(seed);
    for _ in 0..STEPS {
        story.step();
    }
    story.end();
    story.losses
}

#[test]
fn s10_c7_random_losses_of_data_never_sign_a_version_twice_and_end_alive() {
    let first = std::env::var("TOWPATH_SEED").ok().and_then(|seed| seed.parse::<u64>().ok());
    let (from, to) = first.map_or((0, 400), |seed| (seed, seed + 1));
    let mut losses = 0;
    for seed in from..to {
        let told = std::panic::catch_unwind(|| run(seed));
        match told {
            Ok(count) => losses += count,
            Err(panic) => {
                eprintln!("repeat with TOWPATH_SEED={seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    assert!(first.is_some() || losses > 200, "the schedules lose data: {losses}");
}
