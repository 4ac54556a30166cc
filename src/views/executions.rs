//! What a strategy gave, and what it failed to give, newest first: read out of the log along its
//! list of executions.

use replay::ReadError;
use schemas::{Event, Recorded, Sequence, StrategyExecuted, StrategyFailed, StrategyId, UserId};

use super::Views;

/// Which executions.
#[derive(Debug, Clone, Copy)]
pub struct ExecutionFilter {
    /// Of this strategy.
    pub strategy: StrategyId,
    /// Only those that failed, or only those that did not.
    pub failed: Option<bool>,
    /// Only of this user.
    pub user: Option<UserId>,
}

impl ExecutionFilter {
    fn passes(&self, recorded: &Recorded) -> bool {
        let (user, failed) = match &recorded.event {
            Event::StrategyExecuted(StrategyExecuted { user, .. }) => (*user, false),
            Event::StrategyFailed(StrategyFailed { user, .. }) => (*user, true),
            _ => return false,
        };
        self.failed.is_none_or(|wanted| wanted == failed)
            && self.user.is_none_or(|wanted| wanted == user)
    }

    const fn passes_all(&self) -> bool {
        self.failed.is_none() && self.user.is_none()
    }
}

/// A page of executions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecutionPage {
    /// How many there are in all, as of now; `None` when only a user's were asked for, which nobody
    /// has counted.
    pub total: Option<u64>,
    /// [`Event::StrategyExecuted`] and [`Event::StrategyFailed`], newest first.
    pub executions: Vec<Recorded>,
    /// The next page is what lies before this event; `None` after the last.
    pub next: Option<Sequence>,
}

/// How many events are read at once.
const READ_AT_ONCE: usize = 256;
/// How many events one page may look at before it ends early.
const LOOKED_AT_MAX: usize = 50_000;

impl Views {
    /// The executions up to `through` that `filter` lets pass, newest first: at most
    /// `executions_max` after the first `skip`. A page ends early when it has looked at so many that
    /// it would take too long.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn executions(
        &self,
        filter: &ExecutionFilter,
        through: Sequence,
        skip: usize,
        executions_max: usize,
    ) -> Result<ExecutionPage, ReadError> {
        let (list, total) = self.look(|reading| {
            let list = reading.histories.executions(filter.strategy).clone();
            let strategy = reading.books.strategies.find(filter.strategy);
            let count = |failed| {
                strategy.map_or(0, |known| if failed { known.failed } else { known.executed })
            };
            let total = match (filter.user, filter.failed) {
                (Some(_), _) => None,
                (None, Some(failed)) => Some(count(failed)),
                (None, None) => Some(list.len()),
            };
            (list, total)
        });
        let (skip_unread, mut skip_read) = if filter.passes_all() { (skip, 0) } else { (0, skip) };
        let mut sequences = list.descending(through).skip(skip_unread).peekable();
        let mut page = ExecutionPage { total, ..ExecutionPage::default() };
        let mut looked_at = 0_usize;
        while sequences.peek().is_some() {
            let some: Vec<Sequence> = sequences.by_ref().take(READ_AT_ONCE).collect();
            for recorded in self.log.read_many(&some)? {
                if !filter.passes(&recorded) {
                    continue;
                }
                if skip_read > 0 {
                    skip_read = skip_read.saturating_sub(1);
                } else if page.executions.len() < executions_max {
                    page.executions.push(recorded);
                } else {
                    page.next = page.executions.last().map(|last| last.sequence);
                    return Ok(page);
                }
            }
            looked_at = looked_at.saturating_add(some.len());
            if looked_at >= LOOKED_AT_MAX && sequences.peek().is_some() {
                page.next = some.last().copied();
                return Ok(page);
            }
        }
        Ok(page)
    }
}
