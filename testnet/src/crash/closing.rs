//! The end of a run: every channel is closed by both parties, and the wallets have every unit that they must have.

use std::time::{Duration, Instant};

use towpath_api::{
    ChannelState, Client, ClientError, CloseChannel, CloseMode, CloseWait, Closed, Lock, Transaction,
    TransactionStatus,
};

use super::audit::{Auditor, Sides, call};
use crate::channels::Edge;
use crate::error::TestnetError;

/// How long a close and its block may take.
const CLOSE_MAX: Duration = Duration::from_secs(90);

/// The pause before another try.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// Closes all channels; how many were paid out to the unit.
///
/// # Errors
/// When a node does not answer.
pub async fn close_all(
    auditor: &Auditor<'_>,
    sides: &[Sides],
    violations: &mut Vec<String>,
) -> Result<u32, TestnetError> {
    let nodes = &auditor.network.state().nodes;
    let mut expected = Vec::new();
    for node in nodes {
        let wallet = auditor.network.client(&node.name)?.wallet().await.map_err(call(&node.name))?;
        expected.push(wallet.confirmed.0);
    }
    let mut closed = 0;
    for (edge, sides) in auditor.edges.iter().zip(sides) {
        let tx = close(auditor, edge).await?;
        let mut outputs = 0;
        let mut lacks = Vec::new();
        for (name, balance) in
            [(&edge.opener, sides.opener.balance), (&edge.acceptor, sides.acceptor.balance)]
        {
            let address = &auditor.network.state().node(name)?.address;
            let paid = paid_to(&tx, address);
            outputs += paid;
            lacks.push(i128::from(balance.0) - i128::from(paid));
            for (node, expected) in nodes.iter().zip(&mut expected) {
                if node.name == *name {
                    *expected += paid;
                }
            }
        }
        let fee = i128::from(sides.opener.capacity.0) - i128::from(outputs);
        // What the parties lack together is the fee, and neither gets more than its balance.
        if fee >= 0 && lacks.iter().all(|lack| *lack >= 0) && lacks.iter().sum::<i128>() == fee {
            closed += 1;
        } else {
            violations
                .push(format!("{} was paid out wrongly, the parties lack {lacks:?}: {tx:?}", edge.channel));
        }
    }
    wallets(auditor, &expected, violations).await?;
    Ok(closed)
}

async fn close(auditor: &Auditor<'_>, edge: &Edge) -> Result<Transaction, TestnetError> {
    let client = auditor.network.client(&edge.opener)?;
    let failed = call(&edge.opener);
    let request = CloseChannel {
        mode: CloseMode::Cooperative,
        force_after_ms: None,
        wait: CloseWait::Settled,
        timeout_ms: u64::try_from(CLOSE_MAX.as_millis()).ok(),
    };
    let deadline = Instant::now() + CLOSE_MAX;
    let closed: Closed = loop {
        match client.close_channel(&edge.channel, &request).await {
            Ok(closed) => break closed,
            Err(ClientError::Api(_)) if Instant::now() < deadline => tokio::time::sleep(AGAIN_AFTER).await,
            Err(error) => return Err(failed(error)),
        }
    };
    let tx = closed.tx.or(closed.channel.settlement).unwrap_or_default();
    let tx = final_transaction(&client, &tx, deadline).await.map_err(&failed)?;
    let other = auditor.network.client(&edge.acceptor)?;
    while other.channel(&edge.channel).await.map_err(call(&edge.acceptor))?.state != ChannelState::Settled {
        if Instant::now() > deadline {
            let what = format!("{} does not see {} paid out", edge.acceptor, edge.channel);
            return Err(TestnetError::TimedOut { what, seconds: CLOSE_MAX.as_secs() });
        }
        tokio::time::sleep(AGAIN_AFTER).await;
    }
    Ok(tx)
}

async fn final_transaction(client: &Client, tx: &str, deadline: Instant) -> Result<Transaction, ClientError> {
    loop {
        let found = client.transaction(tx).await?;
        if found.status == TransactionStatus::Final || Instant::now() > deadline {
            return Ok(found);
        }
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

fn paid_to(tx: &Transaction, to: &str) -> u64 {
    let own =
        tx.outputs.iter().filter(|output| matches!(&output.lock, Lock::Wallet { address } if address == to));
    own.map(|output| output.amount.0).sum()
}

/// All wallets have what they had and what the channels paid; and all of it with the fees is what there ever was.
async fn wallets(
    auditor: &Auditor<'_>,
    expected: &[u64],
    violations: &mut Vec<String>,
) -> Result<(), TestnetError> {
    let deadline = Instant::now() + CLOSE_MAX;
    let mut sum = 0_u64;
    let mut fees = 0;
    for (node, expected) in auditor.network.state().nodes.iter().zip(expected) {
        let client = auditor.network.client(&node.name)?;
        let confirmed = loop {
            let confirmed = client.wallet().await.map_err(call(&node.name))?.confirmed.0;
            if confirmed == *expected || Instant::now() > deadline {
                break confirmed;
            }
            tokio::time::sleep(AGAIN_AFTER).await;
        };
        if confirmed != *expected {
            violations.push(format!("the wallet of {} has {confirmed}, not {expected}", node.name));
        }
        sum = sum.saturating_add(confirmed);
        fees = client.ledger().await.map_err(call(&node.name))?.fees.0;
    }
    if sum.saturating_add(fees) != auditor.total {
        violations.push(format!("all wallets have {sum}, with {fees} of fees that is not {}", auditor.total));
    }
    Ok(())
}
