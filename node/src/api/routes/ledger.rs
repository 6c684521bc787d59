//! The ledger: blocks, transactions, outputs.

use axum::extract::State;
use towpath_api::{
    Block, HeaderPage, HeaderQuery, LedgerInfo, OutputInfo, OutputProof, SubmitTransaction, Submitted,
    Transaction,
};

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

/// An unspent output.
#[utoipa::path(
    get,
    path = "/v1/ledger/outputs/{id}",
    operation_id = "output",
    tag = "ledger",
    params(("id" = String, Path, description = "The outpoint")),
    responses((status = 200, description = "The output", body = OutputInfo))
)]
pub async fn output(State(app): State<App>, PathId(id): PathId) -> Result<OutputInfo> {
    app.now(app.backend.output(id)).await
}

/// Proof against a signed block that an output is unspent, or that there is none: `towpath ledger verify` checks it.
#[utoipa::path(
    get,
    path = "/v1/ledger/outputs/{id}/proof",
    operation_id = "output_proof",
    tag = "ledger",
    params(("id" = String, Path, description = "The outpoint; in full if it may be spent")),
    responses((status = 200, description = "The proof", body = OutputProof))
)]
pub async fn output_proof(State(app): State<App>, PathId(id): PathId) -> Result<OutputProof> {
    app.now(app.backend.output_proof(id)).await
}

/// Decided headers with their commit certificates, ascending.
#[utoipa::path(
    get,
    path = "/v1/ledger/headers",
    operation_id = "headers",
    tag = "ledger",
    params(HeaderQuery),
    responses((status = 200, description = "The headers", body = HeaderPage))
)]
pub async fn headers(State(app): State<App>, Params(query): Params<HeaderQuery>) -> Result<HeaderPage> {
    check::limit(query.limit)?;
    app.now(app.backend.headers(query)).await
}
