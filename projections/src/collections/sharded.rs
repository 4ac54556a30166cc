//! A hash map in shared shards: growing one never moves more than a shard, and a clone copies a
//! shard only when one side changes it.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use bincode::de::{BorrowDecoder, Decoder};
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{BorrowDecode, Decode, Encode};
use hashbrown::{DefaultHashBuilder, HashTable};
use schemas::Sequence;

/// Says in which shard a key lives. The same for ever: the shard is part of the encoded order.
pub trait Shard {
    /// Any number; spread as evenly as the keys allow.
    fn shard(&self) -> u16;
}

/// By the end, which tells numbered names apart.
impl Shard for str {
    fn shard(&self) -> u16 {
        match self.as_bytes() {
            [.., high, low] => u16::from_le_bytes([*low, *high]),
            [low] => u16::from(*low),
            [] => 0,
        }
    }
}

impl Shard for Sequence {
    fn shard(&self) -> u16 {
        let [low, high, ..] = self.get().to_le_bytes();
        u16::from_le_bytes([low, high])
    }
}

/// By the first bytes: those of a hash are as good as any.
impl Shard for [u8; 32] {
    fn shard(&self) -> u16 {
        let [first, second, ..] = *self;
        u16::from_le_bytes([first, second])
    }
}

impl Shard for Arc<str> {
    fn shard(&self) -> u16 {
        self.as_ref().shard()
    }
}

/// A map from `K` to `V` in `SHARDS` shards.
#[derive(Debug, Clone)]
pub struct Sharded<K, V, const SHARDS: usize> {
    shards: Vec<Arc<HashTable<(K, V)>>>,
    hasher: DefaultHashBuilder,
    len: usize,
}

impl<K, V, const SHARDS: usize> Default for Sharded<K, V, SHARDS> {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Arc::default()).collect(),
            hasher: DefaultHashBuilder::default(),
            len: 0,
        }
    }
}

impl<K: Hash + Eq + Shard + Clone, V: Clone, const SHARDS: usize> Sharded<K, V, SHARDS> {
    /// How many keys there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of `key`.
    pub fn get<Q: Hash + Eq + Shard + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let hash = self.hasher.hash_one(key);
        let shard = self.shards.get(Self::place(key))?;
        shard.find(hash, |(present, _)| present.borrow() == key).map(|(_, value)| value)
    }

    /// The value of `key`, to be changed.
    pub fn get_mut<Q: Hash + Eq + Shard + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let hash = self.hasher.hash_one(key);
        let shard = Arc::make_mut(self.shards.get_mut(Self::place(key))?);
        shard.find_mut(hash, |(present, _)| present.borrow() == key).map(|(_, value)| value)
    }

    /// The value of `key`, to be changed; made by `make` when it is not there.
    ///
    /// # Panics
    /// Never: there are always `SHARDS` shards.
    pub fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let Self { shards, hasher, len } = self;
        let hash = hasher.hash_one(&key);
        let shard = shards.get_mut(Self::place(&key)).expect("invariant: a shard for every key");
        let entry = Arc::make_mut(shard).entry(
            hash,
            |(present, _)| *present == key,
            |(present, _)| hasher.hash_one(present),
        );
        let entry = match entry {
            hashbrown::hash_table::Entry::Occupied(entry) => entry,
            hashbrown::hash_table::Entry::Vacant(entry) => {
                *len = len.saturating_add(1);
                entry.insert((key, make()))
            }
        };
        &mut entry.into_mut().1
    }

    /// Sets the value of `key`.
    ///
    /// # Panics
    /// Never: the value is taken at most once.
    pub fn insert(&mut self, key: K, value: V) {
        let mut value = Some(value);
        let slot = self.get_or_insert_with(key, || value.take().expect("invariant: taken once"));
        if let Some(value) = value {
            *slot = value;
        }
    }

    /// Takes `key` out.
    pub fn remove<Q: Hash + Eq + Shard + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let hash = self.hasher.hash_one(key);
        let shard = Arc::make_mut(self.shards.get_mut(Self::place(key))?);
        let entry = shard.find_entry(hash, |(present, _)| present.borrow() == key).ok()?;
        self.len = self.len.saturating_sub(1);
        Some(entry.remove().0.1)
    }

    /// All entries, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.shards.iter().flat_map(|shard| shard.iter().map(|(key, value)| (key, value)))
    }

    fn place<Q: Shard + ?Sized>(key: &Q) -> usize {
        usize::from(key.shard()).checked_rem(SHARDS).unwrap_or(0)
    }
}

impl<K: Encode + Ord, V: Encode, const SHARDS: usize> Encode for Sharded<K, V, SHARDS> {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        for shard in &self.shards {
            let mut entries: Vec<&(K, V)> = shard.iter().collect();
            entries.sort_unstable_by(|left, right| left.0.cmp(&right.0));
            entries.len().encode(encoder)?;
            for (key, value) in entries {
                key.encode(encoder)?;
                value.encode(encoder)?;
            }
        }
        Ok(())
    }
}

impl<K, V, C, const SHARDS: usize> Decode<C> for Sharded<K, V, SHARDS>
where
    K: Decode<C> + Hash + Eq,
    V: Decode<C>,
{
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let mut map = Self::default();
        for shard in &mut map.shards {
            let count = usize::decode(decoder)?;
            let mut table = HashTable::with_capacity(count.min(1 << 20));
            for _ in 0..count {
                let entry = (K::decode(decoder)?, V::decode(decoder)?);
                let hash = map.hasher.hash_one(&entry.0);
                table.insert_unique(hash, entry, |(key, _)| map.hasher.hash_one(key));
            }
            map.len = map.len.saturating_add(count);
            *shard = Arc::new(table);
        }
        Ok(map)
    }
}

impl<'de, K, V, C, const SHARDS: usize> BorrowDecode<'de, C> for Sharded<K, V, SHARDS>
where
    K: Decode<C> + Hash + Eq,
    V: Decode<C>,
{
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
    fn the_same_content_has_the_same_bytes() {
        let words: Vec<Arc<str>> = (0..500).map(|n| Arc::from(format!("word {n}"))).collect();
        let mut forward = Sharded::<Arc<str>, u32, 8>::default();
        let mut backward = Sharded::<Arc<str>, u32, 8>::default();
        for (word, value) in words.iter().zip(0_u32..) {
            forward.insert(Arc::clone(word), value);
        }
        backward.insert(Arc::from("to be removed"), 1);
        for (word, value) in words.iter().zip(0_u32..).collect::<Vec<_>>().into_iter().rev() {
            backward.insert(Arc::clone(word), value);
        }
        assert_eq!(backward.remove("to be removed"), Some(1));
        assert_eq!((forward.len(), backward.len()), (500, 500));
        let standard = bincode::config::standard();
        let bytes = |map: &Sharded<Arc<str>, u32, 8>| {
            bincode::encode_to_vec(map, standard).expect("encodes")
        };
        assert_eq!(bytes(&forward), bytes(&backward));
        let (read, _): (Sharded<Arc<str>, u32, 8>, _) =
            bincode::decode_from_slice(&bytes(&forward), standard).expect("decodes");
        assert_eq!(read.get("word 77"), Some(&77));
        assert_eq!(bytes(&read), bytes(&forward));
    }
}
