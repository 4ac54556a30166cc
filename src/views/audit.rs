//! What moved a user's quota or a tenant's money, newest first, out of the log. What calls drew and cost
//! is in their own history.

mod quota;
mod wallet;

use replay::ReadError;
use schemas::Recorded;

pub use quota::{AuditDetails, QuotaEntry};
pub use wallet::{WalletEntry, WalletPage};

use super::Views;

impl Views {
    /// Who issued the command that led to an event.
    pub(super) fn actor(&self, recorded: &Recorded) -> Result<String, ReadError> {
        let command = match recorded.command {
            Some(command) => Some(command),
            None => self.log.read(recorded.cause)?.and_then(|first| first.command),
        };
        let name = |actor| self.look(|reading| reading.books.names.text(actor).to_string());
        Ok(command.map(|command| name(command.actor)).unwrap_or_default())
    }
}
