//! `towpath testnet crash`

use towpath_testnet::{CrashPlan, CrashReport, Kills};

use crate::args::Crash;
use crate::commands::testnet::{program, unless_stopped};
use crate::errors::CliError;
use crate::output::{Style, answer, facts, grouped, note, span};

/// Runs the crash harness. Its folder is removed if all is well, and kept if not.
///
/// # Errors
/// [`CliError::Failed`] when a rule was broken, with the command that repeats the run.
pub async fn crash(style: Style, args: Crash) -> Result<(), CliError> {
    let is_temporary = args.dir.is_none();
    let own = std::env::temp_dir().join(format!("towpath-crash-{}", std::process::id()));
    let dir = args.dir.clone().unwrap_or(own);
    let plan = CrashPlan {
        kills: args.kills,
        seed: args.seed,
        nodes: usize::from(args.nodes),
        dir: dir.clone(),
        program: program()?,
    };
    note(style, &format!("{} kills among {} nodes in {}", plan.kills, plan.nodes, dir.display()));
    let progress = |done: u32, _: &Kills| {
        if done.is_multiple_of(10) {
            note(style, &format!("  {done} of {} kills", args.kills));
        }
    };
    let report = unless_stopped(&dir, towpath_testnet::crash(&plan, progress)).await?;
    answer(style, &report, described)?;
    if report.violations.is_empty() {
        if is_temporary {
            // What cannot be removed is only left over.
            let _ = std::fs::remove_dir_all(&dir);
        }
        return Ok(());
    }
    Err(CliError::Failed(format!(
        "{} violations; everything is kept in {}; repeat with: towpath testnet crash --kills {} --seed {} --nodes {}",
        report.violations.len(),
        dir.display(),
        args.kills,
        args.seed,
        args.nodes,
    )))
}

fn described(report: &CrashReport) -> String {
    let kills = &report.kills;
    let mut text = facts(&[
        (
            "kills",
            format!(
                "{} ({} payers, {} payees, {} validators; {} right after an acknowledgement)",
                kills.payer + kills.payee + kills.validator,
                kills.payer,
                kills.payee,
                kills.validator,
                kills.after_ack,
            ),
        ),
        ("restarts", report.restarts.to_string()),
        (
            "payments",
            format!(
                "{} acknowledged, {} refused, {} unresolved; {} streamed",
                grouped(report.payments_acked),
                grouped(report.payments_refused),
                grouped(report.payments_unresolved),
                grouped(report.payments_streamed),
            ),
        ),
        ("channels", format!("{} paid out to the unit", report.channels_closed)),
        ("blocks", format!("{} compared on all nodes", report.heights_compared)),
        (
            "recovery",
            format!(
                "min {} · median {} · max {}",
                span(report.recovery.min_ms),
                span(report.recovery.median_ms),
                span(report.recovery.max_ms),
            ),
        ),
        ("seed", report.seed.to_string()),
        ("took", span(report.elapsed_ms)),
        ("violations", report.violations.len().to_string()),
    ]);
    for violation in &report.violations {
        text.push_str(&format!("\n  {violation}"));
    }
    text
}
