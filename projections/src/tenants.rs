//! Tenants' terms: their status, and by which zone, markup, credit and limits they are served. What
//! holds from a moment on is kept with the event that set it, so that what comes late is treated as
//! it would have been then.

use bincode::{Decode, Encode};
use schemas::{
    AutoTopUp, Change, ConsumptionLimits, Event, Money, NameId, Recorded, Sealed, Sequence,
    StatusReason, TenantId, TenantStatus, TenantUpdated, TermChanges, Timestamp, Zone,
};

use crate::collections::Paged;
use crate::projection::Projection;

/// What a setting was from which event on.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Since<T>(Vec<(Sequence, T)>);

impl<T> Default for Since<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Copy + Default> Since<T> {
    /// What it is now.
    #[must_use]
    pub fn now(&self) -> T {
        self.0.last().map_or_else(T::default, |(_, value)| *value)
    }

    /// What it was for an event at this position.
    #[must_use]
    pub fn at(&self, sequence: Sequence) -> T {
        let place = self.0.partition_point(|(since, _)| *since <= sequence);
        let before = place.checked_sub(1).and_then(|place| self.0.get(place));
        before.map_or_else(T::default, |(_, value)| *value)
    }

    fn change(&mut self, since: Sequence, change: Change<T>) {
        match change {
            Change::Keep => {}
            Change::Clear => self.0.push((since, T::default())),
            Change::Set(value) => self.0.push((since, value)),
        }
    }
}

/// A tenant's terms.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Terms {
    /// Whether it may begin anything new.
    pub status: TenantStatus,
    /// Why.
    pub status_reason: StatusReason,
    /// Whom to write to.
    pub contact_email: Option<Sealed>,
    /// Whom to write to about money.
    pub billing_email: Option<Sealed>,
    /// Whose days and months its usage is counted by.
    pub zone: Since<Zone>,
    /// What is added to costs, in hundredths of a percent.
    pub markup_basis_points: Since<i32>,
    /// How far below zero the wallet may go, where somebody has said so.
    pub credit_limit: Option<Money>,
    /// Whether a bill that takes the wallet below that suspends the tenant.
    pub suspends_past_credit_limit: bool,
    /// Below which available amount its people are told.
    pub low_balance: Option<Money>,
    /// How much it may use.
    pub limits: ConsumptionLimits,
    /// How its wallet fills itself.
    pub auto_top_up: AutoTopUp,
    /// When any of this last changed.
    pub updated_at: Option<Timestamp>,
    /// Every key that something of it was sealed under.
    pub keys: Vec<u32>,
}

impl Terms {
    fn update(&mut self, recorded: &Recorded, terms: &TermChanges) {
        let TermChanges {
            display_name: _,
            contact_email,
            billing_email,
            zone,
            markup_basis_points,
            credit_limit,
            suspends_past_credit_limit,
            low_balance,
        } = terms.clone();
        for change in [&contact_email, &billing_email] {
            if let Change::Set(sealed) = change
                && !self.keys.contains(&sealed.key)
            {
                self.keys.push(sealed.key);
            }
        }
        contact_email.apply_to(&mut self.contact_email);
        billing_email.apply_to(&mut self.billing_email);
        self.zone.change(recorded.sequence, zone);
        self.markup_basis_points.change(recorded.sequence, markup_basis_points);
        credit_limit.apply_to(&mut self.credit_limit);
        suspends_past_credit_limit.apply_or_default(&mut self.suspends_past_credit_limit);
        low_balance.apply_to(&mut self.low_balance);
    }
}

/// Every tenant's terms.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub struct Tenants {
    terms: Paged<Terms>,
}

impl Tenants {
    /// One tenant's.
    #[must_use]
    pub fn terms(&self, tenant: TenantId) -> &Terms {
        self.terms.get(tenant.number())
    }

    /// Those of every tenant for whom any were ever set, and of some others.
    pub fn all(&self) -> impl Iterator<Item = (TenantId, &Terms)> {
        self.terms.iter().map(|(number, terms)| (TenantId(number), terms))
    }

    /// The highest number of a personal key that is on record here.
    #[must_use]
    pub fn last_key(&self) -> Option<u32> {
        self.terms.iter().flat_map(|(_, terms)| &terms.keys).copied().max()
    }

    fn change(&mut self, tenant: TenantId, recorded: &Recorded, change: impl FnOnce(&mut Terms)) {
        let terms = self.terms.get_mut(tenant.number());
        change(terms);
        terms.updated_at = Some(recorded.recorded_at);
    }
}

impl Projection for Tenants {
    const NAME: &'static str = "tenants";
    const VERSION: u32 = 1;

    fn apply(&mut self, recorded: &Recorded) {
        match &recorded.event {
            Event::TenantUpdated(updated) => {
                let TenantUpdated { tenant, terms: changes } = updated.as_ref();
                self.change(*tenant, recorded, |terms| terms.update(recorded, changes));
            }
            Event::TenantRegistered(registered) => {
                self.change(registered.tenant, recorded, |_| ());
            }
            Event::TenantStatusChanged(changed) => {
                self.change(changed.tenant, recorded, |terms| {
                    terms.status = changed.status;
                    terms.status_reason = changed.reason;
                });
            }
            Event::ConsumptionLimitsSet(set) => {
                self.change(set.tenant, recorded, |terms| terms.limits = set.limits);
            }
            Event::AutoTopUpSet(set) => {
                let auto_top_up = set.auto_top_up.clone();
                self.change(set.tenant, recorded, |terms| terms.auto_top_up = auto_top_up);
            }
            _ => (),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_from_an_event_on_does_not_hold_for_those_before_it() {
        let mut markup = Since::<i32>::default();
        markup.change(Sequence::new(5), Change::Set(100));
        markup.change(Sequence::new(7), Change::Keep);
        markup.change(Sequence::new(9), Change::Clear);
        let at = |sequence| markup.at(Sequence::new(sequence));
        assert_eq!([at(0), at(4), at(5), at(8), at(9), at(10)], [0, 0, 100, 100, 0, 0]);
        assert_eq!(markup.now(), 0);
    }
}
