//! A short run of the crash harness; `towpath testnet crash` makes longer ones.

use towpath_testnet::CrashPlan;
use towpath_tests::kit::program;

#[tokio::test]
async fn nothing_is_lost_when_nodes_are_killed() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let plan = CrashPlan { kills: 10, seed: 7, nodes: 4, dir: dir.path().join("net"), program: program() };
    let report = towpath_testnet::crash(&plan, |_, _| {}).await.expect("the network runs");
    assert_eq!(report.violations, Vec::<String>::new());
    assert_eq!((report.restarts, report.payments_unresolved, report.channels_closed), (10, 0, 4));
    assert!(report.payments_acked > 0);
}
