//! Readers: the files of a drop -> examples.

use crate::abi::{self, Bytes, DropFiles, ExampleSink, Instance, ReaderFunctions, Sink, Status};
use crate::error::{Error, Result};
use crate::{border, guard, settings};
use serde::de::DeserializeOwned;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::ptr::null;

/// Knows a format of files that finetuned does not know itself.
pub trait Reader: Sized + Send + 'static {
    /// What recipes call it: lower-case letters, digits, `-` and `_`.
    const NAME: &'static str;
    /// What a recipe may set. Give every field a default.
    type Settings: DeserializeOwned;

    /// # Errors
    /// Settings that cannot be used.
    fn new(settings: Self::Settings) -> Result<Self>;

    /// Whether this drop is in the reader's format.
    ///
    /// # Errors
    /// Files that cannot be looked into.
    fn recognise(&mut self, drop: &DropFolder) -> Result<bool>;

    /// Passes every example and every bad one to `found`, in an order that depends on nothing but
    /// the files.
    ///
    /// # Errors Files that cannot be read, and what `found` gives, by `?`.
    fn read(&mut self, drop: &DropFolder, found: &mut Found) -> Result<()>;
}

/// The files of a drop, unpacked.
#[derive(Debug, Clone)]
pub struct DropFolder<'a> {
    folder: &'a Path,
    files: Vec<&'a str>,
}

impl<'a> DropFolder<'a> {
    pub(crate) fn new(folder: &'a Path, files: Vec<&'a str>) -> DropFolder<'a> {
        DropFolder { folder, files }
    }

    /// Paths below the folder, with `/`, sorted. Their index is how [`Example::file`] names them.
    pub fn files(&self) -> impl Iterator<Item = (usize, &'a str)> {
        self.files.iter().copied().enumerate()
    }

    /// Where a file of [`DropFolder::files`] lies.
    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }
}

/// Which part of the data an example was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// It does not say; finetuned divides such examples by class and seed.
    Open,
    /// For updates.
    Train,
    /// For choosing the best step.
    Validation,
    /// For the report.
    Test,
}

/// What is to be classified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content<'a> {
    /// A text, in UTF-8.
    Text(&'a str),
    /// Path of an image file below the folder.
    Image(&'a str),
}

/// One example, as a reader gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Example<'a> {
    /// What a model looks at.
    pub content: Content<'a>,
    /// Name of its class.
    pub label: &'a str,
    /// Which split the data say that it belongs to.
    pub split: Split,
    /// Where it stands: index into [`DropFolder::files`], and line, from 1 (0: no line).
    pub file: usize,
    /// From 1; 0: no line.
    pub line: u64,
}

/// Receives what a reader finds.
pub struct Found<'a> {
    receiver: &'a mut dyn Receiver,
}

pub(crate) trait Receiver {
    fn example(&mut self, example: &Example) -> Result<()>;
    fn bad(&mut self, file: usize, line: u64, reason: &str) -> Result<()>;
}

impl<'a> Found<'a> {
    pub(crate) fn new(receiver: &'a mut dyn Receiver) -> Found<'a> {
        Found { receiver }
    }

    /// # Errors
    /// No more is wanted: pass it on.
    pub fn example(&mut self, example: &Example) -> Result<()> {
        self.receiver.example(example)
    }

    /// An example that cannot be used, and why in a few words.
    ///
    /// # Errors
    /// No more is wanted: pass it on.
    pub fn bad(&mut self, file: usize, line: u64, reason: &str) -> Result<()> {
        self.receiver.bad(file, line, reason)
    }
}

impl Receiver for ExampleSink {
    fn example(&mut self, it: &Example) -> Result<()> {
        const NONE: Bytes = Bytes { ptr: null(), len: 0 };
        let (text, image) = match it.content {
            Content::Text(text) => (border::bytes(text), NONE),
            Content::Image(path) => (NONE, border::bytes(path)),
        };
        let split = match it.split {
            Split::Open => abi::SPLIT_OPEN,
            Split::Train => abi::SPLIT_TRAIN,
            Split::Validation => abi::SPLIT_VALIDATION,
            Split::Test => abi::SPLIT_TEST,
        };
        let size = size_of::<abi::Example>() as u32;
        let raw = abi::Example {
            size,
            split,
            text,
            image,
            label: border::bytes(it.label),
            file: it.file,
            line: it.line,
        };
        // SAFETY: the host's function copies what it is passed.
        heard(self.example.map(|f| unsafe { f(self.context, &raw) }))
    }

    fn bad(&mut self, file: usize, line: u64, reason: &str) -> Result<()> {
        // SAFETY: as above.
        heard(self.bad.map(|f| unsafe { f(self.context, file, line, border::bytes(reason)) }))
    }
}

fn heard(status: Option<Status>) -> Result<()> {
    match status {
        Some(abi::OK) => Ok(()),
        Some(abi::STOPPED) => Err(Error::stopped()),
        _ => Err(Error::failed("the host did not take an example")),
    }
}

pub(crate) struct Functions<R>(PhantomData<R>);

impl<R: Reader> Functions<R> {
    pub(crate) const TABLE: &'static ReaderFunctions = &ReaderFunctions {
        size: size_of::<ReaderFunctions>() as u32,
        reserved: 0,
        create: Some(create::<R>),
        destroy: Some(guard::destroy::<R>),
        recognise: Some(recognise::<R>),
        read: Some(read::<R>),
    };
}

// The host keeps the promises of `abi` for each of these.

/// # Safety
/// As `abi` has it of its arguments.
unsafe fn folder<'a>(drop: *const DropFiles) -> Result<DropFolder<'a>> {
    // SAFETY: the caller's promise.
    unsafe {
        let drop = border::given(drop)?;
        Ok(DropFolder::new(
            Path::new(border::text(drop.folder)?),
            border::texts(drop.files, drop.n_files)?,
        ))
    }
}

unsafe extern "C" fn create<R: Reader>(
    json: Bytes,
    out: *mut *mut Instance,
    error: *const Sink,
) -> Status {
    // SAFETY: see above.
    unsafe { guard::create(out, error, || R::new(settings::parse(border::text(json)?)?)) }
}

unsafe extern "C" fn recognise<R: Reader>(
    instance: *mut Instance,
    drop: *const DropFiles,
    recognised: *mut u32,
    error: *const Sink,
) -> Status {
    // SAFETY: see above.
    unsafe {
        guard::with::<R>(instance, error, |reader| {
            recognised.write(u32::from(reader.recognise(&folder(drop)?)?));
            Ok(())
        })
    }
}

unsafe extern "C" fn read<R: Reader>(
    instance: *mut Instance,
    drop: *const DropFiles,
    sink: *const ExampleSink,
    error: *const Sink,
) -> Status {
    // SAFETY: see above.
    unsafe {
        guard::with::<R>(instance, error, |reader| {
            let mut sink = *border::given(sink)?;
            reader.read(&folder(drop)?, &mut Found::new(&mut sink))
        })
    }
}
