//! Who may call (FAULTS A1, A2, A3).

use reqwest::Method;
use utoipa::openapi::path::PathItem;

use super::super::guard::Public;
use super::super::openapi::document;
use super::{serve, serve_at};

/// Every method and path of the OpenAPI document, with ids filled in.
fn routes() -> Vec<(Method, String)> {
    let methods = |item: &PathItem| {
        [
            (Method::GET, item.get.is_some()),
            (Method::POST, item.post.is_some()),
            (Method::PUT, item.put.is_some()),
            (Method::PATCH, item.patch.is_some()),
            (Method::DELETE, item.delete.is_some()),
        ]
    };
    let mut routes = Vec::new();
    for (path, item) in &document().paths.paths {
        let path = path.replace("{id}", super::fake::CHANNEL);
        assert!(!path.contains('{'), "an unknown parameter in {path}");
        let present = methods(item).into_iter().filter(|(_, present)| *present);
        routes.extend(present.map(|(method, _)| (method, path.clone())));
    }
    assert!(routes.len() >= 28, "{} routes", routes.len());
    routes
}

fn is_open(path: &str) -> bool {
    path == "/health" || path == "/ready"
}

#[tokio::test]
async fn a1_every_route_of_the_document_refuses_no_token_and_a_wrong_token() {
    let served = serve().await;
    let wrong = "0".repeat(64);
    let http = reqwest::Client::new();
    for (method, path) in routes() {
        for header in
            [None, Some(format!("Bearer {wrong}")), Some("Bearer".to_owned()), Some(format!("Basic {wrong}"))]
        {
            let mut request =
                http.request(method.clone(), served.url(&path)).header("content-type", "application/json");
            if let Some(header) = &header {
                request = request.header("authorization", header);
            }
            let response = request.body("{}").send().await.expect("it answers");
            let expected = if is_open(&path) { 200 } else { 401 };
            assert_eq!(response.status().as_u16(), expected, "{method} {path} with {header:?}");
        }
        // The route exists: with the token it answers anything but 401, 404 for the route, or 405.
        let request =
            http.request(method.clone(), served.url(&path)).header("content-type", "application/json");
        if path != "/v1/events" {
            let response =
                request.bearer_auth(served.token.expose()).body("{}").send().await.expect("it answers");
            let (status, body) = (response.status().as_u16(), response.text().await.expect("text"));
            assert!(
                status != 401 && status != 405 && !body.contains("route_not_found"),
                "{method} {path}: {status} {body}"
            );
        }
    }
    served.stop().await;
}

#[tokio::test]
async fn a1_unknown_routes_tell_strangers_nothing() {
    let served = serve().await;
    let response = reqwest::get(served.url("/v1/nothing")).await.expect("it answers");
    assert_eq!(response.status(), 401);
    assert_eq!(response.headers()["www-authenticate"], "Bearer");
    let response =
        reqwest::Client::new().get(served.url("/v1/nothing")).bearer_auth(served.token.expose()).send().await;
    let body = response.expect("it answers").text().await.expect("text");
    assert!(body.contains("route_not_found"), "{body}");
    let response =
        reqwest::Client::new().delete(served.url("/v1/info")).bearer_auth(served.token.expose()).send().await;
    let body = response.expect("it answers").text().await.expect("text");
    assert!(body.contains("method_not_allowed"), "{body}");
    served.stop().await;
}

#[tokio::test]
async fn a1_only_what_is_configured_is_public() {
    let served = serve_at(([127, 0, 0, 1], 0).into(), vec![Public::Metrics]).await;
    assert_eq!(reqwest::get(served.url("/metrics")).await.expect("it answers").status(), 200);
    assert_eq!(reqwest::get(served.url("/openapi.json")).await.expect("it answers").status(), 401);
    served.stop().await;
}

#[tokio::test]
async fn a2_browser_shaped_requests_are_refused_even_with_the_token() {
    let served = serve().await;
    let send = |origin: Option<&'static str>, content_type: Option<&'static str>| {
        let mut request = reqwest::Client::new()
            .post(served.url("/v1/wallet/send"))
            .bearer_auth(served.token.expose())
            .body(r#"{"to":"addr1a","amount":"1"}"#);
        for (name, value) in [("origin", origin), ("content-type", content_type)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        async { request.send().await.expect("it answers").status().as_u16() }
    };
    let json = Some("application/json");
    assert_eq!(send(None, json).await, 200);
    assert_eq!(send(None, Some("application/json; charset=utf-8")).await, 200);
    for content_type in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("multipart/form-data"),
        Some("application/json-patch+json"),
    ] {
        assert_eq!(send(None, content_type).await, 415, "{content_type:?}");
    }
    for origin in ["null", "http://evil.com", "http://localhost:3000", "https://127.0.0.1"] {
        assert_eq!(send(Some(origin), json).await, 403, "{origin}");
    }
    let response = reqwest::Client::new().get(served.url("/health")).send().await.expect("it answers");
    assert!(response.headers().keys().all(|name| !name.as_str().starts_with("access-control")));
    served.stop().await;
}

#[tokio::test]
async fn a3_a_name_that_resolves_here_is_no_host_of_ours() {
    let served = serve().await;
    let token = served.token.expose();
    for (host, expected) in [
        ("127.0.0.1", "200"),
        ("localhost:1234", "200"),
        ("[::1]:7420", "200"),
        ("evil.com", "421"),
        ("evil.com:7420", "421"),
        ("0.0.0.0:7420", "421"),
        ("2130706433", "421"),
        ("", "421"),
    ] {
        let request = format!(
            "GET /v1/wallet HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
        );
        let answer = served.raw(request.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected} ")), "{host}: {answer}");
    }
    for request in [
        "GET /health HTTP/1.1\r\nhost: evil.com\r\nconnection: close\r\n\r\n",
        "GET /health HTTP/1.1\r\nhost: localhost\r\nhost: evil.com\r\nconnection: close\r\n\r\n",
        "GET http://evil.com/health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
        "GET /health HTTP/1.0\r\n\r\n",
    ] {
        let answer = served.raw(request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.0 4"), "{request}: {answer}");
    }
    served.stop().await;
}

#[tokio::test]
async fn a9_a_server_on_an_open_address_is_refused() {
    use super::super::guard::{Access, Reach};
    use super::super::server::{Server, ServerError};
    let access = Access {
        token: towpath_api::Token::from_entropy([1; 32]),
        hosts: Vec::new(),
        reach: Reach::Loopback,
        public: Vec::new(),
    };
    let backend = std::sync::Arc::new(super::fake::Fake::default());
    let bound =
        Server::bind(([0, 0, 0, 0], 0).into(), access, backend, tokio_util::sync::CancellationToken::new())
            .await;
    assert!(matches!(bound, Err(ServerError::Exposed { .. })));
}
