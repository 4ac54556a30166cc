//! The body that describes a tenant, and the command that it becomes.

use schemas::{
    AutoTopUpChanges, Change, Credits, LimitChanges, Money, Name, TenantStatus, TermChanges,
    UpdateTenant, Zone,
};
use serde::{Deserialize, Deserializer, de};
use utoipa::ToSchema;

use crate::{
    config::is_email,
    http::{
        changes::{some, value},
        ledger::fault,
        organization::Limits,
        personal::Sealer,
        problem::{InvalidParameter, ParameterSource, Problem},
    },
    personal::{EMAIL, Vault, VaultError},
};

/// What changes of a tenant. What is left out stays as it is; `null` clears.
#[derive(Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(as = TenantDescription)]
pub(super) struct Description {
    /// Its id, which only a new one is given.
    #[serde(default, deserialize_with = "some")]
    #[schema(value_type = Option<String>)]
    org_id: Option<Name>,
    /// What people call it.
    #[serde(default, deserialize_with = "some")]
    #[schema(value_type = Option<String>)]
    name: Option<Name>,
    /// Whom to write to.
    #[serde(default, deserialize_with = "email")]
    #[schema(value_type = Option<String>)]
    contact_email: Change<Name>,
    /// Whom to write to about money.
    #[serde(default, deserialize_with = "email")]
    #[schema(value_type = Option<String>)]
    billing_email: Change<Name>,
    /// How far below zero its wallet may go, in USD.
    #[serde(default, deserialize_with = "value")]
    #[schema(value_type = Option<f64>)]
    credit_limit: Change<Money>,
    /// How its wallet fills itself.
    #[serde(default, deserialize_with = "value")]
    #[schema(value_type = Option<AutoTopUp>)]
    auto_top_up: Change<AutoTopUp>,
    /// How many tokens it may use.
    #[serde(default, deserialize_with = "value")]
    #[schema(value_type = Option<Limits>)]
    consumption_limits: Change<Limits>,
    /// `active`, `suspended` or `inactive`.
    #[serde(default, deserialize_with = "some")]
    #[schema(value_type = Option<String>)]
    status: Option<TenantStatus>,
    /// Whose days and months its usage is counted by from then on: an IANA name.
    #[serde(default, deserialize_with = "value")]
    #[schema(value_type = Option<String>)]
    time_zone: Change<Zone>,
    /// What is added to costs from then on, in percent: -100 to 1000, of at most two decimals.
    #[serde(default, deserialize_with = "value")]
    #[schema(value_type = Option<f64>)]
    markup_percent: Change<Percent>,
    /// Whether a bill that takes the wallet below the credit limit suspends it.
    #[serde(default, deserialize_with = "value")]
    #[schema(value_type = Option<bool>)]
    suspend_past_credit_limit: Change<bool>,
    /// Below which available amount its people are told, in USD.
    #[serde(default, deserialize_with = "value")]
    #[schema(value_type = Option<f64>)]
    low_balance_threshold: Change<Money>,
}

/// How a wallet fills itself. What is left out stays as it is; `null` clears.
#[derive(Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(as = AutoTopUpOfTenantChanges)]
pub(super) struct AutoTopUp {
    /// Whether it does.
    #[serde(default, deserialize_with = "value")]
    #[schema(value_type = Option<bool>)]
    enabled: Change<bool>,
    /// Below which available amount, in USD.
    #[serde(default, deserialize_with = "value")]
    #[schema(value_type = Option<f64>)]
    threshold: Change<Money>,
    /// By how much, in USD and whole cents.
    #[serde(default, deserialize_with = "value")]
    #[schema(value_type = Option<f64>)]
    amount: Change<Money>,
    /// The payment provider's id of the means of payment.
    #[serde(default, deserialize_with = "value")]
    #[schema(value_type = Option<String>)]
    payment_method_id: Change<Name>,
}

impl Description {
    /// The id of a tenant that this makes known.
    ///
    /// # Errors
    /// When the id or the name is missing.
    pub(super) fn id_of_new(&self) -> Result<Name, Problem> {
        if self.name.is_none() {
            return Err(refused("name", "required", "is required"));
        }
        self.org_id.clone().ok_or_else(|| refused("orgId", "required", "is required"))
    }

    /// Refuses one that does not change a tenant.
    ///
    /// # Errors
    /// When it names an id, or nothing.
    pub(super) fn check_update(&self) -> Result<(), Problem> {
        if self.org_id.is_some() {
            return Err(refused("orgId", "unknown", "cannot be changed"));
        }
        if *self == Self::default() {
            let reason = "must name at least one field";
            return Err(fault("body", reason, ParameterSource::Body));
        }
        Ok(())
    }

    /// As the log takes it: addresses sealed under `key`, or under a new one when one is needed.
    ///
    /// # Errors
    /// When a key cannot be made.
    pub(super) fn command(
        self,
        vault: &Vault,
        key: Option<u32>,
        tenant: Name,
        creates: bool,
    ) -> Result<UpdateTenant, VaultError> {
        let mut sealer = Sealer::new(vault, key);
        let text = |name: Name| name.as_str().to_owned();
        Ok(UpdateTenant {
            tenant,
            creates,
            terms: TermChanges {
                display_name: self.name.map_or(Change::Keep, |name| Change::Set(text(name))),
                contact_email: sealer.seal(EMAIL, self.contact_email)?,
                billing_email: sealer.seal(EMAIL, self.billing_email)?,
                zone: self.time_zone,
                markup_basis_points: self.markup_percent.map(|percent| percent.0),
                credit_limit: self.credit_limit,
                suspends_past_credit_limit: self.suspend_past_credit_limit,
                low_balance: self.low_balance_threshold,
            },
            status: self.status,
            limits: match self.consumption_limits {
                Change::Keep => LimitChanges::default(),
                Change::Clear => LimitChanges::CLEAR,
                Change::Set(limits) => limits.changes(),
            },
            auto_top_up: match self.auto_top_up {
                Change::Keep => AutoTopUpChanges::default(),
                Change::Clear => AutoTopUpChanges::CLEAR,
                Change::Set(settings) => AutoTopUpChanges {
                    enabled: settings.enabled,
                    threshold: settings.threshold,
                    amount: settings.amount,
                    payment_method: settings.payment_method_id.map(text),
                },
            },
        })
    }
}

fn refused(field: &str, rule: &'static str, reason: &str) -> Problem {
    Problem::invalid(InvalidParameter {
        field: field.to_owned(),
        rule,
        reason: reason.to_owned(),
        source: ParameterSource::Body,
    })
}

/// Hundredths of a percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Percent(i32);

/// A number of at most two decimals, or a text with one.
impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const UNITS: i64 = Credits::ONE.units() / 100;
        let units = Credits::deserialize(deserializer)?.units();
        if units % UNITS != 0 {
            return Err(de::Error::custom("must have at most two decimals"));
        }
        // What is far beyond the range is refused with what is just beyond it.
        let hundredths = (units / UNITS).clamp(i32::MIN.into(), i32::MAX.into());
        i32::try_from(hundredths).map(Self).map_err(de::Error::custom)
    }
}

/// An e-mail address that may be one: `null` and nothing clear.
fn email<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Change<Name>, D::Error> {
    match crate::http::changes::text(deserializer)? {
        Change::Set(text) if !is_email(text.as_str()) => {
            Err(de::Error::custom("must be an e-mail address"))
        }
        change => Ok(change),
    }
}
