//! What a fold of the log is.

use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode};
use schemas::Recorded;

/// A fold of the log: a state that follows from the events alone.
pub trait Projection: Default + Clone + Encode + Decode<()> {
    /// Names its part of a checkpoint.
    const NAME: &'static str;
    /// Counts the shapes of its state; a checkpoint of another version is rebuilt.
    const VERSION: u32;

    /// Takes one event in. Never refuses and never fails: whatever is in the log has happened.
    fn apply(&mut self, recorded: &Recorded);

    /// The state's canonical bytes: equal for equal states.
    ///
    /// # Errors
    /// Those of `writer`.
    fn save(&self, writer: &mut dyn std::io::Write) -> Result<(), EncodeError> {
        bincode::encode_into_std_write(self, &mut ByRef(writer), bincode::config::standard())
            .map(|_| ())
    }

    /// Reads back what [`Self::save`] wrote.
    ///
    /// # Errors
    /// When the bytes are not those of this version's state, or more than those.
    fn load(bytes: &[u8]) -> Result<Self, DecodeError> {
        let reader = bincode::de::read::SliceReader::new(bytes);
        let mut decoder = bincode::de::DecoderImpl::new(reader, bincode::config::standard(), ());
        let state = Self::decode(&mut decoder)?;
        match u8::decode(&mut decoder) {
            Err(DecodeError::UnexpectedEnd { .. }) => Ok(state),
            _ => Err(DecodeError::Other("bytes are left over")),
        }
    }
}

struct ByRef<'a>(&'a mut dyn std::io::Write);

impl std::io::Write for ByRef<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}
