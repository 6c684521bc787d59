//! The words of `towpath channel`.

use clap::{Args, Subcommand, ValueEnum};
use towpath_api::Units;

use super::span::{Patience, Span};

/// `towpath channel …`
#[derive(Subcommand, Debug)]
pub enum Channel {
    /// Open a channel with a peer, or with each of many.
    ///
    /// This node puts AMOUNT into the channel, out of its wallet. The channel carries payments once its funding is final
    /// on the ledger, which takes a second or two. Channels with many peers are funded by one transaction, once all have
    /// agreed; who declines, is away or does not answer within ten seconds is left out.
    Open(Open),
    /// The channels, with totals.
    List(List),
    /// One channel, its newest payments and its log.
    Show {
        /// The channel: `chan1…`, or as much of its id as is unique.
        channel: String,
    },
    /// Pay the peer through a channel.
    ///
    /// Answers when the peer has acknowledged the payment. With --count the node makes many payments of AMOUNT by
    /// itself, and the answer tells their rate and latency.
    Pay(Pay),
    /// Top a channel up out of this node's wallet, or pay some of its balance out, without closing it.
    ///
    /// The peer signs the change, and the ledger makes it: a second or two, for which payments wait. If it is not made
    /// within a minute, the channel goes on as it is.
    Resize(Resize),
    /// Close channels: together with the peer, or alone if it does not answer.
    ///
    /// Together is cheapest and pays out at once. If the peer has not signed final balances after --force-after, the
    /// node closes alone: then the peer can answer during the channel's dispute window, which pays out at once, and
    /// without an answer the channel is paid out when the window is over. The node does all of this by itself, across
    /// restarts; this command only looks on.
    Close(Close),
    /// Why a channel is closed, how far that is, and the evidence.
    Why {
        /// The channel: `chan1…`, or as much of its id as is unique.
        channel: String,
    },
}

/// `towpath channel open`
#[derive(Args, Debug)]
pub struct Open {
    /// The peer: `node1…` (or as much of it as is unique), or a name in the local network; and what this node puts in, in base
    /// units. Again for each further channel.
    #[arg(value_names = ["PEER", "AMOUNT"], num_args = 2.., required = true)]
    pub channels: Vec<String>,
    /// What the peer is asked to put in; it may refuse. For one channel.
    #[arg(long, value_name = "AMOUNT")]
    pub peer_amount: Option<Units>,
    /// Where to find the peer, if this node is not connected to it: `/ip4/192.0.2.1/tcp/7421/p2p/12D3…`. For one channel.
    #[arg(long, value_name = "MULTIADDRESS")]
    pub address: Option<String>,
    /// How long the channel can be disputed after one party closed it alone, such as 12h; one day if not given.
    #[arg(long, value_name = "TIME")]
    pub dispute_window: Option<Span>,
    /// What each side always keeps in the channel, so that it has something to lose; nothing if not given.
    #[arg(long, value_name = "AMOUNT")]
    pub reserve: Option<Units>,
    /// How long the channel may live, such as 30d: both nodes close it then. For ever if not given.
    #[arg(long, value_name = "TIME")]
    pub expires_in: Option<Span>,
    /// A word of your choice: a repeated call with the same word finds the same channels, and opens no others. Not with
    /// --expires-in, which counts from each call, so that a repeated one would be another.
    #[arg(long, value_name = "WORD", conflicts_with = "expires_in")]
    pub idempotency_key: Option<String>,
    /// Answer as soon as the peer has agreed, before payments can flow.
    #[arg(long)]
    pub no_wait: bool,
    /// How long to wait for the peer and the funding; the opening may still succeed after it.
    #[arg(long, value_name = "TIME", default_value = "30s")]
    pub timeout: Span,
}

/// `towpath channel list`
#[derive(Args, Debug)]
pub struct List {
    /// Only channels in this state.
    #[arg(long)]
    pub state: Option<ChannelState>,
    /// Only channels with this peer: `node1…` (or as much of it as is unique), or a name in the local network.
    #[arg(long)]
    pub peer: Option<String>,
    /// At most so many, 1 to 500.
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub limit: u32,
    /// Only channels after this one: the `next` of an earlier answer.
    #[arg(long, value_name = "CHANNEL")]
    pub after: Option<String>,
}

/// `towpath channel pay`
#[derive(Args, Debug)]
pub struct Pay {
    /// The channel: `chan1…`, or as much of its id as is unique.
    pub channel: String,
    /// How much, in base units.
    pub amount: Units,
    /// Make so many payments of this amount.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub count: u64,
    /// With --count: how many payments may be unacknowledged at a time, 1 to 1024.
    #[arg(long, value_name = "COUNT", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub in_flight: u32,
    /// 64 hexadecimal digits for the payee; for a single payment.
    #[arg(long, value_name = "HEX")]
    pub memo: Option<String>,
    /// A word of your choice: a repeated call with the same word is the same payment, not a second one.
    #[arg(long, value_name = "WORD")]
    pub idempotency_key: Option<String>,
    /// Answer as soon as the payment is on its way, before the payee has acknowledged it.
    #[arg(long)]
    pub no_wait: bool,
    /// Give up after so long without an acknowledgement. What is on its way then may still arrive.
    #[arg(long, value_name = "TIME", default_value = "30s")]
    pub timeout: Span,
}

/// `towpath channel resize`
#[derive(Args, Debug)]
pub struct Resize {
    /// The channel: `chan1…`, or as much of its id as is unique.
    pub channel: String,
    /// Add so much to this node's balance, in base units; the ledger's fee comes out of the wallet, too.
    #[arg(long, value_name = "AMOUNT", required_unless_present = "pay_out", conflicts_with = "pay_out")]
    pub add: Option<Units>,
    /// Pay so much of this node's balance out to its wallet; the ledger's fee comes out of it.
    #[arg(long, value_name = "AMOUNT")]
    pub pay_out: Option<Units>,
    /// A word of your choice: a repeated call with the same word is the same resize, not a second one.
    #[arg(long, value_name = "WORD")]
    pub idempotency_key: Option<String>,
    /// Answer as soon as it is proposed to the peer.
    #[arg(long)]
    pub no_wait: bool,
    /// How long to wait for the ledger; the resize may still become final after it.
    #[arg(long, value_name = "TIME", default_value = "90s")]
    pub timeout: Span,
}

/// `towpath channel close`
#[derive(Args, Debug)]
pub struct Close {
    /// The channels: `chan1…`, or as much of each id as is unique.
    #[arg(value_name = "CHANNEL", required_unless_present = "all", conflicts_with = "all")]
    pub channels: Vec<String>,
    /// All channels of the node.
    #[arg(long)]
    pub all: bool,
    /// Close alone, at once, without asking the peer.
    #[arg(long)]
    pub force: bool,
    /// With --force: even though this node has lost data of the channel. If the peer holds a newer state, it costs the
    /// penalty.
    #[arg(long, requires = "force")]
    pub accept_risk: bool,
    /// How long the peer has to close together before the node closes alone; `never` leaves it at asking.
    #[arg(long, value_name = "TIME", default_value = "30s", conflicts_with = "force")]
    pub force_after: Patience,
    /// Answer as soon as the node has begun.
    #[arg(long)]
    pub no_wait: bool,
    /// Look on for so long at most; the node goes on after it.
    #[arg(long, value_name = "TIME", default_value = "never", conflicts_with = "no_wait")]
    pub timeout: Patience,
}

/// The states of a channel, as a filter.
#[derive(ValueEnum, Clone, Copy, Debug)]
pub enum ChannelState {
    /// Not funded yet.
    Opening,
    /// Payments flow.
    Active,
    /// Being closed.
    Closing,
    /// Contested.
    Disputed,
    /// Paid out.
    Settled,
}
