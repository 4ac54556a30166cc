//! Numbers for the names in a command: the ones that the log has introduced, or new ones with the
//! events that introduce them.

use std::collections::HashMap;

use projections::names::Names;
use schemas::{Event, Name, NameId, NameIntroduced, NameKind};

/// Resolves the names of one command.
pub(super) struct Naming<'a> {
    names: &'a Names,
    new: HashMap<(NameKind, String), u32>,
    introductions: Vec<NameIntroduced>,
}

impl<'a> Naming<'a> {
    pub(super) fn new(names: &'a Names) -> Self {
        Self { names, new: HashMap::new(), introductions: Vec::new() }
    }

    /// The number of a name; a new one when nobody has used the name before.
    pub(super) fn id<Id: NameId>(&mut self, name: &Name) -> Id {
        if let Some(id) = self.known(name) {
            return id;
        }
        let key = (Id::KIND, name.as_str().to_owned());
        if let Some(number) = self.new.get(&key) {
            return Id::from_number(*number);
        }
        let of_kind = self.introductions.iter().filter(|new| new.kind == Id::KIND).count();
        let of_kind = u32::try_from(of_kind).unwrap_or(u32::MAX);
        let number = self.names.next_number(Id::KIND).saturating_add(of_kind);
        self.introductions.push(NameIntroduced { kind: Id::KIND, number, name: key.1.clone() });
        self.new.insert(key, number);
        Id::from_number(number)
    }

    /// The number of a name that the log has introduced already.
    pub(super) fn known<Id: NameId>(&self, name: &Name) -> Option<Id> {
        self.names.find(name.as_str())
    }

    /// `events` with the introductions of the names that they use in front of them.
    pub(super) fn introduce(self, events: Vec<Event>) -> Vec<Event> {
        if self.introductions.is_empty() {
            return events;
        }
        self.introductions.into_iter().map(Event::NameIntroduced).chain(events).collect()
    }
}
