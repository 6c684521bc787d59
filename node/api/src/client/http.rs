//! Sending a request and reading its answer: time limits, size limits, errors.

use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Response, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{ClientError, chain};
use crate::error::{ApiError, PROBLEM_JSON};
use crate::limits;
use crate::token::Token;

/// A client of one node's API. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
}

/// One request before it is sent: its path, then its query and body if it has any.
pub(super) struct Request<'a> {
    pub method: Method,
    pub path: &'a [&'a str],
    pub timeout: Option<Duration>,
}

impl Client {
    /// A client of the node at `base_url` (such as `http://127.0.0.1:7420`) with its API token.
    ///
    /// # Errors
    /// [`ClientError::BadUrl`] unless it is an `http` URL of a host.
    pub fn new(base_url: &str, token: &Token) -> Result<Self, ClientError> {
        let bad_url = |reason: String| ClientError::BadUrl { url: base_url.to_owned(), reason };
        let base = Url::parse(base_url).map_err(|error| bad_url(error.to_string()))?;
        if base.scheme() != "http" || !base.has_host() {
            return Err(bad_url("it is not an http URL of a host".to_owned()));
        }
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", token.expose()))
            .expect("a token is hexadecimal, so it fits a header");
        bearer.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, bearer);
        let http = reqwest::Client::builder()
            .default_headers(headers)
            .connect_timeout(limits::CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| bad_url(chain(&error)))?;
        Ok(Self { http, base })
    }

    /// The node's address.
    #[must_use]
    pub fn base_url(&self) -> &str {
        self.base.as_str()
    }

    /// Sends a request without a body and reads the JSON answer.
    pub(super) async fn call<A: DeserializeOwned>(
        &self,
        request: Request<'_>,
        query: &impl Serialize,
    ) -> Result<A, ClientError> {
        let (route, response) = self.transmit(&request, query, None).await?;
        self.read(&request, route, response).await
    }

    /// Sends a request with a JSON body and reads the JSON answer.
    pub(super) async fn call_with<A: DeserializeOwned>(
        &self,
        request: Request<'_>,
        body: &impl Serialize,
    ) -> Result<A, ClientError> {
        let route = describe(&request);
        let body = serde_json::to_vec(body).map_err(|source| ClientError::Answer { route, source })?;
        let (route, response) = self.transmit(&request, &(), Some(body)).await?;
        self.read(&request, route, response).await
    }

    /// Sends a request whose answer is text.
    pub(super) async fn call_text(&self, request: Request<'_>) -> Result<String, ClientError> {
        let (route, response) = self.transmit(&request, &(), None).await?;
        let response = self.refuse_errors(&request, &route, response).await?;
        let body = self.body(&request, &route, response).await?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    /// Opens a stream of server-sent events.
    pub(super) async fn open_events(
        &self,
        query: &impl Serialize,
        last_event: Option<u64>,
    ) -> Result<Response, ClientError> {
        let request = Request { method: Method::GET, path: &["v1", "events"], timeout: None };
        let mut builder =
            self.http.get(self.url(request.path)).query(query).header(ACCEPT, "text/event-stream");
        if let Some(index) = last_event {
            builder = builder.header("last-event-id", index);
        }
        // The body never ends, so only the wait for the header is bounded.
        let response = tokio::time::timeout(limits::ANSWER_TIMEOUT, builder.send())
            .await
            .map_err(|_elapsed| self.timed_out(limits::ANSWER_TIMEOUT))?
            .map_err(|error| self.transport(&request, &error))?;
        self.refuse_errors(&request, &describe(&request), response).await
    }

    pub(super) fn unreachable(&self, reason: String) -> ClientError {
        ClientError::Unreachable { url: self.base.to_string(), reason }
    }

    async fn transmit(
        &self,
        request: &Request<'_>,
        query: &impl Serialize,
        body: Option<Vec<u8>>,
    ) -> Result<(String, Response), ClientError> {
        let mut builder = self.http.request(request.method.clone(), self.url(request.path)).query(query);
        builder = builder.timeout(request.timeout.unwrap_or(limits::ANSWER_TIMEOUT));
        if let Some(body) = body {
            builder = builder.header(CONTENT_TYPE, "application/json").body(body);
        }
        let response = builder.send().await.map_err(|error| self.transport(request, &error))?;
        Ok((describe(request), response))
    }

    async fn read<A: DeserializeOwned>(
        &self,
        request: &Request<'_>,
        route: String,
        response: Response,
    ) -> Result<A, ClientError> {
        let response = self.refuse_errors(request, &route, response).await?;
        let body = self.body(request, &route, response).await?;
        // An answer without a body reads as `null`, which is `()`.
        let body = if body.is_empty() { b"null".as_slice() } else { &body };
        serde_json::from_slice(body).map_err(|source| ClientError::Answer { route, source })
    }

    /// Lets a success through; an error becomes the node's own words, if it is a node that speaks.
    async fn refuse_errors(
        &self,
        request: &Request<'_>,
        route: &str,
        response: Response,
    ) -> Result<Response, ClientError> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let not_a_node = ClientError::NotANode { url: response.url().to_string(), status: status.as_u16() };
        let is_problem = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.starts_with(PROBLEM_JSON));
        if !is_problem {
            return Err(not_a_node);
        }
        let body = self.body(request, route, response).await?;
        match serde_json::from_slice::<ApiError>(&body) {
            Ok(error) => Err(ClientError::Api(Box::new(error))),
            Err(_not_problem_details) => Err(not_a_node),
        }
    }

    async fn body(
        &self,
        request: &Request<'_>,
        route: &str,
        mut response: Response,
    ) -> Result<Vec<u8>, ClientError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.transport(request, &error))? {
            if body.len() + chunk.len() > limits::ANSWER_BYTES_MAX {
                return Err(ClientError::TooLarge {
                    route: route.to_owned(),
                    limit: limits::ANSWER_BYTES_MAX,
                });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        // Percent-encodes each segment, so that no id can become another path.
        url.path_segments_mut().expect("an http URL with a host has a path").pop_if_empty().extend(path);
        url
    }

    fn transport(&self, request: &Request<'_>, error: &reqwest::Error) -> ClientError {
        if error.is_timeout() && !error.is_connect() {
            return self.timed_out(request.timeout.unwrap_or(limits::ANSWER_TIMEOUT));
        }
        // The cause alone: reqwest's own words repeat the URL.
        let cause = std::error::Error::source(error).map_or_else(|| error.to_string(), chain);
        self.unreachable(cause)
    }

    fn timed_out(&self, after: Duration) -> ClientError {
        ClientError::TimedOut { url: self.base.to_string(), seconds: after.as_secs() }
    }
}

fn describe(request: &Request<'_>) -> String {
    format!("{} /{}", request.method, request.path.join("/"))
}
