//! Every fact that the log can hold, in one list. An event's shape never changes once it is
//! released: a new shape is a new variant at the end of the list.

mod account;
mod alert;
mod billing;
mod hold;
mod person;
mod quota;
mod strategy;
mod tenant;
mod voucher;

use bincode::{Decode, Encode};

pub use account::*;
pub use alert::*;
pub use billing::*;
pub use hold::*;
pub use person::*;
pub use quota::*;
pub use strategy::*;
pub use tenant::*;
pub use voucher::*;

use crate::{
    AssistantId, Charge, Credits, ExternalId, FinishReasonId, ModelId, Money, NameKind, PriceSheet,
    PriceVersion, RequestType, Sequence, ServiceTier, TenantId, Timestamp, Usage, UsageOrigin,
    UserId,
};

/// A fact. Past tense; immutable for ever.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Event {
    /// A name appeared for the first time and got the next number of its kind.
    NameIntroduced(NameIntroduced),
    /// A user was given quota: a new lot.
    QuotaRecharged(QuotaRecharged),
    /// What remained of a lot after its expiry was written off.
    QuotaExpired(QuotaExpired),
    /// Money came into a tenant's wallet from outside.
    WalletToppedUp(WalletToppedUp),
    /// A person corrected a tenant's wallet.
    WalletAdjusted(WalletAdjusted),
    /// The tenant's rule for what a consumption draws was set.
    DrawRuleSet(DrawRuleSet),
    /// One model's prices within the price book that is being published.
    ModelPriced(ModelPriced),
    /// A price book took effect; its models were priced by the events before this one.
    PriceBookPublished(PriceBookPublished),
    /// The request half of a call arrived first and waits for its response.
    RequestReceived(Box<RequestHalf>),
    /// The response half of a call arrived first and waits for its request.
    ResponseReceived(Box<ResponseHalf>),
    /// A waiting half got no counterpart in time: a visible, unbilled, incomplete record.
    PairingTimedOut(PairingTimedOut),
    /// A message came again with other content; the first one stands.
    ConflictObserved(ConflictObserved),
    /// A call is complete: what it used, cost and drew.
    ConsumptionRecorded(Box<Consumption>),
    /// A consumption that had no price when it was recorded has one now.
    ConsumptionRated(Box<ConsumptionRated>),
    /// A tenant that may have been seen in messages before is known by its own name now.
    TenantRegistered(TenantRegistered),
    /// A user that may have been seen in messages before is known as a tenant's now.
    UserRegistered(UserRegistered),
    /// A user's attributes were set.
    UserDescribed(Box<UserDescribed>),
    /// A user's personal data was made unreadable for ever, and the attributes forgotten.
    UserErased(UserErased),
    /// Quota was taken back from a user.
    QuotaWithdrawn(QuotaWithdrawn),
    /// Quota was drawn by a sender that names the amount itself.
    QuotaDrawn(QuotaDrawn),
    /// Quota that had been drawn was given back.
    QuotaRefunded(QuotaRefunded),
    /// A recharge strategy was made.
    StrategyCreated(Box<StrategyDefined>),
    /// A recharge strategy was changed.
    StrategyUpdated(Box<StrategyDefined>),
    /// A recharge strategy was switched on or off.
    StrategySwitched(StrategySwitched),
    /// A recharge strategy was removed; what it gave stays.
    StrategyDeleted(StrategyDeleted),
    /// A strategy gave a user quota: a new lot.
    StrategyExecuted(StrategyExecuted),
    /// A strategy could not give a user what it should.
    StrategyFailed(StrategyFailed),
    /// A tick of a periodic strategy has been handled for every user.
    StrategyTickHandled(StrategyTickHandled),
    /// A part of a voucher was taken out of its giver's lots.
    VoucherItemReserved(VoucherItemReserved),
    /// A voucher is complete and can be redeemed.
    VoucherIssued(Box<VoucherIssued>),
    /// A part of a voucher became a lot, or had expired.
    VoucherItemSettled(VoucherItemSettled),
    /// A voucher has ended.
    VoucherClosed(VoucherClosed),
    /// A tenant's terms were changed.
    TenantUpdated(Box<TenantUpdated>),
    /// A tenant was suspended, deactivated or let in again.
    TenantStatusChanged(TenantStatusChanged),
    /// How much a tenant may use was set.
    ConsumptionLimitsSet(ConsumptionLimitsSet),
    /// How a wallet fills itself was set.
    AutoTopUpSet(Box<AutoTopUpSet>),
    /// What a user may do was set.
    AccountSet(AccountSet),
    /// A user's password was set.
    PasswordSet(PasswordSet),
    /// A user signed in.
    SessionOpened(SessionOpened),
    /// A user signed out.
    SessionClosed(SessionClosed),
    /// An API key was made.
    ApiKeyIssued(Box<ApiKeyIssued>),
    /// An API key was withdrawn.
    ApiKeyRevoked(ApiKeyRevoked),
    /// Something was kept free for a call.
    HoldPlaced(Box<HoldPlaced>),
    /// What was kept free for a call was let go: there will be no call.
    HoldReleased(HoldReleased),
    /// What was kept free for a call is no longer: its time ran out.
    HoldExpired(HoldExpired),
    /// Some lines of a bill, which the same command posts.
    BillItemized(BillItemized),
    /// A tenant's usage was billed and taken from its wallet.
    BillPosted(Box<BillPosted>),
    /// Money was given to a tenant: a refund, or a present.
    WalletCredited(WalletCredited),
    /// A payment through the provider began.
    TopUpStarted(Box<TopUpStarted>),
    /// The payment provider has named a payment.
    TopUpLinked(TopUpLinked),
    /// A payment has come in.
    TopUpSucceeded(TopUpSucceeded),
    /// A payment did not come in.
    TopUpFailed(TopUpFailed),
    /// A period of a tenant's usage was over; what comes later is late.
    PeriodClosed(PeriodClosed),
    /// Something wants somebody's attention.
    AlertRaised(AlertRaised),
    /// What wanted attention is as it was before.
    AlertCleared(AlertCleared),
    /// An endpoint of webhooks was made or changed.
    WebhookSet(Box<WebhookSet>),
    /// An endpoint of webhooks was removed.
    WebhookRemoved(WebhookRemoved),
    /// An event was sent to an endpoint, and arrived or did not.
    DeliveryAttempted(DeliveryAttempted),
    /// Somebody wants an event sent to an endpoint again.
    DeliveryRequested(DeliveryRequested),
    /// A user's password was taken away: whoever set it has no say over the user any more.
    PasswordCleared(PasswordCleared),
}

macro_rules! type_names {
    ($($variant:ident => $name:literal,)+) => {
        impl Event {
            /// The types of all events as readers see them, in the order of the list above.
            pub const TYPE_NAMES: &'static [&'static str] = &[$($name),+];

            /// The event's type as readers see it: in exports, as routing key, as SSE event name.
            #[must_use]
            pub const fn type_name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $name,)+
                }
            }
        }
    };
}
type_names! {
    NameIntroduced => "name_introduced",
    QuotaRecharged => "quota_recharged",
    QuotaExpired => "quota_expired",
    WalletToppedUp => "wallet_topped_up",
    WalletAdjusted => "wallet_adjusted",
    DrawRuleSet => "draw_rule_set",
    ModelPriced => "model_priced",
    PriceBookPublished => "price_book_published",
    RequestReceived => "request_received",
    ResponseReceived => "response_received",
    PairingTimedOut => "pairing_timed_out",
    ConflictObserved => "conflict_observed",
    ConsumptionRecorded => "consumption_recorded",
    ConsumptionRated => "consumption_rated",
    TenantRegistered => "tenant_registered",
    UserRegistered => "user_registered",
    UserDescribed => "user_described",
    UserErased => "user_erased",
    QuotaWithdrawn => "quota_withdrawn",
    QuotaDrawn => "quota_drawn",
    QuotaRefunded => "quota_refunded",
    StrategyCreated => "strategy_created",
    StrategyUpdated => "strategy_updated",
    StrategySwitched => "strategy_switched",
    StrategyDeleted => "strategy_deleted",
    StrategyExecuted => "strategy_executed",
    StrategyFailed => "strategy_failed",
    StrategyTickHandled => "strategy_tick_handled",
    VoucherItemReserved => "voucher_item_reserved",
    VoucherIssued => "voucher_issued",
    VoucherItemSettled => "voucher_item_settled",
    VoucherClosed => "voucher_closed",
    TenantUpdated => "tenant_updated",
    TenantStatusChanged => "tenant_status_changed",
    ConsumptionLimitsSet => "consumption_limits_set",
    AutoTopUpSet => "auto_top_up_set",
    AccountSet => "account_set",
    PasswordSet => "password_set",
    SessionOpened => "session_opened",
    SessionClosed => "session_closed",
    ApiKeyIssued => "api_key_issued",
    ApiKeyRevoked => "api_key_revoked",
    HoldPlaced => "hold_placed",
    HoldReleased => "hold_released",
    HoldExpired => "hold_expired",
    BillItemized => "bill_itemized",
    BillPosted => "bill_posted",
    WalletCredited => "wallet_credited",
    TopUpStarted => "top_up_started",
    TopUpLinked => "top_up_linked",
    TopUpSucceeded => "top_up_succeeded",
    TopUpFailed => "top_up_failed",
    PeriodClosed => "period_closed",
    AlertRaised => "alert_raised",
    AlertCleared => "alert_cleared",
    WebhookSet => "webhook_set",
    WebhookRemoved => "webhook_removed",
    DeliveryAttempted => "delivery_attempted",
    DeliveryRequested => "delivery_requested",
    PasswordCleared => "password_cleared",
}

/// See [`Event::NameIntroduced`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct NameIntroduced {
    /// What is named.
    pub kind: NameKind,
    /// Its number: the count of names of this kind before it.
    pub number: u32,
    /// The name.
    pub name: String,
}

/// Where a lot comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum LotSource {
    /// Given by hand.
    Grant,
    /// Added to a gateway's counter.
    Gateway,
    /// Given by a strategy.
    Strategy,
    /// Received by voucher.
    Transfer,
    /// Given away by voucher and come back.
    Return,
}

/// See [`Event::QuotaRecharged`]. The lot's name is this event's sequence.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct QuotaRecharged {
    /// Whose quota.
    pub user: UserId,
    /// The whole amount given, above zero.
    pub amount: Credits,
    /// Of it, what paid the user's overdraft; the rest is the lot.
    pub overdraft_paid: Credits,
    /// The moment after which the lot is worth nothing: it is good to the end of this second.
    pub expires_at: Timestamp,
    /// Where it comes from.
    pub source: LotSource,
    /// Why, in the giver's words.
    pub reason: String,
}

/// See [`Event::QuotaExpired`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct QuotaExpired {
    /// Whose quota.
    pub user: UserId,
    /// The lot, by the sequence of its recharge.
    pub lot: Sequence,
    /// What remained of it.
    pub amount: Credits,
}

/// See [`Event::WalletToppedUp`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct WalletToppedUp {
    /// Whose wallet.
    pub tenant: TenantId,
    /// USD, above zero.
    pub amount: Money,
    /// The payment's reference outside.
    pub reference: String,
}

/// See [`Event::WalletAdjusted`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct WalletAdjusted {
    /// Whose wallet.
    pub tenant: TenantId,
    /// USD, signed, not zero.
    pub amount: Money,
    /// Why, in words.
    pub reason: String,
}

/// What a consumption draws from its user's quota.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub enum DrawRule {
    /// One credit a token.
    #[default]
    PerToken,
    /// One credit a request.
    PerRequest,
    /// One credit a dollar of cost, cut to the sixth decimal.
    PerCost,
    /// Nothing.
    None,
}

/// See [`Event::DrawRuleSet`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct DrawRuleSet {
    /// Whose rule.
    pub tenant: TenantId,
    /// Counts the tenant's rules, from 1; 0 is the default that nobody set.
    pub version: u32,
    /// The rule.
    pub rule: DrawRule,
    /// How many credits one unit of a model's usage draws; models not named draw one.
    pub weights: Vec<(ModelId, Credits)>,
}

/// See [`Event::ModelPriced`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ModelPriced {
    /// The price book this belongs to.
    pub version: PriceVersion,
    /// The model.
    pub model: ModelId,
    /// What it costs.
    pub sheet: PriceSheet,
}

/// See [`Event::PriceBookPublished`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct PriceBookPublished {
    /// Counts the published books, from 1; 0 is the built-in one.
    pub version: PriceVersion,
    /// Usage from this moment on is rated by it.
    pub effective_at: Timestamp,
    /// How many models it prices.
    pub models: u32,
    /// Where it comes from, in words.
    pub source: String,
}

/// Who a call was made for and with: what both halves of it say.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct CallContext {
    /// The tenant that pays.
    pub tenant: TenantId,
    /// The sender's id of the call, unique within the tenant.
    pub request_id: ExternalId,
    /// The user who called, when it was said.
    pub user: Option<UserId>,
    /// The model, when it was said.
    pub model: Option<ModelId>,
    /// The kind of assistant.
    pub assistant: Option<AssistantId>,
    /// The document worked on.
    pub document: Option<ExternalId>,
    /// The conversation.
    pub conversation: Option<ExternalId>,
}

impl CallContext {
    /// The project that a call counts for: its document, or else its conversation.
    #[must_use]
    pub const fn project(&self) -> Option<&ExternalId> {
        match &self.document {
            Some(document) => Some(document),
            None => self.conversation.as_ref(),
        }
    }
}

/// What is kept of a request message. Its prompts are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct RequestDetails {
    /// When it was made, by the sender's clock.
    pub timestamp: Timestamp,
    /// Characters of all messages.
    pub character_count: u64,
    /// Tokens, estimated by the gateway.
    pub token_count: u64,
    /// Streamed or not.
    pub request_type: RequestType,
    /// Tools offered.
    pub tool_count: u32,
    /// Messages sent.
    pub message_count: u32,
}

/// What is kept of a response message. Its text is not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub struct ResponseDetails {
    /// Characters of the answer.
    pub character_count: u64,
    /// Tokens, estimated by the gateway.
    pub token_count: u64,
    /// Why it ended.
    pub finish_reason: Option<FinishReasonId>,
    /// How long it took.
    pub response_time_ms: u64,
    /// Whether tools were called.
    pub has_tool_calls: bool,
    /// How many.
    pub tool_call_count: u32,
}

/// See [`Event::RequestReceived`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct RequestHalf {
    /// Who and what for.
    pub context: CallContext,
    /// The rest.
    pub details: RequestDetails,
}

/// See [`Event::ResponseReceived`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ResponseHalf {
    /// Who and what for.
    pub context: CallContext,
    /// When the response was complete, by the sender's clock.
    pub timestamp: Timestamp,
    /// The provider's report, when there was one.
    pub usage: Option<Usage>,
    /// The class of service.
    pub tier: ServiceTier,
    /// The rest.
    pub details: ResponseDetails,
}

/// Which half of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Half {
    /// The request message.
    Request,
    /// The response message.
    Response,
}

/// See [`Event::PairingTimedOut`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct PairingTimedOut {
    /// Whose call.
    pub tenant: TenantId,
    /// Whose call, when the half says it.
    pub user: Option<UserId>,
    /// The half that is there.
    pub present: Half,
    /// The sequence of its event.
    pub half: Sequence,
    /// The call.
    pub request_id: ExternalId,
}

/// See [`Event::ConflictObserved`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ConflictObserved {
    /// Whose call.
    pub tenant: TenantId,
    /// The call.
    pub request_id: ExternalId,
    /// Which half came with other content.
    pub half: Half,
    /// The first event about the call, which stands.
    pub stands: Sequence,
}

/// A part of a consumption that one lot covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct LotDraw {
    /// The lot, by the sequence of its recharge.
    pub lot: Sequence,
    /// How much of it, above zero.
    pub amount: Credits,
}

/// What a consumption took from its user's quota.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Draw {
    /// The version of the tenant's rule that was applied.
    pub rule_version: u32,
    /// The lots, soonest expiry first.
    pub lots: Vec<LotDraw>,
    /// What no lot covered.
    pub overdraft: Credits,
}

/// See [`Event::ConsumptionRecorded`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Consumption {
    /// Who and what for, from both halves.
    pub context: CallContext,
    /// When the call was complete, by the sender's clock; its day and month follow from it.
    pub timestamp: Timestamp,
    /// What was used.
    pub usage: Usage,
    /// Reported or estimated.
    pub origin: UsageOrigin,
    /// The class of service.
    pub tier: ServiceTier,
    /// What the request half said, when there was one.
    pub request: Option<RequestDetails>,
    /// What the response half said.
    pub response: ResponseDetails,
    /// The event of the half that had been waiting, when one had.
    pub waited: Option<Sequence>,
    /// The cost; `None` while the model has no price.
    pub charge: Option<Charge>,
    /// The quota drawn.
    pub draw: Draw,
}

/// See [`Event::ConsumptionRated`]. Carries all that the aggregates are kept by.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ConsumptionRated {
    /// The consumption, by its sequence.
    pub consumption: Sequence,
    /// Its context.
    pub context: CallContext,
    /// Its moment.
    pub timestamp: Timestamp,
    /// What it costs.
    pub charge: Charge,
    /// What it drew, where the rule goes by cost.
    pub draw: Draw,
}

/// See [`Event::TenantRegistered`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct TenantRegistered {
    /// The tenant.
    pub tenant: TenantId,
    /// What people call it.
    pub display_name: String,
}

/// See [`Event::UserRegistered`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct UserRegistered {
    /// The user.
    pub user: UserId,
    /// The tenant the user belongs to.
    pub tenant: TenantId,
}
