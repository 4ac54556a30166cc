//! The prices of every model over time: which price book rates a call made at a given moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use bincode::{Decode, Encode};
use schemas::{
    Event, ModelId, ModelPriced, NameKind, PriceBookPublished, PriceSheet, PriceVersion, Recorded,
    Timestamp, builtin_sheet,
};

use crate::projection::Projection;

/// One model's prices from a moment on.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Priced {
    /// From when.
    pub effective_at: Timestamp,
    /// By which book.
    pub version: PriceVersion,
    /// What it costs.
    pub sheet: Arc<PriceSheet>,
}

/// All published prices.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub struct Prices {
    models: BTreeMap<ModelId, Vec<Priced>>,
    books: Vec<PriceBookPublished>,
    unpublished: Vec<ModelPriced>,
}

impl Prices {
    /// The price that rates a call of `model` at `moment`: the latest that was in effect then. Usage
    /// from before the first price of a model is rated by that first price.
    #[must_use]
    pub fn price(&self, model: ModelId, moment: Timestamp) -> Option<&Priced> {
        let prices = self.models.get(&model)?;
        let after = prices.partition_point(|priced| priced.effective_at <= moment);
        prices.get(after.saturating_sub(1))
    }

    /// The built-in price that a model has from its introduction on.
    #[must_use]
    pub fn builtin(model: &str) -> Option<Priced> {
        let sheet = builtin_sheet(model)?;
        let (effective_at, version) = (Timestamp::EPOCH, PriceVersion(0));
        Some(Priced { effective_at, version, sheet: Arc::new(sheet) })
    }

    /// All prices of a model, the earliest first.
    #[must_use]
    pub fn history(&self, model: ModelId) -> &[Priced] {
        self.models.get(&model).map_or(&[], Vec::as_slice)
    }

    /// The published books, the first first; the built-in one is not among them.
    #[must_use]
    pub fn books(&self) -> &[PriceBookPublished] {
        &self.books
    }

    /// How many models have a price.
    #[must_use]
    pub fn models(&self) -> usize {
        self.models.len()
    }

    /// The version of the next book.
    #[must_use]
    pub fn next_version(&self) -> PriceVersion {
        PriceVersion(self.books.last().map_or(0, |book| book.version.0).saturating_add(1))
    }

    fn add(&mut self, model: ModelId, priced: Priced) {
        let history = self.models.entry(model).or_default();
        let order = |priced: &Priced| (priced.effective_at, priced.version);
        let place = history.partition_point(|present| order(present) <= order(&priced));
        history.insert(place, priced);
    }
}

impl Projection for Prices {
    const NAME: &'static str = "prices";
    const VERSION: u32 = 1;

    fn apply(&mut self, recorded: &Recorded) {
        match &recorded.event {
            Event::NameIntroduced(introduced) if introduced.kind == NameKind::Model => {
                if let Some(builtin) = Self::builtin(&introduced.name) {
                    self.add(ModelId(introduced.number), builtin);
                }
            }
            Event::ModelPriced(priced) => self.unpublished.push(priced.clone()),
            Event::PriceBookPublished(book) => {
                for priced in std::mem::take(&mut self.unpublished) {
                    let sheet = Arc::new(priced.sheet);
                    let (effective_at, version) = (book.effective_at, book.version);
                    self.add(priced.model, Priced { effective_at, version, sheet });
                }
                self.books.push(book.clone());
            }
            _ => (),
        }
    }
}
