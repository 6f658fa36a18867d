//! Examples of every kind of input and answer, and the splits that they stand in.

use finetuned_answers::Target;
use finetuned_job::scores::Split;
use std::path::Path;

/// Where the bytes of an image lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// A file, relative to the folder of the data.
    File(Box<Path>),
    /// A part of the file in the staging folder.
    Part { offset: u64, bytes: u64 },
}

/// What a model is given of an example.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record {
    /// Trimmed, not empty, without zero bytes.
    pub texts: Box<[Box<str>]>,
    /// Where each word begins and ends in the first text, in bytes; only where words have answers.
    pub words: Box<[(u32, u32)]>,
    pub image: Option<At>,
    /// An object of JSON: what rewards may read. The model is not shown it.
    pub fields: Option<Box<str>>,
}

impl Record {
    /// Of one text alone.
    pub fn of_text(text: impl Into<Box<str>>) -> Record {
        Record { texts: [text.into()].into(), ..Record::default() }
    }

    /// Of the texts and the places of words in them.
    pub(crate) fn key(&self) -> Key {
        let mut hash = PartsHash::default();
        self.shown(&mut hash);
        first_bytes(&hash.0.finalize())
    }

    /// Everything.
    pub(crate) fn parts(&self, hash: &mut PartsHash) {
        self.shown(hash);
        self.fields.iter().for_each(|it| hash.part(it.as_bytes()));
    }

    /// What a model is shown.
    fn shown(&self, hash: &mut PartsHash) {
        self.texts.iter().for_each(|it| hash.part(it.as_bytes()));
        if !self.words.is_empty() {
            let places = self.words.iter().flat_map(|it| [it.0, it.1]);
            hash.part(&places.flat_map(u32::to_le_bytes).collect::<Vec<_>>());
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    pub record: Record,
    /// Its classes are indices into the outputs.
    pub target: Target,
    /// The same number, the same content: 128 bits of blake3 over the texts, or the image's bytes.
    pub key: u128,
    /// Index into the report's files.
    pub file: u32,
    /// Counts from 1: the line, the row for formats without lines, the file's place in its class
    /// folder, the image's in an IDX file.
    pub line: u64,
}

/// Stands for the content: 128 bits of blake3.
pub(crate) type Key = u128;

pub(crate) fn key_of(content: &[u8]) -> Key {
    first_bytes(&blake3::hash(content))
}

fn first_bytes(hash: &blake3::Hash) -> Key {
    let mut first = [0; 16];
    first.copy_from_slice(&hash.as_bytes()[..16]);
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

pub(crate) type Examples = PerSplit<Vec<Example>>;

impl Examples {
    pub(crate) fn len(&self) -> usize {
        Split::ALL.iter().map(|it| self.of(*it).len()).sum()
    }

    pub(crate) fn targets_mut(&mut self) -> Vec<&mut Target> {
        let all = [&mut self.train, &mut self.validation, &mut self.test];
        all.into_iter().flatten().map(|it| &mut it.target).collect()
    }

    /// Train, validation, test, each in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Split, &Example)> {
        Split::ALL.into_iter().flat_map(|split| self.of(split).iter().map(move |it| (split, it)))
    }
}

/// Where examples come from.
#[derive(Debug, Default)]
pub struct Origins {
    /// Paths of the report's files.
    pub(crate) files: Vec<String>,
    /// For folders of texts, the names of each folder's files; else empty.
    pub(crate) members: Vec<Vec<Box<str>>>,
}

impl Origins {
    /// In words: `tweets.csv line 17`, `cats/3.jpg`.
    pub fn of(&self, example: &Example) -> String {
        let (file, line) = self.place(example);
        spoken(&file, line)
    }

    /// File, and line where it is no file of its own.
    pub(crate) fn place(&self, example: &Example) -> (String, Option<u64>) {
        if let Some(At::File(path)) = &example.record.image {
            return (path.to_string_lossy().into_owned(), None);
        }
        let nth = usize::try_from(example.line).unwrap_or(usize::MAX).wrapping_sub(1);
        match self.members.get(example.file as usize).and_then(|it| it.get(nth)) {
            Some(name) => (name.to_string(), None),
            None => {
                let file = self.files.get(example.file as usize).cloned();
                (file.unwrap_or_default(), Some(example.line))
            }
        }
    }
}

/// `tweets.csv line 17`.
pub(crate) fn spoken(file: &str, line: Option<u64>) -> String {
    match line {
        Some(line) => format!("{file} line {line}"),
        None => file.into(),
    }
}
