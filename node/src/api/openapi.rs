//! The OpenAPI document: what the routes declare, and what holds for all of them (errors, the token).

use axum::Router;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::IntoResponse;
use axum::routing::get;
use towpath_api::{ApiError, PROBLEM_JSON};
use utoipa::openapi::path::{HttpMethod, Operation, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Components, ContentBuilder, InfoBuilder, LicenseBuilder, OpenApi, Ref, Response, ResponseBuilder,
};
use utoipa::{PartialSchema, ToSchema};

use super::problem::{no_method, no_route};
use super::routes::{self, App};

/// The name of the token in the document.
const TOKEN: &str = "token";

const DESCRIPTION: &str = "A Towpath node. Amounts are decimal strings of base units; ids are bech32m texts; times are \
integers of milliseconds since the Unix epoch. Errors are problem details (RFC 9457) with a stable `code`. Requests \
refuse unknown fields; answers may gain fields in any version.";

/// The OpenAPI document of this version.
#[must_use]
pub fn document() -> OpenApi {
    let (_router, mut document) = routes::all().split_for_parts();
    complete(&mut document);
    document
}

/// All routes with `/openapi.json` and the answers to unknown ones.
pub fn router(app: App) -> Router {
    let (router, mut document) = routes::all().split_for_parts();
    complete(&mut document);
    let json = serde_json::to_string(&document).expect("the document has only maps with text keys");
    let openapi = move || {
        let json = json.clone();
        async move { ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], json).into_response() }
    };
    router
        .route("/openapi.json", get(openapi))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .with_state(app)
}

fn complete(document: &mut OpenApi) {
    document.info = InfoBuilder::new()
        .title("Towpath")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").build()))
        .build();
    let components = document.components.get_or_insert_with(Components::new);
    components.schemas.insert(ApiError::name().into_owned(), ApiError::schema());
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    components.add_security_scheme(TOKEN, SecurityScheme::Http(scheme));
    document.paths.add_path_operation("/openapi.json", vec![HttpMethod::Get], openapi_operation());
    for (path, item) in &mut document.paths.paths {
        for operation in operations(item) {
            operation.responses.responses.insert("default".to_owned(), error_response().into());
            let is_open = path == "/health" || path == "/ready";
            let token = SecurityRequirement::new(TOKEN, [""; 0]);
            operation.security = Some(if is_open { Vec::new() } else { vec![token] });
        }
    }
}

fn openapi_operation() -> Operation {
    let mut operation = Operation::new();
    operation.operation_id = Some("openapi".to_owned());
    operation.summary = Some("This document.".to_owned());
    operation.tags = Some(vec!["node".to_owned()]);
    let found = ResponseBuilder::new()
        .description("The document")
        .content("application/json", ContentBuilder::new().build());
    operation.responses.responses.insert("200".to_owned(), found.build().into());
    operation
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch].into_iter().flatten()
}

fn error_response() -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(ApiError::name()))).build();
    ResponseBuilder::new()
        .description("It failed: what happened, and what to do")
        .content(PROBLEM_JSON, content)
        .build()
}

#[cfg(test)]
mod tests {
    use towpath_api::Code;

    #[test]
    fn every_operation_is_named_once_described_and_has_errors() {
        let document = serde_json::to_value(super::document()).expect("writes");
        let mut names = std::collections::BTreeSet::new();
        for (path, item) in document["paths"].as_object().expect("paths") {
            for (method, operation) in item.as_object().expect("operations") {
                let name = operation["operationId"].as_str().expect("a name");
                assert!(names.insert(name.to_owned()), "{name} names two operations");
                assert!(operation["summary"].is_string(), "{method} {path} has no summary");
                assert!(operation["tags"][0].is_string(), "{method} {path} has no tag");
                let schema =
                    &operation["responses"]["default"]["content"]["application/problem+json"]["schema"];
                assert_eq!(schema["$ref"], "#/components/schemas/ApiError", "{method} {path}");
            }
        }
    }

    #[test]
    fn every_reference_leads_to_a_schema() {
        fn references(value: &serde_json::Value, found: &mut Vec<String>) {
            match value {
                serde_json::Value::Object(map) => {
                    found.extend(map.get("$ref").and_then(|text| text.as_str()).map(str::to_owned));
                    map.values().for_each(|value| references(value, found));
                }
                serde_json::Value::Array(list) => list.iter().for_each(|value| references(value, found)),
                _no_reference => {}
            }
        }
        let document = serde_json::to_value(super::document()).expect("writes");
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 50, "{} references", found.len());
        for reference in found {
            let pointer = reference.strip_prefix('#').expect("inside the document");
            assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
        }
    }

    #[test]
    fn the_documentation_lists_every_code() {
        let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/api.md"))
            .expect("docs/api.md");
        for code in Code::ALL.iter().filter(|code| **code != Code::Unrecognised) {
            let row = format!("| `{code}` | {} | {} |", code.status(), code.title());
            assert!(docs.contains(&row), "docs/api.md has no row:\n{row}");
        }
    }
}
