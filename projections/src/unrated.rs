//! Usage that has no price yet. It is never free: it waits here until a price arrives.

use bincode::{Decode, Encode};
use schemas::{Event, ModelId, Recorded, Sequence};

use crate::collections::Sharded;
use crate::projection::Projection;

/// The consumptions without a price.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub struct Unrated {
    consumptions: Sharded<Sequence, Option<ModelId>, 64>,
}

impl Unrated {
    /// Every one, with its model, in no order.
    pub fn all(&self) -> impl Iterator<Item = (Sequence, Option<ModelId>)> {
        self.consumptions.iter().map(|(sequence, model)| (*sequence, *model))
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.consumptions.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.consumptions.is_empty()
    }

    /// Whether this consumption has no price yet.
    #[must_use]
    pub fn contains(&self, consumption: Sequence) -> bool {
        self.consumptions.get(&consumption).is_some()
    }
}

impl Projection for Unrated {
    const NAME: &'static str = "unrated";
    const VERSION: u32 = 1;

    fn apply(&mut self, recorded: &Recorded) {
        match &recorded.event {
            Event::ConsumptionRecorded(consumption) if consumption.charge.is_none() => {
                self.consumptions.insert(recorded.sequence, consumption.context.model);
            }
            Event::ConsumptionRated(rated) => {
                self.consumptions.remove(&rated.consumption);
            }
            _ => (),
        }
    }
}
