//! An exhaustive search of small channels: the shipped machine, the shipped ledger rules, every order of events.

#[path = "../common/fast.rs"]
mod fast;

mod adversary;
mod check;
mod config;
mod explore;
mod intern;
mod lab;
mod ledger;
mod party;
mod setup;
mod show;
mod store;
mod turn;
mod violation;
mod world;

use config::{Budget, Config};
use explore::{Until, explore};

const NONE: Budget = Budget {
    pays: [0; 2],
    wishes: 0,
    closes: 0,
    forces: 0,
    sessions: 0,
    crashes: 0,
    duplicates: 0,
    copies: 0,
};

fn clean(config: Config) {
    let (mut store, report) = explore(config, Until::All);
    println!("{}", show::figures(&store, &report));
    let found: Vec<String> = report.found.values().map(|found| store.explain(found)).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn small_duel() {
    clean(Config::duel("duel", Budget { pays: [1, 1], forces: 1, sessions: 1, ..NONE }));
}

#[test]
fn small_duel_b() {
    clean(Config::duel("duel b", Budget { pays: [1, 1], forces: 1, sessions: 1, ..NONE }).against_a());
}

#[test]
fn small_pair() {
    clean(Config::pair("pair", Budget { pays: [1, 1], forces: 1, sessions: 1, ..NONE }));
}
