//! The generated company: three tenants, their people, what they may use and what they have paid.

use schemas::{
    Attributes, Change, Command, Credits, DescribeUser, DrawRule, LimitChanges, LotSource, Money,
    Name, PriceMap, PublishPrices, RechargeQuota, RegisterTenant, RegisterUser, SetDrawRule,
    StrategyDraft, StrategyKind, TermChanges, Timestamp, TopUpWallet, Tz, UpdateTenant, Zone,
};

use super::random::Random;

/// The public price map, as `schemas/data/README.md` describes it.
const PRICES: &str = include_str!("../../schemas/data/model_prices_and_context_window.json");

const FIRST_NAMES: [&str; 20] = [
    "ada",
    "alan",
    "barbara",
    "claude",
    "donald",
    "edsger",
    "frances",
    "grace",
    "hedy",
    "john",
    "katherine",
    "leslie",
    "margaret",
    "niklaus",
    "radia",
    "shafi",
    "tim",
    "tony",
    "vint",
    "whitfield",
];
const MINUTE: i64 = 60;
const DAY: i64 = 24 * 60 * MINUTE;

/// A tenant and its people.
pub(super) struct Tenant {
    pub(super) id: &'static str,
    pub(super) users: Vec<String>,
    name: &'static str,
    rule: DrawRule,
    /// The least and the most that a lot of its rule's credits holds.
    lots: (u64, u64),
    top_up: u64,
    /// Whose days it counts by, and what its costs are marked up by.
    terms: (Tz, i32),
}

/// The whole company.
pub(super) struct Company {
    pub(super) tenants: Vec<Tenant>,
}

impl Company {
    /// The company of a seed.
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut tenant = |id, name, rule, lots, (top_up, terms), people| {
            let mut users = Vec::new();
            while users.len() < people {
                let user = format!("{}@{id}.example", random.pick(&FIRST_NAMES));
                if !users.contains(&user) {
                    users.push(user);
                }
            }
            Tenant { id, users, name, rule, lots, top_up, terms }
        };
        Self {
            tenants: vec![
                tenant(
                    "aurora-health",
                    "Aurora Health",
                    DrawRule::PerToken,
                    (200_000, 3_000_000),
                    (900, (Tz::Europe__Rome, 1_000)),
                    16,
                ),
                tenant(
                    "kestrel-freight",
                    "Kestrel Freight",
                    DrawRule::PerRequest,
                    (200, 2_000),
                    (400, (Tz::America__New_York, 0)),
                    14,
                ),
                tenant(
                    "meridian-law",
                    "Meridian Law",
                    DrawRule::PerCost,
                    (2, 40),
                    (2_500, (Tz::UTC, 2_550)),
                    10,
                ),
            ],
        }
    }

    /// Everything that makes the company known at `now`.
    ///
    /// # Errors
    /// When the price map cannot be read.
    pub(super) fn founding(&self, seed: u64, now: Timestamp) -> anyhow::Result<Vec<Command>> {
        let mut random = Random::new(!seed);
        let mut commands = vec![prices(now)?];
        for tenant in &self.tenants {
            let id = name(tenant.id);
            commands.push(Command::RegisterTenant(RegisterTenant {
                tenant: id.clone(),
                display_name: name(tenant.name),
            }));
            commands.push(terms(tenant));
            commands.push(Command::SetDrawRule(SetDrawRule {
                tenant: id.clone(),
                rule: tenant.rule,
                weights: Vec::new(),
            }));
            commands.push(Command::TopUpWallet(TopUpWallet {
                tenant: id.clone(),
                amount: dollars(tenant.top_up),
                reference: format!("invoice {}-001", tenant.id),
            }));
            for user in &tenant.users {
                commands.push(Command::RegisterUser(RegisterUser {
                    user: name(user),
                    tenant: id.clone(),
                }));
                commands.push(Command::DescribeUser(Box::new(DescribeUser {
                    user: name(user),
                    attributes: attributes(&mut random, now),
                })));
                commands.extend(grants(&mut random, tenant, user, now));
            }
        }
        commands.extend(strategies());
        Ok(commands)
    }
}

/// On which terms a tenant is served: its zone and markup, some credit, and limits that hold.
fn terms(tenant: &Tenant) -> Command {
    let (zone, markup) = tenant.terms;
    Command::UpdateTenant(Box::new(UpdateTenant {
        terms: TermChanges {
            zone: Change::Set(Zone(zone)),
            markup_basis_points: Change::Set(markup),
            credit_limit: Change::Set(dollars(100)),
            suspends_past_credit_limit: Change::Set(true),
            low_balance: Change::Set(dollars(50)),
            ..TermChanges::default()
        },
        limits: LimitChanges { monthly: Change::Set(50_000_000), ..LimitChanges::default() },
        ..UpdateTenant::of(name(tenant.id))
    }))
}

fn dollars(count: u64) -> Money {
    Money::from_units(i128::from(count).saturating_mul(1_000_000_000_000_000_000))
}

/// What strategies judge by. Who the users are is not made up.
fn attributes(random: &mut Random, now: Timestamp) -> Attributes {
    let days_ago = |days: u64| now.plus_seconds(i64::try_from(days).unwrap_or(0) * -DAY);
    let has_starred = random.between(0, 2) == 0;
    Attributes {
        github_star: if has_starred {
            Change::Set(vec!["tallybook".to_owned()])
        } else {
            Change::Keep
        },
        vip: Change::Set(i64::try_from(random.between(0, 3)).unwrap_or(0)),
        register_time: Change::Set(days_ago(random.between(30, 900))),
        access_time: Change::Set(days_ago(random.between(0, 20))),
        ..Attributes::default()
    }
}

/// A welcome for everyone, and something every day for important users who are short of quota.
fn strategies() -> [Command; 2] {
    let strategy = |name: &str, title: &str, kind, amount, schedule: &str, condition: &str| {
        Command::CreateStrategy(Box::new(StrategyDraft {
            name: name.to_owned(),
            title: title.to_owned(),
            kind,
            amount: Credits::whole(amount).unwrap_or(Credits::ONE),
            model: None,
            periodic_expr: schedule.to_owned(),
            condition: condition.to_owned(),
            enabled: true,
            max_exec_per_user: 0,
        }))
    };
    [
        strategy("welcome", "Welcome", StrategyKind::Single, 2_000, "", ""),
        strategy(
            "top-up-vip",
            "Daily for important users who are short",
            StrategyKind::Periodic,
            1_000,
            "@daily",
            "and(or(is-vip(2), github-star(\"tallybook\")), quota-le(\"gpt-4\", 5000))",
        ),
    ]
}

/// Two lots for everyone: one that soon expires, and one that lasts.
fn grants(random: &mut Random, tenant: &Tenant, user: &str, now: Timestamp) -> [Command; 2] {
    let (low, high) = tenant.lots;
    let mut seconds = |low: i64, high: i64| {
        let between = random.between(low.unsigned_abs(), high.unsigned_abs());
        now.plus_seconds(i64::try_from(between).unwrap_or(DAY))
    };
    let expiries =
        [("trial", seconds(3 * MINUTE, 40 * MINUTE)), ("monthly", seconds(DAY, 90 * DAY))];
    expiries.map(|(reason, expires_at)| {
        Command::RechargeQuota(RechargeQuota {
            user: name(user),
            amount: Credits::whole(random.skewed(low, high)).unwrap_or(Credits::ONE),
            expires_at,
            source: LotSource::Grant,
            reason: reason.to_owned(),
        })
    })
}

/// The public prices, in force for longer than the demo looks back.
fn prices(now: Timestamp) -> anyhow::Result<Command> {
    Ok(Command::PublishPrices(PublishPrices {
        effective_at: Some(now.plus_seconds(-60 * DAY)),
        source: "LiteLLM's public price map".to_owned(),
        models: PriceMap::read(PRICES)?.sheets,
    }))
}

pub(super) fn name(text: &str) -> Name {
    Name::try_from(text).expect("invariant: generated names are names")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_company() {
        let now = Timestamp::parse("2025-03-01T12:00:00Z").expect("a time");
        let founding = |seed| Company::new(seed).founding(seed, now).expect("readable prices");
        assert_eq!(founding(7), founding(7));
        assert_ne!(founding(7), founding(8));
        let users: usize = Company::new(7).tenants.iter().map(|tenant| tenant.users.len()).sum();
        assert_eq!(users, 40);
    }
}
