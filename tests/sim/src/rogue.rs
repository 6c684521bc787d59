//! The node that is not honest. It runs the real program, and what it says is bent on the way out: it withholds, replays,
//! garbles, burns versions, closes with old states, starts from old disks, and vanishes. Whatever it does, the others must
//! lose nothing by it.

use std::collections::{BTreeMap, VecDeque};

use towpath_crypto::codec;
use towpath_ledger::settle::{self, Place, Posting};
use towpath_ledger::{AssetId, ChannelId, CloseIntent, CoSigned, Transaction};
use towpath_node::net::Topic;
use towpath_protocol::{ChannelMessage, Life, Message, Refuse, RefuseReason, Refused};
use towpath_store::MemoryImage;

use crate::plan::{MINUTE_MS, Plan, Vice};
use crate::tally::Fault;
use crate::violation::Violation;
use crate::world::{What, World};

/// States of a channel that it keeps for later.
const STATES_KEPT: usize = 48;

/// Messages of each session that it keeps for later.
const WORDS_KEPT: usize = 64;

/// See the module.
pub struct Rogue {
    /// Which node it is.
    pub place: usize,
    vices: Vec<Vice>,
    states: BTreeMap<ChannelId, VecDeque<CoSigned>>,
    words: BTreeMap<usize, VecDeque<Vec<u8>>>,
    image: Option<MemoryImage>,
    rewinds: bool,
    withholds: bool,
    /// As a validator it says nothing for now.
    pub is_silent: bool,
    /// It has cheated on the ledger: its program would make up for that, so the ledger hears no more of it.
    is_muted: bool,
}

impl Rogue {
    /// A node with this world's vices.
    #[must_use]
    pub fn new(place: usize, plan: &Plan) -> Self {
        Self {
            place,
            vices: plan.vices.clone(),
            states: BTreeMap::new(),
            words: BTreeMap::new(),
            image: None,
            rewinds: false,
            withholds: false,
            is_silent: false,
            is_muted: false,
        }
    }

    /// Whether it has this vice.
    pub fn has(&self, vice: Vice) -> bool {
        self.vices.contains(&vice)
    }
}

impl World {
    /// Whether a node says no more on a topic.
    #[must_use]
    pub fn is_muted(&self, node: usize, topic: Topic) -> bool {
        let rogue = self.rogue.as_ref().filter(|rogue| rogue.place == node);
        topic == Topic::Transactions && rogue.is_some_and(|rogue| rogue.is_muted)
    }

    /// What a node says, as its peer hears it. An honest one is watched: it must never contradict itself.
    ///
    /// # Errors
    /// When an honest node contradicts itself.
    pub fn say(
        &mut self,
        node: usize,
        peer: usize,
        messages: Vec<Vec<u8>>,
    ) -> Result<Vec<Vec<u8>>, Violation> {
        if self.rogue.as_ref().is_none_or(|rogue| rogue.place != node) {
            self.auditor.promises.hear(node, &messages)?;
            return Ok(messages);
        }
        if self.is_calm {
            return Ok(messages);
        }
        self.keep_states();
        Ok(self.bend(peer, messages))
    }

    fn bend(&mut self, peer: usize, messages: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        let Some(rogue) = self.rogue.as_mut() else { return messages };
        let (rng, tally) = (&mut self.rng, &mut self.tally);
        let mut said = Vec::new();
        for mut message in messages {
            let words = rogue.words.entry(peer).or_default();
            if words.len() < WORDS_KEPT || rng.chance(100) {
                words.push_back(message.clone());
            }
            if words.len() > WORDS_KEPT {
                words.pop_front();
            }
            let old = words.get(rng.index(words.len())).cloned();
            if rogue.has(Vice::Replays)
                && rng.chance(40)
                && let Some(old) = old
            {
                tally.fault(Fault::Replayed);
                said.push(old);
            }
            if rogue.has(Vice::Withholds) && rogue.withholds && rng.chance(400) {
                tally.fault(Fault::Withheld);
                continue;
            }
            if rogue.has(Vice::Garbles) && rng.chance(15) {
                tally.fault(Fault::Garbled);
                let place = rng.index(message.len());
                if let Some(byte) = message.get_mut(place) {
                    *byte ^= 1 << rng.below(8);
                }
            }
            said.push(message);
        }
        said
    }

    /// The rogue hears something: it may refuse a proposal that its program acknowledges.
    pub fn rogue_hears(&mut self, from: usize, to: usize, messages: &[Vec<u8>]) {
        let burns = self.rogue.as_ref().is_some_and(|rogue| rogue.place == to && rogue.has(Vice::Burns));
        if !burns || self.is_calm || !self.rng.chance(80) {
            return;
        }
        let decoded = messages.iter().filter_map(|bytes| Message::decode(bytes).ok());
        let refusals = decoded.filter_map(|message| match message {
            Message::Channel(channel, ChannelMessage::Propose(propose)) => {
                let what = Refused::Proposal { version: propose.version, update: 0 };
                let refuse = Refuse { what, reason: RefuseReason::Unwanted };
                Some(Message::Channel(channel, ChannelMessage::Refuse(refuse)).encode())
            }
            _ => None,
        });
        let refusals: Vec<_> = refusals.collect();
        if !refusals.is_empty() {
            self.tally.fault(Fault::Burnt);
            self.send_frame(to, from, refusals);
        }
    }

    /// The rogue has an idea, and will have others.
    ///
    /// # Errors
    /// What must hold, and does not.
    pub fn mischief(&mut self) -> Result<(), Violation> {
        if self.is_calm {
            return Ok(());
        }
        let gap = self.rng.gap(4 * MINUTE_MS);
        self.after(gap, What::Mischief);
        let Some(rogue) = self.rogue.as_mut() else { return Ok(()) };
        let (place, vices) = (rogue.place, rogue.vices.clone());
        let vice = vices[self.rng.index(vices.len())];
        match vice {
            Vice::Withholds => rogue.withholds = !rogue.withholds,
            Vice::ClosesStale => self.close_stale(),
            Vice::Rewinds => return self.rewind(place),
            Vice::Vanishes if self.rng.chance(250) => return self.vanish(place),
            Vice::KeepsSilent => rogue.is_silent = !rogue.is_silent,
            Vice::Vanishes | Vice::Replays | Vice::Garbles | Vice::Burns => {}
            Vice::VotesTwice | Vice::ProposesTwice | Vice::ProposesInvalid | Vice::Censors => {}
        }
        Ok(())
    }

    fn vanish(&mut self, place: usize) -> Result<(), Violation> {
        if self.stations[place].process.is_none() {
            return Ok(());
        }
        self.tally.fault(Fault::Vanished);
        self.stations[place].is_gone = true;
        self.fall(place)
    }

    /// It keeps a copy of its disk, and goes back to it later.
    fn rewind(&mut self, place: usize) -> Result<(), Violation> {
        let Some(rogue) = self.rogue.as_mut() else { return Ok(()) };
        if rogue.image.is_none() || self.rng.chance(300) {
            rogue.image = Some(self.stations[place].disk.image());
            return Ok(());
        }
        rogue.rewinds = true;
        if self.stations[place].process.is_some() { self.fall(place) } else { Ok(()) }
    }

    /// A machine is about to start; if it is the rogue's, perhaps on an old disk.
    pub fn rewind_before_start(&mut self, node: usize) {
        let Some(rogue) = self.rogue.as_mut().filter(|rogue| rogue.place == node && rogue.rewinds) else {
            return;
        };
        rogue.rewinds = false;
        if let Some(image) = &rogue.image {
            self.stations[node].disk.restore(image);
            self.tally.fault(Fault::Rewound);
        }
    }

    fn keep_states(&mut self) {
        let Some(rogue) = self.rogue.as_mut().filter(|rogue| rogue.has(Vice::ClosesStale)) else { return };
        let Some(process) = self.stations[rogue.place].process.as_ref() else { return };
        for channel in process.workers().channels().filter(|channel| channel.life() == Life::Active) {
            let states = rogue.states.entry(channel.id()).or_default();
            let Some(state) = channel.held().co_signed(channel.me()) else { continue };
            if states.back().is_none_or(|last| last.state.version < state.state.version) {
                states.push_back(state);
            }
            if states.len() > STATES_KEPT {
                let index = 1 + self.rng.index(STATES_KEPT - 1);
                states.remove(index);
            }
        }
    }

    /// It closes a channel with a state of its choice: one that gives it more than the newest.
    fn close_stale(&mut self) {
        let Some(transaction) = self.stale_close() else { return };
        self.tally.fault(Fault::StaleClose);
        let Some(rogue) = self.rogue.as_mut() else { return };
        let place = rogue.place;
        self.publish(place, Topic::Transactions, codec::encode(&transaction));
        if let Some(rogue) = self.rogue.as_mut() {
            rogue.is_muted = true;
        }
    }

    fn stale_close(&mut self) -> Option<Transaction> {
        let rogue = self.rogue.as_ref()?;
        let station = &self.stations[rogue.place];
        let process = station.process.as_ref()?;
        let params = &station.host.genesis.params.rules;
        let place = Place { chain: process.parts().chain_id, params, asset: AssetId::NATIVE };
        let channels = process.workers().channels();
        let active: Vec<_> = channels.filter(|channel| channel.life() == Life::Active).collect();
        let channel = active.get(self.rng.index(active.len()))?;
        let (me, now) = (channel.me(), channel.held());
        let states = rogue.states.get(&channel.id())?;
        let newest = now.version();
        let old = states.iter().filter(|state| state.state.version < newest);
        let state = old.max_by_key(|state| state.state.balance(me))?;
        let fee =
            settle::unilateral_fee(&place, channel.terms(), (&state.state, channel.capacity()), me).ok()?;
        let intent = CloseIntent { state: state.state.clone(), author: me, fee };
        let posting = Posting {
            funding: channel.funding()?,
            capacity: channel.capacity(),
            terms: channel.terms(),
            state,
            author: me,
            fee,
            signature: station.host.seed.channel_key(channel.key_index()).sign(&place.chain, &intent),
        };
        settle::unilateral(&place, &posting).ok()
    }

    /// The faults are over: it is gone, or goes on as if nothing had been.
    ///
    /// # Errors
    /// What must hold, and does not.
    pub fn end_mischief(&mut self) -> Result<(), Violation> {
        let Some(place) = self.rogue.as_ref().map(|rogue| rogue.place) else { return Ok(()) };
        let was_up = self.stations[place].process.is_some();
        if self.rng.chance(500) {
            self.stations[place].is_gone = true;
            if was_up {
                return self.fall(place);
            }
        }
        Ok(())
    }
}
