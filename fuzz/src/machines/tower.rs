//! A watchtower with its disk, a client, a stranger who lays what it likes at the client's own places, and the other party,
//! who posts any state that it ever signed. Whatever the script says, what the tower acknowledged and had on disk when
//! the channel ended is what it ended with, or more; and who could be proven to have known better pays (FAULTS C4, W1, W3).

#[expect(dead_code, reason = "the kit of the protocol's tests of towers, of which this is one user")]
#[path = "../../../protocol/tests/tower/ledger.rs"]
mod ledger;
#[expect(dead_code, reason = "as above")]
#[path = "../../../protocol/tests/tower/towers.rs"]
mod towers;

use ledger::{Ledger, Pair};
use towers::{Host, records};
use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::Party;
use towpath_ledger::mempool::Source;
use towpath_protocol::tower::{Entry, Outcome, Record, Sealed, Sighting, Sponsor, TowerMessage};

use crate::script::Script;

const VICTIM: PublicKey = PublicKey([42; 32]);
const STRANGER: PublicKey = PublicKey([43; 32]);

/// Actions of a script: each may cost a signature.
const ACTIONS_MAX: usize = 40;

/// Versions that the parties ever signed.
const VERSIONS: u64 = 40;

/// A block's time after the last one: a dispute window is sixty of them.
const STEP_MS: u64 = 10_000;

struct Scene {
    ledger: Ledger,
    pair: Pair,
    victim: Party,
    host: Host,
    /// The newest version that the tower acknowledged.
    kept: u64,
    /// The version that was posted, once one was.
    posted: Option<u64>,
}

/// Whether the script said anything.
pub fn run(bytes: &[u8]) -> bool {
    let mut script = Script::new(bytes);
    let Some(first) = script.byte() else { return false };
    let mut ledger = Ledger::new();
    let pair = ledger.open(1).remove(0);
    let victim = if first % 2 == 0 { Party::A } else { Party::B };
    // With a wallet of its own: without one a party with too little in the channel can price it out, and it says so (T-36).
    let host = Host::new(&ledger, Sponsor::Yes);
    let mut scene = Scene { ledger, pair, victim, host, kept: 0, posted: None };
    let mut any = false;
    for _ in 0..ACTIONS_MAX {
        if scene.act(&mut script).is_none() {
            break;
        }
        any = true;
        assert_eq!(
            scene.host.tower.usage().records,
            records(&scene.host.disk) as u64,
            "the books are the disk's"
        );
    }
    scene.settle();
    any
}

impl Scene {
    fn act(&mut self, script: &mut Script<'_>) -> Option<()> {
        match script.below(8)? {
            0..3 => {
                let version = 1 + script.number()? % VERSIONS;
                let entry = sealed(&self.pair.record(self.victim, version));
                if self.keep(VICTIM, entry) == Some(Outcome::Kept) {
                    // Before the close, or early enough for an answer: the script goes on for a part of the window.
                    self.kept = self.kept.max(version);
                }
            }
            3 => {
                // Whoever knows the tag lays something else there: a true record, an older one, one that nobody signed, or none.
                let party = if script.flip()? { self.victim.other() } else { self.victim };
                let mut record = self.pair.record(party, 1 + script.number()? % VERSIONS);
                if script.flip()? {
                    record.newest.state.version += VERSIONS;
                }
                let mut entry = sealed(&record);
                let client = if script.flip()? { STRANGER } else { PublicKey([44; 32]) };
                garble(&mut entry, script)?;
                self.keep(client, entry);
            }
            4 => self.host.restart(&self.ledger),
            5 if self.posted.is_none() => {
                let version = 1 + script.number()? % VERSIONS;
                let close = self.pair.close(&self.ledger, self.victim.other(), version);
                if self.ledger.submit(close).is_ok() {
                    self.posted = Some(version);
                }
            }
            5 | 6 => self.step(),
            _ => {
                let list = TowerMessage::List { after: None };
                let shown = self.host.hear(&VICTIM, &list);
                let Some(TowerMessage::Page { entries, .. }) = shown else { panic!("a page: {shown:?}") };
                let shown = entries.first().map_or(0, |entry| entry.sequence.version);
                assert!(shown >= self.kept || self.is_over(), "W3: {shown} is shown of {}", self.kept);
            }
        }
        Some(())
    }

    fn keep(&mut self, client: PublicKey, entry: Entry) -> Option<Outcome> {
        let answer = self.host.hear(&client, &TowerMessage::Keep(vec![entry]));
        let Some(TowerMessage::Receipts(receipts)) = answer else { panic!("receipts: {answer:?}") };
        receipts.first().map(|receipt| receipt.outcome)
    }

    fn is_over(&self) -> bool {
        self.posted.is_some() && self.ledger.closing(self.pair.id()).is_none()
    }

    /// A block, and what the tower does about it.
    fn step(&mut self) {
        let (seen, _) = self.ledger.block(STEP_MS);
        let over = seen.iter().any(|seen| matches!(seen, Sighting::Settled { .. }));
        self.host.see(seen);
        if !over {
            self.host.act(&mut self.ledger, Source::Peer(STRANGER));
        }
    }

    /// The rest of the window: what it ends with is what the tower had, or more.
    fn settle(mut self) {
        let Some(posted) = self.posted else { return };
        let cheater = self.victim.other();
        let held = if self.kept > 0 { self.pair.co_signed(self.kept).signature(cheater).held } else { 0 };
        let (mut settled, mut penalized) = (0, false);
        for _ in 0..80 {
            if let Some(closing) = self.ledger.closing(self.pair.id()) {
                (settled, penalized) = (closing.closing.state.version, closing.closing.penalized);
            } else if settled > 0 {
                break;
            }
            self.step();
        }
        assert!(settled >= self.kept, "C4: the tower had {}, and it ended with {settled}", self.kept);
        assert!(penalized || held <= posted, "C4: {posted} was posted by one who held {held}");
    }
}

/// A record as its party gives it to a tower.
fn sealed(record: &Record) -> Entry {
    let slot = record.slot();
    Entry { locator: slot.locator, sequence: record.sequence(), sealed: record.seal(&slot) }
}

/// Changes bytes of what is sealed, or what is said of it.
fn garble(entry: &mut Entry, script: &mut Script<'_>) -> Option<()> {
    if script.flip()? {
        let place = usize::try_from(script.number()?).unwrap_or(0);
        let Sealed(bytes) = &mut entry.sealed;
        let length = bytes.len();
        bytes[place % length] ^= script.byte()? | 1;
    }
    if script.flip()? {
        entry.sequence.version = u64::MAX - script.number()?;
    }
    Some(())
}
