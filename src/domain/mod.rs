//! The rules: what a command leads to, given the state and the time. `decide` may refuse and may not
//! act; it reads no clock, does no I/O and changes nothing.

mod accounts;
mod alerts;
mod bills;
mod calls;
mod counters;
mod due;
mod holds;
mod money;
mod naming;
mod prices;
mod quota;
mod rejection;
mod strategies;
mod tenants;
mod top_ups;
mod users;
mod vouchers;
mod webhooks;

use projections::books::Deciding;
use projections::calls::Key;
use std::sync::Arc;

use schemas::{
    ActorId, Command, CommandHeader, CommandKey, Envelope, Event, ExpiryRule, Recorded, Sequence,
    SigningKeys, Timestamp, Tz,
};

pub use alerts::review as review_alerts;
pub use due::Due;
pub use rejection::{
    AccountRejection, BillRejection, Blame, HoldRejection, LimitKind, Rejection, TenantRejection,
    TopUpRejection, WebhookRejection,
};
pub use strategies::{Rehearsal, Verdict, judge, rehearse};
pub use top_ups::{auto_top_up_due, auto_top_up_from, may_be_paid};
pub use vouchers::VOUCHER_ITEMS_MAX;

use naming::Naming;

/// Rules that the operator sets.
#[derive(Debug, Clone)]
pub struct Rules {
    /// How long a half of a call waits for the other before it counts as incomplete.
    pub pairing_timeout_seconds: i64,
    /// When quota expires that is given without a date.
    pub expiry: ExpiryRule,
    /// Whose months and hours are meant.
    pub zone: Tz,
    /// Signs vouchers; `None`: there are none.
    pub signing_keys: Option<Arc<SigningKeys>>,
    /// How long a wallet that fills itself waits before it does so again.
    pub auto_top_up_cooldown_seconds: u32,
    /// Whether a voucher counts that another book has issued under a key of ours.
    pub foreign_vouchers: bool,
}

impl Rules {
    /// When quota expires that is given at `now`.
    #[must_use]
    pub fn expiry(&self, now: Timestamp) -> Timestamp {
        self.expiry.expiry(now, self.zone)
    }
}

impl Default for Rules {
    /// As configured where nothing is.
    fn default() -> Self {
        Self {
            pairing_timeout_seconds: 3600,
            expiry: ExpiryRule::NextMonthEnd,
            zone: Tz::UTC,
            signing_keys: None,
            auto_top_up_cooldown_seconds: 3600,
            foreign_vouchers: true,
        }
    }
}

/// What the writer decides by: the folds, and what falls due when.
#[derive(Debug)]
pub struct State {
    /// The folds.
    pub deciding: Deciding,
    due: Due,
    rules: Rules,
}

impl State {
    /// The state that follows from `deciding`.
    #[must_use]
    pub fn new(deciding: Deciding, rules: Rules) -> Self {
        let due = Due::of(&deciding);
        Self { deciding, due, rules }
    }

    /// Takes one event in.
    pub fn apply(&mut self, recorded: &Recorded) {
        let Self { deciding, due, rules: _ } = self;
        deciding.apply(recorded);
        due.apply(recorded, deciding);
    }
}

/// What a command leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// These events, to be recorded under this header.
    Record(CommandHeader, Vec<Event>),
    /// Nothing: the same was recorded before, and led to this event.
    Already(Sequence),
    /// Nothing: there was nothing to do.
    Nothing,
}

/// Events with the key that the command is recognised by from now on, before its actor is named.
type Outcome = Result<Option<(CommandKey, Vec<Event>)>, Refusal>;

/// Why a command leads to nothing new.
enum Refusal {
    Already(Sequence),
    Rejected(Rejection),
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl From<HoldRejection> for Refusal {
    fn from(rejection: HoldRejection) -> Self {
        Self::Rejected(rejection.into())
    }
}

/// What `envelope` leads to at `now`.
///
/// # Errors
/// When the command breaks a rule; nothing is to change then.
pub fn decide(state: &State, envelope: &Envelope, now: Timestamp) -> Result<Decision, Rejection> {
    if let Some(key) = envelope.key
        && let Some(seen) = state.deciding.calls.seen(Key::explicit(key))
    {
        return if seen.fingerprint == envelope.fingerprint {
            Ok(Decision::Already(seen.sequence()))
        } else {
            Err(Rejection::KeyReused)
        };
    }
    let mut naming = Naming::new(&state.deciding.books.names);
    let outcome = decide_command(state, envelope, now, &mut naming);
    let (key, events) = match outcome {
        Ok(Some(recorded)) => recorded,
        Ok(None) => return Ok(Decision::Nothing),
        Err(Refusal::Already(sequence)) => return Ok(Decision::Already(sequence)),
        Err(Refusal::Rejected(rejection)) => return Err(rejection),
    };
    let actor: ActorId = naming.id(&envelope.actor);
    let header = CommandHeader { actor, key, fingerprint: envelope.fingerprint };
    Ok(Decision::Record(header, naming.introduce(events)))
}

fn decide_command(
    state: &State,
    envelope: &Envelope,
    now: Timestamp,
    naming: &mut Naming<'_>,
) -> Outcome {
    let Envelope { command, fingerprint, key, actor: _ } = envelope;
    let books = &state.deciding.books;
    let rules = &state.rules;
    let explicit = key.map_or(CommandKey::None, CommandKey::Explicit);
    let events = match command {
        Command::RecordConsumption(report) => {
            return calls::record_consumption(state, report, *fingerprint, now, naming);
        }
        Command::ReceiveRequest(report) => {
            return calls::receive_request(state, report, *fingerprint, now, naming);
        }
        Command::ReceiveResponse(report) => {
            return calls::receive_response(state, report, *fingerprint, now, naming);
        }
        Command::RechargeQuota(recharge) => {
            vec![quota::recharge(books, recharge, now, naming)?]
        }
        Command::TopUpWallet(top_up) => money::top_up(books, top_up, naming)?,
        Command::AdjustWallet(adjustment) => money::adjust(books, adjustment, naming)?,
        Command::SetDrawRule(rule) => vec![quota::set_rule(books, rule, naming)?],
        Command::PublishPrices(book) => prices::publish(books, book, now, naming)?,
        Command::RateUsage(usage) => prices::rate_backlog(books, usage, now),
        Command::BookExpiredQuota { by, lots_max } => {
            state.due.expired_lots(books, now.min(*by), *lots_max)
        }
        Command::TimeOutPairings { halves_max } => {
            let seconds = rules.pairing_timeout_seconds;
            let deadline = now.plus_seconds(seconds.saturating_neg());
            state.due.lone_halves(&state.deciding.calls, deadline, *halves_max)
        }
        Command::RegisterTenant(registration) => tenants::register(registration, naming),
        Command::RegisterUser(registration) => tenants::register_user(registration, naming),
        Command::DescribeUser(description) => vec![users::describe(description, naming)?],
        Command::EraseUser { user } => users::erase(books, user, naming)?.into_iter().collect(),
        Command::MoveCounter(command) => {
            counters::move_counter(books, rules, command, now, naming)?
        }
        Command::CreateStrategy(draft) => vec![strategies::create(books, rules, draft, naming)?],
        Command::UpdateStrategy(update) => {
            strategies::update(books, rules, update, naming)?.into_iter().collect()
        }
        Command::DeleteStrategy { strategy } => vec![strategies::delete(books, *strategy)?],
        Command::ExecuteStrategy(command) => strategies::execute(books, rules, command, now)?,
        Command::IssueVoucher(command) => vouchers::issue(books, rules, command, now, naming)?,
        Command::RedeemVoucher(command) => vouchers::redeem(books, rules, command, now, naming)?,
        Command::CancelVoucher { voucher, giver } => {
            vouchers::cancel(books, *voucher, giver, now, naming)?
        }
        Command::LapseVouchers { vouchers_max } => {
            vouchers::lapse(books, state.due.lapsed_vouchers(now), *vouchers_max, now)
        }
        Command::UpdateTenant(command) => tenants::update(books, command, naming)?,
        Command::SetConsumptionLimits(command) => tenants::set_limits(books, command, naming)?,
        Command::SetAutoTopUp(command) => tenants::set_auto_top_up(books, command, naming)?,
        Command::SetAccount(command) => accounts::set(books, command, naming)?,
        Command::OpenSession(command) => accounts::open_session(books, command, now, naming)?,
        Command::CloseSession { session } => accounts::close_session(books, *session),
        Command::IssueApiKey(command) => accounts::issue_key(books, command, now, naming)?,
        Command::RevokeApiKey(command) => accounts::revoke_key(books, command, naming)?,
        Command::PlaceHold(command) => holds::place(state, command, *fingerprint, now, naming)?,
        Command::ReleaseHold(command) => holds::release(books, command, now, naming)?,
        Command::ExpireHolds { holds_max } => {
            state.due.expired_holds(&books.holds, now, *holds_max)
        }
        Command::PostBill(command) => bills::post(&state.deciding, *command, now)?,
        Command::CreditWallet(command) => money::credit(books, command, naming)?,
        Command::StartTopUp(command) => top_ups::start(books, rules, command, now, naming)?,
        Command::LinkTopUp(command) => top_ups::link(books, command)?,
        Command::SettleTopUp(command) => top_ups::settle(books, command, naming)?,
        Command::ClosePeriod(command) => bills::close_period(books, *command, now)?,
        Command::ReviewAlerts(command) => alerts::review(books, command, now),
        Command::SetWebhook(command) => webhooks::set(books, command, naming)?,
        Command::RemoveWebhook { webhook } => webhooks::remove(books, *webhook)?,
        Command::RecordDelivery(delivery) => webhooks::record_delivery(books, delivery),
        Command::RequestDelivery(command) => webhooks::request_delivery(books, command)?,
    };
    Ok((!events.is_empty()).then_some((explicit, events)))
}
