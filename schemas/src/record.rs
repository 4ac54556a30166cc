//! How events stand in the log: each as a [`Record`] of bytes, and, once read, as [`Recorded`]. The
//! one place that knows bincode.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bincode::{Decode, Encode};
use thiserror::Error;

use crate::{ActorId, Event, Sequence, Timestamp};

/// What the first event of a command carries for all events of that command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct CommandHeader {
    /// Who issued it. A number that the same command may introduce.
    pub actor: ActorId,
    /// By what it is recognised when it comes again.
    pub key: CommandKey,
    /// By what another content under the same key is told apart.
    pub fingerprint: Fingerprint,
}

/// By what a command is recognised when it comes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum CommandKey {
    /// Never: its sender gave no key.
    None,
    /// By the tenant and request id inside its first event about a call.
    Call,
    /// By this hash of the sender's key and its scope.
    Explicit([u8; 16]),
}

/// The first bytes of the BLAKE3 hash of a command's content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Fingerprint(pub [u8; 8]);

impl Fingerprint {
    /// A call's: four bytes for its request half, four for its response half, zero where absent.
    #[must_use]
    pub fn of_halves(request: Option<[u8; 4]>, response: Option<[u8; 4]>) -> Self {
        let mut bytes = [0; 8];
        let (front, back) = bytes.split_at_mut(4);
        front.copy_from_slice(&request.unwrap_or_default());
        back.copy_from_slice(&response.unwrap_or_default());
        Self(bytes)
    }

    /// A call's halves again; `None` where absent.
    #[must_use]
    pub fn halves(self) -> (Option<[u8; 4]>, Option<[u8; 4]>) {
        let present = |half: Option<&[u8; 4]>| half.copied().filter(|half| *half != [0; 4]);
        (present(self.0.first_chunk()), present(self.0.last_chunk()))
    }
}

/// One event as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Decode)]
pub struct Record {
    /// Present on the first event of a command.
    pub command: Option<CommandHeader>,
    /// The event.
    pub event: Event,
}

/// One event as it stands in the log. Only the log makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Its position.
    pub sequence: Sequence,
    /// When its batch was decided, by the service's clock; never earlier than the one before.
    pub recorded_at: Timestamp,
    /// The first event of the same command.
    pub cause: Sequence,
    /// Present on the first event of a command.
    pub command: Option<CommandHeader>,
    /// The event.
    pub event: Event,
}

/// The most bytes that one encoded record may have.
pub const RECORD_BYTES_MAX: usize = 7_000;

/// Why bytes are not a record, or a record is not to be stored.
#[derive(Debug, Error)]
pub enum CodecError {
    /// The event cannot be stored.
    #[error("could not encode the event")]
    Encode(#[source] bincode::error::EncodeError),
    /// The event is longer than a record may be.
    #[error("the event takes {bytes} bytes, more than {RECORD_BYTES_MAX}")]
    TooLong {
        /// What it takes.
        bytes: usize,
    },
    /// The bytes are not those of a known event.
    #[error("could not decode the event")]
    Decode(#[source] bincode::error::DecodeError),
}

/// What decoding may claim: bincode counts the memory of a list and integers at their full width,
/// so that this must be far above what a record takes. It bounds what broken bytes can ask for.
const CLAIM_BYTES_MAX: usize = 1 << 20;

type Layout = Configuration<LittleEndian, Varint, Limit<CLAIM_BYTES_MAX>>;
const LAYOUT: Layout = bincode::config::standard().with_limit::<CLAIM_BYTES_MAX>();

impl Record {
    /// Appends the bytes of a record of these parts to `buffer`.
    ///
    /// # Errors
    /// When it is too long; `buffer` is then as before.
    pub fn encode_parts(
        command: Option<CommandHeader>,
        event: &Event,
        buffer: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        let before = buffer.len();
        let mut writer = Appender(buffer);
        // A tuple has the bytes of a struct of the same fields.
        let outcome = bincode::encode_into_writer((command, event), &mut writer, LAYOUT);
        let bytes = buffer.len().saturating_sub(before);
        let refused = match outcome {
            Err(error) => CodecError::Encode(error),
            Ok(()) if bytes > RECORD_BYTES_MAX => CodecError::TooLong { bytes },
            Ok(()) => return Ok(()),
        };
        buffer.truncate(before);
        Err(refused)
    }

    /// Reads one record from the front of `bytes`; gives it and how many bytes it took.
    ///
    /// # Errors
    /// When the bytes are not those of a known event.
    pub fn decode_from(bytes: &[u8]) -> Result<(Self, usize), CodecError> {
        bincode::decode_from_slice(bytes, LAYOUT).map_err(CodecError::Decode)
    }
}

struct Appender<'a>(&'a mut Vec<u8>);

impl bincode::enc::write::Writer for Appender<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), bincode::error::EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}
