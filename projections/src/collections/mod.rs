//! Containers whose clones are cheap: they share what neither side has changed since. That is how a
//! checkpoint is taken of a running book without stopping it. Each encodes to the same bytes for
//! the same content, whatever the order in which it came about.

mod paged;
mod postings;
mod sharded;

pub use paged::Paged;
pub use postings::PostingList;
pub use sharded::{Shard, Sharded};
