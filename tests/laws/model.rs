//! What must follow from a sequence of commands, said a second time and as plainly as possible: a
//! few maps by name and loops over everything. It shares the commands and the rating of one usage by
//! one sheet with the code under test, and nothing else.

mod strategies;
mod transfers;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use projections::books::{Deciding, Reading};
use projections::usage::Totals;
use schemas::{
    CallNames, Command, ConsumptionReport, Credits, Day, DrawRule, Envelope, ExpiryRule, LotSource,
    Money, PriceSheet, PublishPrices, RechargeQuota, RequestReport, ResponseReport, Sequence,
    ServiceTier, SetDrawRule, TenantId, Timestamp, Tz, UnratedUsage, Usage, UserId, VoucherId,
    builtin_sheets, rate,
};

use crate::actions::PAIRING_TIMEOUT_SECONDS;

/// What becomes of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Recorded,
    Already,
    Nothing,
    Rejected,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Lot {
    expires_at: Timestamp,
    at: Sequence,
    granted: i128,
    left: i128,
    by_strategy: bool,
}

/// Until when quota lasts that is given without a date.
fn lasts_until(now: Timestamp) -> Timestamp {
    ExpiryRule::NextMonthEnd.expiry(now, Tz::UTC)
}

/// Expired: the second after the one it names has begun.
pub(crate) fn is_over(expires_at: Timestamp, now: Timestamp) -> bool {
    now.micros().div_euclid(1_000_000) > expires_at.micros().div_euclid(1_000_000)
}

#[derive(Debug, Default)]
struct Account {
    lots: Vec<Lot>,
    overdraft: i128,
    given: bool,
}

#[derive(Debug, Default, Clone)]
struct Call {
    request: Option<RequestReport>,
    response: Option<ResponseReport>,
    /// Since when one half waits for the other, and by which event.
    waits: Option<(Timestamp, Sequence)>,
    timed_out: bool,
    bill: Option<Bill>,
}

#[derive(Debug, Clone)]
struct Bill {
    at: Sequence,
    user: Option<String>,
    model: Option<String>,
    usage: Usage,
    tier: ServiceTier,
    timestamp: Timestamp,
    rule: usize,
    cost: Option<i128>,
}

type CallKey = (String, String);

/// The book, told naively.
#[derive(Debug, Default)]
pub(crate) struct Model {
    keys: HashMap<[u8; 16], Command>,
    /// In the order of their first appearance.
    users: Vec<String>,
    accounts: HashMap<String, Account>,
    balances: HashMap<String, i128>,
    rules: HashMap<String, Vec<SetDrawRule>>,
    prices: Vec<(String, Timestamp, PriceSheet)>,
    calls: BTreeMap<CallKey, Call>,
    conflicts: Vec<Command>,
    vouchers: BTreeMap<VoucherId, transfers::Voucher>,
    /// The time in the code of each giver's last voucher.
    timestamps: HashMap<String, i64>,
    strategies: Vec<strategies::Strategy>,
    runs: BTreeMap<(u32, String), strategies::Run>,
    registered: BTreeSet<String>,
}

/// A million million dollars: what no balance and no accrual exceeds.
const MONEY_MAX: i128 = 1_000_000_000_000_000_000_000_000_000_000;

impl Model {
    /// Takes a command in. `at` is the last event that the book recorded for it, if it did.
    pub(crate) fn submit(&mut self, envelope: &Envelope, now: Timestamp, at: Sequence) -> Verdict {
        if let Some(first) = envelope.key.and_then(|key| self.keys.get(&key)) {
            return if *first == envelope.command { Verdict::Already } else { Verdict::Rejected };
        }
        let verdict = self.take(&envelope.command, now, at);
        if let (Verdict::Recorded, Some(key)) = (verdict, envelope.key) {
            self.keys.insert(key, envelope.command.clone());
        }
        verdict
    }

    fn take(&mut self, command: &Command, now: Timestamp, at: Sequence) -> Verdict {
        match command {
            Command::ReceiveRequest(report) => self.request(command, report, now, at),
            Command::ReceiveResponse(report) => self.response(command, report, now, at),
            Command::RecordConsumption(report) => self.whole(report, now, at),
            Command::RechargeQuota(recharge) => self.recharge(recharge, at, now),
            Command::TopUpWallet(top_up) if !top_up.amount.is_positive() => Verdict::Rejected,
            Command::TopUpWallet(top_up) => self.pay(top_up.tenant.as_str(), top_up.amount),
            Command::AdjustWallet(adjust) if adjust.amount.is_zero() => Verdict::Rejected,
            Command::AdjustWallet(adjust) => self.pay(adjust.tenant.as_str(), adjust.amount),
            Command::SetDrawRule(rule) => self.set_rule(rule),
            Command::PublishPrices(book) => self.publish(book, now),
            Command::BookExpiredQuota { by: _, lots_max } => self.book_expired(*lots_max, now),
            Command::TimeOutPairings { halves_max } => self.time_out(*halves_max, now),
            Command::RateUsage(backlog) => self.rate(backlog, now),
            Command::RegisterTenant(_) => Verdict::Recorded,
            Command::RegisterUser(registration) => {
                self.introduce(registration.user.as_str());
                self.registered.insert(registration.user.to_string());
                Verdict::Recorded
            }
            Command::IssueVoucher(command) => self.issue(command, now),
            Command::RedeemVoucher(command) => self.redeem(command, now, at),
            Command::CancelVoucher { voucher, giver } => self.cancel(*voucher, giver, now, at),
            Command::LapseVouchers { vouchers_max } => self.lapse(*vouchers_max, now, at),
            Command::MoveCounter(command) => self.count(command, now, at),
            Command::CreateStrategy(draft) => self.create(draft, now),
            Command::UpdateStrategy(update) => self.update(update, now),
            Command::DeleteStrategy { strategy } => self.delete(*strategy),
            Command::ExecuteStrategy(command) => self.execute(command, now, at),
            other => unreachable!("no action issues {other:?}"),
        }
    }

    fn introduce(&mut self, user: &str) {
        if !self.users.iter().any(|known| known == user) {
            self.users.push(user.to_owned());
        }
    }

    fn request(
        &mut self,
        command: &Command,
        report: &RequestReport,
        now: Timestamp,
        at: Sequence,
    ) -> Verdict {
        let key = key_of(&report.call);
        let known = self.calls.get(&key).cloned();
        let mut call = known.clone().unwrap_or_default();
        match &call.request {
            Some(first) if first == report => return Verdict::Already,
            Some(_) => return self.conflict(command),
            None if known.is_some() && call.waits.is_none() => return Verdict::Already,
            None => call.request = Some(report.clone()),
        }
        self.pair(key, call, known.is_some(), now, at, &report.call)
    }

    fn response(
        &mut self,
        command: &Command,
        report: &ResponseReport,
        now: Timestamp,
        at: Sequence,
    ) -> Verdict {
        let key = key_of(&report.call);
        let known = self.calls.get(&key).cloned();
        let mut call = known.clone().unwrap_or_default();
        match &call.response {
            Some(first) if first == report => return Verdict::Already,
            Some(_) => return self.conflict(command),
            None => call.response = Some(report.clone()),
        }
        self.pair(key, call, known.is_some(), now, at, &report.call)
    }

    /// The first half waits, the second one completes.
    fn pair(
        &mut self,
        key: CallKey,
        mut call: Call,
        second: bool,
        now: Timestamp,
        at: Sequence,
        names: &CallNames,
    ) -> Verdict {
        let verdict = if second {
            self.complete(&key.0, &mut call, now, at)
        } else {
            call.waits = Some((now, at));
            Verdict::Recorded
        };
        if verdict == Verdict::Recorded {
            self.keep(key, call, names);
        }
        verdict
    }

    fn keep(&mut self, key: CallKey, call: Call, names: &CallNames) {
        self.calls.insert(key, call);
        if let Some(user) = &names.user {
            self.introduce(user.as_str());
        }
    }

    fn conflict(&mut self, command: &Command) -> Verdict {
        if self.conflicts.contains(command) {
            return Verdict::Already;
        }
        self.conflicts.push(command.clone());
        Verdict::Recorded
    }

    fn whole(&mut self, report: &ConsumptionReport, now: Timestamp, at: Sequence) -> Verdict {
        let names = &report.response.call;
        let key = key_of(names);
        let known = self.calls.get(&key).cloned();
        let mut call = known.clone().unwrap_or_default();
        let request = report.request.map(|details| RequestReport { call: names.clone(), details });
        let differs = call.response.as_ref().is_some_and(|first| *first != report.response)
            || matches!((&call.request, &request), (Some(first), Some(new)) if first != new);
        if differs {
            return Verdict::Rejected;
        }
        if known.is_some() && call.waits.is_none() {
            return Verdict::Already;
        }
        call.response = Some(report.response.clone());
        call.request = call.request.or(request);
        let verdict = self.complete(&key.0, &mut call, now, at);
        if verdict == Verdict::Recorded {
            self.keep(key, call, names);
        }
        verdict
    }

    /// Bills a call that has its response.
    fn complete(&mut self, tenant: &str, call: &mut Call, now: Timestamp, at: Sequence) -> Verdict {
        let response = call.response.as_ref().expect("complete");
        let from_request = |field: fn(&CallNames) -> Option<String>| {
            field(&response.call).or_else(|| field(&call.request.as_ref()?.call))
        };
        let user = from_request(|names| names.user.as_ref().map(ToString::to_string));
        let model = from_request(|names| names.model.as_ref().map(ToString::to_string));
        let mut usage = response.usage.unwrap_or_else(|| Usage {
            prompt: call.request.as_ref().map_or(0, |request| request.details.token_count),
            completion: response.token_count,
            ..Usage::default()
        });
        if usage.total == 0 {
            usage.total = usage.prompt + usage.completion;
        }
        let (timestamp, tier) = (response.timestamp, response.tier);
        let cost = self.cost(model.as_deref(), timestamp, &usage, tier);
        let rule = self.rules.get(tenant).map_or(0, Vec::len);
        let bill = Bill { at, user, model, usage, tier, timestamp, rule, cost };
        if self.accrued(tenant) + cost.unwrap_or(0) > MONEY_MAX {
            return Verdict::Rejected;
        }
        if self.draw(tenant, &bill, now).is_none() {
            return Verdict::Rejected;
        }
        call.waits = None;
        call.bill = Some(bill);
        Verdict::Recorded
    }

    fn accrued(&self, tenant: &str) -> i128 {
        let bills = self.bills().filter(|(of, _)| *of == tenant);
        bills.filter_map(|(_, bill)| bill.cost).sum()
    }

    fn bills(&self) -> impl Iterator<Item = (&str, &Bill)> {
        self.calls
            .iter()
            .filter_map(|((tenant, _), call)| Some((tenant.as_str(), call.bill.as_ref()?)))
    }

    /// By the latest price in force at `moment`, or else by the first one there ever was.
    fn cost(
        &self,
        model: Option<&str>,
        moment: Timestamp,
        usage: &Usage,
        tier: ServiceTier,
    ) -> Option<i128> {
        let builtin = builtin_sheets()
            .into_iter()
            .map(|(name, sheet)| (name.as_str().to_owned(), Timestamp::EPOCH, sheet));
        let mut prices: Vec<_> = builtin
            .chain(self.prices.iter().cloned())
            .filter(|(name, _, _)| Some(name.as_str()) == model)
            .collect();
        prices.sort_by_key(|(_, effective_at, _)| *effective_at);
        let in_force = prices.iter().rfind(|(_, effective_at, _)| *effective_at <= moment);
        let (_, _, sheet) = in_force.or(prices.first())?;
        rate(sheet, usage, tier).map(Money::units)
    }

    /// What the bill's rule takes, soonest expiry first; `None` beyond the range.
    fn draw(&mut self, tenant: &str, bill: &Bill, now: Timestamp) -> Option<()> {
        let account = bill.user.as_ref().and_then(|user| self.accounts.get_mut(user));
        let Some(account) = account.filter(|account| account.given) else {
            return Some(());
        };
        let place = bill.rule.checked_sub(1);
        let rule = place.and_then(|place| self.rules.get(tenant)?.get(place));
        let is_its = |name: &str| bill.model.as_deref() == Some(name);
        let weight = rule
            .and_then(|rule| rule.weights.iter().rfind(|(name, _)| is_its(name.as_str())))
            .map_or(1_000_000, |(_, weight)| i128::from(weight.units()));
        let credits = match rule.map_or(DrawRule::PerToken, |rule| rule.rule) {
            DrawRule::PerToken => weight * i128::from(bill.usage.total),
            DrawRule::PerRequest => weight,
            DrawRule::PerCost => bill.cost.unwrap_or(0) / 1_000_000_000_000 * weight / 1_000_000,
            DrawRule::None => 0,
        };
        let live = account.available(now) + account.overdraft;
        let beyond = account.overdraft + (credits - live).max(0);
        if credits > i128::from(i64::MAX) || beyond > i128::from(i64::MAX) {
            return None;
        }
        account.draw(credits, now);
        Some(())
    }

    fn recharge(&mut self, recharge: &RechargeQuota, at: Sequence, now: Timestamp) -> Verdict {
        let amount = i128::from(recharge.amount.units());
        let user = recharge.user.to_string();
        let none = Account::default();
        let account = self.accounts.get(&user).unwrap_or(&none);
        if amount <= 0 || !account.has_room(amount, now) {
            return Verdict::Rejected;
        }
        self.accounts.entry(user).or_default().give(amount, recharge.expires_at, at, now);
        self.introduce(recharge.user.as_str());
        Verdict::Recorded
    }

    fn pay(&mut self, tenant: &str, amount: Money) -> Verdict {
        let balance = self.balances.entry(tenant.to_owned()).or_default();
        if (*balance + amount.units()).abs() > MONEY_MAX {
            return Verdict::Rejected;
        }
        *balance += amount.units();
        Verdict::Recorded
    }

    fn set_rule(&mut self, rule: &SetDrawRule) -> Verdict {
        let bounded = |weight: &Credits| (0..=1_000_000_000).contains(&weight.units());
        if !rule.weights.iter().all(|(_, weight)| bounded(weight)) {
            return Verdict::Rejected;
        }
        self.rules.entry(rule.tenant.to_string()).or_default().push(rule.clone());
        Verdict::Recorded
    }

    fn publish(&mut self, book: &PublishPrices, now: Timestamp) -> Verdict {
        if book.models.is_empty() {
            return Verdict::Rejected;
        }
        let effective_at = book.effective_at.unwrap_or(now);
        let models = book.models.iter();
        self.prices
            .extend(models.map(|(name, sheet)| (name.to_string(), effective_at, sheet.clone())));
        Verdict::Recorded
    }

    fn book_expired(&mut self, most: u32, now: Timestamp) -> Verdict {
        let mut expired: Vec<(Timestamp, usize, Sequence)> = Vec::new();
        for (place, user) in self.users.iter().enumerate() {
            let lots = self.accounts.get(user).into_iter().flat_map(|account| &account.lots);
            let of_user = lots.filter(|lot| lot.left > 0 && is_over(lot.expires_at, now));
            expired.extend(of_user.map(|lot| (lot.expires_at, place, lot.at)));
        }
        expired.sort_unstable();
        expired.truncate(most as usize);
        for (_, _, lot) in &expired {
            for account in self.accounts.values_mut() {
                account.lots.retain(|held| held.at != *lot);
            }
        }
        if expired.is_empty() { Verdict::Nothing } else { Verdict::Recorded }
    }

    fn time_out(&mut self, most: u32, now: Timestamp) -> Verdict {
        let deadline = now.plus_seconds(-PAIRING_TIMEOUT_SECONDS);
        let mut late: Vec<&mut Call> = self
            .calls
            .values_mut()
            .filter(|call| {
                !call.timed_out && call.waits.is_some_and(|(since, _)| since <= deadline)
            })
            .collect();
        late.sort_by_key(|call| call.waits.map(|(_, at)| at));
        late.truncate(most as usize);
        let verdict = if late.is_empty() { Verdict::Nothing } else { Verdict::Recorded };
        for call in late {
            call.timed_out = true;
        }
        verdict
    }

    /// Everything that can have a price now; where a rule draws by cost, one at a time.
    fn rate(&mut self, backlog: &[UnratedUsage], now: Timestamp) -> Verdict {
        let mut verdict = Verdict::Nothing;
        for usage in backlog {
            let found = self.calls.iter().find_map(|(key, call)| {
                let bill = call.bill.as_ref().filter(|bill| bill.at == usage.consumption)?;
                Some((key.clone(), bill.clone())).filter(|(_, bill)| bill.cost.is_none())
            });
            let Some((key, mut bill)) = found else { continue };
            let model = bill.model.as_deref();
            let Some(cost) = self.cost(model, bill.timestamp, &bill.usage, bill.tier) else {
                continue;
            };
            bill.cost = Some(cost);
            let place = bill.rule.checked_sub(1);
            let rule = place.and_then(|place| self.rules.get(&key.0)?.get(place));
            let by_cost = rule.is_some_and(|rule| rule.rule == DrawRule::PerCost);
            if self.accrued(&key.0) + cost > MONEY_MAX
                || (by_cost && self.draw(&key.0, &bill, now).is_none())
            {
                continue;
            }
            self.calls.entry(key).and_modify(|call| call.bill = Some(bill));
            verdict = Verdict::Recorded;
            if by_cost {
                break;
            }
        }
        verdict
    }

    /// Panics where the book's figures are others.
    pub(crate) fn assert_agrees(&self, deciding: &Deciding, reading: &Reading) {
        for books in [&deciding.books, &reading.books] {
            for user in &self.users {
                let id: UserId = books.names.find(user).expect("an introduced user");
                let account = books.quota.account(id);
                let none = Account::default();
                let expected = self.accounts.get(user).unwrap_or(&none);
                let mut lots: Vec<Lot> =
                    expected.lots.iter().copied().filter(|lot| lot.left > 0).collect();
                lots.sort_unstable();
                let held = account.lots().iter().filter(|lot| !lot.remaining.is_zero());
                let held: Vec<Lot> = held
                    .map(|lot| Lot {
                        expires_at: lot.expires_at,
                        at: lot.id,
                        granted: i128::from(lot.granted.units()),
                        left: i128::from(lot.remaining.units()),
                        by_strategy: lot.source == LotSource::Strategy,
                    })
                    .collect();
                assert_eq!(held, lots, "the lots of {user}");
                assert_eq!(i128::from(account.overdraft().units()), expected.overdraft, "{user}");
                assert_eq!(account.was_given(), expected.given, "{user}");
            }
            let tenants: BTreeSet<&str> = self
                .balances
                .keys()
                .map(String::as_str)
                .chain(self.bills().map(|(tenant, _)| tenant))
                .collect();
            for tenant in tenants {
                let balance = self.balances.get(tenant).copied().unwrap_or(0);
                let found = books.names.find::<TenantId>(tenant);
                let wallet = found.map(|id| *books.wallets.wallet(id)).unwrap_or_default();
                assert_eq!(wallet.balance.units(), balance, "the balance of {tenant}");
                assert_eq!(wallet.accrued.units(), self.accrued(tenant), "accrued by {tenant}");
            }
            let unrated = self.bills().filter(|(_, bill)| bill.cost.is_none()).count();
            assert_eq!(books.unrated.len(), unrated, "unrated");
        }
        for books in [&deciding.books, &reading.books] {
            self.assert_vouchers_agree(books);
            self.assert_strategies_agree(books);
        }
        let waiting = self.calls.values().filter(|call| call.waits.is_some());
        assert_eq!(deciding.calls.all_waiting().count(), waiting.clone().count(), "waiting");
        let incomplete = waiting.filter(|call| call.timed_out).count();
        assert_eq!(reading.histories.incomplete_count(), incomplete as u64, "incomplete");
        assert_eq!(reading.histories.conflict_count(), self.conflicts.len() as u64, "conflicts");
        self.assert_usage_agrees(reading);
    }

    fn assert_usage_agrees(&self, reading: &Reading) {
        /// Tenant, day, and which slice of them.
        type Slice = (String, Day, &'static str, String);
        let mut expected: BTreeMap<Slice, Totals> = BTreeMap::new();
        for (tenant, bill) in self.bills() {
            let slices = [
                ("all", Some(String::new())),
                ("user", bill.user.clone()),
                ("model", bill.model.clone()),
            ];
            for (slice, of) in slices {
                let Some(of) = of else { continue };
                let key = (tenant.to_owned(), bill.timestamp.day(), slice, of);
                let totals = expected.entry(key).or_default();
                totals.requests += 1;
                totals.unrated += u64::from(bill.cost.is_none());
                totals.prompt_tokens += bill.usage.prompt;
                totals.completion_tokens += bill.usage.completion;
                totals.total_tokens += bill.usage.total;
                let cost = totals.cost.units() + bill.cost.unwrap_or(0);
                totals.cost = Money::from_units(cost);
            }
        }
        let names = &reading.books.names;
        let mut found: BTreeMap<Slice, Totals> = BTreeMap::new();
        for (tenant, text) in names.all::<TenantId>() {
            let (first, last) = (Day::from_days(i32::MIN), Day::from_days(i32::MAX));
            for (day, usage) in reading.usage.days(tenant, first, last) {
                let mut put = |slice, of: String, totals: &Totals| {
                    found.insert((text.to_string(), day, slice, of), *totals);
                };
                put("all", String::new(), &usage.totals);
                let users = usage.by_user.iter();
                users.for_each(|(id, active)| {
                    put("user", names.text(*id).to_string(), &active.totals);
                });
                let models = usage.by_model.iter();
                models.for_each(|(id, totals)| put("model", names.text(*id).to_string(), totals));
            }
        }
        assert_eq!(found, expected, "usage by day");
    }
}

fn key_of(call: &CallNames) -> CallKey {
    (call.tenant.to_string(), call.request_id.to_string())
}
