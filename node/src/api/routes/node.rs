//! The node itself and its peers.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use towpath_api::limits::WAIT_MS_DEFAULT;
use towpath_api::{
    BackupPage, BackupQuery, Code, ConnectPeer, Health, Info, LedgerTip, Peer, Peers, Ready, Stats, Travel,
};

use super::super::body::{Answer, Json, Params, PathId};
use super::super::problem::Problem;
use super::{App, Result};

/// Whether the process answers. Needs no token.
#[utoipa::path(
    get,
    path = "/health",
    operation_id = "health",
    tag = "node",
    responses((status = 200, description = "It does", body = Health))
)]
pub async fn health() -> Result<Health> {
    Ok(Answer(Health { status: "ok".to_owned() }))
}

/// Whether the node serves: 200, or 503 with the reason. Needs no token.
#[utoipa::path(
    get,
    path = "/ready",
    operation_id = "ready",
    tag = "node",
    responses((status = 200, description = "It does", body = Ready))
)]
pub async fn ready(State(app): State<App>) -> Result<Ready> {
    let Answer(ready) = app.now(app.backend.ready()).await?;
    if ready.ready {
        return Ok(Answer(ready));
    }
    let reason = ready.reason.unwrap_or_else(|| "the node does not serve yet".to_owned());
    Err(Problem::new(Code::NotReady, reason))
}

/// What this node is and how it does.
#[utoipa::path(
    get,
    path = "/v1/info",
    operation_id = "info",
    tag = "node",
    responses((status = 200, description = "The node", body = Info))
)]
pub async fn info(State(app): State<App>) -> Result<Info> {
    app.now(app.backend.info()).await
}

/// Counters since the node's start.
#[utoipa::path(
    get,
    path = "/v1/stats",
    operation_id = "stats",
    tag = "node",
    responses((status = 200, description = "The counters", body = Stats))
)]
pub async fn stats(State(app): State<App>) -> Result<Stats> {
    app.now(app.backend.stats()).await
}

/// A backup of what cannot be fetched again, page by page: the channels, the counters of keys and addresses, the
/// configuration. Encrypted with a key of the node's seed.
#[utoipa::path(
    get,
    path = "/v1/backup",
    operation_id = "backup",
    tag = "node",
    params(BackupQuery),
    responses((status = 200, description = "The next part of the file", body = BackupPage))
)]
pub async fn backup(State(app): State<App>, Params(query): Params<BackupQuery>) -> Result<BackupPage> {
    app.now(app.backend.backup(query)).await
}

/// All metrics in Prometheus' text format.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    tag = "node",
    responses((status = 200, description = "The metrics", body = String, content_type = "application/openmetrics-text"))
)]
pub async fn metrics(State(app): State<App>) -> std::result::Result<Response, Problem> {
    let Answer(text) = app.now(app.backend.metrics(app.usage())).await?;
    let content_type = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    Ok(([(CONTENT_TYPE, content_type)], text).into_response())
}

/// Moves the time of a local test network forward: the node's clock at once, ledger time with the next block that it
/// proposes. Ask every node of the network. Any other ledger refuses.
#[utoipa::path(
    post,
    path = "/v1/testnet/time",
    operation_id = "travel",
    tag = "node",
    request_body = Travel,
    responses((status = 200, description = "The tip before that block", body = LedgerTip))
)]
pub async fn travel(State(app): State<App>, Json(request): Json<Travel>) -> Result<LedgerTip> {
    app.now(app.backend.travel(request)).await
}

/// The known peers.
#[utoipa::path(
    get,
    path = "/v1/peers",
    operation_id = "peers",
    tag = "peers",
    responses((status = 200, description = "The peers", body = Peers))
)]
pub async fn peers(State(app): State<App>) -> Result<Peers> {
    app.now(app.backend.peers()).await
}

/// Connects to a node, and stays connected.
#[utoipa::path(
    post,
    path = "/v1/peers",
    operation_id = "connect",
    tag = "peers",
    request_body = ConnectPeer,
    responses((status = 200, description = "The peer", body = Peer))
)]
pub async fn connect(State(app): State<App>, Json(request): Json<ConnectPeer>) -> Result<Peer> {
    // Dialing has time limits of its own, longer than an ordinary answer's.
    app.outcome(app.backend.connect(request), Duration::from_millis(WAIT_MS_DEFAULT)).await
}

/// Disconnects from a node, and stays disconnected.
#[utoipa::path(
    delete,
    path = "/v1/peers/{id}",
    operation_id = "disconnect",
    tag = "peers",
    params(("id" = String, Path, description = "The node's id")),
    responses((status = 204, description = "Done"))
)]
pub async fn disconnect(
    State(app): State<App>,
    PathId(id): PathId,
) -> std::result::Result<StatusCode, Problem> {
    app.now(app.backend.disconnect(id)).await.map(|Answer(())| StatusCode::NO_CONTENT)
}
