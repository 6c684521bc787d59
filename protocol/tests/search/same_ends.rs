//! What `reduce.rs` leaves out leads nowhere else: searches that go through all orders of events come to the same ends, each of which
//! is what the ledger shows, what the honest party was told, and all that it ever signed.

use super::config::{Budget, Config, Fees, Turns, Walks};
use super::explore::{Until, explore};
use super::{BOTH, NONE, PAY_OUT, RESIZED, TOP_UP, show};

fn same_ends(config: Config) {
    let (store, some) = explore(config.clone(), Until::All);
    println!("{}", show::figures(&store, &some));
    let (store, all) = explore(Config { walks: Walks::All, ..config }, Until::All);
    println!("{}", show::figures(&store, &all));
    assert!(some.found.is_empty() && all.found.is_empty(), "{}: something is broken", store.config.name);
    assert!(some.worlds < all.worlds, "{}: nothing is left out", store.config.name);
    let differ = some.ends.symmetric_difference(&all.ends).count();
    assert_eq!(differ, 0, "{}: of {} ends", store.config.name, all.ends.len());
    assert!(all.ends.len() > 20, "{}: {} ends", store.config.name, all.ends.len());
}

/// A search of each kind, small enough to be done without leaving anything out.
fn each(seat: impl Fn(Config) -> Config, pays: [u8; 2]) {
    let budget = Budget { pays, forces: 1, ..NONE };
    let of = |name, versions_max, budget| seat(Config { versions_max, ..Config::duel(name, budget) });
    same_ends(of("ends, one session", 3, Budget { pays: [1, 1], ..budget }));
    same_ends(of("ends, two sessions", 3, Budget { sessions: 2, ..budget }));
    same_ends(of("ends, crashes", 2, Budget { sessions: 2, crashes: 1, ..budget }));
    same_ends(of("ends, roles", 3, Budget { wishes: 1, ..budget }));
    same_ends(of("ends, closes together", 2, Budget { closes: 1, sessions: 2, ..budget }));
    same_ends(of("ends, tower", 3, Budget { copies: 1, ..budget }));
    same_ends(of("ends, tower and a crash", 2, Budget { copies: 1, crashes: 1, ..budget }));
    let fees = of("ends, two events a turn, fees to burn", 2, budget);
    same_ends(Config { turns: Turns::Two, fees: Fees::Both, ..fees });
}

#[test]
fn what_is_left_out_leads_nowhere_else_for_an_honest_opener() {
    each(|config| config, [1, 0]);
}

#[test]
fn what_is_left_out_leads_nowhere_else_for_an_honest_acceptor() {
    each(Config::against_a, [0, 1]);
}

#[test]
fn what_is_left_out_leads_nowhere_else_when_the_channel_is_resized() {
    let budget = Budget { forces: 1, resizes: [1, 0], ..RESIZED };
    let config = Config { versions_max: 2, ..Config::duel("ends, A tops up", budget) };
    same_ends(Config { changes: TOP_UP, ..config });
    let config = Config { versions_max: 3, ..Config::duel("ends, B agrees", budget).against_a() };
    same_ends(Config { changes: BOTH, ..config });
    let budget = Budget { copies: 1, resizes: [1, 0], ..RESIZED };
    let config = Config { versions_max: 2, ..Config::duel("ends, A pays out, tower", budget) };
    same_ends(Config { changes: PAY_OUT, ..config });
}
