//! `towpath testnet cheat`: a lie that anyone can have shown, with real processes.

use serde_json::Value;
use towpath_api::{ChannelState, Outcome, Side, Units};
use towpath_testnet::{NetworkState, Plan, Topology, TrialsPlan, Victim, is_running};
use towpath_tests::kit::{Net, program, refusal, until};

/// The acts that the command prints, one document a line.
fn acts(net: &Net, arguments: &[&str]) -> Vec<Value> {
    let output = net.run(arguments);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    out.lines().map(|line| serde_json::from_str(line).expect("a document a line")).collect()
}

/// The one act of this name.
fn act<'a>(acts: &'a [Value], name: &str) -> &'a Value {
    let mut found = acts.iter().filter(|act| act["act"] == name);
    let act = found.next().unwrap_or_else(|| panic!("no {name} in {acts:?}"));
    assert_eq!(found.next(), None, "{name} twice");
    act
}

fn names(acts: &[Value]) -> Vec<&str> {
    acts.iter().filter_map(|act| act["act"].as_str()).collect()
}

fn units(value: &Value) -> u64 {
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).expect("an amount")
}

/// What was shown is what the nodes know, each unit of it is accounted for, and everybody is back.
async fn is_true(net: &Net, acts: &[Value], (cheater, victim): (&str, &str)) {
    let (opened, settled) = (act(acts, "opened"), act(acts, "settled"));
    let of = |share: &str, who: &str| units(&settled[share][who]);
    for share in ["lie", "truth"] {
        assert_eq!(of(share, "cheater") + of(share, "victim"), 2_000_000, "{settled}");
    }
    let fees = units(&settled["fees"]);
    assert_eq!(of("paid", "cheater") + of("paid", "victim") + fees, 2_000_000, "{settled}");
    assert!(of("lie", "cheater") > of("truth", "cheater") && of("paid", "victim") > of("truth", "victim"));
    assert_eq!(units(&settled["forfeited"]), of("truth", "cheater") / 2);

    let network = NetworkState::load(net.dir.path()).expect("a network");
    assert!(network.nodes.iter().all(is_running), "everybody is back");
    let channel = opened["channel"].as_str().expect("an id");
    for (node, liar, paid) in [
        (victim, Side::Remote, Units(of("paid", "victim"))),
        (cheater, Side::Local, Units(of("paid", "cheater"))),
    ] {
        let client = net.client(node);
        let end = until(&format!("{node} sees it paid out"), async || {
            let channel = client.channel(channel).await.ok()?;
            (channel.state == ChannelState::Settled).then_some(channel)
        })
        .await;
        assert_eq!(end.outcome, Some(Outcome::Penalized), "{node}");
        let close = end.close.expect("why it was closed");
        assert_eq!(close.settlement.expect("a settlement").paid, paid, "{node}");
        assert_eq!(close.penalty.expect("a penalty").by, liar, "{node}");
    }
}

#[tokio::test]
async fn c3_a_lie_on_stage_is_answered_by_the_victim_and_costs_the_liar() {
    let net = Net::up(&Plan::of(4, Topology::Ring)).await;
    let told = acts(&net, &["testnet", "cheat", "alice"]);
    assert_eq!(
        names(&told),
        ["opened", "kept", "paid", "stopped", "posted", "answered", "paid_out", "returned", "settled"]
    );
    let (posted, answered) = (act(&told, "posted"), act(&told, "answered"));
    assert!(posted["version"].as_u64() < posted["newest"].as_u64(), "{posted}");
    assert_eq!((&answered["by"], &answered["penalized"]), (&Value::from(vec!["bob"]), &Value::from(true)));
    assert_eq!(answered["version"], posted["newest"]);
    assert_eq!(act(&told, "paid_out")["how"], "answer");
    is_true(&net, &told, ("alice", "bob")).await;

    let table = net.run(&["--table", "testnet", "cheat", "carol", "--victim", "alice"]);
    let text = String::from_utf8_lossy(&table.stdout).into_owned();
    for part in ["POSTED", "ANSWERED", "by alice", "the penalty", "more than without the lie"] {
        assert!(text.contains(part), "no '{part}' in\n{text}{}", String::from_utf8_lossy(&table.stderr));
    }
    let (exit, message) = refusal(&net.run(&["testnet", "cheat", "alice", "--victim", "alice"]));
    assert_eq!(exit, 5, "{message}");
}

#[tokio::test]
async fn c4_a_lie_about_an_absent_victim_is_answered_by_its_watchtower() {
    let net = Net::up(&Plan::of(4, Topology::Ring)).await;
    let told = acts(&net, &["testnet", "cheat", "dave", "--victim", "bob", "--offline-victim"]);
    assert_eq!(act(&told, "opened")["towers"], Value::from(vec!["alice"]));
    // First the watchtower; then the victim, once it is back, with its own signature.
    let answered = told.iter().find(|act| act["act"] == "answered").expect("an answer");
    assert_eq!((&answered["by"], &answered["penalized"]), (&Value::from(vec!["alice"]), &Value::from(true)));
    let order = names(&told);
    let place = |name: &str| order.iter().position(|act| *act == name).expect("it happens");
    assert!(place("answered") < place("paid_out"), "{order:?}");
    // Once the victim is back, it need not wait for the end of the window.
    assert_eq!(act(&told, "paid_out")["how"], "answer");
    is_true(&net, &told, ("dave", "bob")).await;
}

#[tokio::test]
async fn a_network_that_could_not_go_on_without_a_node_shows_no_lie() {
    let net = Net::up(&Plan::of(3, Topology::Line)).await;
    let (exit, message) = refusal(&net.run(&["testnet", "cheat", "alice"]));
    assert!(exit == 5 && message.contains("four nodes"), "{message}");
    let (exit, message) = refusal(&net.run(&[
        "testnet",
        "cheat",
        "--trials",
        "1",
        "--offline-victim",
        "--towers",
        "1",
        "--dead",
        "1",
    ]));
    assert!(exit == 2 && message.contains("dead"), "{message}");
}

/// A short run of many; `towpath testnet cheat --trials` makes longer ones.
#[tokio::test]
async fn w4_lies_are_answered_while_one_of_three_towers_is_dead() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let plan = TrialsPlan {
        trials: 4,
        victim: Victim::Offline,
        towers: 3,
        dead: 1,
        dispute_window_ms: 30_000,
        seed: 7,
        dir: dir.path().join("net"),
        program: program(),
    };
    let report = towpath_testnet::cheat_trials(&plan, |_| {}).await.expect("the network runs");
    assert_eq!(report.wrong, Vec::<String>::new());
    assert_eq!((report.recovered, report.by_tower, report.by_victim), (4, 4, 0));
    assert!(report.gained_min.0 > 0 && report.answer_blocks.max > 0);
}
