//! Requests to a node's API that no well-behaved client would make, byte by byte.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use towpath_api::Token;
use towpath_testnet::NodeState;

use crate::kit::WAIT_MAX;

/// A node's API.
pub struct Api {
    /// `address:port`.
    pub address: String,
    /// The node's token.
    pub token: String,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The status; zero if the connection was closed without an answer.
    pub status: u16,
    /// Header and body.
    pub text: String,
}

impl Api {
    /// The API of a node that runs.
    ///
    /// # Panics
    /// When it has no token yet.
    #[must_use]
    pub fn of(node: &NodeState) -> Self {
        let token = Token::read(&node.token_file).expect("a running node has a token").expose().to_owned();
        let address = node.api.strip_prefix("http://").expect("an address").to_owned();
        Self { address, token }
    }

    /// A connection.
    ///
    /// # Panics
    /// When nobody listens.
    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).await.expect("the API listens")
    }

    /// Sends bytes and reads until the node closes; they should say `connection: close`.
    ///
    /// # Panics
    /// When nobody listens.
    pub async fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = self.connect().await;
        // The node may answer, and close, before all of it is written.
        let _refused_early = stream.write_all(request).await;
        answer(stream).await
    }

    /// A request with these header lines, besides `Host`, and this body.
    ///
    /// # Panics
    /// When nobody listens.
    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            lines.push_str(&format!("host: {}\r\n", self.address));
        }
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\n{lines}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
        );
        self.raw(request.as_bytes()).await
    }

    /// The `Authorization` header's value.
    #[must_use]
    pub fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }
}

/// Reads an answer up to the end of the connection, however it ends.
pub async fn answer(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    // A reset behind an answer that refuses the rest of a body is no fault.
    let _reset = stream.read_to_end(&mut bytes).await;
    read(&bytes)
}

fn read(bytes: &[u8]) -> Answer {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Answer { status, text }
}

/// A caller who asks again and again on one connection.
pub struct Caller<'a> {
    api: &'a Api,
    stream: Option<TcpStream>,
}

impl<'a> Caller<'a> {
    /// Not connected yet.
    #[must_use]
    pub const fn new(api: &'a Api) -> Self {
        Self { api, stream: None }
    }

    /// Sends a request and reads its answer; of one without a length (a stream of events, which never ends) the head.
    ///
    /// # Panics
    /// When no answer begins in time.
    pub async fn ask(&mut self, request: &[u8]) -> Answer {
        let reused = self.stream.is_some();
        let answer = self.ask_once(request).await;
        // After an answer to half a body the node ends the connection; whoever asks on it again hears nothing.
        if answer.status == 0 && reused { self.ask_once(request).await } else { answer }
    }

    async fn ask_once(&mut self, request: &[u8]) -> Answer {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.api.connect().await,
        };
        // The node may answer, and close, before all of it is written.
        let _refused_early = stream.write_all(request).await;
        let mut bytes = Vec::new();
        let whole = loop {
            let head = bytes.windows(4).position(|end| end == b"\r\n\r\n");
            let Some(head) = head else {
                if !more(&mut stream, &mut bytes).await {
                    break false;
                }
                continue;
            };
            match length(&bytes[..head]) {
                Some(length) if bytes.len() < head + 4 + length => {
                    if !more(&mut stream, &mut bytes).await {
                        break false;
                    }
                }
                kept => break kept.is_some(),
            }
        };
        self.stream = whole.then_some(stream);
        read(&bytes)
    }
}

/// Reads what comes next; whether anything did.
async fn more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> bool {
    let mut part = [0; 4_096];
    match timeout(WAIT_MAX, stream.read(&mut part)).await.expect("an answer in time") {
        Ok(0) | Err(_) => false,
        Ok(read) => {
            bytes.extend_from_slice(&part[..read]);
            true
        }
    }
}

/// How many bytes follow this head, if it says so and the connection goes on.
fn length(head: &[u8]) -> Option<usize> {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let value = |name: &str| head.lines().find_map(|line| line.strip_prefix(name).map(str::trim));
    if value("connection:") == Some("close") { None } else { value("content-length:")?.parse().ok() }
}
