//! A tenant as readers see it.

use projections::{books::Reading, directory::Tenant, tenants::Terms};
use schemas::{Credits, Money, Sealed, StatusReason, TenantId, TenantStatus, Timestamp, Zone};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    http::organization::LimitsView,
    personal::{EMAIL, Vault},
    views,
};

/// A tenant as the book knows it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Organization {
    /// The same as `orgId`.
    id: String,
    /// Its id.
    org_id: String,
    /// What people call it; its id while nobody has registered it.
    name: String,
    /// Whom to write to.
    contact_email: Option<String>,
    /// Whom to write to about money.
    billing_email: Option<String>,
    /// What its wallet holds, in USD, what has accrued and is held not taken off.
    #[schema(value_type = f64)]
    wallet_balance: Money,
    /// How far below zero the wallet may go, in USD; `null`: nobody has said.
    #[schema(value_type = Option<f64>)]
    credit_limit: Option<Money>,
    /// How its wallet fills itself.
    auto_top_up: AutoTopUpView,
    /// How many tokens it may use.
    consumption_limits: LimitsView,
    /// `active`, `suspended` or `inactive`.
    #[schema(value_type = String)]
    status: TenantStatus,
    /// Why it is not active: `by_hand` or `credit_limit_passed`.
    #[schema(value_type = Option<String>)]
    status_reason: Option<StatusReason>,
    /// Whose days and months its usage is counted by.
    #[schema(value_type = String)]
    time_zone: Zone,
    /// What is added to costs, in percent.
    #[schema(value_type = f64)]
    markup_percent: Credits,
    /// Whether a bill that takes the wallet below the credit limit suspends it.
    suspend_past_credit_limit: bool,
    /// Below which available amount its people are told, in USD; `null`: they are not.
    #[schema(value_type = Option<f64>)]
    low_balance_threshold: Option<Money>,
    /// Whether somebody has registered it, or it was only seen in messages.
    registered: bool,
    /// How many users are known.
    user_count: usize,
    /// What a consumption draws: `per_token`, `per_request`, `per_cost` or `none`.
    draw_rule: &'static str,
    /// When its id first appeared.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When its terms last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// How a wallet fills itself.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AutoTopUpOfTenant)]
struct AutoTopUpView {
    /// Whether it does.
    enabled: bool,
    /// Below which available amount, in USD.
    #[schema(value_type = f64)]
    threshold: Money,
    /// By how much, in USD.
    #[schema(value_type = f64)]
    amount: Money,
    /// The payment provider's id of the means of payment.
    payment_method_id: Option<String>,
}

impl Organization {
    /// A tenant as it is now. What was erased from the vault is not there.
    pub(super) fn new(vault: &Vault, reading: &Reading, tenant: TenantId) -> Self {
        let books = &reading.books;
        let id = books.names.text(tenant).to_string();
        let Tenant { display_name, first_seen, users } = books.directory.tenant(tenant);
        let terms: &Terms = books.tenants.terms(tenant);
        let unseal = |sealed: &Option<Sealed>| vault.unseal(EMAIL, sealed.as_ref()?);
        Self {
            id: id.clone(),
            name: display_name.clone().unwrap_or_else(|| id.clone()),
            org_id: id,
            contact_email: unseal(&terms.contact_email),
            billing_email: unseal(&terms.billing_email),
            wallet_balance: books.wallets.wallet(tenant).balance,
            credit_limit: terms.credit_limit,
            auto_top_up: AutoTopUpView {
                enabled: terms.auto_top_up.enabled,
                threshold: terms.auto_top_up.threshold,
                amount: terms.auto_top_up.amount,
                payment_method_id: terms.auto_top_up.payment_method.clone(),
            },
            consumption_limits: LimitsView::from(terms.limits),
            status: terms.status,
            status_reason: (terms.status != TenantStatus::Active).then_some(terms.status_reason),
            time_zone: terms.zone.now(),
            markup_percent: views::percent(terms.markup_basis_points.now()),
            suspend_past_credit_limit: terms.suspends_past_credit_limit,
            low_balance_threshold: terms.low_balance,
            registered: display_name.is_some(),
            user_count: users.len(),
            draw_rule: views::rule_name(books.draw_rules.rule(tenant).rule),
            created_at: *first_seen,
            updated_at: terms.updated_at.unwrap_or(*first_seen),
        }
    }
}
