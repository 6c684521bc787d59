//! `towpath channel …`

use std::time::Duration;

use towpath_api::{
    Channel as View, ChannelPage, ChannelQuery, ChannelState, Client, CloseChannel, CloseMode, CloseWait,
    OpenChannel, OpenWait, PageQuery, Pay, PayWait, Payment, PaymentState, StartStream, Stream, StreamState,
};

use crate::args::{self, Channel, Common};
use crate::context;
use crate::errors::CliError;
use crate::output::{Style, amount, answer, facts, grouped, micros, short, span, table, time};

/// Runs one of the channels' commands.
///
/// # Errors
/// When the node refuses or cannot be asked.
pub async fn channel(common: &Common, command: Channel) -> Result<(), CliError> {
    let client = context::client(common)?;
    let style = Style::of(common);
    match command {
        Channel::Open { peer, amount, peer_amount, address, dispute_window_ms, reserve, no_wait } => {
            let request = OpenChannel {
                address: address.or_else(|| context::p2p_address(common, &peer)),
                peer: context::node_id(common, &peer)?,
                amount,
                peer_amount,
                dispute_window_ms,
                reserve,
                wait: if no_wait { OpenWait::Accepted } else { OpenWait::Active },
                timeout_ms: None,
                idempotency_key: None,
            };
            answer(style, &client.open_channel(&request).await?, one)
        }
        Channel::List { state, peer, limit, after } => {
            let peer = peer.map(|peer| context::node_id(common, &peer)).transpose()?;
            let query = ChannelQuery { state: state.map(wanted), peer, limit: Some(limit), after };
            answer(style, &client.channels(&query).await?, list)
        }
        Channel::Show { channel } => show(&client, style, &channel).await,
        Channel::Pay { channel, amount, count: 1, memo, idempotency_key, no_wait, in_flight: _ } => {
            let wait = if no_wait { PayWait::Sent } else { PayWait::Settled };
            let request = Pay { amount, memo, idempotency_key, wait, timeout_ms: None };
            answer(style, &client.pay(&channel, &request).await?, paid)
        }
        Channel::Pay { channel, amount, count, in_flight, idempotency_key, no_wait, memo: _ } => {
            let request = StartStream { amount, count, in_flight, idempotency_key };
            let stream = client.start_stream(&channel, &request).await?;
            let stream = if no_wait { stream } else { ended(&client, stream).await? };
            answer(style, &stream, streamed)?;
            if stream.state == StreamState::Failed {
                let reason = stream.reason.unwrap_or_else(|| "no reason was given".to_owned());
                return Err(CliError::Failed(format!(
                    "the payments stopped after {}: {reason}",
                    stream.settled
                )));
            }
            Ok(())
        }
        Channel::Close { channel, force, accept_risk, no_wait } => {
            let mode = match (force, accept_risk) {
                (true, true) => CloseMode::ForceAtRisk,
                (true, false) => CloseMode::Force,
                (false, _) => CloseMode::Cooperative,
            };
            let wait = if no_wait || force { CloseWait::Sent } else { CloseWait::Settled };
            let closed =
                client.close_channel(&channel, &CloseChannel { mode, wait, timeout_ms: None }).await?;
            answer(style, &closed, |closed| {
                let mut text = one(&closed.channel);
                if let Some(tx) = &closed.tx {
                    text.push_str(&format!("\npaid out by  {tx}"));
                }
                text
            })
        }
    }
}

const fn wanted(state: args::ChannelState) -> ChannelState {
    match state {
        args::ChannelState::Opening => ChannelState::Opening,
        args::ChannelState::Active => ChannelState::Active,
        args::ChannelState::Closing => ChannelState::Closing,
        args::ChannelState::Disputed => ChannelState::Disputed,
        args::ChannelState::Settled => ChannelState::Settled,
    }
}

/// Asks until the stream has ended: the node makes the payments, so asking seldom costs nothing.
async fn ended(client: &Client, mut stream: Stream) -> Result<Stream, CliError> {
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    while stream.state == StreamState::Running {
        tokio::select! {
            _ = ticks.tick() => stream = client.stream(&stream.id).await?,
            _ = tokio::signal::ctrl_c() => return Ok(client.stop_stream(&stream.id).await?),
        }
    }
    Ok(stream)
}

fn state_of(channel: &View) -> String {
    let state = format!("{:?}", channel.state).to_lowercase();
    if channel.recovering {
        return format!("{state}, in recovery");
    }
    match (channel.outcome, channel.online) {
        (Some(outcome), _) => format!("{state} ({})", format!("{outcome:?}").to_lowercase()),
        (None, true) => state,
        (None, false) => format!("{state}, peer away"),
    }
}

fn one(channel: &View) -> String {
    let mut lines = vec![
        ("channel", channel.id.clone()),
        ("peer", channel.peer.clone()),
        ("state", state_of(channel)),
        ("balance", format!("{} of {}", amount(channel.balance), amount(channel.capacity))),
        ("spendable", amount(channel.spendable)),
        ("peer's balance", amount(channel.peer_balance)),
        ("version", grouped(channel.version)),
        ("sequencer", format!("{:?}", channel.sequencer).to_lowercase()),
        ("sent", format!("{} in {} payments", amount(channel.sent_total), grouped(channel.payments_sent))),
        (
            "received",
            format!("{} in {} payments", amount(channel.received_total), grouped(channel.payments_received)),
        ),
        ("dispute window", span(channel.dispute_window_ms)),
    ];
    if let Some(funding) = &channel.funding {
        lines.push(("funding", funding.clone()));
    }
    if let Some(deadline) = channel.deadline_ms {
        lines.push(("deadline", time(deadline)));
    }
    if let Some(settlement) = &channel.settlement {
        lines.push(("settlement", settlement.clone()));
    }
    facts(&lines)
}

fn list(page: &ChannelPage) -> String {
    if page.channels.is_empty() {
        return "no channels; `towpath channel open PEER AMOUNT` makes one".to_owned();
    }
    let rows = page.channels.iter().map(|channel| {
        vec![
            short(&channel.id),
            short(&channel.peer),
            state_of(channel),
            amount(channel.balance),
            amount(channel.peer_balance),
            amount(channel.capacity),
            grouped(channel.payments_sent),
            grouped(channel.payments_received),
        ]
    });
    let headings = ["channel", "peer", "state", ">balance", ">peer's", ">capacity", ">sent", ">received"];
    let totals = &page.totals;
    let mut text = table(&headings, rows.collect());
    text.push_str(&format!(
        "\n {} active, {} opening, {} closing, {} disputed, {} settled",
        totals.active, totals.opening, totals.closing, totals.disputed, totals.settled
    ));
    if let Some(next) = &page.next {
        text.push_str(&format!("\n more: --after {next}"));
    }
    text
}

async fn show(client: &Client, style: Style, id: &str) -> Result<(), CliError> {
    let channel = client.channel(id).await?;
    let page = PageQuery { limit: Some(10), before: None };
    let payments = client.payments(&channel.id, &page).await?;
    let events = client.channel_events(&channel.id, &page).await?;
    let document =
        serde_json::json!({ "channel": channel, "payments": payments.payments, "events": events.events });
    answer(style, &document, |_| {
        let mut text = one(&channel);
        if !payments.payments.is_empty() {
            let rows = payments.payments.iter().map(|payment| {
                let number = payment.id.rsplit('/').next().unwrap_or_default().to_owned();
                vec![
                    time(payment.time_ms),
                    format!("{:?}", payment.direction).to_lowercase(),
                    number,
                    amount(payment.amount),
                    format!("{:?}", payment.state).to_lowercase(),
                ]
            });
            text.push_str("\n\n");
            text.push_str(&table(&["payment", "way", ">number", ">amount", "state"], rows.collect()));
        }
        if !events.events.is_empty() {
            let rows = events.events.iter().map(|event| {
                vec![time(event.time_ms), event.index.to_string(), event.kind.clone(), event.detail.clone()]
            });
            text.push_str("\n\n");
            text.push_str(&table(&["log", ">entry", "what", "detail"], rows.collect()));
        }
        text
    })
}

fn paid(payment: &Payment) -> String {
    let latency = payment.latency_us.map_or_else(String::new, |us| format!(" in {}", micros(us)));
    match payment.state {
        PaymentState::Settled => {
            format!("paid {}{latency}; the payee has it\n{}", amount(payment.amount), payment.id)
        }
        PaymentState::Sent => {
            format!("sent {}; not acknowledged yet\n{}", amount(payment.amount), payment.id)
        }
        PaymentState::Failed => format!(
            "not paid: {}\n{}",
            payment.reason.as_deref().unwrap_or("no reason was given"),
            payment.id
        ),
        PaymentState::Unknown => format!(
            "not known: the data that would tell whether {} was paid is lost; ask the payee\n{}",
            amount(payment.amount),
            payment.id
        ),
    }
}

fn streamed(stream: &Stream) -> String {
    let rate = if stream.elapsed_us == 0 {
        0
    } else {
        u64::try_from(u128::from(stream.settled) * 1_000_000 / u128::from(stream.elapsed_us))
            .unwrap_or(u64::MAX)
    };
    facts(&[
        ("stream", format!("{} ({})", stream.id, format!("{:?}", stream.state).to_lowercase())),
        (
            "settled",
            format!(
                "{} of {} payments of {}",
                grouped(stream.settled),
                grouped(stream.count),
                amount(stream.amount)
            ),
        ),
        ("rate", format!("{} payments/s over {}", grouped(rate), micros(stream.elapsed_us))),
        (
            "latency",
            format!(
                "p50 {} · p95 {} · p99 {} · max {}",
                micros(stream.latency.p50_us),
                micros(stream.latency.p95_us),
                micros(stream.latency.p99_us),
                micros(stream.latency.max_us)
            ),
        ),
    ])
}
