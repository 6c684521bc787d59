//! Errors on their way out: problem details with the right status and content type.

use axum::http::header::{CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use towpath_api::{ApiError, Code, PROBLEM_JSON};

use crate::logging::shown;

use super::limits::DETAIL_CHARS_MAX;

/// An error as an HTTP answer.
#[derive(Debug)]
pub struct Problem(pub ApiError);

impl Problem {
    /// An error with the code's own hint.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self(ApiError::new(code, detail))
    }

    /// An error whose detail repeats what the caller sent: escaped and cut.
    pub fn quoting(code: Code, detail: &str) -> Self {
        Self::new(code, shown(detail, DETAIL_CHARS_MAX))
    }
}

impl From<ApiError> for Problem {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(code = %self.0.code, detail = %self.0.detail, "an API call failed");
        }
        let body = serde_json::to_vec(&self.0).unwrap_or_default();
        let mut response = (status, body).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// What every unknown path gets.
pub async fn no_route(method: Method, uri: Uri) -> Problem {
    Problem::quoting(Code::RouteNotFound, &format!("there is no route {method} {}", uri.path()))
}

/// What a known path gets with a method that it doesn't take.
pub async fn no_method(method: Method, uri: Uri) -> Problem {
    Problem::quoting(Code::MethodNotAllowed, &format!("{} does not take {method}", uri.path()))
}
