//! Every request that can be made of the book, in one list, with what names its sender and makes it
//! recognisable when it comes again. Commands are checked when they are made and never stored.

use bincode::Encode;

mod account;
mod alert;
mod billing;
mod hold;
mod quota;
mod tenant;

pub use account::*;
pub use alert::*;
pub use billing::*;
pub use hold::*;
pub use quota::*;
pub use tenant::*;

use crate::{
    Credits, DeliveryAttempted, DrawRule, ExternalId, Fingerprint, LotSource, Money, Name,
    PriceSheet, RequestDetails, Sequence, ServiceTier, StrategyId, Timestamp, Usage, VoucherId,
    WebhookId,
};

/// A request to change the book.
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub enum Command {
    /// Record a whole call, as its sender reports it.
    RecordConsumption(Box<ConsumptionReport>),
    /// Take in the request half of a call.
    ReceiveRequest(Box<RequestReport>),
    /// Take in the response half of a call.
    ReceiveResponse(Box<ResponseReport>),
    /// Give a user quota.
    RechargeQuota(RechargeQuota),
    /// Book money that came in from outside.
    TopUpWallet(TopUpWallet),
    /// Correct a wallet.
    AdjustWallet(AdjustWallet),
    /// Set what a tenant's consumption draws.
    SetDrawRule(SetDrawRule),
    /// Publish a price book.
    PublishPrices(PublishPrices),
    /// Write off what remains of lots that had expired by a moment, which is not in the future.
    BookExpiredQuota {
        /// The moment.
        by: Timestamp,
        /// At most this many lots.
        lots_max: u32,
    },
    /// Give up waiting for halves whose deadline has passed.
    TimeOutPairings {
        /// At most this many halves.
        halves_max: u32,
    },
    /// Rate usage that had no price.
    RateUsage(Vec<UnratedUsage>),
    /// Make a tenant known.
    RegisterTenant(RegisterTenant),
    /// Make a user known as a tenant's.
    RegisterUser(RegisterUser),
    /// Set a user's attributes.
    DescribeUser(Box<DescribeUser>),
    /// Put on record that a user's personal data is unreadable, and forget the attributes.
    EraseUser {
        /// The user.
        user: Name,
    },
    /// Move a counter of a user's quota, as gateways know it.
    MoveCounter(MoveCounter),
    /// Make a recharge strategy.
    CreateStrategy(Box<StrategyDraft>),
    /// Change a recharge strategy.
    UpdateStrategy(Box<UpdateStrategy>),
    /// Remove a recharge strategy.
    DeleteStrategy {
        /// The strategy.
        strategy: StrategyId,
    },
    /// Let a strategy give to some of the users.
    ExecuteStrategy(ExecuteStrategy),
    /// Put quota into a voucher.
    IssueVoucher(Box<IssueVoucher>),
    /// Take the quota out of a voucher.
    RedeemVoucher(Box<RedeemVoucher>),
    /// Take a voucher back.
    CancelVoucher {
        /// The voucher.
        voucher: VoucherId,
        /// Who gave it.
        giver: Name,
    },
    /// Return what is in vouchers whose own time has run out.
    LapseVouchers {
        /// At most this many vouchers.
        vouchers_max: u32,
    },
    /// Make a tenant known, or change its terms.
    UpdateTenant(Box<UpdateTenant>),
    /// Set how much a tenant may use.
    SetConsumptionLimits(SetConsumptionLimits),
    /// Set how a tenant's wallet fills itself.
    SetAutoTopUp(Box<SetAutoTopUp>),
    /// Make a user's account, or change it.
    SetAccount(Box<SetAccount>),
    /// Let a user in.
    OpenSession(OpenSession),
    /// End a session.
    CloseSession {
        /// SHA-256 of its secret.
        session: [u8; 32],
    },
    /// Make an API key.
    IssueApiKey(Box<IssueApiKey>),
    /// Withdraw an API key.
    RevokeApiKey(RevokeApiKey),
    /// Keep something free for a call.
    PlaceHold(Box<PlaceHold>),
    /// Let go what was kept free for a call.
    ReleaseHold(ReleaseHold),
    /// Put on record that holds have run out.
    ExpireHolds {
        /// At most this many holds.
        holds_max: u32,
    },
    /// Bill the earliest day of a tenant that is not billed yet.
    PostBill(PostBill),
    /// Give a tenant money.
    CreditWallet(CreditWallet),
    /// Begin a payment.
    StartTopUp(Box<StartTopUp>),
    /// Name a payment as the provider does.
    LinkTopUp(LinkTopUp),
    /// End a payment.
    SettleTopUp(Box<SettleTopUp>),
    /// Close a period of a tenant's usage.
    ClosePeriod(ClosePeriod),
    /// Raise the alerts that are due, and clear those that are not any more.
    ReviewAlerts(ReviewAlerts),
    /// Make or change an endpoint of webhooks.
    SetWebhook(Box<SetWebhook>),
    /// Remove an endpoint of webhooks.
    RemoveWebhook {
        /// The endpoint.
        webhook: WebhookId,
    },
    /// Put on record what became of a delivery.
    RecordDelivery(Box<DeliveryAttempted>),
    /// Send an event again.
    RequestDelivery(RequestDelivery),
}

/// A command with its sender and by what it is recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Who issued it.
    pub actor: Name,
    /// The sender's key and its scope, hashed; calls are recognised by themselves.
    pub key: Option<[u8; 16]>,
    /// Tells other content under the same key apart.
    pub fingerprint: Fingerprint,
    /// The request.
    pub command: Command,
}

impl Envelope {
    /// A command that is recognised by nothing, or, for calls, by the call itself.
    #[must_use]
    pub fn new(actor: Name, command: Command) -> Self {
        Self { actor, key: None, fingerprint: command.fingerprint(), command }
    }

    /// The same, recognised by `key` within `scope` for ever.
    #[must_use]
    pub fn with_key(self, scope: &str, key: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"tallybook/idempotency-key/");
        hasher.update(scope.as_bytes());
        hasher.update(&[0]);
        hasher.update(key.as_bytes());
        Self { key: Some(first_bytes(&hasher)), ..self }
    }
}

impl Command {
    /// Equal for equal content. A call's two halves take four bytes each, so that a half is
    /// recognised whichever way it comes; an absent half is zero.
    fn fingerprint(&self) -> Fingerprint {
        match self {
            Self::RecordConsumption(report) => {
                let call = &report.response.call;
                let request = report.request.map(|details| {
                    half_fingerprint(&RequestReport { call: call.clone(), details })
                });
                Fingerprint::of_halves(request, Some(half_fingerprint(&report.response)))
            }
            Self::ReceiveRequest(report) => {
                Fingerprint::of_halves(Some(half_fingerprint(report.as_ref())), None)
            }
            Self::ReceiveResponse(report) => {
                Fingerprint::of_halves(None, Some(half_fingerprint(report.as_ref())))
            }
            // What the giver is called may be sealed anew each time.
            Self::IssueVoucher(voucher) => Fingerprint(first_bytes(&hashed(&voucher.order))),
            // A key is another one each time.
            Self::IssueApiKey(key) => {
                let order = IssueApiKey { digest: [0; 32], prefix: String::new(), ..*key.clone() };
                Fingerprint(first_bytes(&hashed(&order)))
            }
            Self::PlaceHold(hold) => {
                let order = Self::PlaceHold(Box::new(PlaceHold { within: None, ..*hold.clone() }));
                Fingerprint(first_bytes(&hashed(&order)))
            }
            Self::SetWebhook(webhook) => Fingerprint(first_bytes(&hashed(&webhook.asked_for()))),
            other => Fingerprint(first_bytes(&hashed(other))),
        }
    }
}

/// Never zero, which stands for an absent half.
fn half_fingerprint(report: &impl Encode) -> [u8; 4] {
    let bytes = first_bytes(&hashed(report));
    if bytes == [0; 4] { [1; 4] } else { bytes }
}

fn first_bytes<const N: usize>(hasher: &blake3::Hasher) -> [u8; N] {
    let mut bytes = [0; N];
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

fn hashed(value: &impl Encode) -> blake3::Hasher {
    let mut writer = HashWriter(blake3::Hasher::new());
    match bincode::encode_into_writer(value, &mut writer, bincode::config::standard()) {
        Ok(()) => writer.0,
        Err(error) => unreachable!("hashing never fails: {error}"),
    }
}

struct HashWriter(blake3::Hasher);

impl bincode::enc::write::Writer for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> Result<(), bincode::error::EncodeError> {
        self.0.update(bytes);
        Ok(())
    }
}

/// Who a call was made for and with, by name.
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct CallNames {
    /// The tenant that pays.
    pub tenant: Name,
    /// The sender's id of the call, unique within the tenant.
    pub request_id: ExternalId,
    /// The user who called.
    pub user: Option<Name>,
    /// The model.
    pub model: Option<Name>,
    /// The kind of assistant.
    pub assistant: Option<Name>,
    /// The document worked on.
    pub document: Option<ExternalId>,
    /// The conversation.
    pub conversation: Option<ExternalId>,
}

/// A request message, without its prompts.
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct RequestReport {
    /// Who and what for.
    pub call: CallNames,
    /// The rest.
    pub details: RequestDetails,
}

/// A response message, without its text.
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct ResponseReport {
    /// Who and what for.
    pub call: CallNames,
    /// When it was complete.
    pub timestamp: Timestamp,
    /// The provider's report, when there was one.
    pub usage: Option<Usage>,
    /// The class of service.
    pub tier: ServiceTier,
    /// Why it ended.
    pub finish_reason: Option<Name>,
    /// Characters of the answer.
    pub character_count: u64,
    /// Tokens, estimated by the gateway.
    pub token_count: u64,
    /// How long it took.
    pub response_time_ms: u64,
    /// Whether tools were called.
    pub has_tool_calls: bool,
    /// How many.
    pub tool_call_count: u32,
}

/// A whole call: its response, and what is known of its request.
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct ConsumptionReport {
    /// The response.
    pub response: ResponseReport,
    /// The request, when it is reported together with the response.
    pub request: Option<RequestDetails>,
}

/// See [`Command::RechargeQuota`].
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct RechargeQuota {
    /// Whose quota.
    pub user: Name,
    /// Above zero.
    pub amount: Credits,
    /// The moment after which the lot is worth nothing; it may have passed.
    pub expires_at: Timestamp,
    /// Where it comes from.
    pub source: LotSource,
    /// Why, in words.
    pub reason: String,
}

/// See [`Command::TopUpWallet`].
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct TopUpWallet {
    /// Whose wallet.
    pub tenant: Name,
    /// USD, above zero.
    pub amount: Money,
    /// The payment's reference outside.
    pub reference: String,
}

/// See [`Command::AdjustWallet`].
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct AdjustWallet {
    /// Whose wallet.
    pub tenant: Name,
    /// USD, signed, not zero.
    pub amount: Money,
    /// Why, in words.
    pub reason: String,
}

/// See [`Command::SetDrawRule`].
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct SetDrawRule {
    /// Whose rule.
    pub tenant: Name,
    /// The rule.
    pub rule: DrawRule,
    /// Credits that one unit of a model's usage draws, where it is not one.
    pub weights: Vec<(Name, Credits)>,
}

/// See [`Command::PublishPrices`].
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct PublishPrices {
    /// Usage from this moment on is rated by it; `None`: from now on.
    pub effective_at: Option<Timestamp>,
    /// Where it comes from, in words.
    pub source: String,
    /// What each model costs.
    pub models: Vec<(Name, PriceSheet)>,
}

/// A recorded consumption without a price, as read back from the log.
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct UnratedUsage {
    /// The consumption, by its sequence.
    pub consumption: Sequence,
    /// Its context.
    pub context: crate::CallContext,
    /// Its moment.
    pub timestamp: Timestamp,
    /// What it used.
    pub usage: Usage,
    /// The class of service.
    pub tier: ServiceTier,
}

/// See [`Command::RegisterTenant`].
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct RegisterTenant {
    /// The tenant's id.
    pub tenant: Name,
    /// What people call it.
    pub display_name: Name,
}

/// See [`Command::RegisterUser`].
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct RegisterUser {
    /// The user's id.
    pub user: Name,
    /// The tenant the user belongs to.
    pub tenant: Name,
}
