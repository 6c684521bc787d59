//! `towpath bench`

use towpath_testnet::{BenchPlan, BenchReport, Ways};

use crate::args::{Bench, Common};
use crate::commands::testnet::{program, unless_stopped};
use crate::errors::CliError;
use crate::output::{Style, answer, facts, grouped, micros, note, table};

/// Runs the benchmark in a folder of its own, which is removed afterwards unless it was given.
///
/// # Errors
/// When the nodes cannot be run.
pub async fn bench(common: &Common, args: Bench) -> Result<(), CliError> {
    let style = Style::of(common);
    let own = std::env::temp_dir().join(format!("towpath-bench-{}", std::process::id()));
    let dir = args.dir.clone().unwrap_or(own);
    let plan = BenchPlan {
        channels: args.channels.clone(),
        payments: args.payments,
        warm_up: args.warm_up,
        in_flight: args.in_flight,
        ways: if args.both_ways { Ways::Both } else { Ways::One },
        dir: dir.clone(),
        program: program()?,
    };
    let measured = unless_stopped(&dir, towpath_testnet::bench(&plan, |what| note(style, what))).await;
    if args.dir.is_none() {
        // What cannot be removed is only left over.
        let _ = std::fs::remove_dir_all(&dir);
    }
    let report = measured?;
    let command = std::env::args().collect::<Vec<_>>().join(" ");
    let document = serde_json::json!({ "command": command, "report": report });
    answer(style, &document, |_| described(&report, &command))
}

fn described(report: &BenchReport, command: &str) -> String {
    let rows = report.runs.iter().map(|run| {
        vec![
            run.channels.to_string(),
            grouped(run.payments),
            grouped(run.payments_per_second),
            micros(run.latency.p50_us),
            micros(run.latency.p95_us),
            micros(run.latency.p99_us),
            micros(run.latency.max_us),
            micros(run.cpu_ns_per_payment / 1_000),
            grouped(run.syncs_per_second),
            run.payments_per_sync.to_string(),
            grouped(run.bytes_written_per_payment),
        ]
    });
    let headings = [
        ">channels",
        ">payments",
        ">payments/s",
        ">p50",
        ">p95",
        ">p99",
        ">max",
        ">cpu each",
        ">syncs/s",
        ">each sync",
        ">bytes each",
    ];
    let facts = facts(&[
        (
            "machine",
            format!(
                "{}, {} threads, Linux {}",
                report.machine.cpu, report.machine.cores, report.machine.kernel
            ),
        ),
        ("nodes", "2 processes on this machine, every write synced; cpu and bytes are of both".to_owned()),
        ("in flight", format!("{} on each channel", report.in_flight)),
        ("command", command.to_owned()),
    ]);
    format!("{}\n\n{}\n\n{facts}", table(&headings, rows.collect()), kept(report))
}

/// What the payments left behind: nothing, but for as much history as is kept.
fn kept(report: &BenchReport) -> String {
    let from_to = |before: u64, after: u64| format!("{} → {}", grouped(before), grouped(after));
    let rows = report.runs.iter().map(|run| {
        let (before, after) = (run.channel_bytes_before, run.channel_bytes_after);
        vec![
            run.channels.to_string(),
            from_to(before.state, after.state),
            from_to(before.history, after.history),
            from_to(run.database_bytes_before, run.database_bytes_after),
        ]
    });
    let headings =
        [">channels", ">a channel's state, bytes", ">its history, bytes", ">database files, bytes"];
    table(&headings, rows.collect())
}
