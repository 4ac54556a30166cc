//! Holds: what is kept free for a call, and what became of it.

use projections::Projection;
use projections::books::Reading;
use projections::histories::HoldEnd;
use projections::holds::{Hold, Holds};
use projections::names::Names;
use replay::ReadError;
use schemas::{Credits, Event, HoldPlaced, Money, Name, Recorded, Sequence, TenantId, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Point, Views};

/// No hold lasts longer, in seconds: a day, and what is rounded up.
const HOLD_SECONDS_MAX: i64 = 86_401;

/// How a hold stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HoldStatus {
    /// It keeps what it says.
    Open,
    /// The call was made.
    Settled,
    /// It was let go.
    Released,
    /// Its time ran out.
    Expired,
}

/// A hold as readers see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Hold)]
pub struct HoldView {
    /// Its name: its position in the log.
    #[schema(value_type = u64)]
    pub hold_id: Sequence,
    /// Who will pay.
    pub organization_id: String,
    /// Who will call; `null` when it was not said.
    pub user_id: Option<String>,
    /// With which model; `null` when it was not said.
    pub model: Option<String>,
    /// The call, by its sender's id.
    pub request_id: String,
    /// USD that are kept free.
    #[schema(value_type = f64)]
    pub amount: Money,
    /// Quota of the user's that is kept free.
    #[schema(value_type = f64)]
    pub credits: Credits,
    /// Tokens that count towards the limits.
    pub tokens: u64,
    /// From when on it keeps nothing any more.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// When it was placed.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// How it stands.
    pub status: HoldStatus,
}

impl HoldView {
    fn new(
        names: &Names,
        hold_id: Sequence,
        created_at: Timestamp,
        placed: &HoldPlaced,
        status: HoldStatus,
    ) -> Self {
        let HoldPlaced { tenant, user, model, request_id, amount, credits, tokens, expires_at } =
            placed;
        Self {
            hold_id,
            organization_id: names.text(*tenant).to_string(),
            user_id: user.map(|user| names.text(user).to_string()),
            model: model.map(|model| names.text(model).to_string()),
            request_id: request_id.to_string(),
            amount: *amount,
            credits: *credits,
            tokens: *tokens,
            expires_at: *expires_at,
            created_at,
            status,
        }
    }
}

/// How a hold that was placed stands at `now`.
fn status(reading: &Reading, hold: Sequence, expires_at: Timestamp, now: Timestamp) -> HoldStatus {
    if reading.books.holds.find(hold).is_some() {
        return if expires_at <= now { HoldStatus::Expired } else { HoldStatus::Open };
    }
    match reading.histories.hold_end(hold) {
        Some(HoldEnd::Released) => HoldStatus::Released,
        Some(HoldEnd::Expired) => HoldStatus::Expired,
        None => HoldStatus::Settled,
    }
}

impl Views {
    /// A hold as it stands at `now`, and the event that this reflects; open or ended. `None` when
    /// there is none, or it is not of `tenant`, where one is given.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn hold(
        &self,
        hold: Sequence,
        tenant: Option<&Name>,
        now: Timestamp,
    ) -> Result<Option<(Sequence, HoldView)>, ReadError> {
        // The first event is 1; what lies beyond the end is not there.
        if hold == Sequence::ZERO {
            return Ok(None);
        }
        let Some(recorded) = self.log.read(hold)? else { return Ok(None) };
        Ok(self.placed_hold(&recorded, tenant, now))
    }

    /// As [`Self::hold`], of the event that placed it.
    #[must_use]
    pub fn placed_hold(
        &self,
        recorded: &Recorded,
        tenant: Option<&Name>,
        now: Timestamp,
    ) -> Option<(Sequence, HoldView)> {
        let Event::HoldPlaced(placed) = &recorded.event else { return None };
        let (sequence, view) = self.look_now(|reading| {
            // What is in the log is shown a moment later.
            if reading.books.head < recorded.sequence {
                return None;
            }
            let (id, at) = (recorded.sequence, recorded.recorded_at);
            let status = status(reading, id, placed.expires_at, now);
            Some(HoldView::new(&reading.books.names, id, at, placed, status))
        });
        let view = view.filter(|view| tenant.is_none_or(|of| of.as_str() == view.organization_id));
        view.map(|view| (sequence, view))
    }

    /// At most `most` of a tenant's holds that are open at a point, after `after` and the oldest
    /// first, with the event that this reflects and where the next page begins.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn open_holds(
        &self,
        tenant: TenantId,
        after: Sequence,
        most: usize,
        point: &Point,
    ) -> Result<(Sequence, Vec<HoldView>, Option<Sequence>), ReadError> {
        let then = self.holds_at(tenant, point)?;
        let (now, mut holds) = self.look_now(|Reading { books, .. }| {
            let holds = then.as_ref().unwrap_or(&books.holds);
            let open = holds.of_tenant(tenant, after);
            open.filter(|(_, hold)| !hold.is_over(point.moment))
                .take(most.saturating_add(1))
                .map(|(id, Hold { placed, placed_at, .. })| {
                    HoldView::new(&books.names, id, *placed_at, placed, HoldStatus::Open)
                })
                .collect::<Vec<_>>()
        });
        let is_cut = holds.len() > most;
        holds.truncate(most);
        let next = holds.last().map(|hold| hold.hold_id).filter(|_| is_cut);
        Ok((if point.is_now { now } else { point.sequence }, holds, next))
    }

    /// The money that holds kept free of a tenant's wallet at a point, and the event that this
    /// reflects.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn held_at(&self, tenant: TenantId, point: &Point) -> Result<(Sequence, Money), ReadError> {
        match self.holds_at(tenant, point)? {
            Some(then) => Ok((point.sequence, then.held_money(tenant, point.moment))),
            None => {
                Ok(self.look_now(|reading| reading.books.holds.held_money(tenant, point.moment)))
            }
        }
    }

    /// A tenant's holds as they were at a point; `None` for the present.
    fn holds_at(&self, tenant: TenantId, point: &Point) -> Result<Option<Holds>, ReadError> {
        if point.is_now {
            return Ok(None);
        }
        // What was placed earlier had run out by then.
        let from = self.log.sequence_at(point.moment.plus_seconds(-HOLD_SECONDS_MAX))?;
        let [holds, calls] = self.look(|reading| {
            let histories = &reading.histories;
            [histories.tenant_holds(tenant).clone(), histories.tenant_calls(tenant).clone()]
        });
        let mut fold = Holds::default();
        self.follow_from(&[&holds, &calls], from, point.sequence, |recorded| {
            fold.apply(recorded);
        })?;
        Ok(Some(fold))
    }
}
