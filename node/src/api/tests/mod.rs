//! The API over real connections, with a node in memory behind it.

mod access;
mod calls;
mod events;
mod fake;
mod hostile;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use towpath_api::{Client, Token};

use super::guard::{Access, Public, Reach};
use super::server::Server;
use fake::Fake;

/// A served fake.
struct Served {
    fake: Arc<Fake>,
    address: SocketAddr,
    token: Token,
    client: Client,
    shutdown: CancellationToken,
    server: JoinHandle<()>,
}

async fn serve() -> Served {
    serve_at(SocketAddr::from(([127, 0, 0, 1], 0)), Vec::new()).await
}

async fn serve_at(address: SocketAddr, public: Vec<Public>) -> Served {
    let fake = Arc::new(Fake::default());
    let token = Token::from_entropy([7; 32]);
    let access = Access { token: token.clone(), hosts: Vec::new(), reach: Reach::Loopback, public };
    let shutdown = CancellationToken::new();
    let backend = Arc::clone(&fake) as Arc<dyn super::Backend>;
    let server =
        Server::bind_with_heartbeat(address, access, backend, shutdown.clone(), Duration::from_millis(20))
            .await
            .expect("a loopback port is free");
    let (address, url) = (server.address(), server.url());
    let client = Client::new(&url, &token).expect("a valid URL");
    Served { fake, address, token, client, shutdown, server: tokio::spawn(server.run()) }
}

impl Served {
    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Sends raw bytes and reads until the server closes; the request should say `connection: close`.
    async fn raw(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.expect("it listens");
        stream.write_all(request).await.expect("it reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("it answers");
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Posts JSON text with the token; the status and the answer.
    async fn post(&self, path: &str, json: &str) -> (u16, serde_json::Value) {
        let response = reqwest::Client::new()
            .post(self.url(path))
            .bearer_auth(self.token.expose())
            .header("content-type", "application/json")
            .body(json.to_owned())
            .send()
            .await
            .expect("it answers");
        (response.status().as_u16(), response.json().await.expect("JSON"))
    }

    /// Stops the server and waits for it.
    async fn stop(self) {
        self.shutdown.cancel();
        self.server.await.expect("the server ends without a panic");
    }
}
