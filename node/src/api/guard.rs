//! Who may call: the host, the origin, the token and the content type, in this order, before any route is looked at.
//!
//! The token alone would do against strangers. Host and origin stand against web pages in the operator's own browser:
//! a page whose name resolves to this machine (FAULTS A3), or a form that posts to it (FAULTS A2).

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, ORIGIN};
use axum::http::{Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use towpath_api::{Code, Token};

use super::problem::Problem;

/// A route that can be opened to callers without a token.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Public {
    /// `GET /metrics`.
    Metrics,
    /// `GET /openapi.json`.
    Openapi,
}

/// Who may call.
#[derive(Clone, Debug)]
pub struct Access {
    /// The token that opens everything.
    pub token: Token,
    /// Names, beside `localhost` and addresses, that the `Host` header may carry; lower case, without a port.
    pub hosts: Vec<String>,
    /// Whether the server listens beyond this machine: then every address is allowed as a host.
    pub reach: Reach,
    /// What needs no token, beside `/health` and `/ready`.
    pub public: Vec<Public>,
}

/// How far the server can be reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// From this machine.
    Loopback,
    /// From elsewhere.
    Remote,
}

/// Lets a request through, or answers it.
pub async fn guard(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    match access.check(&request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

impl Access {
    fn check(&self, request: &Request) -> Result<(), Problem> {
        let host = only(request, &HOST)?
            .ok_or_else(|| Problem::new(Code::ForbiddenHost, "the request has no Host header"))?;
        self.check_host(host, request.uri())?;
        if let Some(origin) = only(request, &ORIGIN)? {
            check_origin(origin, host)?;
        }
        if !self.is_public(request) {
            self.check_token(only(request, &AUTHORIZATION)?)?;
        }
        check_content_type(request.method(), only(request, &CONTENT_TYPE)?)
    }

    fn check_host(&self, host: &str, uri: &Uri) -> Result<(), Problem> {
        let names = [Some(host), uri.authority().map(axum::http::uri::Authority::as_str)];
        match names.into_iter().flatten().find(|name| !self.allows(name)) {
            None => Ok(()),
            Some(name) => {
                let detail = format!("this node does not answer to the host '{name}'");
                Err(Problem::quoting(Code::ForbiddenHost, &detail))
            }
        }
    }

    /// A name in a browser's address bar can be made to resolve to this machine; an address or `localhost` can't.
    fn allows(&self, host: &str) -> bool {
        let name = without_port(host).to_ascii_lowercase();
        let literal = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&name);
        // Strict parsing: `2130706433`, `0x7f.1` and `127.1` are no addresses here.
        match (literal.parse::<IpAddr>(), self.reach) {
            (Ok(address), Reach::Loopback) => address.is_loopback(),
            (Ok(address), Reach::Remote) => !address.is_unspecified(),
            (Err(_not_an_address), _) => name == "localhost" || self.hosts.contains(&name),
        }
    }

    fn is_public(&self, request: &Request) -> bool {
        match request.uri().path() {
            "/health" | "/ready" => true,
            "/metrics" => self.public.contains(&Public::Metrics),
            "/openapi.json" => self.public.contains(&Public::Openapi),
            _any_other => false,
        }
    }

    fn check_token(&self, header: Option<&str>) -> Result<(), Problem> {
        let Some(header) = header else {
            return Err(Problem::new(Code::Unauthorized, "the request has no Authorization header"));
        };
        let token = header.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        match token {
            Some((_, token)) if self.token.matches(token.trim().as_bytes()) => Ok(()),
            Some(_) => Err(Problem::new(Code::Unauthorized, "the token is not this node's")),
            None => Err(Problem::new(
                Code::Unauthorized,
                "the Authorization header is not of the form 'Bearer <token>'",
            )),
        }
    }
}

/// A header's value; two of a kind, or bytes that aren't text, are refused, since programs differ on which one counts.
fn only<'a>(request: &'a Request, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let mut values = request.headers().get_all(name).iter();
    let refuse =
        || Problem::new(Code::InvalidRequest, format!("the header {name} is not one line of plain text"));
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_not_text| refuse()),
        (Some(_), Some(_)) => Err(refuse()),
    }
}

/// Only the API's own origin: a page of another port of this machine is a stranger too.
fn check_origin(origin: &str, host: &str) -> Result<(), Problem> {
    if origin.strip_prefix("http://").is_some_and(|name| name.eq_ignore_ascii_case(host)) {
        return Ok(());
    }
    Err(Problem::quoting(Code::ForbiddenOrigin, &format!("requests from the origin '{origin}' are refused")))
}

fn check_content_type(method: &Method, content_type: Option<&str>) -> Result<(), Problem> {
    if !matches!(*method, Method::POST | Method::PUT | Method::PATCH) {
        return Ok(());
    }
    let essence =
        content_type.map(|value| value.split_once(';').map_or(value, |(essence, _)| essence).trim());
    if essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json")) {
        return Ok(());
    }
    let detail = format!("the content type is '{}'", content_type.unwrap_or("missing"));
    Err(Problem::quoting(Code::UnsupportedMediaType, &detail))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !port.is_empty() => name,
        Some(_) | None => host,
    }
}

#[cfg(test)]
mod tests {
    use towpath_api::Token;

    use super::{Access, Reach, check_origin};

    fn access(reach: Reach) -> Access {
        Access {
            token: Token::from_entropy([1; 32]),
            hosts: vec!["node.example".to_owned()],
            reach,
            public: Vec::new(),
        }
    }

    #[test]
    fn a3_only_addresses_of_this_machine_and_configured_names_are_hosts() {
        let access = access(Reach::Loopback);
        for host in [
            "127.0.0.1",
            "127.0.0.1:7420",
            "localhost:1",
            "LocalHost",
            "[::1]:7420",
            "[::1]",
            "127.9.9.9",
            "node.example:80",
        ] {
            assert!(access.allows(host), "{host}");
        }
        for host in [
            "evil.com",
            "evil.com:7420",
            "0.0.0.0",
            "0.0.0.0:7420",
            "[::]",
            "192.168.1.5",
            "2130706433",
            "0x7f.0.0.1",
            "127.1",
            "017700000001",
            "localhost.evil.com",
            "127.0.0.1.evil.com",
            "",
            ":7420",
            "localhost.",
            "[::1",
            "user@localhost",
            "localhost:x",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(!access.allows(host), "{host}");
        }
    }

    #[test]
    fn a3_a_remote_server_takes_addresses_but_no_foreign_names() {
        let access = access(Reach::Remote);
        assert!(access.allows("192.168.1.5:7420") && access.allows("[fd00::1]"));
        assert!(!access.allows("evil.com") && !access.allows("0.0.0.0"));
    }

    #[test]
    fn a2_only_the_own_origin_may_call() {
        assert!(check_origin("http://127.0.0.1:7420", "127.0.0.1:7420").is_ok());
        for origin in [
            "null",
            "http://evil.com",
            "http://127.0.0.1:3000",
            "https://127.0.0.1:7420",
            "http://127.0.0.1:7420.evil.com",
            "",
        ] {
            assert!(check_origin(origin, "127.0.0.1:7420").is_err(), "{origin}");
        }
    }
}
