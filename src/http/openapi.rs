//! The description of the API, generated from the handlers. Every route is added through an
//! `OpenApiRouter`, so that none can be forgotten; what holds for all of them is added here.

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderName, HeaderValue, header},
};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        self, ContentBuilder, Ref, ResponseBuilder,
        path::{Operation, PathItem},
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{AppState, auth::API_KEY_HEADER, problem::ProblemBody};

/// What is said of the API as a whole; the routes add themselves.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tallybook",
        description = "The book of record for LLM usage. Every refusal and failure is a problem \
            (RFC 9457) with a stable `code`.",
    ),
    components(schemas(ProblemBody<'static>)),
    modifiers(&Credentials),
    security(("api_key" = []), ("token" = []), ("session" = [])),
    tags(
        (name = "service", description = "How the service is doing"),
        (name = "admin", description = "For developers"),
    ),
)]
struct Base;

/// How callers say who they are.
struct Credentials;

impl Modify for Credentials {
    fn modify(&self, document: &mut openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        components.add_security_scheme(
            "api_key",
            SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new(API_KEY_HEADER.as_str()))),
        );
        components.add_security_scheme(
            "session",
            SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new("__Host-tallybook-session"))),
        );
        components.add_security_scheme(
            "token",
            SecurityScheme::Http(
                HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build(),
            ),
        );
    }
}

/// The description before any route.
pub(super) fn base() -> openapi::OpenApi {
    Base::openapi()
}

/// Says of every operation that it may be refused with a problem.
pub(super) fn with_problems(mut document: openapi::OpenApi) -> openapi::OpenApi {
    let refusal = ResponseBuilder::new()
        .description("Refused or failed")
        .content(
            "application/problem+json",
            ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build(),
        )
        .build();
    for item in document.paths.paths.values_mut() {
        for operation in operations(item) {
            operation.responses.responses.insert("default".to_owned(), refusal.clone().into());
        }
    }
    document
}

/// The operations of one path.
fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    [get, put, post, delete, patch].into_iter().flatten()
}

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(document))
}

/// The description of this API.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "service", security(()),
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json")))]
async fn document(State(state): State<AppState>) -> ([(HeaderName, HeaderValue); 2], Bytes) {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, state.openapi())
}
