//! A compact, growing list of log positions: two to three bytes each.

use std::sync::Arc;

use bincode::{Decode, Encode};
use schemas::Sequence;

/// How many positions a closed block holds.
const BLOCK: u32 = 256;

/// Ascending positions, delta-encoded in blocks. Closed blocks are shared between clones.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct PostingList {
    closed: Vec<Arc<Block>>,
    tail: Block,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
struct Block {
    first: u64,
    last: u64,
    count: u32,
    deltas: Vec<u8>,
}

impl PostingList {
    /// Appends a position, which must lie after all present ones; others are ignored, so that
    /// one event is never listed twice.
    pub fn push(&mut self, sequence: Sequence) {
        let position = sequence.get();
        if self.tail.count >= BLOCK {
            let mut full = std::mem::take(&mut self.tail);
            full.deltas.shrink_to_fit();
            self.tail.last = full.last;
            self.closed.push(Arc::new(full));
        }
        let Some(delta) = position.checked_sub(self.tail.last).filter(|delta| *delta > 0) else {
            return;
        };
        if self.tail.count == 0 {
            self.tail.first = position;
        } else {
            push_varint(&mut self.tail.deltas, delta);
        }
        self.tail.last = position;
        self.tail.count = self.tail.count.saturating_add(1);
    }

    /// How many positions there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.blocks().map(|block| u64::from(block.count)).fold(0, u64::saturating_add)
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.tail.count == 0 && self.closed.is_empty()
    }

    /// The positions after `after` and up to `through`, oldest first.
    pub fn ascending(
        &self,
        after: Sequence,
        through: Sequence,
    ) -> impl Iterator<Item = Sequence> + '_ {
        let skipped = self.closed.partition_point(|block| block.last <= after.get());
        self.blocks()
            .skip(skipped)
            .take_while(move |block| block.first <= through.get())
            .flat_map(Block::positions)
            .skip_while(move |position| *position <= after.get())
            .take_while(move |position| *position <= through.get())
            .map(Sequence::new)
    }

    /// The positions up to `through`, newest first.
    pub fn descending(&self, through: Sequence) -> impl Iterator<Item = Sequence> + '_ {
        let begun = self.closed.partition_point(|block| block.first <= through.get());
        std::iter::once(&self.tail)
            .chain(self.closed.iter().take(begun).rev().map(Arc::as_ref))
            .filter(move |block| block.count > 0 && block.first <= through.get())
            .flat_map(|block| {
                let mut positions: Vec<u64> = block.positions().collect();
                positions.reverse();
                positions
            })
            .skip_while(move |position| *position > through.get())
            .map(Sequence::new)
    }

    /// Bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let blocks = self.closed.capacity().saturating_mul(size_of::<Arc<Block>>());
        self.closed
            .iter()
            .map(|block| {
                size_of::<Block>().saturating_add(16).saturating_add(block.deltas.capacity())
            })
            .fold(blocks.saturating_add(self.tail.deltas.capacity()), usize::saturating_add)
    }

    fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.closed
            .iter()
            .map(Arc::as_ref)
            .chain(std::iter::once(&self.tail).filter(|block| block.count > 0))
    }
}

impl Block {
    fn positions(&self) -> impl Iterator<Item = u64> + '_ {
        let mut rest = self.deltas.as_slice();
        let mut position = self.first;
        let first = (self.count > 0).then_some(self.first);
        first.into_iter().chain(std::iter::from_fn(move || {
            let delta = pop_varint(&mut rest)?;
            position = position.saturating_add(delta);
            Some(position)
        }))
    }
}

/// LEB128: seven bits a byte, the lowest first.
fn push_varint(bytes: &mut Vec<u8>, mut value: u64) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            bytes.push(low & 0x7f);
            return;
        }
        bytes.push(low | 0x80);
    }
}

fn pop_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    let mut shift = 0_u32;
    loop {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f).checked_shl(shift)?;
        if first & 0x80 == 0 {
            return Some(value);
        }
        shift = shift.saturating_add(7);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn positions_come_back_in_both_directions(
            gaps in prop::collection::vec(1_u64..100_000, 0..1500),
            after in 0_u64..10_000_000,
            through in 0_u64..10_000_000,
        ) {
            let mut list = PostingList::default();
            let mut all = Vec::new();
            let mut position = 0_u64;
            for gap in gaps {
                position = position.saturating_add(gap);
                list.push(Sequence::new(position));
                list.push(Sequence::new(position));
                all.push(position);
            }
            prop_assert_eq!(list.len(), u64::try_from(all.len()).expect("small"));
            let (after, through) = (Sequence::new(after), Sequence::new(through));
            let up: Vec<u64> = list.ascending(after, through).map(Sequence::get).collect();
            let want: Vec<u64> = all.iter().copied()
                .filter(|position| *position > after.get() && *position <= through.get()).collect();
            prop_assert_eq!(up, want);
            let down: Vec<u64> = list.descending(through).map(Sequence::get).collect();
            let want: Vec<u64> = all.iter().rev().copied()
                .filter(|position| *position <= through.get()).collect();
            prop_assert_eq!(down, want);
        }
    }
}
