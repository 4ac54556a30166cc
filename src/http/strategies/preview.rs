//! `POST /api/v1/strategies/{strategy}/preview`: what a strategy would give, without giving it.

use axum::extract::State;
use projections::{books::Reading, strategies::Strategy};
use schemas::{
    Condition, Credits, Name, NameId, NameKind, StrategyId, StrategyKind, Timestamp, UserId,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::strategy_id;
use crate::{
    domain::{Rehearsal, Rejection, Verdict, rehearse},
    http::{
        AppState, body,
        ledger::{AtLeast, Reply, fault, reading},
        params::Path,
        problem::{ParameterSource, Problem},
    },
};

const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 1000;
/// How far ahead a preview looks, in seconds: a schedule that ticks each minute ticks half a million
/// times until then.
const AHEAD_SECONDS_MAX: i64 = 366 * 86_400;
/// How many users, and how many of their ticks, are judged in one look.
const USERS_AT_ONCE: usize = 1000;
const TICKS_AT_ONCE: usize = 10_000;

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(preview))
}

/// What to look at. All of it can be left out, and so can the body.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Question {
    /// As of when, from now up to 366 days ahead; now when left out.
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Timestamp>,
    /// How many users to list at most: 1 to 1000; 100 when left out.
    limit: Option<usize>,
    /// Where the list begins: the `next_cursor` of the page before.
    cursor: Option<u32>,
    /// Only this user.
    #[schema(value_type = Option<String>)]
    user_id: Option<Name>,
}

/// What a strategy would give.
#[derive(Debug, Serialize, ToSchema)]
struct Preview {
    /// The strategy.
    #[schema(value_type = u32)]
    strategy_id: StrategyId,
    /// Its name.
    name: String,
    /// The moment that was judged by.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// Whether it gives at all: one that is switched off is judged as if it were on.
    enabled: bool,
    /// The ticks that it owes by then.
    #[schema(value_type = Vec<String>)]
    ticks: Vec<Timestamp>,
    /// How many ticks before them would be passed over.
    skipped_ticks: u32,
    /// The tick that was judged instead, of a periodic strategy that owes none; `at` is then the
    /// moment of this tick.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    next_tick: Option<Timestamp>,
    /// To how many users it would give.
    would_execute: u64,
    /// How much in all.
    #[schema(value_type = f64)]
    total_amount: Credits,
    /// A page of the users, in the order in which they became known.
    users: Vec<Judged>,
    /// Where the next page begins; `null` after the last.
    next_cursor: Option<u32>,
}

/// What a strategy would give to a user.
#[derive(Debug, Serialize, ToSchema)]
struct Judged {
    /// The user.
    user_id: String,
    /// `gives`, `already_executed`, `cap_reached`, `condition_false` or `unknown_user`.
    verdict: &'static str,
    /// How much in all.
    #[schema(value_type = f64)]
    amount: Credits,
    /// How often: at how many ticks.
    times: u32,
}

/// What a strategy would give, and to whom, without giving it.
#[utoipa::path(post, path = "/api/v1/strategies/{strategy}/preview", tag = "strategies",
    params(("strategy" = u32, Path, description = "Its number")), request_body = Option<Question>,
    responses((status = 200, body = Preview)))]
async fn preview(
    State(state): State<AppState>,
    _: AtLeast,
    Path(id): Path<String>,
    question: Option<body::Json<Question>>,
) -> Result<Reply<Preview>, Problem> {
    let id = strategy_id(&id)?;
    let Question { at, limit, cursor, user_id } =
        question.map(|body::Json(question)| question).unwrap_or_default();
    let limit = limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        let reason = format!("must be 1 to {LIMIT_MAX}");
        return Err(fault("limit", reason, ParameterSource::Body));
    }
    let now = state.clock().now();
    let at = at.unwrap_or(now);
    if at < now || at > now.plus_seconds(AHEAD_SECONDS_MAX) {
        let reason = format!("must lie between now, {now}, and 366 days later");
        return Err(fault("at", reason, ParameterSource::Body));
    }
    let (head, strategy) =
        state.views().look_now(|reading| reading.books.strategies.live(id).cloned());
    let strategy = strategy.ok_or(Rejection::NoSuchStrategy)?;
    let mut rehearsed = Rehearsed::new(&state, id, strategy, at).await?;
    match user_id {
        Some(name) => rehearsed.one(&state, &name),
        None => rehearsed.everyone(&state, cursor.unwrap_or_default(), limit).await?,
    }
    Ok(Reply::read(head, rehearsed.preview))
}

/// A preview in the making.
struct Rehearsed {
    preview: Preview,
    strategy: Strategy,
    condition: Condition,
    /// What is judged: `[None]` for a single strategy.
    judged: Vec<Option<Timestamp>>,
}

impl Rehearsed {
    /// With the ticks, and no users yet.
    async fn new(
        state: &AppState,
        id: StrategyId,
        strategy: Strategy,
        at: Timestamp,
    ) -> Result<Self, Problem> {
        let (jobs, owner) = (state.jobs().clone(), strategy.clone());
        let (ticks, skipped_ticks, next_tick) = reading(move || {
            let (ticks, skipped) =
                if owner.definition.enabled { jobs.owed_ticks(&owner, at) } else { (vec![], 0) };
            let next = if ticks.is_empty() { jobs.next_tick(&owner, at) } else { None };
            Ok((ticks, skipped, next))
        })
        .await?;
        let judged = match strategy.definition.kind {
            StrategyKind::Single => vec![None],
            StrategyKind::Periodic => ticks.iter().copied().chain(next_tick).map(Some).collect(),
        };
        let condition = Condition::parse(&strategy.definition.condition)
            .map_err(|error| Problem::internal(&error))?;
        let preview = Preview {
            strategy_id: id,
            name: strategy.definition.name.clone(),
            at: next_tick.unwrap_or(at),
            enabled: strategy.definition.enabled,
            ticks,
            skipped_ticks,
            next_tick,
            would_execute: 0,
            total_amount: Credits::ZERO,
            users: Vec::new(),
            next_cursor: None,
        };
        Ok(Self { preview, strategy, condition, judged })
    }

    fn judge(&self, reading: &Reading, user: UserId) -> Rehearsal {
        let Self { preview, strategy, condition, judged } = self;
        let Preview { strategy_id, at, .. } = preview;
        rehearse(&reading.books, *strategy_id, strategy, condition, user, judged, *at)
    }

    fn amount(&self, times: u32) -> Credits {
        let amount = self.strategy.definition.amount.checked_times(u64::from(times));
        amount.unwrap_or(Credits::from_units(i64::MAX))
    }

    /// Counts what a user would get.
    fn count(&mut self, times: u32) {
        let amount = self.amount(times);
        let Preview { would_execute, total_amount, .. } = &mut self.preview;
        *would_execute = would_execute.saturating_add(u64::from(times > 0));
        let total = total_amount.checked_add(amount);
        *total_amount = total.unwrap_or(Credits::from_units(i64::MAX));
    }

    fn list(&mut self, user_id: String, Rehearsal { verdict, times }: Rehearsal) {
        let (verdict, amount) = (verdict.as_str(), self.amount(times));
        self.preview.users.push(Judged { user_id, verdict, amount, times });
    }

    /// One user, by name.
    fn one(&mut self, state: &AppState, name: &Name) {
        let rehearsal = state.views().look(|reading| {
            let user = reading.books.names.find(name.as_str());
            user.map(|user| self.judge(reading, user))
        });
        let rehearsal = rehearsal.unwrap_or(Rehearsal { verdict: Verdict::Unknown, times: 0 });
        self.count(rehearsal.times);
        self.list(name.as_str().to_owned(), rehearsal);
    }

    /// Everyone counts; from the user numbered `from` on, `limit` are listed.
    async fn everyone(&mut self, state: &AppState, from: u32, limit: usize) -> Result<(), Problem> {
        let count = state.views().look(|reading| reading.books.names.next_number(NameKind::User));
        let at_once = (TICKS_AT_ONCE / self.judged.len().max(1)).clamp(1, USERS_AT_ONCE);
        let mut numbers = (0..count).peekable();
        while numbers.peek().is_some() {
            let some: Vec<u32> = numbers.by_ref().take(at_once).collect();
            state.views().look(|reading| {
                for number in some {
                    let user = UserId::from_number(number);
                    let rehearsal = self.judge(reading, user);
                    self.count(rehearsal.times);
                    if number >= from && self.preview.users.len() < limit {
                        self.list(reading.books.names.text(user).to_string(), rehearsal);
                        self.preview.next_cursor = Some(number.saturating_add(1));
                    }
                }
            });
            tokio::task::yield_now().await;
        }
        self.preview.next_cursor = self.preview.next_cursor.filter(|next| *next < count);
        Ok(())
    }
}
