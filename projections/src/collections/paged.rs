//! A growing table with dense numbers as keys, in shared pages.

use std::sync::Arc;

use bincode::de::{BorrowDecoder, Decoder};
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{BorrowDecode, Decode, Encode};

const PAGE: usize = 256;

/// A table of `T` by dense number; rows that were never written are `T::default()`.
#[derive(Debug, Clone)]
pub struct Paged<T> {
    pages: Vec<Arc<Vec<T>>>,
    empty: T,
}

impl<T: Default> Default for Paged<T> {
    fn default() -> Self {
        Self { pages: Vec::new(), empty: T::default() }
    }
}

impl<T: Clone + Default> Paged<T> {
    /// The row, or the default when it was never written.
    #[must_use]
    pub fn get(&self, number: u32) -> &T {
        let (page, row) = place(number);
        self.pages.get(page).and_then(|page| page.get(row)).unwrap_or(&self.empty)
    }

    /// The row, to be changed; the table grows to hold it.
    ///
    /// # Panics
    /// Never: the row is created before it is borrowed.
    pub fn get_mut(&mut self, number: u32) -> &mut T {
        let (page, row) = place(number);
        while self.pages.len() <= page {
            self.pages.push(Arc::default());
        }
        let page = self.pages.get_mut(page).map(Arc::make_mut).expect("invariant: just grown");
        if page.len() <= row {
            page.resize_with(row.saturating_add(1), T::default);
        }
        page.get_mut(row).expect("invariant: just grown")
    }

    /// All rows up to the last one written, in order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.pages.iter().zip(0_u32..).flat_map(|(page, place)| {
            let first = place.saturating_mul(256);
            page.iter().zip(first..).map(|(row, number)| (number, row))
        })
    }
}

fn place(number: u32) -> (usize, usize) {
    let number = usize::try_from(number).unwrap_or(usize::MAX);
    (number.checked_div(PAGE).unwrap_or(0), number.checked_rem(PAGE).unwrap_or(0))
}

impl<T: Encode> Encode for Paged<T> {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.pages.len().encode(encoder)?;
        for page in &self.pages {
            page.encode(encoder)?;
        }
        Ok(())
    }
}

impl<T: Decode<C> + Default, C> Decode<C> for Paged<T> {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let count = usize::decode(decoder)?;
        let mut pages = Vec::new();
        for _ in 0..count {
            pages.push(Arc::new(Vec::<T>::decode(decoder)?));
        }
        Ok(Self { pages, empty: T::default() })
    }
}

impl<'de, T: Decode<C> + Default, C> BorrowDecode<'de, C> for Paged<T> {
    fn borrow_decode<D: BorrowDecoder<'de, Context = C>>(
        decoder: &mut D,
    ) -> Result<Self, DecodeError> {
        Self::decode(decoder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_keeps_what_it_saw() {
        let mut table = Paged::<u64>::default();
        *table.get_mut(3) = 7;
        *table.get_mut(700) = 9;
        let before = table.clone();
        *table.get_mut(3) = 8;
        assert_eq!(
            (*before.get(3), *table.get(3), *table.get(700), *table.get(9999)),
            (7, 8, 9, 0)
        );
        assert_eq!(table.iter().filter(|(_, row)| **row != 0).count(), 2);
        let bytes = bincode::encode_to_vec(&table, bincode::config::standard()).expect("encodes");
        let (read, _): (Paged<u64>, _) =
            bincode::decode_from_slice(&bytes, bincode::config::standard()).expect("decodes");
        assert_eq!(*read.get(700), 9);
    }
}
