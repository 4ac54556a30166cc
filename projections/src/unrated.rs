//! Usage that has no price yet. It is never free: it waits here until a price arrives.

use bincode::{Decode, Encode};
use schemas::{Event, ModelId, Recorded, Sequence};

use crate::collections::Sharded;
use crate::projection::Projection;

/// The consumptions without a price.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub struct Unrated {
    consumptions: Sharded<Sequence, Waiting, 64>,
}

/// One of them.
#[derive(Debug, Clone, Copy, Encode, Decode)]
struct Waiting {
    model: Option<ModelId>,
    /// Of the rule that it drew by and will draw by.
    rule_version: u32,
}

impl Unrated {
    /// Every one, with its model, in no order.
    pub fn all(&self) -> impl Iterator<Item = (Sequence, Option<ModelId>)> {
        self.consumptions.iter().map(|(sequence, waiting)| (*sequence, waiting.model))
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

    /// The version of the draw rule that this consumption was recorded under; `None` when it has a
    /// price, or is none.
    #[must_use]
    pub fn rule_version(&self, consumption: Sequence) -> Option<u32> {
        self.consumptions.get(&consumption).map(|waiting| waiting.rule_version)
    }
}

impl Projection for Unrated {
    const NAME: &'static str = "unrated";
    const VERSION: u32 = 2;

    fn apply(&mut self, recorded: &Recorded) {
        match &recorded.event {
            Event::ConsumptionRecorded(consumption) if consumption.charge.is_none() => {
                let (model, rule_version) =
                    (consumption.context.model, consumption.draw.rule_version);
                self.consumptions.insert(recorded.sequence, Waiting { model, rule_version });
            }
            Event::ConsumptionRated(rated) => {
                self.consumptions.remove(&rated.consumption);
            }
            _ => (),
        }
    }
}
