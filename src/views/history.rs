//! The history of calls, newest first: read out of the log along the lists of who is concerned, a
//! page at a time. A cursor is a sequence, so that a page stays what it is while events arrive.

use projections::books::{Books, Reading};
use projections::collections::PostingList;
use replay::ReadError;
use schemas::{
    AssistantId, CallContext, ConsumptionRated, Event, Half, ModelId, PairingTimedOut, Recorded,
    Sequence, TenantId, Timestamp, UserId,
};

use super::{Consumed, TokenConsumption, Views};

/// Whose calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Everyone's.
    Everyone,
    /// A tenant's.
    Tenant(TenantId),
    /// A user's, whichever tenant paid.
    User(UserId),
    /// A user's, where this tenant paid.
    UserOf(TenantId, UserId),
}

impl Whose {
    /// Whether the tenant that paid for a call is the right one.
    pub(super) fn pays(self, context: &CallContext) -> bool {
        match self {
            Self::UserOf(tenant, _) | Self::Tenant(tenant) => context.tenant == tenant,
            Self::Everyone | Self::User(_) => true,
        }
    }
}

/// Which calls.
#[derive(Debug, Clone, Copy)]
pub struct CallFilter {
    /// Whose.
    pub whose: Whose,
    /// Of this kind of assistant.
    pub assistant: Option<AssistantId>,
    /// Of this model.
    pub model: Option<ModelId>,
    /// From this moment on, by the call's own time.
    pub from: Option<Timestamp>,
    /// Up to and including this moment.
    pub to: Option<Timestamp>,
    /// With at least this many tokens.
    pub tokens_min: Option<u64>,
    /// With at most this many tokens.
    pub tokens_max: Option<u64>,
}

/// A page of calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallPage {
    /// The calls, newest first.
    pub calls: Vec<TokenConsumption>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<Sequence>,
}

/// How many events are read at once.
const READ_AT_ONCE: usize = 256;
/// How many events one page may look at before it ends early, with a cursor to go on.
const LOOKED_AT_MAX: usize = 50_000;

impl Views {
    /// At most `calls_max` calls that `filter` lets pass, newest first, beginning at `from`; what is
    /// said of them is as of `through`.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn calls(
        &self,
        filter: &CallFilter,
        through: Sequence,
        from: Sequence,
        calls_max: usize,
    ) -> Result<CallPage, ReadError> {
        self.calls_of(&self.calls_list(filter.whose), filter, through, from, calls_max)
    }

    /// Where the calls stand in the log, for whoever reads page after page of them.
    #[must_use]
    pub fn calls_list(&self, whose: Whose) -> PostingList {
        self.look(|reading| list_of(reading, whose))
    }

    /// As [`Self::calls`], along a list taken before.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn calls_of(
        &self,
        list: &PostingList,
        filter: &CallFilter,
        through: Sequence,
        from: Sequence,
        calls_max: usize,
    ) -> Result<CallPage, ReadError> {
        let mut sequences = list.descending(through.min(from)).peekable();
        let mut page = CallPage::default();
        let mut looked_at = 0_usize;
        while sequences.peek().is_some() {
            let some: Vec<Sequence> = sequences.by_ref().take(READ_AT_ONCE).collect();
            looked_at = looked_at.saturating_add(some.len());
            for recorded in self.log.read_many(&some)? {
                let Some(call) = self.call(&recorded, through)? else { continue };
                let passes = call.passes(filter);
                if passes && page.calls.len() == calls_max {
                    page.next = Some(recorded.sequence);
                    return Ok(page);
                }
                if passes {
                    page.calls.push(self.look(|reading| call.view(&reading.books)));
                }
            }
            if looked_at >= LOOKED_AT_MAX && sequences.peek().is_some() {
                page.next = sequences.peek().copied();
                return Ok(page);
            }
        }
        Ok(page)
    }

    /// The call that the event at `sequence` recorded; `None` when it recorded none.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn call_at(&self, sequence: Sequence) -> Result<Option<TokenConsumption>, ReadError> {
        let Some(recorded) = self.log.read(sequence)? else { return Ok(None) };
        let call = self.call(&recorded, self.head())?;
        Ok(call.map(|call| self.look(|reading| call.view(&reading.books))))
    }

    /// The call that `charged` put a cost on, be it at once or later; `None` when it is no such event.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub(super) fn charged_call(
        &self,
        charged: &Recorded,
    ) -> Result<Option<TokenConsumption>, ReadError> {
        let call = match &charged.event {
            Event::ConsumptionRecorded(consumption) if consumption.charge.is_some() => {
                Some(Call { recorded: charged.clone(), half: None, later: None })
            }
            Event::ConsumptionRated(rated) => {
                let recorded = self.log.read(rated.consumption)?;
                let later = Some(rated.clone());
                recorded.map(|recorded| Call { recorded, half: None, later })
            }
            _ => None,
        };
        Ok(call.map(|call| self.look(|reading| call.view(&reading.books))))
    }

    /// What `recorded` says of a call, as of `through`; nothing when later events say more.
    fn call(&self, recorded: &Recorded, through: Sequence) -> Result<Option<Call>, ReadError> {
        let sequel = |record| self.look(|reading| reading.histories.sequel(record));
        let until = |sequence: Option<Sequence>| sequence.filter(|sequence| *sequence <= through);
        match &recorded.event {
            Event::ConsumptionRecorded(consumption) => {
                let rated_by = match consumption.charge {
                    Some(_) => None,
                    None => until(sequel(recorded.sequence).rated_by),
                };
                let later = match rated_by {
                    Some(sequence) => self.log.read(sequence)?.and_then(rating_of),
                    None => None,
                };
                Ok(Some(Call { recorded: recorded.clone(), half: None, later }))
            }
            Event::PairingTimedOut(PairingTimedOut { half, .. }) => {
                if until(sequel(*half).completed_by).is_some() {
                    return Ok(None);
                }
                let half = self.log.read(*half)?;
                Ok(half.map(|half| Call {
                    recorded: recorded.clone(),
                    half: Some(half),
                    later: None,
                }))
            }
            _ => Ok(None),
        }
    }
}

pub(super) fn list_of(reading: &Reading, whose: Whose) -> PostingList {
    let histories = &reading.histories;
    match whose {
        Whose::Everyone => histories.calls().clone(),
        Whose::Tenant(tenant) => histories.tenant_calls(tenant).clone(),
        Whose::User(user) | Whose::UserOf(_, user) => histories.user_calls(user).clone(),
    }
}

fn rating_of(recorded: Recorded) -> Option<Box<ConsumptionRated>> {
    match recorded.event {
        Event::ConsumptionRated(rated) => Some(rated),
        _ => None,
    }
}

/// What the log says of one call.
struct Call {
    recorded: Recorded,
    half: Option<Recorded>,
    later: Option<Box<ConsumptionRated>>,
}

impl Call {
    fn consumed(&self) -> Option<Consumed<'_>> {
        match (&self.recorded.event, self.half.as_ref().map(|half| &half.event)) {
            (Event::ConsumptionRecorded(consumption), _) => {
                Some(Consumed::Complete(consumption, self.later.as_deref()))
            }
            (
                Event::PairingTimedOut(PairingTimedOut { present: Half::Request, .. }),
                Some(Event::RequestReceived(half)),
            ) => Some(Consumed::RequestOnly(half)),
            (Event::PairingTimedOut(_), Some(Event::ResponseReceived(half))) => {
                Some(Consumed::ResponseOnly(half))
            }
            _ => None,
        }
    }

    fn passes(&self, filter: &CallFilter) -> bool {
        let (context, timestamp, tokens): (&CallContext, Timestamp, u64) = match self.consumed() {
            Some(Consumed::Complete(call, _)) => (&call.context, call.timestamp, call.usage.total),
            Some(Consumed::RequestOnly(half)) => {
                (&half.context, half.details.timestamp, half.details.token_count)
            }
            Some(Consumed::ResponseOnly(half)) => {
                let tokens = half.usage.map_or(half.details.token_count, |usage| usage.total);
                (&half.context, half.timestamp, tokens)
            }
            None => return false,
        };
        let CallFilter { whose, assistant, model, from, to, tokens_min, tokens_max } = *filter;
        whose.pays(context)
            && (assistant.is_none() || assistant == context.assistant)
            && (model.is_none() || model == context.model)
            && from.is_none_or(|from| timestamp >= from)
            && to.is_none_or(|to| timestamp <= to)
            && tokens_min.is_none_or(|least| tokens >= least)
            && tokens_max.is_none_or(|most| tokens <= most)
    }

    fn view(&self, books: &Books) -> TokenConsumption {
        let consumed = self.consumed().expect("invariant: only calls pass a filter");
        let view = TokenConsumption::new(&books.names, &self.recorded, consumed);
        match &self.recorded.event {
            Event::ConsumptionRecorded(call) => {
                view.with_markup(books.tenants.terms(call.context.tenant))
            }
            _ => view,
        }
    }
}
