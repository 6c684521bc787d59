//! `towpath ledger verify`: what a node says is believed only as far as the genesis proves it (FAULTS L16; SPEC B-40).

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use towpath_api::{Client, HeaderPage, HeaderQuery, OutputProof};
use towpath_crypto::codec;
use towpath_ledger::light::CertifiedHeader;
use towpath_testnet::{Plan, Topology};
use towpath_tests::kit::{Net, program, run, until};

const AMOUNT: u64 = 1_000_000;

fn document(output: &Output) -> Value {
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{err}");
    serde_json::from_slice(&output.stdout).expect("a document")
}

/// Answers every request for headers with one page, and every other one with one proof, until it is dropped.
async fn serve(page: &HeaderPage, proof: &OutputProof) -> (String, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let bodies =
        (serde_json::to_string(page).expect("a document"), serde_json::to_string(proof).expect("a document"));
    let serving = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => request.push(byte),
                    Err(_) => break,
                }
            }
            let of_headers = String::from_utf8_lossy(&request).contains("/v1/ledger/headers");
            let body = if of_headers { &bodies.0 } else { &bodies.1 };
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
            // Whoever hangs up has what it wanted.
            let _gone = stream.write_all(answer.as_bytes()).await;
        }
    });
    (url, serving)
}

/// What the program says to `proof` of a node that shows `page`.
async fn verdict(genesis: &Path, outpoint: &str, page: &HeaderPage, proof: &OutputProof) -> Output {
    let (url, serving) = serve(page, proof).await;
    let mut command = Command::new(program());
    command.args(["ledger", "verify", outpoint, "--node", &url, "--genesis"]).arg(genesis);
    command.env("TOWPATH_TOKEN", "00".repeat(32));
    let output = tokio::task::spawn_blocking(move || run(&mut command)).await.expect("it ends");
    serving.abort();
    output
}

fn refused(output: &Output, why: &str) {
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("not proven") && err.contains(why), "wanted {why:?} in {err}");
}

/// The hex text with its last byte changed.
fn bent(hex: &str) -> String {
    let (most, last) = hex.split_at(hex.len() - 1);
    format!("{most}{}", if last == "0" { "1" } else { "0" })
}

/// The same header, signed by the first `count` of its validators only.
fn signed_by(certified: &towpath_api::CertifiedHeader, count: usize) -> towpath_api::CertifiedHeader {
    let bytes = hex_bytes(&certified.bytes);
    let mut inside: CertifiedHeader = codec::decode(&bytes, bytes.len()).expect("a header");
    inside.certificate.signatures.truncate(count);
    let bytes: String = codec::encode(&inside).iter().map(|byte| format!("{byte:02x}")).collect();
    towpath_api::CertifiedHeader { bytes, ..certified.clone() }
}

fn hex_bytes(hex: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
    (0..hex.len()).step_by(2).map(byte).collect()
}

async fn closed(client: &Client, funding: &str) {
    until("the channel's output is spent", async || client.output(funding).await.err().map(|_| ())).await;
}

#[tokio::test]
async fn l16_a_node_is_believed_as_far_as_the_genesis_proves_it() {
    let net = Net::up(&Plan::of(4, Topology::Line)).await;
    let channel = net.open(AMOUNT).await.swap_remove(0).channel;
    let alice = net.client("alice");
    let funding = alice.channel(&channel).await.expect("a channel").funding.expect("it is funded");

    let verified = document(&net.run(&["ledger", "verify", &funding, "--every-block"]));
    let height = verified["height"].as_u64().expect("a height");
    assert!(verified["headers"].as_u64().expect("a count") >= height, "{verified}");
    assert!(verified["signers"][0].as_u64() >= Some(3) && verified["signers"][1] == 4, "{verified}");
    let output = &verified["outputs"][0];
    assert_eq!((&output["unspent"], &output["lock"]["channel"]), (&true.into(), &channel.as_str().into()));
    assert_eq!(output["amount"], (2 * AMOUNT).to_string());

    // What is spent is proven, too: that there is nothing.
    let honest = alice.output_proof(&funding).await.expect("a proof");
    assert!(net.run(&["--node", "alice", "channel", "close", &channel]).status.success());
    closed(&alice, &funding).await;
    let verified = document(&net.run(&["ledger", "verify", &funding]));
    assert_eq!(verified["outputs"][0]["unspent"], false, "{verified}");
    let gone = alice.output_proof(&funding).await.expect("a proof");
    assert_eq!(gone.entry, None);

    let genesis = net.network.state().genesis.clone();
    let page = alice.headers(&HeaderQuery { from: 1, limit: None }).await.expect("headers");
    let says = async |proof: OutputProof| verdict(&genesis, &funding, &page, &proof).await;
    document(&says(honest.clone()).await);
    document(&says(gone.clone()).await);

    // The lies of a node.
    let entry = honest.entry.clone().expect("it was unspent");
    refused(&says(OutputProof { entry: None, ..honest.clone() }).await, "");
    refused(&says(OutputProof { entry: Some(entry), ..gone.clone() }).await, "");
    refused(&says(OutputProof { certified: gone.certified.clone(), ..honest.clone() }).await, "");
    let certified =
        towpath_api::CertifiedHeader { bytes: bent(&honest.certified.bytes), ..honest.certified.clone() };
    refused(&says(OutputProof { certified, ..honest.clone() }).await, "");
    for count in 0..3 {
        let certified = signed_by(&honest.certified, count);
        refused(&says(OutputProof { certified, ..honest.clone() }).await, "certificate");
    }
    let other = another_output(&net).await;
    refused(&says(OutputProof { outpoint: other.clone(), ..honest.clone() }).await, "asked for");
}

/// Another output than the channel's.
async fn another_output(net: &Net) -> String {
    let bob = net.client("bob");
    let history = bob.history(&towpath_api::HistoryQuery::default()).await.expect("a history");
    let tx = &history.entries.first().expect("an entry").tx;
    let found = bob.transaction(tx).await.expect("it is final");
    found.outputs.first().expect("an output").outpoint.clone()
}

#[tokio::test]
async fn l16_headers_of_another_ledger_are_refused() {
    let (ours, other) =
        (Net::up(&Plan::of(2, Topology::Line)).await, Net::up(&Plan::of(1, Topology::Line)).await);
    let genesis = other.network.state().genesis.display().to_string();
    let alice = ours.client("alice");
    until("a block", async || (alice.ledger().await.ok()?.height > 0).then_some(())).await;
    let output = ours.run(&["ledger", "verify", "--genesis", &genesis]);
    refused(&output, "chain");
    document(&ours.run(&["ledger", "verify"]));
}
