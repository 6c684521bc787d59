//! What an adversary can say to an honest machine, and post: everything well-formed that its key and the signatures
//! which it ever got allow, within a few amounts and a few version numbers around what is held.

use std::collections::BTreeSet;
use std::rc::Rc;

use towpath_ledger::Amount;
use towpath_protocol::{
    Ack, Answer, ChannelMessage, ClosingStage, Content, Life, Online, Propose, Reestablish, Refuse,
    RefuseReason, Refused, Request, Role, Transfer, Turnholder, Update,
};

use super::config::Walks;
use super::ledger::{Move, Place, Shown};
use super::party::Party;
use super::setup;
use super::store::{Store, complete};
use super::turn::{Cut, Fee, Input};

/// The amount of a party's payment with this index: powers of two, so that a balance tells which payments are in it.
pub const fn amount(seat: usize, index: u8) -> u64 {
    1 << (2 * index as usize + seat)
}

/// What an adversary takes without being asked: no payment's amount.
const UNASKED: u64 = 16;

/// What the adversary may do to a ledger.
#[derive(Default)]
pub struct Posts {
    pub steps: Vec<Move>,
    /// Of another generation than the channel is in, and refused.
    pub outdated: u64,
}

impl Store {
    /// What the adversary may say to this party now.
    pub fn alphabet(&mut self, number: u32) -> Rc<[u32]> {
        if let Some(known) = self.alphabets.get(&number) {
            return Rc::clone(known);
        }
        let party = self.parties.get(number).clone();
        let messages = self.say(&party);
        let numbers: BTreeSet<u32> = messages.into_iter().map(|message| self.keep_message(message)).collect();
        let numbers: Rc<[u32]> = numbers.into_iter().collect();
        self.alphabets.insert(number, Rc::clone(&numbers));
        numbers
    }

    /// Of all that the adversary may say, what makes a difference to this party in a turn of its own, and of what makes the same
    /// difference one. That is all there is to tell worlds apart: nobody hears what the party answers (the signatures in it are
    /// among its claims), and a turn that changes nothing leads nowhere. What breaks an invariant is kept.
    pub fn told(&mut self, number: u32, cut: Cut) -> Rc<[u32]> {
        if let Some(known) = self.tellings.get(&(number, cut)) {
            return Rc::clone(known);
        }
        let all = self.alphabet(number);
        if self.config.walks == Walks::All {
            return all;
        }
        let mut differences = BTreeSet::new();
        let makes_one = |message: &&u32| match self.turn(number, [Some(Input::Message(**message)), None], cut)
        {
            Ok(turned) if turned.refused => false,
            Ok(turned) => {
                let is_nothing = cut == Cut::None && turned.party == number && turned.orders.is_empty();
                !is_nothing && differences.insert((turned.party, turned.orders.clone()))
            }
            Err(_) => true,
        };
        let told: Rc<[u32]> = all.iter().filter(makes_one).copied().collect();
        self.tellings.insert((number, cut), Rc::clone(&told));
        told
    }

    fn say(&self, party: &Party) -> Vec<ChannelMessage> {
        match party.channel.life() {
            Life::Opening | Life::Disputed | Life::Settled(_) => return Vec::new(),
            Life::Active | Life::Closing(_) => {}
        }
        let view = party.channel.view();
        if view.online == Online::No {
            let mut messages = self.say_held(party);
            if party.channel.life() == Life::Closing(ClosingStage::Unilateral) {
                // As if it had not seen that the channel is being closed: nothing of this may be signed or taken in.
                messages.extend(self.propose(party));
                messages.extend(self.follow(party));
            }
            return messages;
        }
        let mut messages = vec![ChannelMessage::Close];
        match view.turnholder {
            Turnholder::Follower => {
                messages.extend(self.propose(party));
                messages.extend(self.offer_resizes(party));
            }
            Turnholder::Sequencer | Turnholder::HandingOver => {
                messages.extend(self.follow(party));
                messages.extend(self.answer_resizes(party));
            }
        }
        if !self.config.changes.is_empty() {
            // In a generation that its replica shows before this party's does, or after it: both say anew what they hold.
            messages.extend(self.say_held(party));
        }
        messages
    }

    /// At the beginning of a session: any state that it can complete, as the newest that it holds.
    fn say_held(&self, party: &Party) -> Vec<ChannelMessage> {
        let (held, mark) = (party.channel.held().version(), party.channel.mark().version);
        let numbers = match party.channel.turnholder() {
            Turnholder::Follower => [(held + 1, 0), (held + 2, 0)],
            Turnholder::Sequencer | Turnholder::HandingOver => [(held + 1, 0), (held + 1, mark + 1)],
        };
        let mut messages = Vec::new();
        for number in party.claims.values() {
            let claim = self.claims.get(*number);
            let mut newest = claim.completed.clone();
            let theirs = complete(self.keys[1 - party.seat].as_ref(), &claim.content, claim.version());
            match setup::party(party.seat) {
                towpath_ledger::Party::A => newest.b = theirs,
                towpath_ledger::Party::B => newest.a = theirs,
            }
            for (next, seen) in numbers {
                let generation = claim.content.state.generation;
                let theirs = Reestablish { generation, newest: newest.clone(), next, seen };
                messages.push(ChannelMessage::Reestablish(Box::new(theirs)));
            }
        }
        messages
    }

    /// As the sequencer: payments both ways, asked for or not, the role, the end; in order, past a gap, on another base.
    fn propose(&self, party: &Party) -> Vec<ChannelMessage> {
        let held = party.channel.held();
        let (version, mark) = (held.version(), party.channel.mark().version);
        let low = held.theirs.held;
        let sets = self.update_sets(party);
        let mut proposals = Vec::new();
        for (index, updates) in sets.iter().enumerate() {
            proposals.push((version + 1, version, updates.clone(), Answer::Now, low));
            proposals.push((version + 1, version, updates.clone(), Answer::Now, mark));
            proposals.push((version + 2, version, updates.clone(), Answer::Now, mark));
            if index < 2 {
                proposals.push((version + 1, version, updates.clone(), Answer::Later, low));
                proposals.push((version + 1, version, updates.clone(), Answer::Later, mark));
                proposals.push((version + 2, version + 1, updates.clone(), Answer::Now, low));
            }
        }
        proposals.push((version + 1, version - 1, Vec::new(), Answer::Now, low));
        proposals.push((version + 3, version, Vec::new(), Answer::Now, mark));
        // Something that it can't know: that the other signed more than it did.
        proposals.push((version + 1, version, Vec::new(), Answer::Now, mark + 1));
        proposals
            .into_iter()
            .filter(|(version, ..)| *version <= self.config.versions_max)
            .filter_map(|(version, base, updates, answer, said)| {
                // Ahead of a gap: on a version without updates, which may or may not follow.
                let on = if base > held.version() {
                    held.content.next(base, &[], &self.terms)
                } else {
                    Ok(held.content.clone())
                };
                let content = on.ok()?.next(version, &updates, &self.terms).ok()?;
                let signature = complete(self.keys[1 - party.seat].as_ref(), &content, said);
                Some(ChannelMessage::Propose(Propose { version, base, updates, answer, signature }))
            })
            .collect()
    }

    fn update_sets(&self, party: &Party) -> Vec<Vec<Update>> {
        let content = &party.channel.held().content;
        let me = setup::party(party.seat);
        let transfer = |from, number, units| {
            Update::Transfer(Transfer { from, number, amount: Amount(units), memo: None })
        };
        let mut sets = vec![Vec::new()];
        sets.extend(self.next_payment(party, content).map(|pay| vec![Update::Transfer(pay)]));
        // Nobody asked for this.
        sets.push(vec![transfer(me, content.sent(me) + 1, UNASKED)]);
        let open = |number: &&u64| **number > content.sent(me) && !party.facts.failed.contains(number);
        let requests: Vec<Update> = party
            .facts
            .sent
            .keys()
            .filter(open)
            .map(|number| transfer(me, *number, party.facts.sent[number]))
            .collect();
        for (index, request) in requests.iter().enumerate() {
            sets.push(vec![request.clone()]);
            if index > 0 {
                sets.push(requests[..=index].to_vec());
            }
            if let Some(pay) = self.next_payment(party, content) {
                sets.push(vec![Update::Transfer(pay), request.clone()]);
            }
        }
        sets.extend([vec![Update::Handover], vec![Update::Finish]]);
        sets
    }

    /// The adversary's next payment, if it may make one more.
    fn next_payment(&self, party: &Party, tip: &Content) -> Option<Transfer> {
        let seat = 1 - party.seat;
        let from = setup::party(seat);
        let made = u8::try_from(tip.sent(from)).expect("few payments");
        let may = made < self.config.budget.pays[seat];
        may.then(|| Transfer {
            from,
            number: tip.sent(from) + 1,
            amount: Amount(amount(seat, made)),
            memo: None,
        })
    }

    /// As the follower: an acknowledgement or a refusal of anything that was proposed, requests, the role.
    fn follow(&self, party: &Party) -> Vec<ChannelMessage> {
        let held = party.channel.held();
        let mut messages = vec![ChannelMessage::Resend(0)];
        // Each refusal and each request leads to one more version.
        let may_go_on = party.channel.mark().version < self.config.versions_max;
        let mut tip = held.content.clone();
        for (version, number) in party.claims.range(held.version() + 1..) {
            let claim = self.claims.get(*number);
            let signature = complete(self.keys[1 - party.seat].as_ref(), &claim.content, *version);
            messages.push(ChannelMessage::Ack(Ack { version: *version, signature }));
            for update in 0..if may_go_on { claim.updates } else { 0 } {
                let what = Refused::Proposal { version: *version, update };
                messages.push(ChannelMessage::Refuse(Refuse { what, reason: RefuseReason::Unwanted }));
            }
            let payer = setup::party(1 - party.seat);
            if claim.content.sent(payer) >= tip.sent(payer) {
                tip = claim.content.clone();
            }
        }
        if !may_go_on {
            return messages;
        }
        messages.push(ChannelMessage::Request(Request { transfers: Vec::new(), role: Role::Take }));
        if let Some(next) = self.next_payment(party, &tip) {
            for role in [Role::Keep, Role::Take] {
                messages.push(ChannelMessage::Request(Request { transfers: vec![next.clone()], role }));
            }
            let dear = Transfer { amount: Amount(self.config.capacity()), ..next };
            messages.push(ChannelMessage::Request(Request { transfers: vec![dear], role: Role::Keep }));
        }
        messages
    }

    /// What the adversary may do to the ledger, given the signatures that the party released: of what the rules take, and of
    /// what makes one and the same ledger one step. Also how much was refused because it is of another generation.
    pub fn posts(&mut self, number: u32, ledger: u32) -> Rc<Posts> {
        let key = (self.parties.get(number).released, ledger);
        if let Some(known) = self.postings.get(&key) {
            return Rc::clone(known);
        }
        let mut posts = Posts::default();
        let mut ledgers = BTreeSet::new();
        for step in self.possible_posts(self.parties.get(number), ledger) {
            match self.advance(ledger, step) {
                Ok(None) => posts.outdated += u64::from(self.is_of_another(ledger, step)),
                Ok(Some(next)) if !ledgers.insert(next) => {}
                Ok(Some(_)) | Err(_) => posts.steps.push(step),
            }
        }
        let posts = Rc::new(posts);
        self.postings.insert(key, Rc::clone(&posts));
        posts
    }

    fn possible_posts(&self, party: &Party, ledger: u32) -> Vec<Move> {
        let claims = || party.claims.values().copied();
        let fees = Fee::of_choice(self.config.fees);
        let mut moves = Vec::new();
        let finals = claims().filter(|claim| self.claims.get(*claim).content.state.is_final);
        match &self.ledgers.get(ledger).place {
            Place::Open { .. } => {
                moves.extend(party.intents.iter().map(|intent| Move::Resize(*intent)));
                moves.extend(finals.map(|claim| Move::Together { claim }));
                for &fee in fees {
                    moves.extend(claims().map(|claim| Move::Close { claim, fee }));
                }
            }
            Place::Closing(shown) => {
                moves.extend(finals.map(|claim| Move::Together { claim }));
                let newer: Vec<u32> = claims()
                    .filter(|claim| self.claims.get(*claim).version() > shown.closing.state.version)
                    .collect();
                let by_honest = setup::index(shown.closing.author) == party.seat;
                let proofs = self.proofs(party, shown).filter(|_| by_honest);
                let states = || std::iter::once(None).chain(newer.iter().copied().map(Some));
                for &fee in fees {
                    moves.extend(newer.iter().map(|claim| Move::Supersede { claim: *claim, fee }));
                    for proof in proofs.clone() {
                        moves.extend(states().map(|claim| Move::Penalize { claim, proof, fee }));
                    }
                }
                if by_honest {
                    moves.extend(states().map(|claim| Move::Answer {
                        claim,
                        proof: None,
                        fee: Fee::Nothing,
                    }));
                    moves.extend(proofs.map(|proof| Move::Answer {
                        claim: None,
                        proof: Some(proof),
                        fee: Fee::All,
                    }));
                }
            }
            Place::Settled(_) => {}
        }
        moves
    }

    /// One signature of each generation that says more was held than was posted: one proves as much as another.
    fn proofs<'a>(&'a self, party: &'a Party, shown: &'a Shown) -> impl Iterator<Item = u32> + Clone + 'a {
        let posted = shown.closing.posted_version;
        let generation = |claim: &u32| self.claims.get(*claim).content.state.generation;
        let tells_more = move |claim: &u32| self.claims.get(*claim).signed.signature.held > posted;
        let mut proofs: Vec<u32> = party.claims.values().copied().filter(tells_more).collect();
        proofs.dedup_by_key(|claim| generation(claim));
        proofs.into_iter()
    }
}
