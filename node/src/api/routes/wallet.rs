//! The node's wallet on the ledger.

use axum::extract::State;
use towpath_api::{HistoryPage, HistoryQuery, NewAddress, Wallet, WalletSend, WalletSent};

use super::super::body::{Json, Params};
use super::super::check;
use super::{App, Result};

/// An empty object.
#[derive(serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Empty {}

/// The wallet's balances.
#[utoipa::path(
    get,
    path = "/v1/wallet",
    operation_id = "wallet",
    tag = "wallet",
    responses((status = 200, description = "Balances", body = Wallet))
)]
pub async fn wallet(State(app): State<App>) -> Result<Wallet> {
    app.now(app.backend.wallet()).await
}

/// Makes a fresh address to be paid at. The body is an empty object.
#[utoipa::path(
    post,
    path = "/v1/wallet/addresses",
    operation_id = "new_address",
    tag = "wallet",
    request_body = Empty,
    responses((status = 200, description = "The address", body = NewAddress))
)]
pub async fn new_address(State(app): State<App>, Json(_empty): Json<Empty>) -> Result<NewAddress> {
    app.now(app.backend.new_address()).await
}

/// Pays on the ledger; answers as soon as the transaction is on its way.
#[utoipa::path(
    post,
    path = "/v1/wallet/send",
    operation_id = "send",
    tag = "wallet",
    request_body = WalletSend,
    responses((status = 200, description = "The transaction", body = WalletSent))
)]
pub async fn send(State(app): State<App>, Json(request): Json<WalletSend>) -> Result<WalletSent> {
    check::send(&request)?;
    app.now(app.backend.send(request)).await
}

/// The wallet's transactions, newest first.
#[utoipa::path(
    get,
    path = "/v1/wallet/history",
    operation_id = "history",
    tag = "wallet",
    params(HistoryQuery),
    responses((status = 200, description = "A page", body = HistoryPage))
)]
pub async fn history(State(app): State<App>, Params(query): Params<HistoryQuery>) -> Result<HistoryPage> {
    check::limit(query.limit)?;
    app.now(app.backend.history(query)).await
}
