//! Channels: open, show, pay, close.

use axum::extract::State;
use towpath_api::{
    Channel, ChannelEventPage, ChannelPage, ChannelQuery, CloseChannel, Closed, OpenChannel, OpenChannels,
    OpenedChannels, PageQuery, Pay, Payment, PaymentPage, ResizeChannel, Resized,
};

use super::super::body::{Json, Params, PathId};
use super::super::check;
use super::{App, Result};

/// The channels, by id, with totals by state.
#[utoipa::path(
    get,
    path = "/v1/channels",
    operation_id = "list_channels",
    tag = "channels",
    params(ChannelQuery),
    responses((status = 200, description = "A page", body = ChannelPage))
)]
pub async fn list(State(app): State<App>, Params(query): Params<ChannelQuery>) -> Result<ChannelPage> {
    check::limit(query.limit)?;
    app.now(app.backend.channels(query)).await
}

/// Opens a channel with a peer.
#[utoipa::path(
    post,
    path = "/v1/channels",
    operation_id = "open_channel",
    tag = "channels",
    request_body = OpenChannel,
    responses((status = 200, description = "The channel, as far as was waited for", body = Channel))
)]
pub async fn open(State(app): State<App>, Json(request): Json<OpenChannel>) -> Result<Channel> {
    check::open_channel(&request)?;
    let wait = check::wait(request.timeout_ms)?;
    app.outcome(app.backend.open_channel(request), wait).await
}

/// Opens channels with many peers by one transaction.
///
/// Peers that decline, are not there or do not answer within ten seconds are left out, and the others have their channels.
#[utoipa::path(
    post,
    path = "/v1/channels/batch",
    operation_id = "open_channels",
    tag = "channels",
    request_body = OpenChannels,
    responses((status = 200, description = "What became of each, as far as was waited for", body = OpenedChannels))
)]
pub async fn open_many(State(app): State<App>, Json(request): Json<OpenChannels>) -> Result<OpenedChannels> {
    check::open_channels(&request)?;
    let wait = check::wait(request.timeout_ms)?;
    app.outcome(app.backend.open_channels(request), wait).await
}

/// One channel.
#[utoipa::path(
    get,
    path = "/v1/channels/{id}",
    operation_id = "show_channel",
    tag = "channels",
    params(("id" = String, Path, description = "The channel's id, or a beginning of it that fits no other")),
    responses((status = 200, description = "The channel", body = Channel))
)]
pub async fn show(State(app): State<App>, PathId(id): PathId) -> Result<Channel> {
    app.now(app.backend.channel(id)).await
}

/// Pays through a channel.
#[utoipa::path(
    post,
    path = "/v1/channels/{id}/pay",
    operation_id = "pay",
    tag = "channels",
    params(("id" = String, Path, description = "The channel's id, or a beginning of it that fits no other")),
    request_body = Pay,
    responses((status = 200, description = "The payment, as far as was waited for", body = Payment))
)]
pub async fn pay(State(app): State<App>, PathId(id): PathId, Json(request): Json<Pay>) -> Result<Payment> {
    check::pay(&request)?;
    let wait = check::wait(request.timeout_ms)?;
    app.outcome(app.backend.pay(id, request), wait).await
}

/// A channel's payments, newest first, as far as retention keeps them.
#[utoipa::path(
    get,
    path = "/v1/channels/{id}/payments",
    operation_id = "payments",
    tag = "channels",
    params(("id" = String, Path, description = "The channel's id, or a beginning of it that fits no other"), PageQuery),
    responses((status = 200, description = "A page", body = PaymentPage))
)]
pub async fn payments(
    State(app): State<App>,
    PathId(id): PathId,
    Params(query): Params<PageQuery>,
) -> Result<PaymentPage> {
    check::limit(query.limit)?;
    app.now(app.backend.payments(id, query)).await
}

/// A channel's log, newest first, as far as retention keeps it.
#[utoipa::path(
    get,
    path = "/v1/channels/{id}/events",
    operation_id = "channel_events",
    tag = "channels",
    params(("id" = String, Path, description = "The channel's id, or a beginning of it that fits no other"), PageQuery),
    responses((status = 200, description = "A page", body = ChannelEventPage))
)]
pub async fn log(
    State(app): State<App>,
    PathId(id): PathId,
    Params(query): Params<PageQuery>,
) -> Result<ChannelEventPage> {
    check::limit(query.limit)?;
    app.now(app.backend.channel_events(id, query)).await
}

/// Closes a channel: with the peer's signature, or alone.
#[utoipa::path(
    post,
    path = "/v1/channels/{id}/close",
    operation_id = "close_channel",
    tag = "channels",
    params(("id" = String, Path, description = "The channel's id, or a beginning of it that fits no other")),
    request_body = CloseChannel,
    responses((status = 200, description = "The channel, as far as was waited for", body = Closed))
)]
pub async fn close(
    State(app): State<App>,
    PathId(id): PathId,
    Json(request): Json<CloseChannel>,
) -> Result<Closed> {
    let wait = check::wait(request.timeout_ms)?;
    app.outcome(app.backend.close_channel(id, request), wait).await
}

/// Tops up this node's balance in a channel, or pays some of it out, without closing the channel.
#[utoipa::path(
    post,
    path = "/v1/channels/{id}/resize",
    operation_id = "resize_channel",
    tag = "channels",
    params(("id" = String, Path, description = "The channel's id, or a beginning of it that fits no other")),
    request_body = ResizeChannel,
    responses((status = 200, description = "The channel, and how the resize stands", body = Resized))
)]
pub async fn resize(
    State(app): State<App>,
    PathId(id): PathId,
    Json(request): Json<ResizeChannel>,
) -> Result<Resized> {
    check::resize(&request)?;
    let wait = check::wait(request.timeout_ms)?;
    app.outcome(app.backend.resize_channel(id, request), wait).await
}
