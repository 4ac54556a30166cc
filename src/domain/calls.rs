//! Calls: the pairing of their halves, in either order and any number of times, into one consumption
//! that is rated and drawn at once.

use projections::books::Books;
use projections::calls::{Key, Seen, Waiting, WaitingHalf};
use projections::draw_rules::RuleInForce;
use projections::prices::Prices;
use schemas::{
    CallContext, CallNames, Charge, CommandKey, ConflictObserved, Consumption, ConsumptionReport,
    Draw, Event, Fingerprint, Half, ModelId, Name, RequestDetails, RequestHalf, RequestReport,
    ResponseDetails, ResponseHalf, ResponseReport, Sequence, ServiceTier, TenantId, Timestamp,
    Usage, UsageOrigin, rate,
};

use super::naming::Naming;
use super::{Outcome, Refusal, Rejection, State, money};

/// The request half: waits, completes, or is known.
pub(super) fn receive_request(
    state: &State,
    report: &RequestReport,
    fingerprint: Fingerprint,
    now: Timestamp,
    naming: &mut Naming<'_>,
) -> Outcome {
    let known = match known_otherwise(state, &report.call, Half::Request, fingerprint, naming) {
        Ok(known) => known,
        Err(outcome) => return outcome,
    };
    let half = RequestHalf { context: context(&report.call, naming), details: report.details };
    let event = match known.as_ref().map(|known| (known, known.waiting)) {
        None => Event::RequestReceived(Box::new(half)),
        Some((_, Some(Waiting { half: WaitingHalf::Response(response), sequence, .. }))) => {
            // A model that the response named was introduced by it, with its built-in price.
            let new_model = report.call.model.as_ref().filter(|_| response.context.model.is_none());
            let call = Call {
                context: merged(&response.context, Some(&half.context)),
                timestamp: response.timestamp,
                usage: response.usage,
                tier: response.tier,
                request: Some(half.details),
                response: response.details,
                waited: Some(*sequence),
            };
            consumption(&state.deciding.books, call, new_model, now)?
        }
        Some((known, _)) => return Err(Refusal::Already(known.seen.sequence())),
    };
    Ok(Some((CommandKey::Call, vec![event])))
}

/// The response half: waits, completes, or is known.
pub(super) fn receive_response(
    state: &State,
    report: &ResponseReport,
    fingerprint: Fingerprint,
    now: Timestamp,
    naming: &mut Naming<'_>,
) -> Outcome {
    let known = match known_otherwise(state, &report.call, Half::Response, fingerprint, naming) {
        Ok(known) => known,
        Err(outcome) => return outcome,
    };
    let half = response_half(report, naming);
    let event = match known.as_ref().map(|known| (known, known.waiting)) {
        None => Event::ResponseReceived(Box::new(half)),
        Some((_, Some(waiting))) => {
            let call = Call::of_response(half, None, Some(waiting));
            consumption(&state.deciding.books, call, report.call.model.as_ref(), now)?
        }
        Some((known, None)) => return Err(Refusal::Already(known.seen.sequence())),
    };
    Ok(Some((CommandKey::Call, vec![event])))
}

/// A whole call: recorded at once, with the request half that waits for it if there is one.
pub(super) fn record_consumption(
    state: &State,
    report: &ConsumptionReport,
    fingerprint: Fingerprint,
    now: Timestamp,
    naming: &mut Naming<'_>,
) -> Outcome {
    let call = &report.response.call;
    let known = Known::of(state, call, naming);
    if let Some(known) = &known {
        let request = match report.request {
            Some(_) => known.compare(Half::Request, fingerprint),
            None => Comparison::Missing,
        };
        let response = known.compare(Half::Response, fingerprint);
        if request == Comparison::Other || response == Comparison::Other {
            let request_id = call.request_id.to_string();
            return Err(Rejection::CallConflict { request_id }.into());
        }
        if known.waiting.is_none() {
            return Err(Refusal::Already(known.seen.sequence()));
        }
    }
    let waiting = known.as_ref().and_then(|known| known.waiting);
    let whole = Call::of_response(response_half(&report.response, naming), report.request, waiting);
    let event = consumption(&state.deciding.books, whole, call.model.as_ref(), now)?;
    Ok(Some((CommandKey::Call, vec![event])))
}

/// What is known of a call beside the half that arrives; the outcome, where that half is known.
fn known_otherwise<'a>(
    state: &'a State,
    call: &CallNames,
    half: Half,
    fingerprint: Fingerprint,
    naming: &Naming<'_>,
) -> Result<Option<Known<'a>>, Outcome> {
    let Some(known) = Known::of(state, call, naming) else { return Ok(None) };
    match known.compare(half, fingerprint) {
        Comparison::Missing => Ok(Some(known)),
        Comparison::Same => Err(Err(Refusal::Already(known.seen.sequence()))),
        Comparison::Other => Err(known.conflict(state, half, call, fingerprint)),
    }
}

/// A call that something is known of.
struct Known<'a> {
    tenant: TenantId,
    seen: Seen,
    waiting: Option<&'a Waiting>,
}

#[derive(PartialEq, Eq)]
enum Comparison {
    /// The half is known, with this content.
    Same,
    /// The half is known, with another content.
    Other,
    /// The half is not known.
    Missing,
}

impl<'a> Known<'a> {
    fn of(state: &'a State, call: &CallNames, naming: &Naming<'_>) -> Option<Self> {
        let tenant = naming.known(&call.tenant)?;
        let key = Key::of_call(tenant, &call.request_id);
        let calls = &state.deciding.calls;
        Some(Self { tenant, seen: calls.seen(key)?, waiting: calls.waiting(key) })
    }

    fn compare(&self, half: Half, fingerprint: Fingerprint) -> Comparison {
        let of_half = |(request, response)| match half {
            Half::Request => request,
            Half::Response => response,
        };
        match (of_half(self.seen.fingerprint.halves()), of_half(fingerprint.halves())) {
            (None, _) => Comparison::Missing,
            (Some(seen), Some(new)) if seen == new => Comparison::Same,
            (Some(_), _) => Comparison::Other,
        }
    }

    /// A message that contradicts what is on record: noted once for each content, and visible.
    fn conflict(
        &self,
        state: &State,
        half: Half,
        call: &CallNames,
        fingerprint: Fingerprint,
    ) -> Outcome {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"tallybook/conflict/");
        hasher.update(&self.tenant.0.to_le_bytes());
        hasher.update(&fingerprint.0);
        hasher.update(call.request_id.to_string().as_bytes());
        let mut id = [0; 16];
        hasher.finalize_xof().fill(&mut id);
        if let Some(noted) = state.deciding.calls.seen(Key::explicit(id)) {
            return Err(Refusal::Already(noted.sequence()));
        }
        let event = Event::ConflictObserved(ConflictObserved {
            tenant: self.tenant,
            request_id: call.request_id.clone(),
            half,
            stands: self.seen.sequence(),
        });
        Ok(Some((CommandKey::Explicit(id), vec![event])))
    }
}

/// All that is known of a call once its response is there.
struct Call {
    context: CallContext,
    timestamp: Timestamp,
    usage: Option<Usage>,
    tier: ServiceTier,
    request: Option<RequestDetails>,
    response: ResponseDetails,
    waited: Option<Sequence>,
}

impl Call {
    fn of_response(
        response: ResponseHalf,
        request: Option<RequestDetails>,
        waiting: Option<&Waiting>,
    ) -> Self {
        let ResponseHalf { context, timestamp, usage, tier, details } = response;
        let waiting_request = waiting.and_then(|waiting| match &waiting.half {
            WaitingHalf::Request(half) => Some(half),
            WaitingHalf::Response(_) => None,
        });
        Self {
            context: merged(&context, waiting_request.map(|half| &half.context)),
            timestamp,
            usage,
            tier,
            request: request.or_else(|| waiting_request.map(|half| half.details)),
            response: details,
            waited: waiting.map(|waiting| waiting.sequence),
        }
    }

    /// The counts that are charged: the provider's report, or else the gateway's estimates.
    fn usage(&self) -> (Usage, UsageOrigin) {
        let estimate = || Usage {
            prompt: self.request.map_or(0, |request| request.token_count),
            completion: self.response.token_count,
            ..Usage::default()
        };
        let origin = match self.usage {
            Some(_) => UsageOrigin::Reported,
            None => UsageOrigin::Estimated,
        };
        let mut usage = self.usage.unwrap_or_else(estimate);
        if usage.total == 0 {
            usage.total = usage.prompt.saturating_add(usage.completion);
        }
        (usage, origin)
    }
}

/// The event of a complete call, rated and drawn. `model` is its name, for a model that this very
/// command introduces.
fn consumption(
    books: &Books,
    call: Call,
    model: Option<&Name>,
    now: Timestamp,
) -> Result<Event, Rejection> {
    let (usage, origin) = call.usage();
    let markup = books.tenants.terms(call.context.tenant).markup_basis_points.now();
    let charge = match call.context.model {
        Some(id) => charge(books, (id, model), call.timestamp, (&usage, call.tier), markup),
        None => None,
    };
    let accrued = books.wallets.wallet(call.context.tenant).accrued;
    let cost = charge.map(|charge| charge.cost).unwrap_or_default();
    let out_of_range = Rejection::AmountOutOfRange { field: "usage" };
    if money::accrued(accrued, cost).is_none() {
        return Err(out_of_range);
    }
    let rule = books.draw_rules.rule(call.context.tenant);
    let draw = draw(books, rule, &call.context, &usage, charge, now).ok_or(out_of_range)?;
    Ok(Event::ConsumptionRecorded(Box::new(Consumption {
        context: call.context,
        timestamp: call.timestamp,
        usage,
        origin,
        tier: call.tier,
        request: call.request,
        response: call.response,
        waited: call.waited,
        charge,
        draw,
    })))
}

/// Hundredths of a percent in the whole.
const WHOLE_IN_BASIS_POINTS: u32 = 10_000;

/// What the tenant pays for usage of a model: its price, and on top of it `markup` in hundredths of a
/// percent, rounded half to even at the last decimal. `None` while the model has no price.
pub(super) fn charge(
    books: &Books,
    (model, name): (ModelId, Option<&Name>),
    timestamp: Timestamp,
    (usage, tier): (&Usage, ServiceTier),
    markup: i32,
) -> Option<Charge> {
    let of_new_model;
    let in_force = if let Some(in_force) = books.prices.price(model, timestamp) {
        in_force
    } else {
        of_new_model = Prices::builtin(name?.as_str())?;
        &of_new_model
    };
    let whole = WHOLE_IN_BASIS_POINTS;
    let parts = u64::try_from(i64::from(markup).saturating_add(i64::from(whole))).unwrap_or(0);
    let cost = rate(&in_force.sheet, usage, tier)?.checked_ratio(parts, u64::from(whole))?;
    Some(Charge { version: in_force.version, cost })
}

/// What a call draws by a rule of its tenant; nothing from users who were never given quota. `None`
/// beyond the range.
pub(super) fn draw(
    books: &Books,
    rule: &RuleInForce,
    context: &CallContext,
    usage: &Usage,
    charge: Option<Charge>,
    now: Timestamp,
) -> Option<Draw> {
    let nothing = Draw { rule_version: rule.version, ..Draw::default() };
    let Some(user) = context.user else { return Some(nothing) };
    let account = books.quota.account(user);
    if !account.was_given() {
        return Some(nothing);
    }
    let credits = rule.credits(context.model, usage, charge)?;
    let draw = account.plan_draw(credits, now, rule.version);
    account.overdraft().checked_add(draw.overdraft)?;
    Some(draw)
}

fn context(call: &CallNames, naming: &mut Naming<'_>) -> CallContext {
    CallContext {
        tenant: naming.id(&call.tenant),
        request_id: call.request_id.clone(),
        user: call.user.as_ref().map(|name| naming.id(name)),
        model: call.model.as_ref().map(|name| naming.id(name)),
        assistant: call.assistant.as_ref().map(|name| naming.id(name)),
        document: call.document.clone(),
        conversation: call.conversation.clone(),
    }
}

fn response_half(report: &ResponseReport, naming: &mut Naming<'_>) -> ResponseHalf {
    ResponseHalf {
        context: context(&report.call, naming),
        timestamp: report.timestamp,
        usage: report.usage,
        tier: report.tier,
        details: ResponseDetails {
            character_count: report.character_count,
            token_count: report.token_count,
            finish_reason: report.finish_reason.as_ref().map(|name| naming.id(name)),
            response_time_ms: report.response_time_ms,
            has_tool_calls: report.has_tool_calls,
            tool_call_count: report.tool_call_count,
        },
    }
}

/// What the response says, and what only the request says.
fn merged(response: &CallContext, request: Option<&CallContext>) -> CallContext {
    let Some(request) = request else { return response.clone() };
    CallContext {
        tenant: response.tenant,
        request_id: response.request_id.clone(),
        user: response.user.or(request.user),
        model: response.model.or(request.model),
        assistant: response.assistant.or(request.assistant),
        document: response.document.clone().or_else(|| request.document.clone()),
        conversation: response.conversation.clone().or_else(|| request.conversation.clone()),
    }
}
