//! Worlds and traces for people.

use std::fmt::Write as _;

use towpath_protocol::{ChannelMessage, Refused, Update};

use super::explore::{Found, Report, follow};
use super::ledger::{Move, Place};
use super::setup;
use super::store::Store;
use super::world::{Action, What, World};

impl Store {
    /// A trace, a line a step, each with what the party then holds and the ledger shows.
    pub fn show(&mut self, found: &Found) -> String {
        let mut text =
            format!("{}: {:?}: {}\n", self.config.name, found.violation.kind, found.violation.detail);
        let mut world = World::first(self);
        writeln!(text, "     {}", self.state(&world)).expect("a string takes everything");
        for (number, action) in found.trace.iter().enumerate() {
            let line = self.line(&world, action);
            let next = super::explore::step(self, &world, *action);
            writeln!(text, "{:>3}. {line}", number + 1).expect("a string takes everything");
            match next {
                Ok(Some(next)) => {
                    world = next;
                    writeln!(text, "     {}", self.state(&world)).expect("a string takes everything");
                }
                Ok(None) => text.push_str("     (changes nothing)\n"),
                Err(violation) => {
                    writeln!(text, "     BROKEN {:?}: {}", violation.kind, violation.detail)
                        .expect("a string takes everything");
                }
            }
        }
        text
    }

    /// Cuts a trace down and shows it.
    pub fn explain(&mut self, found: &Found) -> String {
        let small = super::explore::shrink(self, found);
        let (trace, _) = follow(self, &small.trace);
        self.show(&Found { violation: small.violation, trace })
    }

    fn state(&self, world: &World) -> String {
        let mut text = String::new();
        for (seat, number) in world.honest() {
            let party = self.parties.get(number);
            let channel = &party.channel;
            let held = channel.held();
            let signed: Vec<u64> = party.claims.keys().copied().collect();
            write!(
                text,
                "{:?}: {:?}, holds v{} of generation {} [{}/{}], of which the other says it holds {}; signed {signed:?}; told {}. ",
                setup::party(seat),
                channel.life(),
                held.version(),
                held.content.state.generation,
                held.content.state.balance_a,
                held.content.state.balance_b,
                held.theirs.held,
                party.told(),
            )
            .expect("a string takes everything");
        }
        match &self.ledgers.get(world.ledger).place {
            Place::Open { entry, .. } => {
                write!(text, "Ledger: open with {}", entry.output.amount).expect("a string takes everything")
            }
            Place::Closing(shown) => {
                let closing = &shown.closing;
                write!(
                    text,
                    "Ledger: closing by {:?}, posted v{}, shows v{}{}{}",
                    closing.author,
                    closing.posted_version,
                    closing.state.version,
                    if closing.penalized { ", penalized" } else { "" },
                    if shown.late { ", late" } else { "" },
                )
                .expect("a string takes everything");
            }
            Place::Settled(settled) => {
                write!(
                    text,
                    "Ledger: {:?} by v{}, paid {:?}",
                    settled.outcome, settled.state.version, settled.paid
                )
                .expect("a string takes everything");
            }
        }
        text
    }

    fn line(&self, world: &World, action: &Action) -> String {
        match action {
            Action::Turn { seat, whats, cut } => {
                let whats: Vec<String> =
                    whats.iter().flatten().map(|what| self.what(world, *seat, what)).collect();
                format!("{:?}: {} ({cut:?})", setup::party(*seat), whats.join(", then "))
            }
            Action::Post(step) => format!("ledger: {}", self.step_line(step)),
            Action::Connect
            | Action::Disconnect
            | Action::Crash { .. }
            | Action::Copy { .. }
            | Action::Leave => {
                format!("{action:?}")
            }
        }
    }

    fn what(&self, world: &World, seat: usize, what: &What) -> String {
        match what {
            What::Say(message) => format!("is told {}", message_line(self.messages.get(*message))),
            What::Deliver | What::Repeat => match world.wires[seat].first() {
                Some(message) => format!("{what:?} {}", message_line(self.messages.get(*message))),
                None => format!("{what:?}"),
            },
            What::Wish(wish) => format!("{wish:?}"),
            What::Clock | What::Notice => format!("{what:?}"),
        }
    }

    fn step_line(&self, step: &Move) -> String {
        let version = |claim: &u32| self.claims.get(*claim).version();
        match step {
            Move::Close { claim, fee } => {
                format!("the adversary closes with v{} (fee {fee:?})", version(claim))
            }
            Move::Together { claim } => format!("final v{}", version(claim)),
            Move::Supersede { claim, fee } => format!("supersede with v{} (fee {fee:?})", version(claim)),
            Move::Penalize { claim, proof, fee } => {
                let held = self.claims.get(*proof).signed.signature.held;
                format!("penalize: held {held}, shows {:?} (fee {fee:?})", claim.as_ref().map(version))
            }
            Move::Answer { claim, proof, fee } => {
                format!(
                    "the adversary answers with {:?}, proof {proof:?} (fee {fee:?})",
                    claim.as_ref().map(version)
                )
            }
            Move::Resize(number) => {
                let plan = &self.intents.get(*number).resized.plan;
                format!("the adversary's resize ({:?})", plan.change)
            }
            Move::Order(_) | Move::Tower(_) | Move::Pass | Move::Advance | Move::Finalize => {
                format!("{step:?}")
            }
        }
    }
}

fn message_line(message: &ChannelMessage) -> String {
    match message {
        ChannelMessage::Propose(propose) => {
            let updates: Vec<String> = propose.updates.iter().map(update_line).collect();
            format!(
                "propose v{} on v{} [{}] held {} {:?}",
                propose.version,
                propose.base,
                updates.join(", "),
                propose.signature.held,
                propose.answer
            )
        }
        ChannelMessage::Ack(ack) => format!("ack v{}", ack.version),
        ChannelMessage::Request(request) => {
            let numbers: Vec<String> =
                request.transfers.iter().map(|pay| format!("#{} {}", pay.number, pay.amount)).collect();
            format!("request [{}] {:?}", numbers.join(", "), request.role)
        }
        ChannelMessage::Refuse(refuse) => match refuse.what {
            Refused::Proposal { version, update } => format!("refuse update {update} of v{version}"),
            Refused::Request { number } => format!("refuse request #{number}"),
            Refused::Resize { version } => format!("refuse resize v{version}"),
        },
        ChannelMessage::Resize(offer) => {
            format!("resize v{} on v{}, {:?}", offer.version, offer.base, offer.plan.change)
        }
        ChannelMessage::ResizeAgreed(agreed) => format!("agree to resize v{}", agreed.version),
        ChannelMessage::Reestablish(theirs) => format!(
            "reestablish v{}, next {}, seen {}",
            theirs.newest.state.version, theirs.next, theirs.seen
        ),
        ChannelMessage::Recover(theirs) => format!(
            "recover v{:?}, above {}",
            theirs.newest.as_ref().map(towpath_protocol::Evidence::version),
            theirs.floor
        ),
        ChannelMessage::Resume(theirs) => {
            let jump = theirs.jump.map(|jump| jump.version);
            format!("resume v{}, at {jump:?}", theirs.newest.version())
        }
        ChannelMessage::Resend(from) => format!("resend from v{from}"),
        ChannelMessage::Close => "close".into(),
        ChannelMessage::Created(_) => "created".into(),
        ChannelMessage::Witnesses(_) => "witnesses".into(),
    }
}

fn update_line(update: &Update) -> String {
    match update {
        Update::Transfer(pay) => format!("{:?} pays #{} {}", pay.from, pay.number, pay.amount),
        Update::Handover => "handover".into(),
        Update::Finish => "finish".into(),
    }
}

/// A line of figures.
pub fn figures(store: &Store, report: &Report) -> String {
    let seconds = report.took.as_secs_f64();
    format!(
        "{}: {} worlds, {} steps, depth {}, {} parties, {} turns, {} ledgers, {seconds:.1} s\n  outcomes {:?}\n  events {:?}\n  of another generation, and refused: {}",
        store.config.name,
        report.worlds,
        report.steps,
        report.deepest,
        store.parties.len(),
        store.turns.len(),
        store.ledgers.len(),
        report.outcomes,
        report.fired,
        report.outdated,
    )
}
