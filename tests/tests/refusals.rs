//! What goes wrong is said in words that help, with the exit code that the table of exit codes promises.

use std::fs;
use std::process::Command;

use towpath_testnet::{Plan, Topology};
use towpath_tests::kit::{Net, program, refusal, run};

#[tokio::test]
async fn each_refusal_has_its_exit_code() {
    let mut net = Net::up(&Plan::of(2, Topology::Line)).await;
    let [edge] = &net.open(1_000_000).await[..] else { panic!("one channel") };
    let dir = net.dir.path().to_owned();

    let (code, message) = refusal(&net.run(&["--node", "alice", "channel", "pay", &edge.channel, "1000001"]));
    assert_eq!(code, 5, "{message}");
    assert!(message.contains("insufficient_balance"), "{message}");

    let (code, message) = refusal(&net.run(&["--node", "zoe", "info"]));
    assert_eq!(code, 4, "{message}");
    assert!(message.contains("alice, bob"), "{message}");

    let (code, message) = refusal(&net.run(&["--node", "alice", "channel", "show", "chan1qqqqqqqqqqqq"]));
    assert_eq!(code, 4, "{message}");

    let api = &net.network.state().node("alice").expect("a node").api;
    let wrong =
        run(Command::new(program()).args(["--node", api, "info"]).env("TOWPATH_TOKEN", "0".repeat(64)));
    let (code, message) = refusal(&wrong);
    assert_eq!(code, 7, "{message}");

    let nobody = run(Command::new(program())
        .args(["--node", "http://127.0.0.1:9", "info"])
        .env("TOWPATH_TOKEN", "0".repeat(64)));
    let (code, message) = refusal(&nobody);
    assert_eq!(code, 3, "{message}");
    assert!(message.contains("is the node running"), "{message}");

    let config = dir.join("alice/config.toml");
    let second =
        run(Command::new(program()).args(["node", "--api-listen", "127.0.0.1:0", "--config"]).arg(&config));
    let (code, message) = refusal(&second);
    assert_eq!(code, 8, "two processes on one data folder: {message}");

    net.network.stop("bob").await.expect("stopped");
    let config = dir.join("bob/config.toml");
    let start = |change: &dyn Fn()| {
        change();
        refusal(&run(Command::new(program()).arg("node").arg("--config").arg(&config)))
    };
    let good = fs::read_to_string(&config).expect("a file");

    let (code, message) = start(&|| fs::write(&config, good.replace("listen", "lisen")).expect("written"));
    assert_eq!(code, 8, "{message}");
    assert!(message.contains("config.toml") && message.contains("did you mean"), "{message}");
    let (code, message) = start(&|| fs::write(&config, good.replace("[api]", "[[api]]")).expect("written"));
    assert_eq!(code, 8, "{message}");
    assert!(message.contains("api is a section: write [api], not [[api]]"), "{message}");
    let (code, message) =
        start(&|| fs::write(&config, good.replace("\"bob\"", "\"b\\nob\"")).expect("written"));
    assert_eq!(code, 8, "{message}");
    assert!(message.contains("name must have"), "{message}");
    fs::write(&config, &good).expect("written");

    let passphrase = dir.join("bob/passphrase");
    let (code, message) = start(&|| fs::write(&passphrase, "wrong").expect("written"));
    assert_eq!(code, 8, "{message}");
    assert!(message.contains("passphrase"), "{message}");
    fs::write(&passphrase, "local test network").expect("written");

    let genesis = dir.join("genesis.toml");
    let text = fs::read_to_string(&genesis).expect("a file");
    let (code, message) = start(&|| {
        fs::write(&genesis, text.replace("output_min = 1000", "output_min = 1001")).expect("written")
    });
    assert_eq!(code, 8, "a data folder of another ledger: {message}");
}

#[test]
fn a_testnet_that_is_not_there_is_said_to_be_missing() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for command in ["status", "down", "env"] {
        let (code, message) = refusal(&run(Command::new(program())
            .arg("--testnet-dir")
            .arg(dir.path())
            .args(["testnet", command])));
        assert_eq!(code, 4, "{message}");
        assert!(message.contains("towpath testnet up"), "{message}");
    }
}
