//! A world, its actions, and what each makes of it. A world is a few numbers: what they stand for is in the [`Store`].

use std::rc::Rc;

use towpath_ledger::SignedState;
use towpath_protocol::Life;

use super::adversary::amount;
use super::config::{Budget, Disk, Role, Turns};
use super::ledger::{Move, Place};
use super::reduce::{Waits, waits_for_notice};
use super::setup;
use super::store::{Copy as TowerCopy, Ordered, Store};
use super::turn::{Cut, Fee, Input, Turned, Wish};
use super::violation::{Kind, Violation, must};

/// Who cannot act any more.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Presence {
    Here,
    /// Away past the end: only its tower acts for it.
    Gone,
}

/// Everything that decides what can happen next.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct World {
    /// The honest parties; an empty seat is the adversary's.
    pub parties: [Option<u32>; 2],
    pub linked: bool,
    /// Messages on their way to each honest party from the other one.
    pub wires: [Vec<u32>; 2],
    pub ledger: u32,
    /// What each party's replica showed last, as far as a crash can make a difference, and whether that was a close; and what it
    /// has not shown yet.
    pub seen: [u32; 2],
    pub knows: [bool; 2],
    pub unseen: [Vec<u32>; 2],
    /// What each honest party posted about the output as it is, and is in no block yet.
    pub orders: [Vec<u32>; 2],
    /// The tower's copy.
    pub copy: Option<u32>,
    pub presence: Presence,
    pub left: Budget,
}

/// Part of a turn.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum What {
    /// The adversary says this.
    Say(u32),
    /// The next message on the wire arrives.
    Deliver,
    /// It arrives, and will arrive again.
    Repeat,
    Wish(Wish),
    Clock,
    /// The next block arrives at the party's replica.
    Notice,
}

/// One thing that happens.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    Turn {
        seat: usize,
        whats: [Option<What>; 2],
        cut: Cut,
    },
    Connect,
    Disconnect,
    /// Between two turns.
    Crash {
        seat: usize,
    },
    /// On the ledger.
    Post(Move),
    /// The tower gets the newest state of the honest party.
    Copy {
        seat: usize,
    },
    /// The honest party goes away, and does not come back before it is over.
    Leave,
}

impl World {
    pub fn first(store: &Store) -> Self {
        let seat = |seat: usize| match store.config.roles[seat] {
            Role::Honest => Some(store.first[seat]),
            Role::Adversary => None,
        };
        Self {
            parties: [seat(0), seat(1)],
            linked: false,
            wires: [Vec::new(), Vec::new()],
            ledger: store.funded,
            seen: [store.funded; 2],
            knows: [false; 2],
            unseen: [Vec::new(), Vec::new()],
            orders: [Vec::new(), Vec::new()],
            copy: None,
            presence: Presence::Here,
            left: store.config.budget,
        }
    }

    /// The honest parties that can act, by seat.
    pub fn present(&self) -> impl Iterator<Item = (usize, u32)> + '_ {
        let here = self.presence == Presence::Here;
        self.honest().filter(move |_| here)
    }

    pub fn honest(&self) -> impl Iterator<Item = (usize, u32)> + '_ {
        (0..2).filter_map(|seat| Some((seat, self.parties[seat]?)))
    }

    /// Whether it is all over, and everybody who is there knows.
    pub fn is_over(&self, store: &Store) -> bool {
        let settled = store.ledgers.get(self.ledger).settled().is_some();
        settled && self.present().all(|(seat, _)| self.unseen[seat].is_empty())
    }
}

/// Everything that can happen next.
pub fn actions(store: &mut Store, world: &World) -> Vec<Action> {
    let mut actions = Vec::new();
    if world.is_over(store) {
        return actions;
    }
    let waits = waits_for_notice(store, world);
    for (seat, party) in world.present() {
        turns(store, world, (seat, party), waits, &mut actions);
    }
    if world.presence == Presence::Here {
        if world.copy.is_some() {
            actions.push(Action::Leave);
        }
        let is_quiet = waits != Waits::No || store.is_deaf(world);
        match (world.linked, world.left.sessions) {
            (true, 1..) if !is_quiet => actions.push(Action::Disconnect),
            (false, 1..) if !is_quiet => actions.push(Action::Connect),
            _ => {}
        }
    }
    if waits != Waits::All {
        posts(store, world, &mut actions);
    }
    actions
}

/// What can happen on the ledger.
fn posts(store: &mut Store, world: &World, actions: &mut Vec<Action>) {
    let late = store.ledgers.get(world.ledger).closing().map(|shown| shown.late);
    actions.extend(world.orders.iter().flatten().map(|order| Action::Post(Move::Order(*order))));
    for (seat, party) in world.honest() {
        if store.config.roles[1 - seat] == Role::Adversary {
            actions.extend(store.posts(party, world.ledger).steps.iter().copied().map(Action::Post));
        }
    }
    let waits = |(_, party): (usize, u32)| store.parties.get(party).channel.awaits_block();
    if world.left.expiries > 0 && world.honest().any(waits) {
        actions.push(Action::Post(Move::Pass));
    }
    if world.presence == Presence::Gone {
        actions.extend(world.copy.map(|copy| Action::Post(Move::Tower(copy))));
    }
    match late {
        Some(false) => actions.push(Action::Post(Move::Advance)),
        Some(true) => actions.push(Action::Post(Move::Finalize)),
        None => {}
    }
}

fn turns(
    store: &mut Store,
    world: &World,
    (seat, number): (usize, u32),
    waits: Waits,
    actions: &mut Vec<Action>,
) {
    let only_notice = waits != Waits::No;
    let mut heard: Vec<What> = Vec::new();
    let says = !only_notice && world.linked && store.config.roles[1 - seat] == Role::Adversary;
    if says && store.config.turns == Turns::Two {
        heard.extend(store.alphabet(number).iter().map(|message| What::Say(*message)));
    }
    if !world.wires[seat].is_empty() {
        heard.push(What::Deliver);
    }
    let mut own = wishes(store, world, (seat, number));
    if !world.unseen[seat].is_empty() {
        own.push(What::Notice);
    }
    let mut single = own.clone();
    if !world.wires[seat].is_empty() {
        single.push(What::Deliver);
    }
    if world.left.duplicates > 0 && !world.wires[seat].is_empty() {
        single.push(What::Repeat);
    }
    if store.parties.get(number).channel.next_deadline_ms().is_some() {
        single.push(What::Clock);
    }
    let mut whats: Vec<[Option<What>; 2]> = single.iter().map(|what| [Some(*what), None]).collect();
    if world.wires[seat].len() > 1 {
        whats.push([Some(What::Deliver); 2]);
    }
    if store.config.turns == Turns::Two {
        for first in &own {
            for second in heard.iter().chain(&own) {
                whats.push([Some(*first), Some(*second)]);
                whats.push([Some(*second), Some(*first)]);
            }
        }
    }
    let cuts = match (world.left.crashes, store.config.disk) {
        (0, _) => [Some(Cut::None), None, None],
        (_, Disk::Keeps) => [Some(Cut::None), Some(Cut::BeforeEffects), None],
        (_, Disk::Loses) => [Some(Cut::None), Some(Cut::BeforeEffects), Some(Cut::LosesWrite)],
    };
    if only_notice {
        whats.retain(|whats| whats.contains(&Some(What::Notice)));
    }
    for cut in cuts.into_iter().flatten() {
        let told = if says { store.told(number, cut) } else { Rc::default() };
        let turn = |message: &u32| Action::Turn { seat, whats: [Some(What::Say(*message)), None], cut };
        actions.extend(told.iter().map(turn));
        actions.extend(whats.iter().map(|whats| Action::Turn { seat, whats: *whats, cut }));
    }
    if world.left.crashes > 0 && !only_notice {
        actions.push(Action::Crash { seat });
    }
    if world.left.copies > 0 && !only_notice {
        actions.push(Action::Copy { seat });
    }
}

fn wishes(store: &Store, world: &World, (seat, party): (usize, u32)) -> Vec<What> {
    let channel = &store.parties.get(party).channel;
    let left = &world.left;
    let mut wishes = Vec::new();
    if channel.life() == Life::Active {
        if left.pays[seat] > 0 {
            let index = store.config.budget.pays[seat] - left.pays[seat];
            wishes.push(Wish::Pay(amount(seat, index)));
        }
        if left.wishes > 0 {
            wishes.extend([Wish::Take, Wish::HandOver, Wish::RefusePayments, Wish::AcceptPayments]);
        }
        if left.closes > 0 {
            wishes.push(Wish::Close);
        }
        if left.resizes[seat] > 0 {
            let places = 0..u8::try_from(store.config.changes.len()).expect("few changes");
            wishes.extend(places.map(Wish::Resize));
        }
    }
    if left.forces > 0 {
        match channel.life() {
            Life::Active | Life::Closing(_) => {
                wishes.extend(Fee::of_choice(store.config.fees).iter().copied().map(Wish::ForceClose));
            }
            Life::Opening | Life::Disputed | Life::Settled(_) => {}
        }
    }
    wishes.into_iter().map(What::Wish).collect()
}

impl Store {
    /// The world after `action`; none if it is not possible, or changes nothing.
    ///
    /// # Errors
    /// The invariant that it breaks.
    pub fn apply(&mut self, world: &World, action: Action) -> Result<Option<World>, Violation> {
        let mut next = world.clone();
        let possible = match action {
            Action::Turn { seat, whats, cut } => self.take_turn(&mut next, seat, whats, cut)?,
            Action::Connect => self.connect(&mut next)?,
            Action::Disconnect => {
                let linked = next.linked;
                self.disconnect(&mut next, None)?;
                linked
            }
            Action::Crash { seat } => self.crash_between(&mut next, seat)?,
            Action::Post(step) => self.post(&mut next, step)?,
            Action::Copy { seat } => self.copy(&mut next, seat)?,
            Action::Leave => {
                let possible = next.copy.is_some() && next.presence == Presence::Here;
                next.presence = Presence::Gone;
                next.linked = false;
                // Nobody is there to see it.
                next.unseen = [Vec::new(), Vec::new()];
                possible
            }
        };
        if !possible {
            return Ok(None);
        }
        if self.config.reduces() {
            self.run_on(&mut next)?;
            self.forget(&mut next);
        }
        Ok((next != *world).then_some(next))
    }

    pub fn take_turn(
        &mut self,
        next: &mut World,
        seat: usize,
        whats: [Option<What>; 2],
        cut: Cut,
    ) -> Result<bool, Violation> {
        let Some(party) = next.parties[seat].filter(|_| next.presence == Presence::Here) else {
            return Ok(false);
        };
        let mut inputs = [None; 2];
        for (input, what) in inputs.iter_mut().zip(whats) {
            let Some(what) = what else { continue };
            let taken = self.take(next, seat, what);
            if taken.is_none() {
                return Ok(false);
            }
            *input = taken;
        }
        match cut {
            Cut::None => {}
            Cut::BeforeEffects | Cut::LosesWrite if next.left.crashes == 0 => return Ok(false),
            Cut::BeforeEffects | Cut::LosesWrite => next.left.crashes -= 1,
        }
        let turned = self.turn(party, inputs, cut)?;
        if turned.refused {
            return Ok(false);
        }
        self.carry_out(next, seat, &turned)?;
        match cut {
            Cut::None => {}
            Cut::BeforeEffects | Cut::LosesWrite => self.restart(next, seat)?,
        }
        Ok(true)
    }

    /// Takes what it needs out of the world.
    fn take(&self, next: &mut World, seat: usize, what: What) -> Option<Input> {
        match what {
            What::Say(message) => next.linked.then_some(Input::Message(message)),
            What::Deliver if next.wires[seat].is_empty() => None,
            What::Deliver => Some(Input::Message(next.wires[seat].remove(0))),
            What::Repeat => {
                next.left.duplicates = next.left.duplicates.checked_sub(1)?;
                Some(Input::Message(*next.wires[seat].first()?))
            }
            What::Wish(wish) => {
                let left = &mut next.left;
                let budget = match wish {
                    Wish::Pay(_) => &mut left.pays[seat],
                    Wish::Close => &mut left.closes,
                    Wish::ForceClose(_) => &mut left.forces,
                    Wish::Resize(_) => &mut left.resizes[seat],
                    Wish::Take | Wish::HandOver | Wish::RefusePayments | Wish::AcceptPayments => {
                        &mut left.wishes
                    }
                };
                *budget = budget.checked_sub(1)?;
                Some(Input::Wish(wish))
            }
            What::Clock => Some(Input::Clock),
            What::Notice if next.unseen[seat].is_empty() => None,
            What::Notice => {
                let shown = next.unseen[seat].remove(0);
                next.knows[seat] = !matches!(self.ledgers.get(shown).place, Place::Open { .. });
                next.seen[seat] = shown;
                Some(Input::Ledger(shown))
            }
        }
    }

    /// What a turn says and posts goes on its way.
    fn carry_out(&self, next: &mut World, seat: usize, turned: &Turned) -> Result<(), Violation> {
        next.parties[seat] = Some(turned.party);
        let peer = self.config.roles[1 - seat];
        if let (Role::Honest, Some(reject)) = (peer, turned.blamed) {
            return Err(Violation::new(Kind::Blamed, format!("an honest peer is blamed: {reject}")));
        }
        if next.linked && peer == Role::Honest {
            next.wires[1 - seat].extend(&turned.sent);
        }
        let outpoint = self.ledgers.get(next.ledger).outpoint();
        for order in &turned.orders {
            let about = Some(self.orders.get(*order).spends) == outpoint;
            if about && !next.orders[seat].contains(order) {
                next.orders[seat].push(*order);
                next.orders[seat].sort_unstable();
            }
        }
        Ok(())
    }

    fn plain_turn(&mut self, next: &mut World, seat: usize, input: Input) -> Result<(), Violation> {
        let Some(party) = next.parties[seat] else { return Ok(()) };
        let turned = self.turn(party, [Some(input), None], Cut::None)?;
        self.carry_out(next, seat, &turned)
    }

    fn connect(&mut self, next: &mut World) -> Result<bool, Violation> {
        if next.linked || next.left.sessions == 0 || next.presence == Presence::Gone {
            return Ok(false);
        }
        next.linked = true;
        next.left.sessions -= 1;
        for seat in 0..2 {
            self.plain_turn(next, seat, Input::Connected)?;
        }
        Ok(true)
    }

    /// The session ends, and what is in flight with it; all but one that crashed hear of it.
    fn disconnect(&mut self, next: &mut World, crashed: Option<usize>) -> Result<(), Violation> {
        let was = std::mem::take(&mut next.linked);
        next.wires = [Vec::new(), Vec::new()];
        for seat in (0..2).filter(|seat| was && Some(*seat) != crashed) {
            self.plain_turn(next, seat, Input::Disconnected)?;
        }
        Ok(())
    }

    fn crash_between(&mut self, next: &mut World, seat: usize) -> Result<bool, Violation> {
        let (Some(party), 1..) = (next.parties[seat], next.left.crashes) else { return Ok(false) };
        if next.presence == Presence::Gone {
            return Ok(false);
        }
        next.left.crashes -= 1;
        next.parties[seat] = Some(self.crash(party)?);
        self.restart(next, seat)?;
        Ok(true)
    }

    /// The first turn after a crash: the driver reports again what the replica shows.
    fn restart(&mut self, next: &mut World, seat: usize) -> Result<(), Violation> {
        self.disconnect(next, Some(seat))?;
        let shows = match &self.ledgers.get(next.seen[seat]).place {
            Place::Open { .. } | Place::Closing(_) => Input::Ledger(next.seen[seat]),
            Place::Settled(_) => Input::Disconnected,
        };
        self.plain_turn(next, seat, shows)
    }

    fn copy(&mut self, next: &mut World, seat: usize) -> Result<bool, Violation> {
        let (Some(number), 1..) = (next.parties[seat], next.left.copies) else { return Ok(false) };
        let mut party = self.parties.get(number).clone();
        let held = party.channel.held().clone();
        let Some((state, mine)) = held.co_signed(setup::party(seat)).zip(held.mine) else { return Ok(false) };
        // A tower is nobody's friend: what it has, the adversary has.
        self.release(&mut party, held.content.clone(), mine, 0)?;
        let proof = SignedState { state: state.state.clone(), signature: held.theirs };
        next.left.copies -= 1;
        next.copy = Some(self.keep_copy(TowerCopy { state, proof }));
        next.parties[seat] = Some(self.keep(party));
        Ok(true)
    }

    fn post(&mut self, next: &mut World, step: Move) -> Result<bool, Violation> {
        if step == Move::Advance && !self.all_answered(next)? {
            return Ok(false);
        }
        if step == Move::Pass {
            let Some(left) = next.left.expiries.checked_sub(1) else { return Ok(false) };
            next.left.expiries = left;
        }
        let before = next.ledger;
        let Some(after) = self.advance(before, step)? else {
            let order = match step {
                Move::Order(order) => self.orders.get(order).spends,
                _ => return Ok(false),
            };
            if self.has_expired(before, step) {
                return Ok(false);
            }
            let ledger = self.ledgers.get(before);
            let in_time = ledger.closing().is_none_or(|shown| !shown.late);
            must(ledger.outpoint() != Some(order) || !in_time, Kind::OrderRefused, || {
                "the ledger refuses what an honest party posts".into()
            })?;
            return Ok(false);
        };
        next.ledger = after;
        if step == Move::Advance {
            return Ok(true);
        }
        let outpoint = self.ledgers.get(after).outpoint();
        for seat in 0..2 {
            next.orders[seat].retain(|order| {
                Some(self.orders.get(*order).spends) == outpoint
                    && !self.has_expired(after, Move::Order(*order))
            });
            if next.parties[seat].is_some() && next.presence == Presence::Here {
                // A machine acts on the newest that it is shown, whatever came between: one that was away, and is told of
                // all that happened at once. Those between the first and the last make no difference; nor does the first, if
                // a close was seen before it.
                next.unseen[seat].truncate(usize::from(!self.misses_what_was_between(next, seat)));
                next.unseen[seat].push(after);
            }
        }
        self.check_ledger(next, before, step)?;
        Ok(true)
    }

    /// Whether an order is a resize that came too late.
    fn has_expired(&self, ledger: u32, step: Move) -> bool {
        let Move::Order(order) = step else { return false };
        let clock = self.ledgers.get(ledger).clock;
        match &self.orders.get(order).what {
            Ordered::Resize(transaction) => transaction.body.expiry.is_some_and(|expiry| expiry < clock),
            Ordered::Witness(_) => false,
        }
    }

    /// The deadline passes only once whoever is there, or its tower, has brought in all that it has.
    fn all_answered(&mut self, world: &World) -> Result<bool, Violation> {
        let waits =
            world.present().any(|(seat, _)| !world.unseen[seat].is_empty() || !world.orders[seat].is_empty());
        let shows = match (world.presence, world.copy) {
            (Presence::Gone, Some(copy)) => self.advance(world.ledger, Move::Tower(copy))?.is_some(),
            (Presence::Gone | Presence::Here, _) => false,
        };
        Ok(!waits && !shows)
    }
}
