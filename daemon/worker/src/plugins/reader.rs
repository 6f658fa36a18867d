//! A reader from a plugin.

use super::border::{Function, Handle, Subject, lend, to_slice, to_text};
use finetuned_job::outcome::Failure;
use finetuned_sdk::abi::{self, Bytes, Status};
use std::ffi::c_void;
use std::ops::ControlFlow;

/// The files of a drop, unpacked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Files<'a> {
    /// Absolute.
    pub folder: &'a str,
    /// Below the folder with `/`, sorted by bytes.
    pub files: &'a [String],
}

/// What a reader finds, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Read {
    Example {
        content: Content,
        label: String,
        /// Where the reader says; else the host decides.
        split: Option<finetuned_job::scores::Split>,
        place: Place,
    },
    Bad {
        place: Place,
        reason: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    Text(String),
    /// Path below the folder.
    Image(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Index into the files.
    pub file: usize,
    /// From 1; absent where there is no line.
    pub line: Option<u64>,
}

/// One reader, built by [`Plugins::reader`](super::Plugins::reader).
pub(crate) struct ReaderInstance {
    handle: Handle,
    functions: abi::ReaderFunctions,
    recognising: Function,
    reading: Function,
}

/// Receives one finding after the other; `Break` wants no more.
type Take<'a> = dyn FnMut(Read) -> ControlFlow<()> + 'a;

struct Receiver<'a> {
    files: Files<'a>,
    take: &'a mut Take<'a>,
    /// It wanted no more.
    stopped: bool,
    /// What was not as agreed; reading ended there.
    fault: Option<String>,
}

impl ReaderInstance {
    pub(super) fn create(
        subject: Subject,
        functions: abi::ReaderFunctions,
        settings: &str,
    ) -> Result<ReaderInstance, Failure> {
        let [recognising, reading] = ["recognise", "read"].map(|it| subject.function(it));
        let ends = (functions.create, functions.destroy);
        let handle = Handle::of_settings(subject, ends, settings)?;
        Ok(ReaderInstance { handle, functions, recognising, reading })
    }

    /// Whether these files are in its format.
    pub(crate) fn recognise(&self, files: Files<'_>) -> Result<bool, Failure> {
        let recognise = self.functions.recognise.expect("looked at when opened");
        let paths: Vec<Bytes> = files.files.iter().map(|it| lend(it)).collect();
        let drop = drop_files(files, &paths);
        let mut recognised = 0;
        // SAFETY: the arguments live until it returns.
        self.handle.call(self.recognising, |instance, error| unsafe {
            recognise(instance, &raw const drop, &raw mut recognised, error)
        })?;
        Ok(recognised != 0)
    }

    /// Passes every example and every bad one, in the reader's order.
    pub(crate) fn read<'a>(&self, files: Files<'a>, take: &'a mut Take<'a>) -> Result<(), Failure> {
        let read = self.functions.read.expect("looked at when opened");
        let paths: Vec<Bytes> = files.files.iter().map(|it| lend(it)).collect();
        let drop = drop_files(files, &paths);
        let mut receiver = Receiver { files, take, stopped: false, fault: None };
        let sink = abi::ExampleSink {
            context: (&raw mut receiver).cast(),
            example: Some(example),
            bad: Some(bad),
        };
        let mut status = abi::OK;
        let called = self.handle.call(self.reading, |instance, error| {
            // SAFETY: the arguments live until it returns.
            status = unsafe { read(instance, &raw const drop, &raw const sink, error) };
            status
        });
        match (receiver.fault, called) {
            (Some(what), _) => Err(self.handle.bad_answer(self.reading, what)),
            (None, Err(_)) if receiver.stopped && status == abi::STOPPED => Ok(()),
            (None, called) => called,
        }
    }
}

fn drop_files(files: Files<'_>, paths: &[Bytes]) -> abi::DropFiles {
    abi::DropFiles {
        size: size_of::<abi::DropFiles>() as u32,
        reserved: 0,
        folder: lend(files.folder),
        files: paths.as_ptr(),
        n_files: paths.len(),
    }
}

impl Receiver<'_> {
    fn receive(&mut self, found: Result<Read, String>) -> Status {
        match found {
            _ if self.stopped || self.fault.is_some() => return abi::STOPPED,
            Ok(found) => self.stopped = (self.take)(found).is_break(),
            Err(what) => self.fault = Some(what),
        }
        if self.stopped || self.fault.is_some() { abi::STOPPED } else { abi::OK }
    }

    fn place(&self, file: usize, line: u64) -> Result<Place, String> {
        if self.files.files.len() <= file {
            return Err(format!("file number {file} of {}", self.files.files.len()));
        }
        Ok(Place { file, line: (line != 0).then_some(line) })
    }

    /// # Safety
    /// The texts of `it` must be valid.
    unsafe fn example(&self, it: &abi::Example) -> Result<Read, String> {
        let text = |bytes: Bytes, which: &str| {
            // SAFETY: as the caller promises.
            unsafe { std::str::from_utf8(to_slice(bytes)) }
                .map_err(|_| format!("a {which} that is no UTF-8"))
        };
        let place = self.place(it.file, it.line)?;
        let content = match (it.text.ptr.is_null(), it.image.ptr.is_null()) {
            (false, true) => Content::Text(text(it.text, "text")?.to_string()),
            (true, false) => {
                let path = text(it.image, "path")?;
                if self.files.files.binary_search_by(|it| it.as_str().cmp(path)).is_err() {
                    return Err(format!("the image {path:?}, which is no file of the drop"));
                }
                Content::Image(path.to_string())
            }
            _ => return Err("an example that is not either a text or an image".into()),
        };
        let label = text(it.label, "label")?;
        if label.is_empty() {
            return Err("an example with an empty label".into());
        }
        use finetuned_job::scores::Split;
        let split = match it.split {
            abi::SPLIT_OPEN => None,
            abi::SPLIT_TRAIN => Some(Split::Train),
            abi::SPLIT_VALIDATION => Some(Split::Validation),
            abi::SPLIT_TEST => Some(Split::Test),
            other => return Err(format!("the unknown split {other}")),
        };
        Ok(Read::Example { content, label: label.to_string(), split, place })
    }
}

unsafe extern "C" fn example(context: *mut c_void, example: *const abi::Example) -> Status {
    // SAFETY: the context is the receiver of the call that this sink was made for; the plugin's
    // example is valid until we return.
    let (receiver, example) = unsafe { (&mut *context.cast::<Receiver<'_>>(), example.as_ref()) };
    let found = match example {
        Some(it) if size_of::<abi::Example>() <= it.size as usize => {
            // SAFETY: as above.
            unsafe { receiver.example(it) }
        }
        _ => Err("an example of the wrong size".into()),
    };
    receiver.receive(found)
}

unsafe extern "C" fn bad(context: *mut c_void, file: usize, line: u64, reason: Bytes) -> Status {
    const REASON_BYTES_MAX: usize = 500;
    // SAFETY: as in `example`.
    let (receiver, reason) =
        unsafe { (&mut *context.cast::<Receiver<'_>>(), to_text(reason, REASON_BYTES_MAX)) };
    let found = receiver.place(file, line).map(|place| Read::Bad { place, reason });
    receiver.receive(found)
}
