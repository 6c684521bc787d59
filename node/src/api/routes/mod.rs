//! Every route, a file for each part of the API. A handler checks, asks the [`Backend`] and bounds the wait.

mod channels;
mod events;
mod ledger;
mod node;
mod streams;
mod tower;
mod wallet;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use towpath_api::Code;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::backend::{ApiUsage, Backend, Reply};
use super::body::Answer;
use super::limits::{BACKEND_TIMEOUT, CONNECTIONS_MAX, LISTENERS_MAX};
use super::problem::Problem;

/// What the handlers share.
pub struct Shared {
    pub backend: Arc<dyn Backend>,
    /// Ends event streams and waits when the server stops.
    pub shutdown: CancellationToken,
    pub listeners: Arc<Semaphore>,
    pub connections: Arc<Semaphore>,
    /// How often a silent event stream shows that it is alive.
    pub heartbeat: Duration,
}

/// What the handlers share.
pub type App = Arc<Shared>;

/// What a handler returns.
pub type Result<T> = std::result::Result<Answer<T>, Problem>;

impl Shared {
    pub fn new(backend: Arc<dyn Backend>, shutdown: CancellationToken, heartbeat: Duration) -> Self {
        let permits = |count| Arc::new(Semaphore::new(count));
        let (listeners, connections) = (permits(LISTENERS_MAX), permits(CONNECTIONS_MAX));
        Self { backend, shutdown, listeners, connections, heartbeat }
    }

    /// Who uses the API now.
    pub fn usage(&self) -> ApiUsage {
        let taken = |permits: &Semaphore, of: usize| {
            u64::try_from(of.saturating_sub(permits.available_permits())).unwrap_or(u64::MAX)
        };
        ApiUsage {
            listeners: taken(&self.listeners, LISTENERS_MAX),
            connections: taken(&self.connections, CONNECTIONS_MAX),
        }
    }

    /// Waits for an answer that the node has at hand.
    pub async fn now<T>(&self, reply: Reply<'_, T>) -> Result<T> {
        let busy = || Problem::new(Code::TooManyRequests, "the node is too busy to answer");
        self.bounded(reply, BACKEND_TIMEOUT, busy).await
    }

    /// Waits for an outcome for as long as the caller allows.
    pub async fn outcome<T>(&self, reply: Reply<'_, T>, wait: Duration) -> Result<T> {
        let open = || Problem::new(Code::WaitTimeout, format!("no outcome within {} ms", wait.as_millis()));
        self.bounded(reply, wait, open).await
    }

    async fn bounded<T>(
        &self,
        reply: Reply<'_, T>,
        time: Duration,
        too_late: impl FnOnce() -> Problem,
    ) -> Result<T> {
        tokio::select! {
            // An answer that is there goes before a deadline that has passed with it.
            biased;
            answer = reply => answer.map(Answer).map_err(Problem::from),
            () = self.shutdown.cancelled() => Err(stopping()),
            () = tokio::time::sleep(time) => Err(too_late()),
        }
    }
}

pub fn stopping() -> Problem {
    Problem::new(Code::NotReady, "the node is stopping")
}

/// All routes, and their part of the OpenAPI document.
pub fn all() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(node::health))
        .routes(routes!(node::ready))
        .routes(routes!(node::info))
        .routes(routes!(node::stats))
        .routes(routes!(node::metrics))
        .routes(routes!(node::travel))
        .routes(routes!(node::backup))
        .routes(routes!(node::peers, node::connect))
        .routes(routes!(node::disconnect))
        .routes(routes!(wallet::wallet))
        .routes(routes!(wallet::new_address))
        .routes(routes!(wallet::send))
        .routes(routes!(wallet::history))
        .routes(routes!(channels::list, channels::open))
        .routes(routes!(channels::open_many))
        .routes(routes!(channels::show))
        .routes(routes!(channels::pay))
        .routes(routes!(channels::payments))
        .routes(routes!(channels::log))
        .routes(routes!(channels::close))
        .routes(routes!(channels::resize))
        .routes(routes!(streams::start))
        .routes(routes!(streams::show, streams::stop))
        .routes(routes!(tower::status))
        .routes(routes!(tower::serve))
        .routes(routes!(tower::add))
        .routes(routes!(tower::channels, tower::remove))
        .routes(routes!(tower::clients))
        .routes(routes!(tower::drop_client))
        .routes(routes!(ledger::status))
        .routes(routes!(ledger::block))
        .routes(routes!(ledger::transaction))
        .routes(routes!(ledger::submit))
        .routes(routes!(ledger::output))
        .routes(routes!(ledger::output_proof))
        .routes(routes!(ledger::headers))
        .routes(routes!(events::listen))
}
