//! The names that the log has introduced, and the number of each.

use std::sync::Arc;

use bincode::{Decode, Encode};
use schemas::{Event, NameId, NameKind, Recorded};

use crate::collections::{Paged, Sharded};
use crate::projection::Projection;

/// The names of one kind.
#[derive(Debug, Clone, Default, Encode, Decode)]
struct Kind {
    count: u32,
    texts: Paged<Arc<str>>,
    numbers: Sharded<Arc<str>, u32, 64>,
}

/// All introduced names.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub struct Names {
    tenants: Kind,
    users: Kind,
    models: Kind,
    assistants: Kind,
    actors: Kind,
    finish_reasons: Kind,
}

impl Names {
    /// The number of a name, when it has been introduced.
    #[must_use]
    pub fn find<Id: NameId>(&self, text: &str) -> Option<Id> {
        self.kind(Id::KIND).numbers.get(text).copied().map(Id::from_number)
    }

    /// The name with this number; empty when there is none.
    #[must_use]
    pub fn text<Id: NameId>(&self, id: Id) -> &Arc<str> {
        self.kind(Id::KIND).texts.get(id.number())
    }

    /// The number that the next new name of a kind gets.
    #[must_use]
    pub const fn next_number(&self, kind: NameKind) -> u32 {
        self.kind(kind).count
    }

    /// All names of a kind, in the order of their introduction.
    pub fn all<Id: NameId>(&self) -> impl Iterator<Item = (Id, &Arc<str>)> {
        let kind = self.kind(Id::KIND);
        kind.texts
            .iter()
            .take(usize::try_from(kind.count).unwrap_or(usize::MAX))
            .map(|(number, text)| (Id::from_number(number), text))
    }

    const fn kind(&self, kind: NameKind) -> &Kind {
        match kind {
            NameKind::Tenant => &self.tenants,
            NameKind::User => &self.users,
            NameKind::Model => &self.models,
            NameKind::Assistant => &self.assistants,
            NameKind::Actor => &self.actors,
            NameKind::FinishReason => &self.finish_reasons,
        }
    }

    const fn kind_mut(&mut self, kind: NameKind) -> &mut Kind {
        match kind {
            NameKind::Tenant => &mut self.tenants,
            NameKind::User => &mut self.users,
            NameKind::Model => &mut self.models,
            NameKind::Assistant => &mut self.assistants,
            NameKind::Actor => &mut self.actors,
            NameKind::FinishReason => &mut self.finish_reasons,
        }
    }
}

impl Projection for Names {
    const NAME: &'static str = "names";
    const VERSION: u32 = 1;

    fn apply(&mut self, recorded: &Recorded) {
        if let Event::NameIntroduced(introduced) = &recorded.event {
            let kind = self.kind_mut(introduced.kind);
            let text: Arc<str> = Arc::from(introduced.name.as_str());
            *kind.texts.get_mut(introduced.number) = Arc::clone(&text);
            kind.numbers.insert(text, introduced.number);
            kind.count = kind.count.max(introduced.number.saturating_add(1));
        }
    }
}
