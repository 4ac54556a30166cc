//! What each tenant's consumption draws from quota, by the rule that is in force.

use std::collections::BTreeMap;

use bincode::{Decode, Encode};
use schemas::{Charge, Credits, DrawRule, Event, ModelId, NameId, Recorded, TenantId, Usage};

use crate::collections::Paged;
use crate::projection::Projection;

/// A tenant's rule as it is or was in force.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct RuleInForce {
    /// Counts the tenant's rules; 0 is the default.
    pub version: u32,
    /// The rule.
    pub rule: DrawRule,
    weights: BTreeMap<ModelId, Credits>,
}

impl RuleInForce {
    /// The credits that a call draws, or `None` beyond the range. What goes by cost draws nothing
    /// while there is no charge.
    #[must_use]
    pub fn credits(
        &self,
        model: Option<ModelId>,
        usage: &Usage,
        charge: Option<Charge>,
    ) -> Option<Credits> {
        let weight =
            model.and_then(|model| self.weights.get(&model).copied()).unwrap_or(Credits::ONE);
        match self.rule {
            DrawRule::PerToken => weight.checked_times(usage.total),
            DrawRule::PerRequest => Some(weight),
            DrawRule::None => Some(Credits::ZERO),
            DrawRule::PerCost => {
                let Some(charge) = charge else { return Some(Credits::ZERO) };
                let micro_dollars = charge.cost.units().checked_div(1_000_000_000_000)?;
                let weighted = micro_dollars
                    .checked_mul(i128::from(weight.units()))?
                    .checked_div(1_000_000)?;
                i64::try_from(weighted).ok().map(Credits::from_units)
            }
        }
    }
}

/// Every tenant's rules.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub struct DrawRules {
    /// The first first. Old ones stay: a call that is rated late draws by the rule of its time.
    tenants: Paged<Vec<RuleInForce>>,
    default: RuleInForce,
}

impl DrawRules {
    /// The tenant's rule; the default when none was set.
    #[must_use]
    pub fn rule(&self, tenant: TenantId) -> &RuleInForce {
        self.tenants.get(tenant.number()).last().unwrap_or(&self.default)
    }

    /// The tenant's rule of this version; the default when none was set under it.
    #[must_use]
    pub fn version(&self, tenant: TenantId, version: u32) -> &RuleInForce {
        let rules = self.tenants.get(tenant.number());
        rules.iter().rfind(|rule| rule.version == version).unwrap_or(&self.default)
    }
}

impl Projection for DrawRules {
    const NAME: &'static str = "draw_rules";
    const VERSION: u32 = 2;

    fn apply(&mut self, recorded: &Recorded) {
        if let Event::DrawRuleSet(set) = &recorded.event {
            self.tenants.get_mut(set.tenant.number()).push(RuleInForce {
                version: set.version,
                rule: set.rule,
                weights: set.weights.iter().copied().collect(),
            });
        }
    }
}
