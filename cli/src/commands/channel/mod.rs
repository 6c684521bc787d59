//! `towpath channel …`

mod close;
mod open;
mod pay;
mod resize;
mod show;
mod view;
mod why;

use towpath_api::{ChannelQuery, ChannelState, Client};

use crate::args::{self, Channel, Common, List};
use crate::context;
use crate::errors::CliError;
use crate::output::{Style, answer};

/// Runs one of the channels' commands.
///
/// # Errors
/// When the node refuses or cannot be asked.
pub async fn channel(common: &Common, command: Channel) -> Result<(), CliError> {
    let client = context::client(common)?;
    let style = Style::of(common);
    match command {
        Channel::Open(args) => open::open(common, &client, args).await,
        Channel::List(args) => list(common, &client, args).await,
        Channel::Show { channel } => show::show(&client, style, &channel).await,
        Channel::Pay(args) => pay::pay(&client, style, args).await,
        Channel::Resize(args) => resize::resize(&client, style, args).await,
        Channel::Close(args) => close::close(&client, style, args).await,
        Channel::Why { channel } => why::why(&client, style, &channel).await,
    }
}

async fn list(common: &Common, client: &Client, args: List) -> Result<(), CliError> {
    let peer = args.peer.map(|peer| context::node_id(common, &peer)).transpose()?;
    let query =
        ChannelQuery { state: args.state.map(wanted), peer, limit: Some(args.limit), after: args.after };
    answer(Style::of(common), &client.channels(&query).await?, view::list)
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
