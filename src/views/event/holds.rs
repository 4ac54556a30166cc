//! The events of holds as JSON.

use projections::names::Names;
use schemas::{Credits, Event, HoldPlaced, Money, Sequence, Timestamp};
use serde::Serialize;

use super::{maybe, text};

/// The fields of an event, by its type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "each mirrors the event of its name, which says what it holds")]
pub enum HoldEventData {
    Placed {
        organization_id: String,
        user_id: String,
        model: String,
        request_id: String,
        amount: Money,
        credits: Credits,
        tokens: u64,
        expires_at: Timestamp,
    },
    Ended {
        organization_id: String,
        hold: Sequence,
    },
}

impl HoldEventData {
    /// `None` for events that are not of these.
    pub(super) fn new(names: &Names, event: &Event) -> Option<Self> {
        let ended = |tenant, hold| Self::Ended { organization_id: text(names, tenant), hold };
        Some(match event {
            Event::HoldPlaced(placed) => {
                let HoldPlaced { tenant, user, model, request_id, .. } = placed.as_ref();
                Self::Placed {
                    organization_id: text(names, *tenant),
                    user_id: maybe(names, *user),
                    model: maybe(names, *model),
                    request_id: request_id.to_string(),
                    amount: placed.amount,
                    credits: placed.credits,
                    tokens: placed.tokens,
                    expires_at: placed.expires_at,
                }
            }
            Event::HoldReleased(released) => ended(released.tenant, released.hold),
            Event::HoldExpired(expired) => ended(expired.tenant, expired.hold),
            _ => return None,
        })
    }
}
