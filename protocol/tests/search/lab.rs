//! Development only.
use super::config::*;
use super::explore::{Until, explore};
use super::show::figures;
use super::violation::Kind;

#[test]
fn lab() {
    let Ok(text) = std::env::var("LAB") else { return };
    let mut config = Config::pair("lab", super::NONE);
    let mut until = Until::All;
    for part in text.split_whitespace() {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let two = || {
            let (a, b) = value.split_once(',').unwrap();
            [a.parse::<u64>().unwrap(), b.parse::<u64>().unwrap()]
        };
        let one = || value.parse::<u64>().unwrap();
        let b = &mut config.budget;
        match key {
            "A" => config.roles = [Role::Honest, Role::Adversary],
            "B" => config.roles = [Role::Adversary, Role::Honest],
            "pays" => b.pays = two().map(|v| v as u8),
            "wishes" => b.wishes = one() as u8,
            "closes" => b.closes = one() as u8,
            "forces" => b.forces = one() as u8,
            "sessions" => b.sessions = one() as u8,
            "crashes" => b.crashes = one() as u8,
            "dups" => b.duplicates = one() as u8,
            "copies" => b.copies = one() as u8,
            "versions" => config.versions_max = one(),
            "balances" => config.balances = two(),
            "reserve" => config.reserve = one(),
            "fee" => config.fee_max = one(),
            "two" => config.turns = Turns::Two,
            "fees" => config.fees = Fees::Both,
            "loses" => config.disk = Disk::Loses,
            "naive" => config.penalty = PenaltyRule::Naive,
            "real" => config.crypto = Crypto::Real,
            "untilpen" => until = Until::Broken(Kind::Penalized),
            _ => panic!("{key}"),
        }
    }
    let (mut store, report) = explore(config, until);
    println!("{text}\n{}", figures(&store, &report));
    for found in report.found.values() {
        println!("{}", store.explain(found));
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    println!("{}", status.lines().find(|l| l.starts_with("VmHWM")).unwrap());
}
