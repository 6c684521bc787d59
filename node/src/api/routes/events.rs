//! The stream of events.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use towpath_api::{Code, Event, EventQuery};

use super::super::body::{Answer, Params};
use super::super::check;
use super::super::problem::Problem;
use super::super::sse::{Filter, Listening, respond};
use super::App;

/// Events as they happen (server-sent events): `id:` is the event's index, `event:` its type, `data:` the event.
///
/// `Last-Event-ID` (or `after`) goes on from an index; an event `gap` says that some are no longer kept. The first
/// message, and each heartbeat, has an `id:` only: the place up to which there was nothing (more) to tell.
#[utoipa::path(
    get,
    path = "/v1/events",
    operation_id = "events",
    tag = "events",
    params(
        EventQuery,
        ("last-event-id" = Option<u64>, Header, description = "The index of the last event that was seen")
    ),
    responses((status = 200, description = "Events, until the caller goes or the node stops", body = Event,
        content_type = "text/event-stream"))
)]
pub async fn listen(
    State(app): State<App>,
    Params(query): Params<EventQuery>,
    headers: HeaderMap,
) -> std::result::Result<Response, Problem> {
    let types = check::event_types(query.types.as_deref())?;
    let permit = std::sync::Arc::clone(&app.listeners)
        .try_acquire_owned()
        .map_err(|_none_left| Problem::new(Code::TooManyRequests, "too many programs listen to events"))?;
    let channel = match query.channel {
        Some(id) => Some(app.now(app.backend.channel(id)).await.map(|Answer(channel)| channel.id)?),
        None => None,
    };
    let Answer(feed) = app.now(app.backend.events(last_event(&headers)?.or(query.after))).await?;
    Ok(respond(Listening {
        feed,
        filter: Filter { types, channel },
        heartbeat: app.heartbeat,
        shutdown: app.shutdown.clone(),
        _permit: permit,
    }))
}

fn last_event(headers: &HeaderMap) -> std::result::Result<Option<u64>, Problem> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let index = value.to_str().ok().and_then(|text| text.parse().ok());
    index
        .map(Some)
        .ok_or_else(|| Problem::new(Code::InvalidRequest, "Last-Event-ID is not the index of an event"))
}
