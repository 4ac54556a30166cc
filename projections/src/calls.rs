//! What has been taken in, for ever: every command key with its first outcome, every call with its
//! halves, and the halves that still wait. This is what makes a message that comes twice count once.

use std::borrow::Borrow;

use bincode::{Decode, Encode};
use schemas::{
    CallContext, CommandKey, Event, ExternalId, Fingerprint, Half, Recorded, RequestHalf,
    ResponseHalf, Sequence, TenantId, Timestamp,
};

use crate::collections::{Shard, Sharded};
use crate::projection::Projection;

/// What a command is recognised by: exact for calls whose id is a UUID, a 128-bit hash for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Key {
    scope: u32,
    id: [u8; 16],
}

/// In `scope`: the id is a hash of a text.
const HASHED: u32 = 1 << 31;
/// A `scope` that no tenant has: the sender's own key.
const EXPLICIT: u32 = u32::MAX;

impl Key {
    /// The key of a call.
    #[must_use]
    pub fn of_call(tenant: TenantId, request_id: &ExternalId) -> Self {
        match request_id {
            ExternalId::Uuid(id) => Self { scope: tenant.0, id: *id },
            ExternalId::Text(text) => {
                let mut id = [0; 16];
                blake3::Hasher::new().update(text.as_bytes()).finalize_xof().fill(&mut id);
                Self { scope: tenant.0 | HASHED, id }
            }
        }
    }

    /// The key that a sender gave, hashed with its scope.
    #[must_use]
    pub const fn explicit(id: [u8; 16]) -> Self {
        Self { scope: EXPLICIT, id }
    }
}

impl Shard for Key {
    fn shard(&self) -> u16 {
        let [.., high, low] = self.id;
        u16::from_le_bytes([low, high])
    }
}

/// The first outcome under a key. Twelve bytes apart from the fingerprint would be aligned to
/// sixteen: hence the halves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Seen {
    sequence: [u32; 2],
    /// Of the content.
    pub fingerprint: Fingerprint,
}

impl Seen {
    fn new(sequence: Sequence, fingerprint: Fingerprint) -> Self {
        let bytes = sequence.get().to_le_bytes();
        let half = |half: Option<&[u8; 4]>| half.map_or(0, |bytes| u32::from_le_bytes(*bytes));
        Self { sequence: [half(bytes.first_chunk()), half(bytes.last_chunk())], fingerprint }
    }

    /// The event that the command led to; of several, the last.
    #[must_use]
    pub fn sequence(self) -> Sequence {
        let [low, high] = self.sequence;
        Sequence::new(u64::from(low) | u64::from(high) << 32)
    }
}

/// A half that has no counterpart yet.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Waiting {
    /// What is there.
    pub half: WaitingHalf,
    /// Its event.
    pub sequence: Sequence,
    /// When it was recorded.
    pub since: Timestamp,
    /// Its deadline has passed and that is on record.
    pub timed_out: bool,
}

/// See [`Waiting`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum WaitingHalf {
    /// A request without its response.
    Request(RequestHalf),
    /// A response without its request.
    Response(ResponseHalf),
}

impl WaitingHalf {
    /// Who and what the call was for.
    #[must_use]
    pub const fn context(&self) -> &CallContext {
        match self {
            Self::Request(half) => &half.context,
            Self::Response(half) => &half.context,
        }
    }

    /// Which half it is.
    #[must_use]
    pub const fn half(&self) -> Half {
        match self {
            Self::Request(_) => Half::Request,
            Self::Response(_) => Half::Response,
        }
    }
}

/// Everything that has been taken in.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub struct Calls {
    seen: Sharded<Key, Seen, 1024>,
    waiting: Sharded<Key, Waiting, 64>,
    /// The explicit key of the command whose events are being applied.
    current: Option<(Key, Fingerprint)>,
    /// The fingerprint of the command whose events are being applied.
    fingerprint: Fingerprint,
}

impl Calls {
    /// The first outcome under a key.
    #[must_use]
    pub fn seen(&self, key: Key) -> Option<Seen> {
        self.seen.get(&key).copied()
    }

    /// The half that waits under a call's key.
    #[must_use]
    pub fn waiting(&self, key: Key) -> Option<&Waiting> {
        self.waiting.get(&key)
    }

    /// All waiting halves, in no order.
    pub fn all_waiting(&self) -> impl Iterator<Item = (Key, &Waiting)> {
        self.waiting.iter().map(|(key, waiting)| (*key, waiting))
    }

    /// How many keys are known.
    #[must_use]
    pub const fn keys(&self) -> usize {
        self.seen.len()
    }

    fn wait(&mut self, recorded: &Recorded, half: WaitingHalf) {
        let context = half.context();
        let key = Key::of_call(context.tenant, &context.request_id);
        self.seen.insert(key, Seen::new(recorded.sequence, self.fingerprint));
        let (sequence, since) = (recorded.sequence, recorded.recorded_at);
        self.waiting.insert(key, Waiting { half, sequence, since, timed_out: false });
    }

    fn complete(&mut self, sequence: Sequence, context: &CallContext) {
        let key = Key::of_call(context.tenant, &context.request_id);
        let new = self.fingerprint;
        let seen = self.seen.get_or_insert_with(key, || Seen::new(sequence, new));
        let (old, new) = (seen.fingerprint.halves(), new.halves());
        *seen = Seen::new(sequence, Fingerprint::of_halves(new.0.or(old.0), new.1.or(old.1)));
        self.waiting.remove(key.borrow());
    }
}

impl Projection for Calls {
    const NAME: &'static str = "calls";
    const VERSION: u32 = 1;

    fn apply(&mut self, recorded: &Recorded) {
        if let Some(command) = recorded.command {
            self.fingerprint = command.fingerprint;
            self.current = match command.key {
                CommandKey::Explicit(id) => Some((Key::explicit(id), command.fingerprint)),
                CommandKey::None | CommandKey::Call => None,
            };
        }
        if let Some((key, fingerprint)) = self.current {
            self.seen.insert(key, Seen::new(recorded.sequence, fingerprint));
        }
        match &recorded.event {
            Event::RequestReceived(half) => {
                self.wait(recorded, WaitingHalf::Request(half.as_ref().clone()));
            }
            Event::ResponseReceived(half) => {
                self.wait(recorded, WaitingHalf::Response(half.as_ref().clone()));
            }
            Event::ConsumptionRecorded(consumption) => {
                self.complete(recorded.sequence, &consumption.context);
            }
            Event::PairingTimedOut(timed_out) => {
                let key = Key::of_call(timed_out.tenant, &timed_out.request_id);
                if let Some(waiting) = self.waiting.get_mut(&key) {
                    waiting.timed_out = true;
                }
            }
            _ => (),
        }
    }
}
