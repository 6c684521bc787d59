//! `towpath testnet cheat`: shows a lie, or has hundreds of them audited. What lies is another program.

use std::path::Path;

use towpath_testnet::{Act, CheatReport, Cue, ScenePlan, Settled, Shares, Spread, TrialsPlan, Victim, Why};

use crate::args::Cheat;
use crate::commands::testnet::{program, stop_signal, unless_stopped};
use crate::errors::CliError;
use crate::output::{Style, amount, answer, element, facts, grouped, note, short, span, table};

/// Watchtowers of a victim that is away, unless it is said how many.
const TOWERS_OF_ABSENT: u8 = 3;

/// Shows a lie on the network in `dir`, or runs many on a network of their own.
///
/// # Errors
/// [`CliError::Failed`] when a unit went where it should not.
pub async fn cheat(dir: &Path, style: Style, args: Cheat) -> Result<(), CliError> {
    let presence = if args.offline_victim { Victim::Offline } else { Victim::Online };
    match (args.trials, args.name.clone()) {
        (Some(count), _) => trials(style, (count, presence), args).await,
        (None, Some(cheater)) => {
            let plan = ScenePlan {
                cheater,
                victim: args.victim,
                presence,
                dir: dir.to_owned(),
                program: program()?,
            };
            scene(style, &plan).await
        }
        (None, None) => Err(CliError::Usage("say which node lies, or --trials COUNT".to_owned())),
    }
}

async fn scene(style: Style, plan: &ScenePlan) -> Result<(), CliError> {
    let mut screen = Screen { style, names: None, printed: Ok(()) };
    let mut show = |cue: &Cue| screen.show(cue);
    let settled = tokio::select! {
        settled = towpath_testnet::cheat(plan, &mut show) => settled?,
        () = stop_signal() => {
            return Err(CliError::Failed(
                "stopped; `towpath testnet status` shows which nodes are down, \
                 `towpath testnet restart NAME` brings one back".to_owned(),
            ));
        }
    };
    screen.printed?;
    if settled.wrong.is_empty() { Ok(()) } else { Err(CliError::Failed(settled.wrong.join("; "))) }
}

/// Prints the acts as they come.
struct Screen {
    style: Style,
    /// The cheater and the victim, once they are known.
    names: Option<(String, String)>,
    printed: Result<(), CliError>,
}

impl Screen {
    /// The show goes on when nobody looks any more: its nodes must come back.
    fn show(&mut self, cue: &Cue) {
        if let Act::Opened { cheater, victim, .. } = &cue.act {
            self.names = Some((cheater.clone(), victim.clone()));
        }
        if self.printed.is_ok() {
            let (cheater, victim) = self.names.clone().unwrap_or_default();
            self.printed = element(self.style, cue, |cue| line(cue, &cheater, &victim));
        }
    }
}

fn line(cue: &Cue, cheater: &str, victim: &str) -> String {
    if let Act::Settled(settled) = &cue.act {
        return format!("\n{}", balance_sheet(settled, cheater, victim));
    }
    let (word, text) = told(&cue.act, cheater, victim);
    let seconds = format!("{}.{} s", cue.at_ms / 1_000, cue.at_ms % 1_000 / 100);
    format!("{seconds:>8}  {word:<9} {text}")
}

/// An act: its name, and what happens.
fn told(act: &Act, cheater: &str, victim: &str) -> (&'static str, String) {
    let has = |has: &Shares| format!("{cheater} {} · {victim} {}", amount(has.cheater), amount(has.victim));
    match act {
        Act::Opened { channel, towers, has: put, dispute_window_ms, .. } => {
            let towers = match towers.as_slice() {
                [] => String::new(),
                towers => format!("; {} watches for {victim}", towers.join(", ")),
            };
            let channel = short(channel);
            (
                "opened",
                format!("{channel}: {}, to be disputed for {}{towers}", has(put), span(*dispute_window_ms)),
            )
        }
        Act::Kept { version, has: then } => {
            ("copied", format!("{cheater} keeps a copy of its data: version {version}, {}", has(then)))
        }
        Act::Paid { amount: paid, back, version, has: now } => (
            "paid",
            format!(
                "{cheater} pays {}, gets {} back: version {version}, {}",
                amount(*paid),
                amount(*back),
                has(now)
            ),
        ),
        Act::Stopped { node, why: Why::Honest } => {
            ("stopped", format!("{node}'s own node: it is honest, and would correct what follows"))
        }
        Act::Stopped { node, why: Why::Away } => {
            ("stopped", format!("{node}'s node: nobody but its watchtowers can answer now"))
        }
        Act::Rewound { node, version } => (
            "started",
            format!("{node}'s node, with the old copy: it believes that version {version} is the newest"),
        ),
        Act::Posted { tx, height, version, newest, has: lie } => (
            "POSTED",
            format!(
                "version {version} of {newest}, by {cheater}: {} ({}, height {height})",
                has(lie),
                short(tx)
            ),
        ),
        Act::Answered { .. } => ("ANSWERED", answered(act, cheater)),
        Act::PaidOut { how, tx, height } => {
            let how = match how.as_str() {
                "answer" => "by the answer",
                "finalize" => "after the window",
                other => other,
            };
            ("PAID OUT", format!("{how} ({}, height {height})", short(tx)))
        }
        Act::Returned { node } => ("started", format!("{node}'s node runs again")),
        Act::Settled(_) => ("", String::new()),
    }
}

fn answered(act: &Act, cheater: &str) -> String {
    let Act::Answered { by, tx, height, version, penalized, after_ms, blocks, .. } = act else {
        return String::new();
    };
    let by = if by.is_empty() { "a watchtower".to_owned() } else { by.join(" and ") };
    let proof = if *penalized { format!(", and the proof that {cheater} knew it") } else { String::new() };
    let blocks = if *blocks == 1 { "1 block".to_owned() } else { format!("{blocks} blocks") };
    format!(
        "by {by}, {} and {blocks} later: version {version}{proof} ({}, height {height})",
        span(*after_ms),
        short(tx)
    )
}

/// Where each unit went: every line adds up.
fn balance_sheet(settled: &Settled, cheater: &str, victim: &str) -> String {
    let Settled { capacity, lie, truth, paid, fees, victims_fees, forfeited, wrong } = settled;
    let own_fees = fees.0.saturating_sub(victims_fees.0);
    let minus = |units: u64| if units == 0 { "0".to_owned() } else { format!("-{}", grouped(units)) };
    let plus = |units: u64| if units == 0 { "0".to_owned() } else { format!("+{}", grouped(units)) };
    let of = |name: &str, has: &Shares, fees: String| {
        vec![name.to_owned(), amount(has.cheater), amount(has.victim), fees, amount(*capacity)]
    };
    let rows = vec![
        of("the lie", lie, String::new()),
        of("the truth", truth, String::new()),
        vec!["the penalty".to_owned(), minus(forfeited.0), plus(forfeited.0), String::new(), "0".to_owned()],
        vec!["fees".to_owned(), minus(own_fees), minus(victims_fees.0), plus(fees.0), "0".to_owned()],
        of("paid out", paid, amount(*fees)),
    ];
    let heads = ["", &format!(">{cheater}"), &format!(">{victim}"), ">ledger", ">sum"];
    let mut text = table(&heads, rows);
    if wrong.is_empty() {
        let more = paid.victim.0.saturating_sub(truth.victim.0);
        let less = truth.cheater.0.saturating_sub(paid.cheater.0);
        text.push_str(&format!(
            "\n\n {victim} has {} more than without the lie, {cheater} {} less.",
            grouped(more),
            grouped(less)
        ));
    }
    text
}

async fn trials(style: Style, (count, victim): (u32, Victim), args: Cheat) -> Result<(), CliError> {
    let absent = match victim {
        Victim::Online => 0,
        Victim::Offline => TOWERS_OF_ABSENT,
    };
    let towers = args.towers.unwrap_or(absent);
    if args.dead > towers || (victim == Victim::Offline && args.dead == towers) {
        return Err(CliError::Usage(format!(
            "of {towers} watchtowers {} cannot be dead: with --offline-victim one at least must live",
            args.dead
        )));
    }
    let is_temporary = args.dir.is_none();
    let own = std::env::temp_dir().join(format!("towpath-cheat-{}", std::process::id()));
    let dir = args.dir.clone().unwrap_or(own);
    let plan = TrialsPlan {
        trials: count,
        victim,
        towers: usize::from(towers),
        dead: usize::from(args.dead),
        dispute_window_ms: args.dispute_window.ms(),
        seed: args.seed,
        dir: dir.clone(),
        program: program()?,
    };
    note(style, &format!("{count} lies in {}", dir.display()));
    let work = towpath_testnet::cheat_trials(&plan, |text| note(style, text));
    let report = unless_stopped(&dir, work).await?;
    answer(style, &report, described)?;
    if report.wrong.is_empty() && report.recovered == report.trials {
        if is_temporary {
            // What cannot be removed is only left over.
            let _ = std::fs::remove_dir_all(&dir);
        }
        return Ok(());
    }
    Err(CliError::Failed(format!(
        "{} of {} lies came to what they must; everything is kept in {}",
        report.recovered,
        report.trials,
        dir.display()
    )))
}

fn described(report: &CheatReport) -> String {
    let spread = |of: Spread, show: fn(u64) -> String| {
        format!("p50 {} · p99 {} · max {}", show(of.p50), show(of.p99), show(of.max))
    };
    let victim = match report.victim {
        Victim::Online => "there",
        Victim::Offline => "away",
    };
    let used = report.answer_ledger_ms.max.saturating_mul(1_000) / report.dispute_window_ms.max(1);
    let mut text = facts(&[
        ("lies", format!("{}; {} recovered to the unit", report.trials, report.recovered)),
        ("victim", format!("{victim}; {} watchtowers, {} of them dead", report.towers, report.dead_towers)),
        (
            "answered",
            format!("{} by the victim, {} by a watchtower first", report.by_victim, report.by_tower),
        ),
        ("after", spread(report.answer_ms, span)),
        ("in blocks", spread(report.answer_blocks, grouped)),
        ("ledger time", spread(report.answer_ledger_ms, span)),
        (
            "window",
            format!("{}.{} % of {} used at most", used / 10, used % 10, span(report.dispute_window_ms)),
        ),
        ("at stake", amount(report.at_stake)),
        ("forfeited", format!("{}; fees {}", amount(report.forfeited), amount(report.fees))),
        ("victim gained", format!("{} at least, each time", amount(report.gained_min))),
        ("seed", report.seed.to_string()),
        ("took", span(report.elapsed_ms)),
    ]);
    for wrong in &report.wrong {
        text.push_str(&format!("\n  {wrong}"));
    }
    text
}
