//! Walking through all worlds: depth first, each once; and cutting what was found down to what matters.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use towpath_protocol::Settlement;

use super::config::Config;
use super::intern::{Marks, Name, name_of};
use super::store::{Ordered, Store};
use super::turn::Cut;
use super::violation::{Kind, Violation};
use super::world::{Action, World, actions};

/// A broken invariant, and how to get there.
pub struct Found {
    pub violation: Violation,
    pub trace: Vec<Action>,
}

/// What was seen.
#[derive(Default)]
pub struct Report {
    pub worlds: usize,
    pub steps: u64,
    pub deepest: usize,
    /// How often each outcome was reached.
    pub outcomes: BTreeMap<Settlement, u64>,
    /// How often each kind of event changed something.
    pub fired: BTreeMap<&'static str, u64>,
    /// How often the ledger refused a state or a proof because it is of another generation than the channel.
    pub outdated: u64,
    /// How it can end: what the ledger shows, and what was told to each honest party, which had signed what.
    pub ends: BTreeSet<Name>,
    /// One for each kind, the first that was met.
    pub found: BTreeMap<Kind, Found>,
    pub took: Duration,
}

impl Report {
    fn found(&mut self, violation: Violation, stack: &[Frame]) {
        let kind = violation.kind;
        self.found.entry(kind).or_insert_with(|| {
            let trace = stack.iter().map(|frame| frame.actions[frame.next - 1]).collect();
            Found { violation, trace }
        });
    }
}

/// When a search ends before everything was seen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Never.
    All,
    /// As soon as any invariant is broken.
    #[cfg(feature = "canaries")]
    Found,
    /// As soon as an invariant of this kind is broken.
    Broken(Kind),
}

impl Until {
    fn is_reached(self, report: &Report) -> bool {
        match self {
            Self::All => false,
            #[cfg(feature = "canaries")]
            Self::Found => !report.found.is_empty(),
            Self::Broken(kind) => report.found.contains_key(&kind),
        }
    }
}

struct Frame {
    world: World,
    actions: Vec<Action>,
    next: usize,
}

/// Visits every world of `config`.
pub fn explore(config: Config, until: Until) -> (Store, Report) {
    let started = Instant::now();
    let mut store = Store::new(config);
    let mut report = Report::default();
    // Half of a world's name: among 10^8 worlds two share it, and one is missed, with a chance of 1 in 3,700.
    let mut visited = Marks::default();
    let mut stack: Vec<Frame> = Vec::new();
    let first = World::first(&store);
    visited.insert(mark(&first));
    enter(&mut store, first, &mut stack, &mut report);
    while let Some(frame) = stack.last_mut() {
        let Some(action) = frame.actions.get(frame.next).copied() else {
            stack.pop();
            continue;
        };
        frame.next += 1;
        report.steps += 1;
        match step(&mut store, &frame.world, action) {
            Ok(None) => {}
            Ok(Some(world)) => {
                *report.fired.entry(event(&store, &action)).or_default() += 1;
                if visited.insert(mark(&world)) {
                    report.deepest = report.deepest.max(stack.len());
                    match store.check_rest(&world) {
                        Ok(()) => enter(&mut store, world, &mut stack, &mut report),
                        Err(violation) => report.found(violation, &stack),
                    }
                }
            }
            Err(violation) => report.found(violation, &stack),
        }
        if until.is_reached(&report) {
            break;
        }
    }
    report.took = started.elapsed();
    (store, report)
}

fn mark(world: &World) -> u64 {
    u64::try_from(name_of(world) >> 64).expect("half of a name")
}

fn enter(store: &mut Store, world: World, stack: &mut Vec<Frame>, report: &mut Report) {
    report.worlds += 1;
    let actions = actions(store, &world);
    if !actions.is_empty() && store.config.has_adversary() {
        for (_, number) in world.honest() {
            report.outdated += store.posts(number, world.ledger).outdated;
        }
    }
    if actions.is_empty()
        && let Some(settled) = store.ledgers.get(world.ledger).settled()
    {
        *report.outcomes.entry(settled.outcome).or_default() += 1;
        let told: Vec<_> = world.honest().map(|(_, number)| store.end_of(number)).collect();
        report.ends.insert(name_of(&(store.ledgers.get(world.ledger).name(), world.presence, told)));
    }
    stack.push(Frame { world, actions, next: 0 });
}

/// One action, with everything that must hold of the world after it.
pub fn step(store: &mut Store, world: &World, action: Action) -> Result<Option<World>, Violation> {
    let Some(next) = store.apply(world, action)? else { return Ok(None) };
    if next.is_over(store) {
        store.check_end(&next)?;
    }
    Ok(Some(next))
}

/// The kind of event: each must be seen at work, or a search shows less than it says.
fn event(store: &Store, action: &Action) -> &'static str {
    use super::ledger::Move;
    use super::world::What;
    match action {
        Action::Connect => "connect",
        Action::Disconnect => "disconnect",
        Action::Crash { .. } => "crash between turns",
        Action::Copy { .. } => "copy for the tower",
        Action::Leave => "leave",
        Action::Turn { cut: Cut::BeforeEffects, .. } => "crash before effects",
        Action::Turn { cut: Cut::LosesWrite, .. } => "crash that loses a write",
        Action::Turn { whats: [Some(what), None], cut: Cut::None, .. } => match what {
            What::Say(_) => "adversary speaks",
            What::Deliver => "deliver",
            What::Repeat => "duplicate",
            What::Wish(_) => "wish",
            What::Clock => "clock",
            What::Notice => "block seen",
        },
        Action::Turn { cut: Cut::None, .. } => "two events in a turn",
        Action::Post(step) => match step {
            Move::Close { .. } => "adversary closes",
            Move::Together { .. } => "final state posted",
            Move::Supersede { .. } => "supersede",
            Move::Penalize { .. } => "penalize",
            Move::Answer { .. } => "adversary answers",
            Move::Order(order) => match &store.orders.get(*order).what {
                Ordered::Witness(_) => "order in a block",
                Ordered::Resize(_) => "resize in a block",
            },
            Move::Resize(_) => "adversary's resize in a block",
            Move::Pass => "resize expires",
            Move::Tower(_) => "tower acts",
            Move::Advance => "deadline passes",
            Move::Finalize => "finalize",
        },
    }
}

/// Follows a trace from the beginning, leaving out what is not possible. What it breaks, and how far it got.
pub fn follow(store: &mut Store, trace: &[Action]) -> (Vec<Action>, Option<Violation>) {
    let mut world = World::first(store);
    let mut taken = Vec::new();
    for action in trace {
        // Something that was left out may be what made this possible.
        if !actions(store, &world).contains(action) {
            continue;
        }
        let after = step(store, &world, *action).and_then(|next| {
            next.as_ref().map_or(Ok(()), |next| store.check_rest(next))?;
            Ok(next)
        });
        match after {
            Ok(None) => {}
            Ok(Some(next)) => {
                taken.push(*action);
                world = next;
            }
            Err(violation) => {
                taken.push(*action);
                return (taken, Some(violation));
            }
        }
    }
    (taken, None)
}

/// Takes out of a trace what it does not need, until nothing more can go.
pub fn shrink(store: &mut Store, found: &Found) -> Found {
    let kind = found.violation.kind;
    let mut best = Found { violation: found.violation.clone(), trace: found.trace.clone() };
    let mut position = best.trace.len();
    let mut shrunk = false;
    loop {
        if position == 0 {
            if !shrunk {
                return best;
            }
            (position, shrunk) = (best.trace.len(), false);
        }
        position -= 1;
        let mut shorter = best.trace.clone();
        shorter.remove(position);
        let (trace, violation) = follow(store, &shorter);
        if let Some(violation) = violation.filter(|violation| violation.kind == kind) {
            shrunk = true;
            position = position.min(trace.len());
            best = Found { violation, trace };
        }
    }
}
