//! An exhaustive search of small channels: the shipped machine, the shipped ledger rules, every order of events.

#[path = "../common/fast.rs"]
mod fast;

mod adversary;
#[cfg(feature = "canaries")]
mod canaries;
mod check;
mod config;
mod explore;
mod intern;
mod ledger;
mod party;
mod reduce;
mod resize;
mod same_ends;
mod setup;
mod show;
mod store;
mod turn;
mod violation;
mod world;

use towpath_protocol::Change;

use config::{Budget, Config, Crypto, Disk, PenaltyRule, Turns};
use explore::{Until, explore};
use violation::Kind;

const NONE: Budget = Budget {
    pays: [0; 2],
    wishes: 0,
    closes: 0,
    forces: 0,
    sessions: 1,
    crashes: 0,
    duplicates: 0,
    copies: 0,
    resizes: [0; 2],
    expiries: 0,
};

/// Everything is visited, and nothing is broken.
fn clean(config: Config) {
    let (mut store, report) = explore(config, Until::All);
    println!("{}", show::figures(&store, &report));
    let found: Vec<String> = report.found.values().map(|found| store.explain(found)).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The search must find this, or it would not see it in the shipped rules either.
fn broken(config: Config, kind: Kind) {
    let (mut store, report) = explore(config, Until::Broken(kind));
    println!("{}", show::figures(&store, &report));
    let found = report.found.get(&kind).expect("the search sees what it is made to see");
    println!("{}", store.explain(found));
}

#[test]
fn c3_c5_c14_an_honest_opener_loses_nothing_to_an_adversary() {
    let config = Config::duel("A, one session", Budget { pays: [1, 1], forces: 1, ..NONE });
    clean(Config { versions_max: 5, ..config });
}

#[test]
fn c3_c5_c14_an_honest_acceptor_loses_nothing_to_an_adversary() {
    let config = Config::duel("B, one session", Budget { pays: [1, 1], forces: 1, ..NONE }).against_a();
    clean(Config { versions_max: 5, ..config });
}

#[test]
fn c11_nothing_is_taken_in_after_a_close_was_posted() {
    let budget = Budget { pays: [1, 0], forces: 1, sessions: 2, ..NONE };
    clean(Config::duel("A, two sessions", budget));
    let budget = Budget { pays: [0, 1], ..budget };
    clean(Config::duel("B, two sessions", budget).against_a());
}

#[test]
fn p12_a_payment_that_no_longer_applies_fails_only_once_it_is_undone() {
    let config = Config::duel("A, with nothing", Budget { pays: [1, 1], ..NONE });
    clean(Config { balances: [0, 64], ..config });
}

#[test]
fn c11_what_a_turn_changes_counts_for_the_close_that_ends_it() {
    let config = Config::duel("A, two events a turn", Budget { pays: [1, 0], forces: 1, ..NONE });
    let fees = config::Fees::Both;
    clean(Config { balances: [4, 60], versions_max: 3, turns: Turns::Two, fees, ..config });
}

#[test]
fn c6_c7_c15_two_honest_parties_agree_and_lose_nothing() {
    clean(Config::pair("pair", Budget { pays: [1, 1], forces: 1, sessions: 2, ..NONE }));
}

#[test]
fn c9_the_real_signatures_change_nothing() {
    let budget = Budget { pays: [1, 0], ..NONE };
    let duel = Config { crypto: Crypto::Real, versions_max: 2, ..Config::duel("A, real signatures", budget) };
    clean(duel.clone());
    clean(duel.against_a());
}

#[test]
fn c6_c15_the_role_changes_hands_and_messages_are_lost() {
    let budget = Budget { pays: [1, 1], wishes: 2, sessions: 2, ..NONE };
    clean(Config { versions_max: 9, ..Config::pair("roles", budget) });
}

#[test]
fn c7_c15_crashes_and_messages_that_arrive_twice() {
    let budget = Budget { pays: [1, 1], closes: 1, sessions: 2, crashes: 1, duplicates: 1, ..NONE };
    clean(Config { versions_max: 9, ..Config::pair("crashes", budget) });
}

#[test]
fn c3_c7_a_crash_at_each_write_of_an_honest_opener() {
    let budget = Budget { pays: [1, 0], forces: 1, sessions: 2, crashes: 1, ..NONE };
    clean(Config::duel("A, crashes", budget));
}

#[test]
fn c3_c7_a_crash_at_each_write_of_an_honest_acceptor() {
    let budget = Budget { pays: [0, 1], forces: 1, sessions: 2, crashes: 1, ..NONE };
    clean(Config::duel("B, crashes", budget).against_a());
}

#[test]
fn c3_c5_the_role_changes_hands_with_an_adversary() {
    let budget = Budget { pays: [1, 0], wishes: 1, forces: 1, ..NONE };
    clean(Config { versions_max: 3, ..Config::duel("A, roles", budget) });
    let budget = Budget { pays: [0, 1], ..budget };
    clean(Config { versions_max: 3, ..Config::duel("B, roles", budget).against_a() });
}

#[test]
fn c4_who_goes_away_has_what_its_tower_was_given() {
    let budget = Budget { pays: [1, 0], forces: 1, copies: 1, ..NONE };
    clean(Config::duel("A, tower", budget));
    let budget = Budget { pays: [0, 1], ..budget };
    clean(Config::duel("B, tower", budget).against_a());
}

#[test]
#[ignore = "minutes: see docs/reports/search.md"]
fn large_fees_to_burn() {
    let budget = Budget { pays: [1, 1], forces: 1, ..NONE };
    let fees = config::Fees::Both;
    clean(Config { fees, ..Config::duel("A, fees", budget) });
    clean(Config { fees, ..Config::duel("B, fees", budget).against_a() });
}

#[test]
#[ignore = "minutes: see docs/reports/search.md"]
fn large_roles_with_an_adversary() {
    let budget = Budget { pays: [1, 1], wishes: 1, forces: 1, ..NONE };
    clean(Config::duel("A, roles", budget));
    clean(Config::duel("B, roles", budget).against_a());
}

#[test]
#[ignore = "minutes: see docs/reports/search.md"]
fn large_towers() {
    let budget = Budget { pays: [1, 1], forces: 1, copies: 1, ..NONE };
    clean(Config { versions_max: 3, ..Config::duel("A, tower", budget) });
    clean(Config { versions_max: 3, ..Config::duel("B, tower", budget).against_a() });
}

/// Both seats, with one payment of the honest party and up to five versions.
fn clean_fives(names: [&'static str; 2], budget: Budget) {
    let five = |config| Config { versions_max: 5, ..config };
    clean(five(Config::duel(names[0], Budget { pays: [1, 0], forces: 1, ..budget })));
    clean(five(Config::duel(names[1], Budget { pays: [0, 1], forces: 1, ..budget }).against_a()));
}

#[test]
#[ignore = "minutes: see docs/reports/search.md"]
fn large_five_versions_in_two_sessions() {
    clean_fives(
        ["A, two sessions, 5 versions", "B, two sessions, 5 versions"],
        Budget { sessions: 2, ..NONE },
    );
}

#[test]
#[ignore = "minutes: see docs/reports/search.md"]
fn large_five_versions_and_a_crash() {
    let budget = Budget { sessions: 2, crashes: 1, ..NONE };
    clean_fives(["A, crashes, 5 versions", "B, crashes, 5 versions"], budget);
}

#[test]
#[ignore = "minutes: see docs/reports/search.md"]
fn large_five_versions_and_a_tower() {
    clean_fives(["A, tower, 5 versions", "B, tower, 5 versions"], Budget { copies: 1, ..NONE });
}

#[test]
#[ignore = "minutes: see docs/reports/search.md"]
fn large_two_sessions() {
    let budget = Budget { pays: [1, 1], forces: 1, sessions: 2, ..NONE };
    clean(Config::duel("A, two sessions", budget));
    clean(Config::duel("B, two sessions", budget).against_a());
}

/// A search in which the channel is resized: everything is visited, nothing is broken, and each of these was at work.
fn clean_resizes(config: Config, changes: &'static [Change], events: &[&str]) {
    let (mut store, report) = explore(Config { changes, ..config }, Until::All);
    println!("{}", show::figures(&store, &report));
    let found: Vec<String> = report.found.values().map(|found| store.explain(found)).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
    for event in events {
        assert!(report.fired.contains_key(event), "never seen: {event}; seen: {:?}", report.fired);
    }
    let has_adversary = store.config.has_adversary();
    assert!(!has_adversary || report.outdated > 0, "nobody tried a state of the generation that is over");
}

const TOP_UP: &[Change] = &[config::TOP_UP];
const PAY_OUT: &[Change] = &[config::PAY_OUT];
const BOTH: &[Change] = &[config::TOP_UP, config::PAY_OUT];
const BY_HONEST: &[&str] = &["resize in a block", "resize expires"];
const BY_ADVERSARY: &[&str] = &["adversary's resize in a block", "resize expires"];
const RESIZED: Budget = Budget { expiries: 1, ..NONE };

#[test]
fn l4_c3_an_honest_opener_that_resizes_loses_nothing() {
    let budget = Budget { forces: 1, resizes: [1, 0], ..RESIZED };
    clean_resizes(Config { versions_max: 3, ..Config::duel("A tops up", budget) }, TOP_UP, BY_HONEST);
}

#[test]
fn l4_c3_an_honest_acceptor_that_agrees_to_a_resize_loses_nothing() {
    let budget = Budget { pays: [0, 1], forces: 1, resizes: [1, 0], ..RESIZED };
    let config = Config { versions_max: 3, ..Config::duel("B agrees", budget).against_a() };
    clean_resizes(config, BOTH, BY_ADVERSARY);
}

#[test]
fn l4_c3_an_honest_acceptor_that_resizes_loses_nothing() {
    let budget = Budget { resizes: [0, 1], ..RESIZED };
    let config = Config { versions_max: 3, ..Config::duel("B pays out", budget).against_a() };
    clean_resizes(config, PAY_OUT, BY_HONEST);
}

#[test]
fn l4_c7_a_crash_at_each_write_of_an_honest_party_that_resizes() {
    let budget = Budget { sessions: 2, crashes: 1, resizes: [1, 0], ..RESIZED };
    let config = Config { versions_max: 2, ..Config::duel("A tops up, crashes", budget) };
    clean_resizes(config, TOP_UP, BY_HONEST);
    let config = Config { versions_max: 3, ..Config::duel("B agrees, crashes", budget).against_a() };
    clean_resizes(config, PAY_OUT, BY_ADVERSARY);
}

#[test]
fn l4_c4_who_goes_away_while_a_resize_is_under_way_has_what_its_tower_was_given() {
    let budget = Budget { copies: 1, resizes: [1, 0], ..RESIZED };
    let config = Config { versions_max: 2, ..Config::duel("A pays out, tower", budget) };
    clean_resizes(config, PAY_OUT, BY_HONEST);
    let config = Config { versions_max: 3, ..Config::duel("B agrees, tower", budget).against_a() };
    clean_resizes(config, PAY_OUT, BY_ADVERSARY);
}

#[test]
fn l4_c15_two_honest_parties_resize_and_lose_nothing() {
    let budget = Budget { pays: [1, 1], sessions: 2, resizes: [1, 0], ..RESIZED };
    clean_resizes(Config { versions_max: 9, ..Config::pair("pair resizes", budget) }, BOTH, BY_HONEST);
    let budget = Budget { forces: 1, sessions: 2, crashes: 1, resizes: [1, 0], ..RESIZED };
    let config = Config { versions_max: 9, ..Config::pair("pair resizes, crashes", budget) };
    clean_resizes(config, PAY_OUT, BY_HONEST);
}

#[test]
#[ignore = "minutes: see docs/reports/search.md"]
fn large_resizes() {
    let budget = Budget { pays: [1, 0], forces: 1, resizes: [1, 0], ..RESIZED };
    clean_resizes(Config { versions_max: 3, ..Config::duel("A resizes", budget) }, BOTH, BY_HONEST);
    let budget = Budget { pays: [1, 0], copies: 1, resizes: [1, 0], ..RESIZED };
    let config = Config { versions_max: 2, ..Config::duel("A pays and pays out, tower", budget) };
    clean_resizes(config, PAY_OUT, BY_HONEST);
    let budget = Budget { pays: [0, 1], forces: 1, resizes: [0, 1], ..RESIZED };
    let config = Config { versions_max: 3, ..Config::duel("B resizes", budget).against_a() };
    clean_resizes(config, PAY_OUT, BY_HONEST);
}

#[test]
fn c5_the_naive_penalty_robs_an_honest_proposer() {
    let config = Config::duel("naive", Budget { pays: [1, 0], forces: 1, ..NONE });
    broken(Config { versions_max: 3, penalty: PenaltyRule::Naive, ..config }, Kind::Penalized);
}

#[test]
fn c7_a_disk_that_loses_a_synced_write_costs_the_penalty() {
    let config = Config::duel("lost write", Budget { forces: 1, crashes: 1, ..NONE }).against_a();
    broken(Config { versions_max: 3, disk: Disk::Loses, ..config }, Kind::Penalized);
}

#[test]
fn c5_the_naive_penalty_robs_an_honest_proposer_in_a_resized_channel_too() {
    let config = Config::duel("naive, resized", Budget { pays: [1, 0], forces: 1, resizes: [1, 0], ..NONE });
    let config = Config { changes: TOP_UP, versions_max: 3, ..config };
    broken(Config { penalty: PenaltyRule::Naive, ..config }, Kind::Penalized);
}

#[test]
fn c7_a_disk_that_loses_a_synced_write_of_a_resize_is_found_out_or_costs() {
    let budget = Budget { forces: 1, crashes: 1, resizes: [1, 0], expiries: 1, ..NONE };
    let config = Config::duel("lost write, resized", budget).against_a();
    let config = Config { changes: PAY_OUT, versions_max: 3, ..config };
    broken(Config { disk: Disk::Loses, ..config }, Kind::Penalized);
}
