//! The ledger: blocks, transactions, outputs.

use axum::extract::State;
use towpath_api::{Block, LedgerInfo, OutputInfo, OutputQuery, SubmitTransaction, Submitted, Transaction};

use super::super::body::{Json, Params, PathId};
use super::super::check;
use super::{App, Result};

/// The ledger's tip, validators, supply and waiting transactions.
#[utoipa::path(
    get,
    path = "/v1/ledger",
    operation_id = "ledger",
    tag = "ledger",
    responses((status = 200, description = "The ledger", body = LedgerInfo))
)]
pub async fn status(State(app): State<App>) -> Result<LedgerInfo> {
    app.now(app.backend.ledger()).await
}

/// A final block.
#[utoipa::path(
    get,
    path = "/v1/ledger/blocks/{id}",
    operation_id = "block",
    tag = "ledger",
    params(("id" = String, Path, description = "A height, a block id, or `latest`")),
    responses((status = 200, description = "The block", body = Block))
)]
pub async fn block(State(app): State<App>, PathId(id): PathId) -> Result<Block> {
    app.now(app.backend.block(id)).await
}

/// A waiting or final transaction.
#[utoipa::path(
    get,
    path = "/v1/ledger/transactions/{id}",
    operation_id = "transaction",
    tag = "ledger",
    params(("id" = String, Path, description = "The transaction's id")),
    responses((status = 200, description = "The transaction", body = Transaction))
)]
pub async fn transaction(State(app): State<App>, PathId(id): PathId) -> Result<Transaction> {
    app.now(app.backend.transaction(id)).await
}

/// Checks a signed transaction and sends it to the validators.
#[utoipa::path(
    post,
    path = "/v1/ledger/transactions",
    operation_id = "submit_transaction",
    tag = "ledger",
    request_body = SubmitTransaction,
    responses((status = 200, description = "Its id", body = Submitted))
)]
pub async fn submit(State(app): State<App>, Json(request): Json<SubmitTransaction>) -> Result<Submitted> {
    let encoded = check::transaction(&request.hex)?;
    app.now(app.backend.submit_transaction(encoded)).await
}

/// An unspent output, on request with a proof against a signed block.
#[utoipa::path(
    get,
    path = "/v1/ledger/outputs/{id}",
    operation_id = "output",
    tag = "ledger",
    params(("id" = String, Path, description = "The outpoint"), OutputQuery),
    responses((status = 200, description = "The output", body = OutputInfo))
)]
pub async fn output(
    State(app): State<App>,
    PathId(id): PathId,
    Params(query): Params<OutputQuery>,
) -> Result<OutputInfo> {
    app.now(app.backend.output(id, query)).await
}
