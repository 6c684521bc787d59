//! A client's books: coalesced, bounded, and no tower's word taken for longer than it shows what it keeps (W3, W6).

use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::{ChannelId, Party};
use towpath_protocol::limits::{TOWER_ANSWER_MS, TOWER_AUDIT_MS, TOWER_IN_FLIGHT_MAX, TOWERS_MAX};
use towpath_protocol::tower::{
    Client, Entry, Fault, Health, News, Outcome, Quota, Receipt, Refusal, Sequence, Slot, Sponsor,
    TowerMessage,
};

use super::answers::entry;
use super::ledger::{Ledger, Pair};
use super::towers::{Behaviour, Host};

const TOWER: PublicKey = PublicKey([1; 32]);
const ME: PublicKey = PublicKey([42; 32]);

fn tower(number: u8) -> PublicKey {
    PublicKey([number; 32])
}

fn version(version: u64) -> Sequence {
    Sequence { generation: 0, version }
}

fn pairs(count: usize) -> (Ledger, Vec<Pair>) {
    let mut ledger = Ledger::new();
    let pairs = ledger.open(count);
    (ledger, pairs)
}

/// A client of one tower, with a session.
fn connected() -> Client {
    let mut client = Client::new(1);
    assert!(client.add(TOWER));
    client.up(&TOWER);
    client
}

fn kept(entries: &[Entry]) -> TowerMessage {
    let receipt =
        |entry: &Entry| Receipt { locator: entry.locator, sequence: entry.sequence, outcome: Outcome::Kept };
    TowerMessage::Receipts(entries.iter().map(receipt).collect())
}

/// The records that go out now.
fn given(client: &mut Client, now_ms: u64) -> Vec<Entry> {
    let messages = client.poll(now_ms).into_iter();
    messages
        .flat_map(|(_, message)| match message {
            TowerMessage::Keep(entries) => entries,
            _ => Vec::new(),
        })
        .collect()
}

fn asked(client: &mut Client, now_ms: u64) -> Option<TowerMessage> {
    let messages = client.poll(now_ms).into_iter();
    messages.map(|(_, message)| message).find(|message| matches!(message, TowerMessage::List { .. }))
}

fn confirmed(client: &mut Client) -> Vec<(ChannelId, u64)> {
    let news = client.take_news().into_iter();
    news.filter_map(|news| match news {
        News::Confirmed { channel, sequence } => Some((channel, sequence.version)),
        News::Ahead { .. } | News::Fetched { .. } | News::Faulty { .. } => None,
    })
    .collect()
}

#[test]
fn a_thousand_payments_cost_a_tower_two_records() {
    let (_, pairs) = pairs(1);
    let mut client = connected();
    client.offer(pairs[0].id(), pairs[0].record(Party::A, 1), 0);
    let first = given(&mut client, 0);
    assert_eq!(first.len(), 1);
    for newer in 2..900 {
        client.offer(pairs[0].id(), pairs[0].record(Party::A, newer), 0);
        assert_eq!(given(&mut client, 1), [], "one at a time");
    }
    client.hear(&TOWER, kept(&first), 2);
    assert_eq!(confirmed(&mut client), [(pairs[0].id(), 1)]);
    let second = given(&mut client, 3);
    assert_eq!(second.iter().map(|entry| entry.sequence).collect::<Vec<_>>(), [version(899)]);
    client.hear(&TOWER, kept(&second), 4);
    assert_eq!(confirmed(&mut client), [(pairs[0].id(), 899)]);
    assert_eq!(given(&mut client, 5), []);
    let standings = client.standings(&TOWER).unwrap();
    assert_eq!((standings.health, standings.current, standings.behind), (Health::Good, 1, 0));
}

#[test]
fn what_is_on_its_way_is_bounded_and_every_channel_gets_its_turn() {
    let count = TOWER_IN_FLIGHT_MAX + 100;
    let (_, pairs) = pairs(count);
    let mut client = connected();
    for pair in &pairs {
        client.offer(pair.id(), pair.record(Party::A, 1), 0);
    }
    let mut seen = std::collections::BTreeSet::new();
    for round in 0..4 {
        let out = given(&mut client, round);
        assert!(out.len() <= TOWER_IN_FLIGHT_MAX);
        // Those that went out are busy, and want to go again at once.
        for pair in &pairs[..10] {
            client.offer(pair.id(), pair.record(Party::A, 2 + round), 0);
        }
        seen.extend(out.iter().map(|entry| entry.locator));
        client.hear(&TOWER, kept(&out), round);
    }
    assert_eq!(seen.len(), count, "nobody waits for ever behind those that are busy");
}

#[test]
fn a_lost_receipt_is_asked_for_again_and_the_tower_called_silent() {
    let (_, pairs) = pairs(1);
    let mut client = connected();
    client.offer(pairs[0].id(), pairs[0].record(Party::A, 1), 0);
    let first = given(&mut client, 0);
    assert_eq!(given(&mut client, TOWER_ANSWER_MS - 1), []);
    assert_eq!(client.next_deadline_ms(), Some(TOWER_ANSWER_MS));
    assert_eq!(given(&mut client, TOWER_ANSWER_MS), first);
    assert_eq!(client.standings(&TOWER).unwrap().health, Health::Silent);
    client.hear(&TOWER, kept(&first), TOWER_ANSWER_MS + 1);
    assert_eq!(client.standings(&TOWER).unwrap().health, Health::Good);
}

#[test]
fn w3_each_session_gives_everything_again() {
    let (_, pairs) = pairs(3);
    let mut client = connected();
    for pair in &pairs {
        client.offer(pair.id(), pair.record(Party::A, 1), 0);
    }
    let first = given(&mut client, 0);
    client.hear(&TOWER, kept(&first), 1);
    client.down(&TOWER);
    assert_eq!(client.standings(&TOWER).unwrap().health, Health::Unreachable);
    client.offer(pairs[2].id(), pairs[2].record(Party::A, 2), 0);
    assert_eq!(given(&mut client, 2), []);
    client.up(&TOWER);
    let again = given(&mut client, 3);
    assert_eq!(again.len(), 3);
    assert_eq!(again[0].sequence, version(2), "what is new goes first");
}

#[test]
fn receipts_that_nobody_asked_for_count_for_nothing() {
    let (_, pairs) = pairs(1);
    let mut client = connected();
    let record = pairs[0].record(Party::A, 1);
    client.offer(pairs[0].id(), record.clone(), 0);
    client.hear(&TOWER, kept(&[entry(&record)]), 0);
    assert_eq!(confirmed(&mut client), [], "nothing was sent yet");
    let out = given(&mut client, 1);
    let mut other = out.clone();
    other[0].sequence = version(7);
    client.hear(&TOWER, kept(&other), 2);
    client.hear(&tower(9), kept(&out), 2);
    assert_eq!(confirmed(&mut client), []);
    client.hear(&TOWER, kept(&out), 3);
    client.hear(&TOWER, kept(&out), 3);
    assert_eq!(confirmed(&mut client), [(pairs[0].id(), 1)], "once");
}

#[test]
fn w6_as_many_towers_must_have_it_as_are_needed() {
    let (_, pairs) = pairs(1);
    let mut client = Client::new(2);
    for number in 1..=3 {
        client.add(tower(number));
        client.up(&tower(number));
    }
    client.offer(pairs[0].id(), pairs[0].record(Party::A, 4), 0);
    let out: Vec<Entry> = given(&mut client, 0);
    client.hear(&tower(2), kept(&out[..1]), 1);
    assert_eq!(confirmed(&mut client), []);
    client.hear(&tower(3), kept(&out[..1]), 1);
    assert_eq!(confirmed(&mut client), [(pairs[0].id(), 4)]);
    assert_eq!(client.confirmed(&pairs[0].id()), Some(version(4)));
}

#[test]
fn w6_the_other_party_of_a_channel_is_no_tower_for_it() {
    let (_, pairs) = pairs(1);
    let record = pairs[0].record(Party::A, 4);
    let mut client = Client::new(1);
    client.add(record.peer);
    client.up(&record.peer);
    client.offer(pairs[0].id(), record.clone(), 0);
    let out: Vec<Entry> = given(&mut client, 0);
    client.hear(&record.peer, kept(&out), 1);
    assert_eq!(client.standings(&record.peer).expect("it is used").current, 1);
    assert_eq!(confirmed(&mut client), [], "T-47");
    // Another one's word counts.
    client.add(tower(9));
    client.up(&tower(9));
    let out: Vec<Entry> = given(&mut client, 2);
    client.hear(&tower(9), kept(&out), 3);
    assert_eq!(confirmed(&mut client), [(pairs[0].id(), 4)]);
}

#[test]
fn w6_the_word_of_a_tower_that_nobody_named_makes_no_payment_final() {
    let (_, pairs) = pairs(1);
    let mut client = Client::new(1);
    assert!(client.add_unnamed(tower(1)));
    client.up(&tower(1));
    client.offer(pairs[0].id(), pairs[0].record(Party::A, 4), 0);
    let out: Vec<Entry> = given(&mut client, 0);
    client.hear(&tower(1), kept(&out), 1);
    assert_eq!(confirmed(&mut client), [], "T-48");
    assert_eq!(client.standings(&tower(1)).expect("it is used").current, 1);
    // The operator names it: from then on what it acknowledges counts.
    client.add(tower(1));
    let again: Vec<Entry> = given(&mut client, 2);
    client.hear(&tower(1), kept(&again), 3);
    assert_eq!(confirmed(&mut client), [(pairs[0].id(), 4)]);
}

#[test]
fn refusals_show_and_are_not_repeated_in_a_loop() {
    let (_, pairs) = pairs(1);
    let mut client = connected();
    client.offer(pairs[0].id(), pairs[0].record(Party::A, 1), 0);
    let out = given(&mut client, 0);
    let outcome = Outcome::Refused(Refusal::Full);
    let receipt = Receipt { locator: out[0].locator, sequence: out[0].sequence, outcome };
    client.hear(&TOWER, TowerMessage::Receipts(vec![receipt]), 1);
    assert_eq!(client.standings(&TOWER).unwrap().health, Health::Refusing(Refusal::Full));
    assert_eq!(given(&mut client, 2), []);
    client.offer(pairs[0].id(), pairs[0].record(Party::A, 2), 0);
    assert_eq!(given(&mut client, 3).len(), 1, "a newer state asks again");
    let quota = Quota { records: 3, records_max: 3 };
    client.hear(&TOWER, TowerMessage::Quota(Some(quota)), 4);
    assert_eq!(client.standings(&TOWER).unwrap().quota, Some(quota));
}

/// A client and a tower that may lose things, with everything that they say passed on.
fn converse(client: &mut Client, host: &mut Behaviour, now_ms: u64) {
    loop {
        let out = client.poll(now_ms);
        if out.is_empty() {
            return;
        }
        for (to, message) in out {
            if let Some(answer) = host.hear(&ME, &message) {
                client.hear(&to, answer, now_ms);
            }
        }
    }
}

#[test]
fn w3_a_tower_restored_from_a_backup_is_found_out_and_made_whole() {
    let (ledger, pairs) = pairs(130);
    let mut client = connected();
    let mut host = Behaviour::Honest(Box::new(Host::new(&ledger, Sponsor::No)));
    for pair in &pairs {
        client.offer(pair.id(), pair.record(Party::A, 1), 0);
    }
    converse(&mut client, &mut host, 0);
    let backup = host.host().unwrap().disk.clone();
    client.offer(pairs[70].id(), pairs[70].record(Party::A, 2), 0);
    converse(&mut client, &mut host, 1);
    client.take_news();
    // It does not even end the session.
    *host.host().unwrap() = Host::on(backup, &ledger, Sponsor::No);
    let fault = Fault::Lost(pairs[70].id());
    let mut found = false;
    for now_ms in (10_000..2_400_000).step_by(10_000) {
        converse(&mut client, &mut host, now_ms);
        let news = client.take_news();
        if news.contains(&News::Faulty { tower: TOWER, fault }) {
            found = true;
            assert!(now_ms <= TOWER_AUDIT_MS + 60_000, "within one walk, at {now_ms} ms");
            assert!(
                !news.iter().any(|news| matches!(news, News::Confirmed { .. })),
                "its word counts no more"
            );
        }
    }
    assert!(found);
    assert_eq!(client.standings(&TOWER).unwrap().health, Health::Good, "it has shown a whole walk since");
    assert_eq!(client.standings(&TOWER).unwrap().behind, 0);
}

#[test]
fn a_tower_that_acknowledges_and_keeps_nothing_is_found_out() {
    let (_, pairs) = pairs(1);
    let mut client = connected();
    let mut liar = Behaviour::Liar;
    converse(&mut client, &mut liar, 0);
    client.offer(pairs[0].id(), pairs[0].record(Party::A, 1), 0);
    converse(&mut client, &mut liar, 1);
    assert_eq!(confirmed(&mut client), [(pairs[0].id(), 1)], "nobody can know yet");
    converse(&mut client, &mut liar, TOWER_AUDIT_MS);
    let fault = Fault::Lost(pairs[0].id());
    assert!(client.take_news().contains(&News::Faulty { tower: TOWER, fault }));
    assert_eq!(client.standings(&TOWER).unwrap().health, Health::Faulty(fault));
    client.offer(pairs[0].id(), pairs[0].record(Party::A, 2), 0);
    converse(&mut client, &mut liar, TOWER_AUDIT_MS + 1);
    assert_eq!(confirmed(&mut client), [], "its receipts count no more");
}

#[test]
fn s10_a_client_with_an_old_copy_of_its_data_learns_so() {
    let (ledger, pairs) = pairs(1);
    let mut host = Behaviour::Honest(Box::new(Host::new(&ledger, Sponsor::No)));
    let mut client = connected();
    client.offer(pairs[0].id(), pairs[0].record(Party::A, 9), 0);
    converse(&mut client, &mut host, 0);
    let mut restored = connected();
    restored.offer(pairs[0].id(), pairs[0].record(Party::A, 5), 0);
    converse(&mut restored, &mut host, 1);
    let record = Box::new(pairs[0].record(Party::A, 9));
    assert!(restored.take_news().contains(&News::Ahead { channel: pairs[0].id(), record }));
}

/// T-46: a party without data asks by the channel's tag alone; each tower answers for itself.
#[test]
fn t46_a_slot_is_asked_of_every_tower_when_its_session_begins() {
    let (ledger, pairs) = pairs(130);
    let mut host = Behaviour::Honest(Box::new(Host::new(&ledger, Sponsor::No)));
    let mut giving = connected();
    for pair in &pairs {
        giving.offer(pair.id(), pair.record(Party::A, 9), 0);
    }
    converse(&mut giving, &mut host, 0);
    let wanted = &pairs[77];
    let locator = wanted.record(Party::A, 9).slot().locator;
    let mut client = Client::new(1);
    client.add(TOWER);
    client.fetch(Slot::new(&wanted.tag(), Party::A));
    assert_eq!(client.poll(0), [], "there is no session yet");
    client.up(&TOWER);
    converse(&mut client, &mut host, 1);
    let record = Some(Box::new(wanted.record(Party::A, 9)));
    assert_eq!(client.take_news(), [News::Fetched { locator, tower: TOWER, record }]);
    converse(&mut client, &mut host, TOWER_ANSWER_MS);
    assert_eq!(client.take_news(), [], "once");
    client.fetch(Slot::new(&wanted.tag(), Party::B));
    let other = wanted.record(Party::B, 9).slot().locator;
    converse(&mut client, &mut Behaviour::Dead, 2);
    converse(&mut client, &mut Behaviour::Dead, 3);
    assert_eq!(client.take_news(), [], "it does not answer");
    converse(&mut client, &mut host, 2 * TOWER_ANSWER_MS);
    assert_eq!(client.take_news(), [News::Fetched { locator: other, tower: TOWER, record: None }]);
}

/// T-48: whoever is no tower is asked for what is lost, is heard on that alone, and is given nothing to keep.
#[test]
fn t48_anyone_can_be_asked_for_a_slot() {
    let (_, pairs) = pairs(2);
    let (guest, stranger) = (PublicKey([91; 32]), PublicKey([92; 32]));
    let record = pairs[0].record(Party::A, 9);
    let slot = record.slot();
    let locator = slot.locator;
    let entry = Entry { locator, sequence: record.sequence(), sealed: record.seal(&slot) };
    let page = TowerMessage::Page { after: locator.before(), entries: vec![entry], is_last: true };
    let mut client = Client::new(1);
    client.offer(pairs[1].id(), pairs[1].record(Party::A, 1), 0);
    assert_eq!(client.ask(&locator, guest, 0), None, "nothing is looked for");
    client.fetch(slot);
    assert_eq!(client.ask(&locator, guest, 5), Some(TowerMessage::List { after: locator.before() }));
    assert_eq!(client.ask(&locator, guest, 6), None, "once");
    assert_eq!((client.unanswered(&locator, 4), client.unanswered(&locator, 5)), (1, 0));
    client.hear(&stranger, page.clone(), 7);
    assert_eq!(client.take_news(), [], "nobody asked it");
    client.down(&guest);
    client.hear(&guest, page.clone(), 8);
    assert_eq!(client.take_news(), [], "that question went with the session");
    assert!(client.ask(&locator, guest, 9).is_some(), "it is back");
    client.hear(&guest, page.clone(), 10);
    let found = News::Fetched { locator, tower: guest, record: Some(Box::new(record)) };
    assert_eq!(client.take_news(), [found]);
    assert_eq!(client.unanswered(&locator, 0), 0);
    client.hear(&guest, page, 11);
    assert_eq!((client.take_news(), client.poll(11)), (Vec::new(), Vec::new()), "nothing follows");
}

#[test]
fn a_tower_that_boasts_of_something_newer_and_shows_nothing_is_faulty() {
    let (_, pairs) = pairs(1);
    let mut client = connected();
    client.offer(pairs[0].id(), pairs[0].record(Party::A, 5), 0);
    let out = given(&mut client, 0);
    let outcome = Outcome::Older { kept: version(9) };
    let receipt = Receipt { locator: out[0].locator, sequence: out[0].sequence, outcome };
    client.hear(&TOWER, TowerMessage::Receipts(vec![receipt]), 1);
    let fault = Fault::Boast(pairs[0].id());
    assert_eq!(client.standings(&TOWER).unwrap().health, Health::Faulty(fault));
    assert_eq!(client.take_news(), [News::Faulty { tower: TOWER, fault }], "somebody hears of it");
    let asked = asked(&mut client, 2).expect("it is asked at once");
    assert_eq!(asked, TowerMessage::List { after: out[0].locator.before() });
    // It shows another channel's bytes under a high number.
    let false_entry = Entry { sequence: version(9), ..out[0].clone() };
    let page =
        TowerMessage::Page { after: out[0].locator.before(), entries: vec![false_entry], is_last: true };
    client.hear(&TOWER, page, 3);
    client.offer(pairs[0].id(), pairs[0].record(Party::A, 6), 4);
    for entry in given(&mut client, 4) {
        let receipt = Receipt { locator: entry.locator, sequence: entry.sequence, outcome };
        client.hear(&TOWER, TowerMessage::Receipts(vec![receipt]), 5);
    }
    assert_eq!(
        client.take_news(),
        [],
        "nothing is shown, and it is said once, however often the tower says so"
    );
    assert_eq!(client.standings(&TOWER).unwrap().health, Health::Faulty(fault));
}

#[test]
fn settled_channels_and_removed_towers_leave_nothing() {
    let (_, pairs) = pairs(2);
    let mut client = connected();
    for pair in &pairs {
        client.offer(pair.id(), pair.record(Party::A, 1), 0);
    }
    let out = given(&mut client, 0);
    client.settled(&pairs[0].id());
    client.hear(&TOWER, kept(&out), 1);
    assert_eq!(confirmed(&mut client), [(pairs[1].id(), 1)]);
    let versions: Vec<_> = client.versions(&TOWER, None).collect();
    assert_eq!(versions, [(pairs[1].id(), Some(version(1)), version(1))]);
    client.remove(&TOWER);
    assert_eq!(client.standings(&TOWER), None);
    assert_eq!((client.poll(2), client.next_deadline_ms()), (Vec::new(), None));
}

#[test]
fn towers_are_bounded() {
    let mut client = Client::new(1);
    for number in 0..TOWERS_MAX {
        assert!(client.add(tower(u8::try_from(number).unwrap())));
    }
    assert!(!client.add(tower(200)));
    assert!(client.add(tower(0)), "one that is there already");
}
