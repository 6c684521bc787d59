//! Watchtowers: this node as one, and those that it uses.

use axum::extract::State;
use axum::http::StatusCode;
use towpath_api::{AddTower, ServeTower, TowerChannels, TowerClients, TowerDropped, TowerInfo, TowerQuery};

use super::super::body::{Answer, Json, Params, PathId};
use super::super::problem::Problem;
use super::{App, Result};

/// How this node does as a watchtower, and how its own watchtowers do.
#[utoipa::path(
    get,
    path = "/v1/tower",
    operation_id = "tower",
    tag = "tower",
    responses((status = 200, description = "The tower, and the towers", body = TowerInfo))
)]
pub async fn status(State(app): State<App>) -> Result<TowerInfo> {
    app.now(app.backend.tower()).await
}

/// Takes records of others from now on, or no more.
#[utoipa::path(
    post,
    path = "/v1/tower/serve",
    operation_id = "serve_tower",
    tag = "tower",
    request_body = ServeTower,
    responses((status = 200, description = "As it is now", body = TowerInfo))
)]
pub async fn serve(State(app): State<App>, Json(request): Json<ServeTower>) -> Result<TowerInfo> {
    app.now(app.backend.serve_tower(request)).await
}

/// Uses a watchtower: from now on it gets the newest state of every channel.
#[utoipa::path(
    post,
    path = "/v1/tower/towers",
    operation_id = "add_tower",
    tag = "tower",
    request_body = AddTower,
    responses((status = 200, description = "As it is now", body = TowerInfo))
)]
pub async fn add(State(app): State<App>, Json(request): Json<AddTower>) -> Result<TowerInfo> {
    app.now(app.backend.add_tower(request)).await
}

/// What a watchtower has of each channel.
#[utoipa::path(
    get,
    path = "/v1/tower/towers/{id}",
    operation_id = "tower_channels",
    tag = "tower",
    params(("id" = String, Path, description = "The tower's node"), TowerQuery),
    responses((status = 200, description = "The channels", body = TowerChannels))
)]
pub async fn channels(
    State(app): State<App>,
    PathId(id): PathId,
    Params(query): Params<TowerQuery>,
) -> Result<TowerChannels> {
    app.now(app.backend.tower_channels(id, query)).await
}

/// Uses a watchtower no more. What it has it keeps until the channels are settled.
#[utoipa::path(
    delete,
    path = "/v1/tower/towers/{id}",
    operation_id = "remove_tower",
    tag = "tower",
    params(("id" = String, Path, description = "The tower's node")),
    responses((status = 204, description = "Done"))
)]
pub async fn remove(State(app): State<App>, PathId(id): PathId) -> std::result::Result<StatusCode, Problem> {
    app.now(app.backend.remove_tower(id)).await.map(|Answer(())| StatusCode::NO_CONTENT)
}

/// The nodes for which this one keeps most records.
#[utoipa::path(
    get,
    path = "/v1/tower/clients",
    operation_id = "tower_clients",
    tag = "tower",
    responses((status = 200, description = "At most 100, the largest first", body = TowerClients))
)]
pub async fn clients(State(app): State<App>) -> Result<TowerClients> {
    app.now(app.backend.tower_clients()).await
}

/// Drops all records that a node gave to this watchtower: its stale closes are not answered any more unless it gives them
/// again. It finds that out as it does any other loss.
#[utoipa::path(
    delete,
    path = "/v1/tower/clients/{id}",
    operation_id = "drop_tower_client",
    tag = "tower",
    params(("id" = String, Path, description = "The node")),
    responses((status = 200, description = "How many those were", body = TowerDropped))
)]
pub async fn drop_client(State(app): State<App>, PathId(id): PathId) -> Result<TowerDropped> {
    app.now(app.backend.drop_tower_client(id)).await
}
