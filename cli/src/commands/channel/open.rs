//! `towpath channel open`: one channel, or many by one transaction.

use towpath_api::{
    Client, ClientError, OpenChannel, OpenChannels, OpenOne, OpenWait, OpenedChannels, OpenedOne, Units,
};

use super::view::{one, state_of};
use crate::args::{Common, Open, Span};
use crate::context;
use crate::errors::CliError;
use crate::output::{Style, amount, answer, short, table};

/// Opens a channel with each peer.
///
/// # Errors
/// When the node refuses or cannot be asked, or a peer is left out.
pub async fn open(common: &Common, client: &Client, mut args: Open) -> Result<(), CliError> {
    let channels = std::mem::take(&mut args.channels);
    let wanted = pairs(&channels)?;
    let expires_ms = match args.expires_in {
        // Ledger time is what counts, and only the node knows it.
        Some(span) => Some(client.ledger().await?.time_ms.saturating_add(span.ms())),
        None => None,
    };
    match wanted[..] {
        [(peer, amount)] => open_one(common, client, args, (peer, amount, expires_ms)).await,
        _ => open_many(common, client, &args, (&wanted, expires_ms)).await,
    }
}

/// Each peer with its amount.
fn pairs(words: &[String]) -> Result<Vec<(&str, Units)>, CliError> {
    let (pairs, rest) = words.as_chunks::<2>();
    if let Some(peer) = rest.first() {
        return Err(CliError::Usage(format!("how much for {peer}? give an amount after each peer")));
    }
    pairs.iter().map(pair).collect()
}

fn pair([peer, amount]: &[String; 2]) -> Result<(&str, Units), CliError> {
    match amount.parse() {
        Ok(units) => Ok((peer.as_str(), units)),
        Err(error) => Err(CliError::Usage(format!("'{amount}' for {peer}: {error}"))),
    }
}

async fn open_one(
    common: &Common,
    client: &Client,
    args: Open,
    (peer, amount, expires_ms): (&str, Units, Option<u64>),
) -> Result<(), CliError> {
    let request = OpenChannel {
        address: args.address.or_else(|| context::p2p_address(common, peer)),
        peer: context::node_id(common, peer)?,
        amount,
        peer_amount: args.peer_amount,
        dispute_window_ms: args.dispute_window.map(Span::ms),
        reserve: args.reserve,
        expires_ms,
        wait: wait(args.no_wait),
        timeout_ms: Some(args.timeout.ms()),
        idempotency_key: args.idempotency_key,
    };
    answer(Style::of(common), &client.open_channel(&request).await?, one)
}

async fn open_many(
    common: &Common,
    client: &Client,
    args: &Open,
    (wanted, expires_ms): (&[(&str, Units)], Option<u64>),
) -> Result<(), CliError> {
    if args.peer_amount.is_some() || args.address.is_some() {
        let message = "--peer-amount and --address are for one channel; open it by itself";
        return Err(CliError::Usage(message.to_owned()));
    }
    let one = |(peer, amount): &(&str, Units)| {
        let (address, peer) = (context::p2p_address(common, peer), context::node_id(common, peer)?);
        Ok(OpenOne { peer, address, amount: *amount })
    };
    let request = OpenChannels {
        channels: wanted.iter().map(one).collect::<Result<_, CliError>>()?,
        dispute_window_ms: args.dispute_window.map(Span::ms),
        reserve: args.reserve,
        expires_ms,
        wait: wait(args.no_wait),
        timeout_ms: Some(args.timeout.ms()),
        idempotency_key: args.idempotency_key.clone(),
    };
    let opened = client.open_channels(&request).await?;
    answer(Style::of(common), &opened, |opened| picture(opened, wanted))?;
    // Each was told of above; the last of them says how the command as a whole ended.
    let refused = opened.openings.into_iter().filter_map(|one| one.error).next_back();
    refused.map_or(Ok(()), |error| Err(ClientError::Api(Box::new(error)).into()))
}

const fn wait(no_wait: bool) -> OpenWait {
    if no_wait { OpenWait::Accepted } else { OpenWait::Active }
}

/// What became of each, under the names by which they were asked for.
fn picture(opened: &OpenedChannels, wanted: &[(&str, Units)]) -> String {
    let outcome = |one: &OpenedOne| match (&one.channel, &one.error) {
        (Some(channel), _) => state_of(channel),
        (None, Some(error)) => format!("left out: {}", error.detail),
        (None, None) => "never funded".to_owned(),
    };
    let rows = opened.openings.iter().zip(wanted).map(|(one, (name, _))| {
        let id = one.id.as_deref().map_or_else(|| "-".to_owned(), short);
        vec![short(name), amount(one.amount), id, outcome(one)]
    });
    let mut text = table(&["peer", ">amount", "channel", "outcome"], rows.collect());
    let count = opened.openings.iter().filter(|one| one.id.is_some()).count();
    match (&opened.tx, opened.fee) {
        (Some(tx), Some(fee)) => {
            text.push_str(&format!("\n {count} by one transaction, fee {}: {tx}", amount(fee)));
        }
        (_, _) => text.push_str("\n nothing was opened, and nothing spent"),
    }
    text
}

#[cfg(test)]
mod tests {
    use towpath_api::{ApiError, Code};

    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn each_peer_has_an_amount() {
        let both = words("bob 1000 carol 2000");
        assert_eq!(pairs(&both).expect("two pairs"), [("bob", Units(1_000)), ("carol", Units(2_000))]);
        let error = pairs(&words("bob 1000 carol")).expect_err("an amount is missing");
        assert_eq!(error.to_string(), "how much for carol? give an amount after each peer");
        let error = pairs(&words("bob much")).expect_err("no amount");
        assert!(error.to_string().starts_with("'much' for bob: "), "{error}");
    }

    #[test]
    fn the_table_tells_of_each_peer() {
        let out = OpenedOne {
            peer: "node1zzz".to_owned(),
            amount: Units(2_000),
            id: None,
            channel: None,
            error: Some(ApiError::new(Code::PeerRefused, "the peer declined: it wants no such channel")),
        };
        let opened = OpenedChannels { tx: None, fee: None, openings: vec![out] };
        let text = picture(&opened, &[("carol", Units(2_000))]);
        assert_eq!(
            text,
            " PEER   AMOUNT  CHANNEL  OUTCOME\n carol   2,000  -        left out: the peer declined: it wants no such \
             channel\n nothing was opened, and nothing spent"
        );
    }
}
