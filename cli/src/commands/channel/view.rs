//! Channels for people.

use towpath_api::{Change, Channel as View, ChannelPage};

use crate::output::{amount, facts, grouped, short, span, table, time, word};

/// Its state in a word or two.
pub fn state_of(channel: &View) -> String {
    let state = word(&channel.state);
    if channel.recovering {
        return format!("{state}, in recovery");
    }
    match (channel.outcome, channel.online) {
        (Some(outcome), _) => format!("{state} ({})", word(&outcome)),
        (None, true) => state,
        (None, false) => format!("{state}, peer away"),
    }
}

/// One channel in full.
pub fn one(channel: &View) -> String {
    let mut lines = vec![
        ("channel", channel.id.clone()),
        ("peer", channel.peer.clone()),
        ("state", state_of(channel)),
        ("balance", format!("{} of {}", amount(channel.balance), amount(channel.capacity))),
        ("spendable", amount(channel.spendable)),
        ("peer's balance", amount(channel.peer_balance)),
        ("version", grouped(channel.version)),
        ("sequencer", word(&channel.sequencer)),
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
    if let Some(resizing) = &channel.resizing {
        let (what, of) = match resizing.change {
            Change::Add(of) => ("adds", of),
            Change::PayOut(of) => ("pays out", of),
        };
        let by = word(&resizing.by);
        lines.push(("resize", format!("{by} {what} {}, until {}", amount(of), time(resizing.expires_ms))));
    }
    // What follows is part of why it is closed, where that is known.
    if let (Some(deadline), None) = (channel.deadline_ms, &channel.close) {
        lines.push(("deadline", time(deadline)));
    }
    if let (Some(settlement), None) = (&channel.settlement, &channel.close) {
        lines.push(("settlement", settlement.clone()));
    }
    facts(&lines)
}

/// Channels in a table.
pub fn list(page: &ChannelPage) -> String {
    if page.channels.is_empty() && page.totals.damaged == 0 {
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
    text.push_str(&damaged(page));
    text
}

/// Channels that the node cannot use: nothing else on the page is as important.
fn damaged(page: &ChannelPage) -> String {
    let of = page.totals.damaged;
    if of == 0 {
        return String::new();
    }
    let rows = page.damaged.iter().map(|channel| vec![channel.id.clone(), channel.reason.clone()]);
    format!(
        "\n\n{of} in need of recovery; nothing is signed or closed for them:\n{}",
        table(&["channel", "why"], rows.collect())
    )
}
