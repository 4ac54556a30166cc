//! What happened: the append-only log itself. It appends batches of events durably, reads them
//! back, checks them, and keeps checkpoints of what was folded from them. It knows how events are
//! stored and nothing of what they mean.

mod anchor;
mod batch;
mod chain;
mod checkpoint;
mod frame;
mod log;
mod open;
mod reader;
mod rebuild;
mod scan;
mod store;
mod verify;

pub use anchor::{Anchor, AnchorError};
pub use batch::{BatchEncoder, EncodedBatch};
pub use chain::{Flaw, Problem};
pub use checkpoint::{
    CheckpointError, CheckpointWriter, Checkpoints, Latest, PartReader, SavedCheckpoint, Skipped,
};
pub use frame::{
    FRAME_BYTES_MAX, FRAME_VERSION, Frame, FrameError, FrameHash, FrameHeader, Mark, RecordsError,
};
pub use log::{AppendError, Head, Log, LogOptions};
pub use open::{Cut, OpenError, Opened};
pub use reader::{LogReader, ReadError, Verification};
pub use rebuild::{
    RestoreError, Restored, digest, load_checkpoint, rebuild, restore, save_checkpoint,
};
pub use scan::{PipelinedScan, Scan};
pub use store::{Chunk, ChunkBytes, ChunkIter, FileStore, SledStore, Store, StoreError};
pub use verify::{Progress, VerifyReport, verify_directory, verify_reader, verify_store};
