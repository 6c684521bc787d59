//! What is on a disk: each row of a channel comes back as it was, and what is missing or damaged is said, never used
//! (SPEC P-1; `docs/format/channel.md`).

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::opening::{Opening, Payers, Stage};
use common::world::{Crypto, Cut, World};
use towpath_protocol::{Acceptance, Channel, Command, Event, Pacing, Receive, RestoreError, StateSigner};

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// The tags of the rows that a channel writes.
const FIXED: u8 = 0;
const LIVE: u8 = 1;
const PROPOSAL: u8 = 2;
const REQUEST: u8 = 3;
const WITNESSES: u8 = 4;

fn restore(rows: &Rows, keys: &Arc<dyn StateSigner>) -> Result<Channel, RestoreError> {
    let rows = rows.iter().map(|(key, value)| (key.as_slice(), value.as_slice()));
    Channel::restore(rows, Arc::clone(keys))
}

/// A world with rows of every kind on both disks: open, refused and burnt proposals, requests.
fn eventful() -> World {
    let mut world = World::open(Crypto::Fast, 1_000, 500, 10);
    world.command(0, Command::SetPacing(Pacing { ack_every: 9 })).expect("fine");
    world.pay_many(0, &[1, 2, 3]);
    world.deliver(1, 1, Cut::Nowhere);
    world.command(1, Command::SetReceive(Receive::Nothing)).expect("fine");
    world.pay_many(0, &[4, 5]);
    world.pay(0, 6).expect("paid");
    world.deliver(1, 1, Cut::Nowhere);
    let refusal = world.wires[0].drain(..).map(Event::Message).chain([Event::Disconnected]).collect();
    world.turn(0, refusal, Cut::Nowhere);
    world.disconnect();
    world.connect();
    world.deliver(0, 1, Cut::Nowhere);
    world.deliver(1, 1, Cut::Nowhere);
    world.pay_many(1, &[7, 8]);
    world
}

/// How many rows of a kind there are.
fn count(rows: &Rows, kind: u8) -> usize {
    rows.keys().filter(|key| key[0] == kind).count()
}

/// Everything of a channel that is not in memory only.
fn durable(channel: &Channel) -> String {
    let held = channel.held();
    let (mark, journal, life) = (channel.mark(), channel.journal(), channel.life());
    let balances: Vec<_> = channel.possible_balances().collect();
    let view = channel.view();
    format!("{held:?} {mark:?} {journal:?} {life:?} {balances:?} {} {}", view.in_flight, view.waiting)
}

#[test]
fn rows_come_back_as_they_were() {
    let world = eventful();
    let [a, b] = &world.sides;
    assert!(count(&a.rows, PROPOSAL) >= 3 && count(&b.rows, REQUEST) == 2, "rows of every kind");
    for side in &world.sides {
        let restored = restore(&side.rows, &side.keys).expect("it can be read");
        assert_eq!(durable(&restored), durable(&side.channel));
        // In any order.
        let backwards = side.rows.iter().rev().map(|(key, value)| (key.as_slice(), value.as_slice()));
        let again = Channel::restore(backwards, Arc::clone(&side.keys)).expect("it can be read");
        assert_eq!(format!("{again:?}"), format!("{restored:?}"));
    }
}

#[test]
fn a_missing_row_is_an_error() {
    let mut world = eventful();
    world.disconnect();
    for side in &world.sides {
        for key in side.rows.keys() {
            let mut rows = side.rows.clone();
            rows.remove(key);
            let error = restore(&rows, &side.keys).map(drop).expect_err("a row is missing");
            match key[0] {
                FIXED => assert_eq!(error, RestoreError::Missing("fixed")),
                LIVE => assert_eq!(error, RestoreError::Missing("live")),
                _ => assert!(matches!(error, RestoreError::Inconsistent(_)), "{key:?}: {error}"),
            }
        }
        assert_eq!(restore(&Rows::new(), &side.keys).map(drop), Err(RestoreError::Missing("fixed")));
    }
}

#[test]
fn a_cut_a_longer_and_an_empty_row_is_an_error() {
    let world = eventful();
    for side in &world.sides {
        for (key, value) in &side.rows {
            for length in 0..value.len() {
                let error = with(&side.rows, key, value[..length].to_vec(), &side.keys);
                assert!(matches!(error, RestoreError::Damaged { .. }), "cut at {length}: {error}");
            }
            let mut longer = value.clone();
            longer.push(0);
            assert!(matches!(with(&side.rows, key, longer, &side.keys), RestoreError::Damaged { .. }));
            for version in [0, 1, 255] {
                let mut later = value.clone();
                later[0] = version;
                let error = with(&side.rows, key, later, &side.keys);
                assert!(
                    matches!(error, RestoreError::Version { version: found, known: 2, .. } if found == version)
                );
            }
        }
    }
}

/// What restoring says when one row has another value.
fn with(rows: &Rows, key: &[u8], value: Vec<u8>, keys: &Arc<dyn StateSigner>) -> RestoreError {
    let mut rows = rows.clone();
    rows.insert(key.to_vec(), value);
    restore(&rows, keys).map(drop).expect_err("a damaged row")
}

#[test]
fn rows_under_other_keys_are_an_error() {
    let world = eventful();
    for side in &world.sides {
        for (key, value) in &side.rows {
            for other in side.rows.keys().filter(|other| *other != key) {
                let mut rows = side.rows.clone();
                rows.insert(other.clone(), value.clone());
                assert!(restore(&rows, &side.keys).is_err(), "{key:?} under {other:?}");
            }
        }
        for stranger in [vec![], vec![7], vec![255], vec![0, 0], vec![2], vec![2; 8], vec![3; 10]] {
            let mut rows = side.rows.clone();
            rows.insert(stranger, vec![1]);
            let error = restore(&rows, &side.keys).map(drop).expect_err("a key of no row");
            assert!(matches!(error, RestoreError::Damaged { row: "unknown", .. }), "{error}");
        }
    }
}

#[test]
fn c7_a_changed_bit_of_a_row_never_makes_a_machine_that_breaks_its_word() {
    // A store has checksums of its own; this is what is left if they miss something. Either the change is found, or what
    // the machine would do is still within its invariants.
    let world = eventful();
    let (mut changed, mut found) = (0, 0);
    for side in &world.sides {
        for (key, value) in &side.rows {
            for position in 0..value.len() {
                for flip in [0x01, 0x10, 0x80] {
                    let mut rows = side.rows.clone();
                    let mut value = value.clone();
                    value[position] ^= flip;
                    rows.insert(key.clone(), value);
                    changed += 1;
                    match restore(&rows, &side.keys) {
                        Err(_) => found += 1,
                        Ok(mut channel) => {
                            channel.check().expect("what was taken holds");
                            for event in [Event::Connected, Event::TurnEnd] {
                                channel
                                    .step(event, world.now, &mut common::fast::FastVerifier)
                                    .expect("taken");
                            }
                            channel.check().expect("what was taken holds");
                        }
                    }
                }
            }
        }
    }
    assert!(found > changed / 3, "{found} of {changed} found by the rows alone");
}

#[test]
fn balances_versions_and_the_mark_are_bound_to_each_other() {
    // The fields that money depends on can't be changed alone.
    let world = eventful();
    for side in &world.sides {
        let live = side.rows.keys().find(|key| key[0] == LIVE).expect("a live row").clone();
        let value = side.rows[&live].clone();
        let state = towpath_crypto::codec::encode(side.channel.state());
        let start = value.windows(state.len()).position(|window| window == state).expect("the held state");
        for position in start..start + state.len() {
            let mut value = value.clone();
            value[position] ^= 0x01;
            let error = with(&side.rows, &live, value, &side.keys);
            assert!(
                matches!(error, RestoreError::Inconsistent(_) | RestoreError::Damaged { .. }),
                "{position}: {error}"
            );
        }
    }
}

#[test]
fn an_acceptance_comes_back_as_it_was() {
    let mut opening = Opening::new(Crypto::Fast, Payers::Both);
    opening.offer();
    opening.step();
    let Stage::Accepted(acceptance) = opening.ends[1].stage.clone() else { panic!("an acceptance") };
    let rows = opening.ends[1].rows.clone();
    let (key, value) = rows.first_key_value().expect("its row");
    let keys = common::world::keys(Crypto::Fast, 2);
    let restore = |value: &[u8], seed: u8| {
        Acceptance::restore((key, value), common::world::keys(Crypto::Fast, seed), opening.now)
    };
    let restored = restore(value, 2).map_err(|error| error.to_string()).expect("it can be read");
    assert_eq!(restored.message(), acceptance.message());
    assert_eq!((restored.id(), restored.open_id()), (acceptance.id(), acceptance.open_id()));
    assert_eq!(Acceptance::key_index_of((key, value)), Ok(Some(2)));
    assert_eq!(restore(value, 1).map(drop), Err(RestoreError::Key));
    for length in 0..value.len() {
        assert!(matches!(restore(&value[..length], 2).map(drop), Err(RestoreError::Damaged { .. })));
    }
    let mut later = value.clone();
    later[0] = 3;
    assert!(matches!(restore(&later, 2).map(drop), Err(RestoreError::Version { version: 3, .. })));
    let other = Acceptance::restore((&[0], value), keys, opening.now).map(drop);
    assert_eq!(other, Err(RestoreError::Missing("acceptance")));
    assert_eq!(Acceptance::key_index_of((&[0], value)), Ok(None));
}

#[test]
fn an_acceptance_among_the_rows_of_a_channel_is_an_error() {
    let mut opening = Opening::new(Crypto::Fast, Payers::Both);
    opening.offer();
    opening.step();
    let acceptance = opening.ends[1].rows.clone();
    opening.run();
    let mut rows = opening.ends[1].rows.clone();
    assert!(count(&rows, WITNESSES) == 1, "of a funding by both");
    rows.extend(acceptance);
    let restored = restore(&rows, &common::world::keys(Crypto::Fast, 2)).map(drop);
    assert_eq!(restored, Err(RestoreError::Inconsistent("an acceptance among the rows of a channel")));
}

#[test]
fn a_channel_keeps_rows_of_constant_size() {
    let mut world = World::open(Crypto::Fast, 100_000, 100_000, 0);
    let size = |world: &World, side: usize| -> usize { world.sides[side].rows.values().map(Vec::len).sum() };
    let before = [size(&world, 0), size(&world, 1)];
    for round in 0..50 {
        world.pay_many(round % 2, &[1; 100]);
        world.settle();
    }
    assert_eq!([size(&world, 0), size(&world, 1)], before, "whatever was paid");
}
