//! Price books: published whole, in the shape of the public price map, and read back by model.

use axum::extract::{Request, State};
use projections::prices::Priced;
use schemas::{
    Command, Event, Name, PriceBookPublished, PriceMap, PriceMapError, PriceSheet, PriceVersion,
    PublishPrices, Sequence, Timestamp,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::http::{
    AppState,
    auth::Caller,
    body,
    ledger::{AtLeast, IdempotencyKey, Reply, fault, reading, submit},
    params::Query,
    problem::{ParameterSource, Problem},
};

/// The longest price map, in bytes: several times the public one.
const MAP_BYTES_MAX: usize = 16 * 1024 * 1024;

pub(in crate::http) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(publish, list)).routes(routes!(of_model))
}

/// How a price book is published.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PublishQuery {
    /// Usage from this moment on is rated by it; from now on when left out.
    #[param(value_type = Option<String>, format = DateTime)]
    effective_at: Option<Timestamp>,
    /// Where it comes from, in words.
    source: Option<String>,
}

/// A published price book.
#[derive(Debug, Serialize, ToSchema)]
struct Book {
    /// Counts the published books, from 1.
    #[schema(value_type = u32)]
    version: PriceVersion,
    /// Usage from this moment on is rated by it.
    #[schema(value_type = String, format = DateTime)]
    effective_at: Timestamp,
    /// How many models it prices.
    models: u32,
    /// Where it comes from.
    source: String,
}

impl From<&PriceBookPublished> for Book {
    fn from(book: &PriceBookPublished) -> Self {
        let PriceBookPublished { version, effective_at, models, source } = book.clone();
        Self { version, effective_at, models, source }
    }
}

/// A price book that was just published.
#[derive(Debug, Serialize, ToSchema)]
struct Published {
    #[serde(flatten)]
    book: Book,
    /// Models of the map that have no price per token, and are not in the book.
    unpriced: usize,
    /// Prices with more than 18 decimals, taken to the nearest.
    rounded: Vec<String>,
    /// Its position in the log.
    #[schema(value_type = u64)]
    sequence: Sequence,
}

/// Publishes a price book.
///
/// The body is an object of models, each with the fields of the public `LiteLLM` price map. Usage that
/// had no price is rated at once where it has one now.
#[utoipa::path(post, path = "/api/v1/admin/prices", tag = "admin",
    params(PublishQuery), request_body = Object,
    responses((status = 201, body = Published), (status = 200, body = Published)))]
async fn publish(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Query(query): Query<PublishQuery>,
    request: Request,
) -> Result<Reply<Published>, Problem> {
    let bytes = body::json_bytes(request, MAP_BYTES_MAX).await?;
    let PriceMap { sheets, report } = read_map(&bytes)?;
    let command = Command::PublishPrices(PublishPrices {
        effective_at: query.effective_at,
        source: query.source.unwrap_or_else(|| "api".to_owned()),
        models: sheets,
    });
    let receipt = submit(&state, &caller, key, command).await?;
    if let Err(error) = state.jobs().run_due().await {
        tracing::warn!(error = &error as &dyn std::error::Error, "rating the backlog was put off");
    }
    let (views, sequence) = (state.views().clone(), receipt.sequence);
    let book = match reading(move || views.log().read(sequence)).await?.map(|event| event.event) {
        Some(Event::PriceBookPublished(book)) => Book::from(&book),
        _ => return Err(Problem::internal(&format_args!("event {sequence} is no price book"))),
    };
    let rounded =
        report.rounded.iter().map(|price| format!("{}.{}", price.model, price.field)).collect();
    let published = Published { book, unpriced: report.unpriced.len(), rounded, sequence };
    Ok(Reply::written(&receipt, published))
}

fn read_map(bytes: &[u8]) -> Result<PriceMap, Problem> {
    let in_body = |field: &str, reason: String| fault(field, reason, ParameterSource::Body);
    let text = std::str::from_utf8(bytes)
        .map_err(|error| in_body("body", format!("is not UTF-8: {error}")))?;
    let map = PriceMap::read_strictly(text).map_err(|error| match error {
        PriceMapError::NotAnObject(source) => {
            in_body("body", format!("must be a JSON object of models: {source}"))
        }
        PriceMapError::Entry(entry) => {
            let model: String = entry.model.chars().take(80).collect();
            let field = match &entry.field {
                Some(field) => format!("{model}.{field}"),
                None => model,
            };
            in_body(&field, entry.reason.to_string())
        }
    })?;
    if map.sheets.is_empty() {
        return Err(in_body("body", "must price at least one model".to_owned()));
    }
    Ok(map)
}

/// The published price books, the first first.
#[utoipa::path(get, path = "/api/v1/admin/prices", tag = "admin",
    responses((status = 200, body = [Book])))]
async fn list(State(state): State<AppState>, _: AtLeast) -> Result<Reply<Vec<Book>>, Problem> {
    let (sequence, books) = state
        .views()
        .look_now(|reading| reading.books.prices.books().iter().map(Book::from).collect());
    Ok(Reply::read(sequence, books))
}

/// Which model.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ModelQuery {
    /// By its exact name.
    #[param(value_type = String)]
    model: Name,
}

/// A model's prices from a moment on.
#[derive(Debug, Serialize, ToSchema)]
struct ModelPrices {
    /// From when.
    #[schema(value_type = String, format = DateTime)]
    effective_at: Timestamp,
    /// By which book; 0 is the built-in one.
    #[schema(value_type = u32)]
    version: PriceVersion,
    /// What each class of tokens costs.
    #[schema(value_type = Vec<Object>)]
    rates: PriceSheet,
}

impl From<&Priced> for ModelPrices {
    fn from(priced: &Priced) -> Self {
        let Priced { effective_at, version, sheet } = priced;
        Self { effective_at: *effective_at, version: *version, rates: sheet.as_ref().clone() }
    }
}

/// All prices of one model, the earliest first.
#[utoipa::path(get, path = "/api/v1/admin/prices/models", tag = "admin",
    params(ModelQuery), responses((status = 200, body = [ModelPrices])))]
async fn of_model(
    State(state): State<AppState>,
    _: AtLeast,
    Query(query): Query<ModelQuery>,
) -> Result<Reply<Vec<ModelPrices>>, Problem> {
    let (sequence, prices) = state.views().look_now(|reading| {
        let model = reading.books.names.find(query.model.as_str())?;
        Some(reading.books.prices.history(model).iter().map(ModelPrices::from).collect())
    });
    prices.map(|prices| Reply::read(sequence, prices)).ok_or_else(|| Problem::not_found("model"))
}
