//! Price books, and the rating of usage that had no price when it was recorded.

use std::collections::{BTreeMap, BTreeSet};

use projections::books::Books;
use schemas::{
    ConsumptionRated, Draw, DrawRule, Event, ModelPriced, PriceBookPublished, PublishPrices,
    Timestamp, UnratedUsage,
};

use super::calls::{charge, draw};
use super::money;
use super::naming::Naming;
use super::rejection::{Rejection, check_text};

/// A new price book: every model's prices, then the book itself.
pub(super) fn publish(
    books: &Books,
    book: &PublishPrices,
    now: Timestamp,
    naming: &mut Naming<'_>,
) -> Result<Vec<Event>, Rejection> {
    if book.models.is_empty() {
        return Err(Rejection::NoPrices);
    }
    check_text("source", &book.source)?;
    let version = books.prices.next_version();
    let mut events: Vec<Event> = book
        .models
        .iter()
        .map(|(model, sheet)| {
            let (model, sheet) = (naming.id(model), sheet.clone());
            Event::ModelPriced(ModelPriced { version, model, sheet })
        })
        .collect();
    events.push(Event::PriceBookPublished(PriceBookPublished {
        version,
        effective_at: book.effective_at.unwrap_or(now),
        models: u32::try_from(book.models.len()).unwrap_or(u32::MAX),
        source: book.source.clone(),
    }));
    Ok(events)
}

/// The ratings of those calls that have no price yet and can have one now. What goes by cost is drawn
/// by the rule that was in force when the call was recorded, as what goes by tokens was then, and the
/// markup is the one of then. A call
/// whose amounts would leave their range stays unrated, and holds up no other.
pub(super) fn rate_backlog(books: &Books, backlog: &[UnratedUsage], now: Timestamp) -> Vec<Event> {
    let mut events = Vec::new();
    let mut rated = BTreeSet::new();
    let mut accrued_by = BTreeMap::new();
    for usage in backlog {
        let Some(rule_version) = books.unrated.rule_version(usage.consumption) else { continue };
        if !rated.insert(usage.consumption) {
            continue;
        }
        let Some(model) = usage.context.model else { continue };
        let tenant = usage.context.tenant;
        let markup = books.tenants.terms(tenant).markup_basis_points.at(usage.consumption);
        let used = (&usage.usage, usage.tier);
        let charge = charge(books, (model, None), usage.timestamp, used, markup);
        let Some(charge) = charge else { continue };
        let before = accrued_by.get(&tenant).copied();
        let before = before.unwrap_or_else(|| books.wallets.wallet(tenant).accrued);
        let Some(accrued) = money::accrued(before, charge.cost) else { continue };
        let rule = books.draw_rules.version(tenant, rule_version);
        let drawn = match rule.rule {
            DrawRule::PerCost => draw(books, rule, &usage.context, &usage.usage, Some(charge), now),
            DrawRule::PerToken | DrawRule::PerRequest | DrawRule::None => {
                Some(Draw { rule_version: rule.version, ..Draw::default() })
            }
        };
        let Some(drawn) = drawn else { continue };
        accrued_by.insert(tenant, accrued);
        let goes_by_cost = rule.rule == DrawRule::PerCost;
        events.push(Event::ConsumptionRated(Box::new(ConsumptionRated {
            consumption: usage.consumption,
            context: usage.context.clone(),
            timestamp: usage.timestamp,
            charge,
            draw: drawn,
        })));
        if goes_by_cost {
            // The next draw must see this one: one rating a command where quota is drawn.
            break;
        }
    }
    events
}
