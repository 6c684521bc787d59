//! Listens, bounds connections and headers, and stops without cutting answers off.
//!
//! hyper is driven directly, since `axum::serve` bounds neither the number of connections nor the time of a header.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use towpath_api::limits::HEARTBEAT;
use towpath_api::{ApiError, Code, PROBLEM_JSON};

use super::backend::Backend;
use super::guard::{Access, Reach, guard};
use super::limits::{ACCEPT_PAUSE, HEADER_BYTES_MAX, HEADER_READ_TIMEOUT, SHUTDOWN_GRACE};
use super::openapi;
use super::routes::Shared;

/// The file in the data folder with the URL at which the API answers, as long as the node runs.
pub const ADDRESS_FILE: &str = "api.address";

/// Why the API can't listen.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address is taken, or not of this machine.
    #[error(
        "the API cannot listen on {address}: {source}; set api.listen to a free address, or stop what uses it"
    )]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The address is open to other machines, and nobody said that it should be.
    #[error(
        "the API would listen on {address}, which other machines can reach; use a loopback address such as 127.0.0.1:7420, or set api.allow_remote = true"
    )]
    Exposed {
        /// The address.
        address: SocketAddr,
    },
    /// The address file can't be written.
    #[error("cannot write {path}: {source}")]
    Announce {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// The API of one node, bound to its address.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    router: Router,
    connections: Arc<Semaphore>,
    shutdown: CancellationToken,
}

impl Server {
    /// Binds the address; requests wait until [`Self::run`].
    ///
    /// # Errors
    /// [`ServerError`] if the address can't be bound, or is reachable from elsewhere without leave.
    pub async fn bind(
        address: SocketAddr,
        access: Access,
        backend: Arc<dyn Backend>,
        shutdown: CancellationToken,
    ) -> Result<Self, ServerError> {
        Self::bind_with_heartbeat(address, access, backend, shutdown, HEARTBEAT).await
    }

    pub(super) async fn bind_with_heartbeat(
        address: SocketAddr,
        access: Access,
        backend: Arc<dyn Backend>,
        shutdown: CancellationToken,
        heartbeat: Duration,
    ) -> Result<Self, ServerError> {
        if access.reach == Reach::Loopback && !address.ip().is_loopback() {
            return Err(ServerError::Exposed { address });
        }
        let failed = |source| ServerError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let app = Arc::new(Shared::new(backend, shutdown.clone(), heartbeat));
        let connections = Arc::clone(&app.connections);
        let router = openapi::router(app).layer(from_fn_with_state(Arc::new(access), guard));
        Ok(Self { listener, address, router, connections, shutdown })
    }

    /// Where it listens; the port is the real one.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL at which it answers.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Writes the URL to [`ADDRESS_FILE`] in `data_dir`, for programs on this machine.
    ///
    /// # Errors
    /// [`ServerError::Announce`].
    pub fn announce(&self, data_dir: &Path) -> Result<(), ServerError> {
        let path = data_dir.join(ADDRESS_FILE);
        std::fs::write(&path, format!("{}\n", self.url()))
            .map_err(|source| ServerError::Announce { path, source })
    }

    /// Serves until the shutdown token is cancelled; then event streams end at once, requests that are being answered
    /// have a few seconds, and all connections are closed when this returns.
    pub async fn run(self) {
        let permits = self.connections;
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = self.shutdown.cancelled() => break,
                accepted = self.listener.accept() => accepted,
                Some(_ended) = connections.join_next() => continue,
            };
            match (accepted, Arc::clone(&permits).try_acquire_owned()) {
                (Ok((stream, _peer)), Ok(permit)) => {
                    connections.spawn(serve(stream, self.router.clone(), self.shutdown.clone(), permit));
                }
                (Ok((stream, _peer)), Err(_full)) => turn_away(&stream),
                (Err(error), _) => {
                    tracing::warn!(%error, "the API cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(self.listener);
        let drain = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(SHUTDOWN_GRACE, drain).await.is_err() {
            tracing::warn!("some API requests were cut off by the shutdown");
        }
        connections.shutdown().await;
    }
}

async fn serve(
    stream: TcpStream,
    router: Router,
    shutdown: CancellationToken,
    _permit: OwnedSemaphorePermit,
) {
    // Answers are small and each is waited for.
    let _no_delay_is_a_wish = stream.set_nodelay(true);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ_TIMEOUT)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an API connection broke");
    }
}

/// Answers a connection over the limit by hand, since no task is spent on it.
fn turn_away(stream: &TcpStream) {
    tracing::debug!("too many API connections");
    let error = ApiError::new(Code::TooManyRequests, "too many connections");
    let body = serde_json::to_string(&error).unwrap_or_default();
    let answer = format!(
        "HTTP/1.1 {} Too Many Requests\r\ncontent-type: {PROBLEM_JSON}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        error.status,
        body.len(),
    );
    // What the socket doesn't take at once is lost; the caller sees a closed connection then.
    let _best_effort = stream.try_write(answer.as_bytes());
}
