//! Usage seen from several sides: by day, hour, weekday, tenant, user and kind of assistant.

use std::collections::{BTreeMap, BTreeSet};

use projections::usage::{Active, Totals};
use schemas::{Day, TenantId, TenantStatus, Timestamp, UserId};

use super::usage::break_down;
use super::{Dimension, Span, Used};

/// How much there is of everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Overview {
    /// Tenants: all, and of them those that may begin something new.
    pub tenants: (usize, usize),
    /// Users: all, and of them those who have called this month.
    pub users: (usize, usize),
    /// What was used today.
    pub today: Totals,
    /// What was used this month.
    pub this_month: Totals,
    /// What was ever used.
    pub all_time: Totals,
}

/// What one tenant used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantTotals {
    /// The tenant's name.
    pub tenant: String,
    /// What it used.
    pub totals: Totals,
}

/// What one user used, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserActivity {
    /// The user's name.
    pub user: String,
    /// What they used.
    pub active: Active,
}

impl Used {
    /// How much there is, where all time was asked for.
    #[must_use]
    pub fn overview(&self, now: Timestamp, only: Option<UserId>) -> Overview {
        let mut callers = BTreeSet::new();
        self.each_in(Span::ThisMonth(now), |_, _, used| {
            callers.extend(used.by_user.iter().map(|(user, _)| *user));
        });
        let tenants = self.tenants_of(only);
        let active = |tenant: &&TenantId| self.terms(**tenant).status == TenantStatus::Active;
        let users: Vec<UserId> = match only {
            Some(user) => vec![user],
            None => tenants.iter().flat_map(|tenant| self.users(*tenant)).copied().collect(),
        };
        Overview {
            tenants: (tenants.len(), tenants.iter().filter(active).count()),
            users: (users.len(), users.iter().filter(|user| callers.contains(*user)).count()),
            today: self.sum_in(Span::Today(now)),
            this_month: self.sum_in(Span::ThisMonth(now)),
            all_time: self.sum_in(Span::ALWAYS),
        }
    }

    /// The tenants that may be told of: all, or those that have paid for the one user.
    fn tenants_of(&self, only: Option<UserId>) -> Vec<TenantId> {
        let mut tenants = self.tenants();
        if tenants.len() > 1 && only.is_some() {
            let mut paid = BTreeSet::new();
            self.each(|tenant, _, _| {
                paid.insert(tenant);
            });
            tenants.retain(|tenant| paid.contains(tenant));
        }
        tenants
    }

    /// By day, the earliest first; only days with calls.
    #[must_use]
    pub fn by_day(&self) -> BTreeMap<Day, Totals> {
        let mut days = BTreeMap::<Day, Totals>::new();
        self.each(|_, day, used| days.entry(day).or_default().add(&used.totals));
        days
    }

    /// By the hour on the clock of whoever pays; only hours with calls.
    #[must_use]
    pub fn by_hour(&self) -> BTreeMap<u8, Totals> {
        let mut hours = BTreeMap::<u8, Totals>::new();
        self.each(|_, _, used| {
            for (hour, totals) in &used.by_hour {
                hours.entry(*hour).or_default().add(totals);
            }
        });
        hours
    }

    /// By day of the week, 1 (Sunday) to 7; only those with calls.
    #[must_use]
    pub fn by_day_of_week(&self) -> BTreeMap<u8, Totals> {
        let mut days = BTreeMap::<u8, Totals>::new();
        self.each(|_, day, used| days.entry(day.day_of_week()).or_default().add(&used.totals));
        days
    }

    /// By name of a dimension, the most tokens first.
    #[must_use]
    pub fn by_name(&self, dimension: Dimension) -> Vec<(String, Totals)> {
        let mut names = BTreeMap::<String, Totals>::new();
        self.each(|tenant, _, used| {
            break_down(self.names(), (tenant, used), dimension, |name, totals| {
                names.entry(name).or_default().add(totals);
            });
        });
        let mut names: Vec<(String, Totals)> = names.into_iter().collect();
        names.sort_by_key(|(_, totals)| most_first(totals));
        names
    }

    /// The tenants that used the most tokens.
    #[must_use]
    pub fn top_tenants(&self, tenants_max: usize) -> Vec<TenantTotals> {
        let mut top = self.by_name(Dimension::Tenant);
        top.truncate(tenants_max);
        top.into_iter().map(|(tenant, totals)| TenantTotals { tenant, totals }).collect()
    }

    /// The users who used the most tokens.
    #[must_use]
    pub fn top_users(&self, users_max: usize) -> Vec<UserActivity> {
        let mut users = BTreeMap::<UserId, Active>::new();
        self.each(|_, _, used| {
            for (user, active) in used.by_user.iter() {
                users.entry(*user).and_modify(|sum| sum.add(active)).or_insert(*active);
            }
        });
        let mut users: Vec<UserActivity> = users
            .into_iter()
            .map(|(user, active)| UserActivity {
                user: self.names().text(user).to_string(),
                active,
            })
            .collect();
        users.sort_by(|left, right| {
            let by = |user: &UserActivity| most_first(&user.active.totals);
            by(left).cmp(&by(right)).then_with(|| left.user.cmp(&right.user))
        });
        users.truncate(users_max);
        users
    }
}

fn most_first(totals: &Totals) -> std::cmp::Reverse<(u64, schemas::Money)> {
    std::cmp::Reverse((totals.total_tokens, totals.cost))
}
