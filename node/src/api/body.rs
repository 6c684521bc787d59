//! Reading what a caller sent: the body, the query and ids in the path. Every refusal says what is wrong (FAULTS A5).

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use towpath_api::Code;
use towpath_api::limits::BODY_BYTES_MAX;

use super::limits::{BODY_READ_TIMEOUT, PATH_ID_BYTES_MAX};
use super::problem::Problem;

/// A JSON answer.
pub struct Answer<T>(pub T);

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => {
                ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
            }
            Err(error) => {
                Problem::new(Code::Internal, format!("the answer has no JSON: {error}")).into_response()
            }
        }
    }
}

/// A JSON body of at most [`BODY_BYTES_MAX`], read within [`BODY_READ_TIMEOUT`].
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let announced =
            request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        if announced.is_some_and(|length: u64| length > BODY_BYTES_MAX as u64) {
            return Err(too_large());
        }
        let read = tokio::time::timeout(BODY_READ_TIMEOUT, collect(request.into_body()));
        let bytes = read.await.map_err(|_elapsed| {
            let seconds = BODY_READ_TIMEOUT.as_secs();
            Problem::new(Code::RequestTimeout, format!("the body did not arrive within {seconds} s"))
        })??;
        parse(&bytes).map(Self)
    }
}

async fn collect(body: Body) -> Result<Vec<u8>, Problem> {
    let mut chunks = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| {
            Problem::quoting(Code::InvalidRequest, &format!("the body broke off: {error}"))
        })?;
        if bytes.len() + chunk.len() > BODY_BYTES_MAX {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn too_large() -> Problem {
    Problem::new(Code::BodyTooLarge, format!("the body is larger than {BODY_BYTES_MAX} bytes"))
}

/// serde refuses doubled keys (for fields that it knows, and it knows all of them), numbers that are not exact, and
/// anything nested deeper than 128.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // serde would take a list for an object whose fields come in their order: nobody means that, and a field that is
    // added later would change what each place means.
    match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => return Err(Problem::new(Code::InvalidJson, "the body is empty")),
        Some(b'{') => {}
        Some(_) => {
            return Err(Problem::new(
                Code::InvalidJson,
                "the body is not a JSON object, which begins with {",
            ));
        }
    }
    serde_json::from_slice(bytes).map_err(|error| Problem::quoting(Code::InvalidJson, &error.to_string()))
}

/// The query of a URL.
pub struct Params<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        match Query::<T>::try_from_uri(&parts.uri) {
            Ok(Query(query)) => Ok(Self(query)),
            Err(rejection) => Err(Problem::quoting(Code::InvalidRequest, &rejection.body_text())),
        }
    }
}

/// The one id in a path: letters and digits, as all texts of ids, heights and streams are, with `-` and `_`.
pub struct PathId(pub String);

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(id) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| Problem::quoting(Code::InvalidId, &rejection.body_text()))?;
        let is_plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if is_plain && id.len() <= PATH_ID_BYTES_MAX {
            return Ok(Self(id));
        }
        Err(Problem::quoting(
            Code::InvalidId,
            &format!("'{id}' is not an id: ids have letters and digits only"),
        ))
    }
}
