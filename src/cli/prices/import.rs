//! `tallybook prices import`: a price map becomes a price book, in a data directory that no service
//! uses or through a running service. What is not in the book is told by model and field. The same
//! content is imported once, whichever way and however often it comes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use replay::OpenError;
use reqwest::{StatusCode, Url};
use schemas::{
    Command, Envelope, Event, Name, PriceMap, PriceMapReport, PublishPrices, Sequence, Timestamp,
};
use serde::Deserialize;

use crate::cli::members;
use crate::cli::output::{Document, rows};
use crate::clock::Clock;
use crate::config::{Config, Flags};
use crate::service::Book;
use crate::writer::Outcome;

/// How long a running service may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// The flags of `prices import`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A JSON object of models, each with the fields of the public `LiteLLM` price map.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Into the log in this directory, which no service may use; begun when there is none.
    #[arg(long, value_name = "DIR", required_unless_present = "url", conflicts_with = "url")]
    data_dir: Option<PathBuf>,
    /// Through the running service at this address.
    #[arg(long, value_name = "URL", value_parser = url)]
    url: Option<Url>,
    /// A developer's key of that service; `X_API_KEY` when left out.
    #[arg(long, value_name = "KEY", requires = "url")]
    api_key: Option<String>,
    /// Usage from this moment on is rated by it; from now on when left out.
    #[arg(long, value_name = "RFC3339", value_parser = Timestamp::parse)]
    effective_at: Option<Timestamp>,
    /// Leave wrong entries out; without, one wrong entry refuses the file.
    #[arg(long)]
    skip_refused: bool,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

fn url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    let is_http = matches!(url.scheme(), "http" | "https");
    if is_http { Ok(url) } else { Err("must begin with `http://` or `https://`".to_owned()) }
}

rows! {
    /// A price with more decimals than money has, taken to the nearest.
    RoundedRow { model: String, field: String, text: String, }
    /// An entry that contradicts the format.
    RefusedRow { model: String, field: String, reason: String, }
}

/// A price book to be published.
struct Import {
    map: PriceMap,
    /// The map without its refused entries.
    body: String,
    effective_at: Option<Timestamp>,
    /// Tells the content apart from any other.
    digest: blake3::Hash,
}

/// A price book that is published.
struct Published {
    is_new: bool,
    version: u32,
    effective_at: Timestamp,
    sequence: Sequence,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Arguments { file, data_dir, url, api_key, effective_at, skip_refused, json } = arguments;
    let name = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read `{name}`"))?;
    let map = PriceMap::read(&text).with_context(|| format!("`{name}` is no price map"))?;
    let refused = map.report.refused.len();
    if refused > 0 && !*skip_refused {
        document(&map, None)?.print(*json)?;
        anyhow::bail!("nothing is imported, since {refused} entries of `{name}` are refused");
    }
    anyhow::ensure!(!map.sheets.is_empty(), "`{name}` has no price per token");
    let import = Import {
        body: without(&text, &map.report)?,
        map,
        effective_at: *effective_at,
        digest: blake3::hash(text.as_bytes()),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let published = runtime.block_on(async {
        match (data_dir, url) {
            (_, Some(url)) => import.send(url, api_key.as_deref()).await,
            (Some(directory), None) => import.write(directory).await,
            (None, None) => anyhow::bail!("`--data-dir` or `--url` is needed"),
        }
    })?;
    document(&import.map, Some(&published))?.print(*json)
}

/// The map's text without the entries that are refused.
fn without(text: &str, report: &PriceMapReport) -> anyhow::Result<String> {
    if report.refused.is_empty() {
        return Ok(text.to_owned());
    }
    let refused: BTreeSet<&str> = report.refused.iter().map(|entry| entry.model.as_str()).collect();
    let kept = members::of(text)?
        .into_iter()
        .filter(|(model, _)| !refused.contains(model.as_str()))
        .map(|(model, entry)| Ok(format!("{}:{}", serde_json::to_string(&model)?, entry.get())))
        .collect::<serde_json::Result<Vec<String>>>()?;
    Ok(format!("{{{}}}", kept.join(",")))
}

impl Import {
    /// Names the content, not the file: one content is one book.
    fn source(&self) -> String {
        let digest = self.digest.to_hex();
        format!("price map {}", digest.get(..16).unwrap_or_default())
    }

    fn key(&self) -> String {
        let effective_at = self.effective_at.map(|moment| moment.to_string()).unwrap_or_default();
        format!("prices-import/{}/{effective_at}", self.digest.to_hex())
    }

    /// Into the log of a data directory.
    async fn write(&self, directory: &Path) -> anyhow::Result<Published> {
        let book = Book::open(directory, &Config::default(), Clock::system());
        let book = book.map_err(|error| {
            let is_in_use = |cause: &(dyn std::error::Error + 'static)| {
                matches!(cause.downcast_ref(), Some(OpenError::InUse { .. }))
            };
            if error.chain().any(is_in_use) {
                error.context("import through the running service, with `--url`")
            } else {
                error
            }
        })?;
        let published = self.submit(&book).await;
        book.close().await?;
        published
    }

    async fn submit(&self, book: &Book) -> anyhow::Result<Published> {
        let command = Command::PublishPrices(PublishPrices {
            effective_at: self.effective_at,
            source: self.source(),
            models: self.map.sheets.clone(),
        });
        let actor = Name::try_from("cli").expect("invariant: a name");
        // The scope of a developer's commands, so that both ways know each other's imports.
        let envelope = Envelope::new(actor, command).with_key("", &self.key());
        let receipt = book.writer.submit(envelope).await?;
        let recorded = book.views.log().read(receipt.sequence)?;
        match recorded.map(|recorded| recorded.event) {
            Some(Event::PriceBookPublished(published)) => Ok(Published {
                is_new: receipt.outcome == Outcome::Recorded,
                version: published.version.0,
                effective_at: published.effective_at,
                sequence: receipt.sequence,
            }),
            _ => anyhow::bail!("event {} is no price book", receipt.sequence),
        }
    }

    /// Through a running service.
    async fn send(&self, url: &Url, api_key: Option<&str>) -> anyhow::Result<Published> {
        let config = Config::load(&Flags::default())?;
        let key = api_key.or_else(|| config.developer_key().map(|key| key.expose()));
        let key = key.context("an API key is needed: `--api-key` or `X_API_KEY`")?;
        let mut url = url.join("/api/v1/admin/prices").context("the address")?;
        url.query_pairs_mut().append_pair("source", &self.source());
        if let Some(moment) = self.effective_at {
            url.query_pairs_mut().append_pair("effective_at", &moment.to_string());
        }
        let answer = reqwest::Client::builder()
            .timeout(PATIENCE)
            .build()?
            .post(url)
            .header("X-API-Key", key)
            .header("Idempotency-Key", self.key())
            .header("Content-Type", "application/json")
            .body(self.body.clone())
            .send()
            .await
            .context("the service does not answer")?;
        let status = answer.status();
        let text = answer.text().await.context("the service's answer")?;
        if !status.is_success() {
            let problem: Option<Problem> = serde_json::from_str(&text).ok();
            let detail = problem.map(|problem| problem.detail).unwrap_or_default();
            anyhow::bail!("the service answers {status}: {detail}");
        }
        let Answer { version, effective_at, sequence } =
            serde_json::from_str(&text).context("the service's answer is not understood")?;
        Ok(Published { is_new: status == StatusCode::CREATED, version, effective_at, sequence })
    }
}

/// What a running service says of the published book.
#[derive(Deserialize)]
struct Answer {
    version: u32,
    effective_at: Timestamp,
    sequence: Sequence,
}

/// Why a running service refuses.
#[derive(Deserialize)]
struct Problem {
    detail: String,
}

fn document(map: &PriceMap, published: Option<&Published>) -> anyhow::Result<Document> {
    let PriceMap { sheets, report } = map;
    let PriceMapReport { unpriced, refused, rounded, ignored_fields } = report;
    let rounded: Vec<RoundedRow> = rounded
        .iter()
        .map(|price| RoundedRow {
            model: price.model.to_string(),
            field: price.field.clone(),
            text: price.text.clone(),
        })
        .collect();
    let refused: Vec<RefusedRow> = refused
        .iter()
        .map(|entry| RefusedRow {
            model: entry.model.clone(),
            field: entry.field.clone().unwrap_or_default(),
            reason: entry.reason.to_string(),
        })
        .collect();
    let mut document = Document::default();
    match published {
        None => document.field("outcome", "refused")?,
        Some(Published { is_new, version, effective_at, sequence }) => {
            document.field("outcome", if *is_new { "imported" } else { "imported before" })?;
            document.field("version", *version)?;
            document.field("effective_at", *effective_at)?;
            document.field("sequence", *sequence)?;
        }
    }
    document.field("models", sheets.len())?;
    document.field("unpriced", unpriced.len())?;
    document.hidden("unpriced_models", unpriced)?;
    document.hidden("ignored_fields", ignored_fields)?;
    document.table("rounded", &rounded)?;
    document.table("refused", &refused)?;
    Ok(document)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_left_out_and_nothing_else() {
        let text = r#"{"a": {"input_cost_per_token": 1e-6},
            "b": {"input_cost_per_token": -1}, "c \"q\"": {"input_cost_per_token": 2e-6}}"#;
        let map = PriceMap::read(text).expect("a map");
        let kept = without(text, &map.report).expect("an object");
        let read = PriceMap::read_strictly(&kept).expect("nothing is refused");
        assert_eq!(read.sheets, map.sheets);
        assert_eq!(read.sheets.len(), 2);
    }
}
