//! Streams of payments that the node itself drives.

use axum::extract::State;
use towpath_api::{StartStream, Stream};

use super::super::body::{Json, PathId};
use super::super::check;
use super::{App, Result};

/// Starts a stream of payments through a channel.
#[utoipa::path(
    post,
    path = "/v1/channels/{id}/streams",
    operation_id = "start_stream",
    tag = "streams",
    params(("id" = String, Path, description = "The channel's id, or a beginning of it that fits no other")),
    request_body = StartStream,
    responses((status = 200, description = "The stream", body = Stream))
)]
pub async fn start(
    State(app): State<App>,
    PathId(id): PathId,
    Json(request): Json<StartStream>,
) -> Result<Stream> {
    check::start_stream(&request)?;
    app.now(app.backend.start_stream(id, request)).await
}

/// A stream as it is now, with its latencies.
#[utoipa::path(
    get,
    path = "/v1/streams/{id}",
    operation_id = "show_stream",
    tag = "streams",
    params(("id" = String, Path, description = "The stream's id")),
    responses((status = 200, description = "The stream", body = Stream))
)]
pub async fn show(State(app): State<App>, PathId(id): PathId) -> Result<Stream> {
    app.now(app.backend.stream(id)).await
}

/// Ends a stream: no new payments; those on their way go on.
#[utoipa::path(
    delete,
    path = "/v1/streams/{id}",
    operation_id = "stop_stream",
    tag = "streams",
    params(("id" = String, Path, description = "The stream's id")),
    responses((status = 200, description = "The stream as it is then", body = Stream))
)]
pub async fn stop(State(app): State<App>, PathId(id): PathId) -> Result<Stream> {
    app.now(app.backend.stop_stream(id)).await
}
