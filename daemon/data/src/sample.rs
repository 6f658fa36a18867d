//! What counting, splitting and the pre-flight need to know of an example, be it a text or an image.

use finetuned_job::scores::Split;

/// Stands for the content: 128 bits of blake3.
pub(crate) type Key = u128;

pub(crate) trait Sample {
    /// What messages call several of them.
    const NOUN: &'static str;

    fn key(&self) -> Key;
    /// By index; none where numbers are learnt.
    fn classes(&self) -> &[u32];
    /// Examples of one stratum are divided among the splits in the wanted fractions.
    fn stratum(&self) -> u32;
    fn same_answer(&self, other: &Self) -> bool;
}

pub(crate) fn key_of(content: &[u8]) -> Key {
    let mut first = [0; 16];
    first.copy_from_slice(&blake3::hash(content).as_bytes()[..16]);
    Key::from_le_bytes(first)
}

/// blake3 over parts, each with its length before it.
#[derive(Default)]
pub(crate) struct PartsHash(blake3::Hasher);

impl PartsHash {
    pub(crate) fn part(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    pub(crate) fn hex(&self) -> String {
        self.0.finalize().to_hex().to_string()
    }
}

#[derive(Debug, Default)]
pub(crate) struct PerSplit<T> {
    pub(crate) train: T,
    pub(crate) validation: T,
    pub(crate) test: T,
}

impl<T> PerSplit<T> {
    pub(crate) fn of(&self, split: Split) -> &T {
        match split {
            Split::Train => &self.train,
            Split::Validation => &self.validation,
            Split::Test => &self.test,
        }
    }

    pub(crate) fn of_mut(&mut self, split: Split) -> &mut T {
        match split {
            Split::Train => &mut self.train,
            Split::Validation => &mut self.validation,
            Split::Test => &mut self.test,
        }
    }
}

impl<E> PerSplit<Vec<E>> {
    pub(crate) fn len(&self) -> usize {
        Split::ALL.iter().map(|it| self.of(*it).len()).sum()
    }

    /// Train, validation, test, each in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Split, &E)> {
        Split::ALL.into_iter().flat_map(|split| self.of(split).iter().map(move |it| (split, it)))
    }
}
