//! Opens the very bytes that were judged, for the life of the process.

use libloading::os::unix::{Library as Opened, RTLD_LOCAL, RTLD_NOW};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use std::fs::File;
use std::io::Write;
use std::mem::ManuallyDrop;
use std::os::fd::AsRawFd;

/// An open library. It is never closed: threads, thread-locals and pointers of it may be anywhere.
pub(super) struct Library {
    opened: ManuallyDrop<Opened>,
    /// Stays open too: the loader knows libraries by their path, and a second one under the number
    /// of a closed descriptor would be taken for the first.
    _file: ManuallyDrop<File>,
}

impl Library {
    /// Opens `bytes`, which run their initialisers now. `name` is what debuggers show.
    ///
    /// # Errors
    /// The loader's sentence: a missing symbol or library.
    pub(super) fn open(name: &str, bytes: &[u8]) -> Result<Library, String> {
        let file = in_memory(name, bytes)
            .map_err(|err| format!("its bytes can't be put into memory: {err}"))?;
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        // SAFETY: this runs the library's initialisers, foreign code that we can only trust: who
        // could have written the file was judged before. RTLD_NOW, so that a missing symbol is an
        // error here and no death later; RTLD_LOCAL, so that two plugins never see each other's
        // symbols.
        let opened = unsafe { Opened::open(Some(path.as_str()), RTLD_NOW | RTLD_LOCAL) };
        match opened {
            Ok(opened) => {
                Ok(Library { opened: ManuallyDrop::new(opened), _file: ManuallyDrop::new(file) })
            }
            Err(err) => Err(sentence(&err, &path)),
        }
    }

    /// The address of a symbol.
    pub(super) fn address(&self, symbol: &str) -> Option<*mut std::ffi::c_void> {
        // SAFETY: nothing is called or read here, only looked up.
        let found = unsafe { self.opened.get::<*mut std::ffi::c_void>(symbol.as_bytes()) };
        found.ok().map(|it| it.as_raw_ptr()).filter(|it| !it.is_null())
    }
}

/// A file without a name whose bytes nobody can change any more.
fn in_memory(name: &str, bytes: &[u8]) -> std::io::Result<File> {
    let mut file = File::from(memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
    file.write_all(bytes)?;
    fcntl_add_seals(
        &file,
        SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL,
    )?;
    Ok(file)
}

/// `undefined symbol: at_frobnicate`, without the number of a descriptor.
fn sentence(err: &libloading::Error, path: &str) -> String {
    let text = match std::error::Error::source(err) {
        Some(source) => source.to_string(),
        None => err.to_string(),
    };
    text.trim_start_matches(path).trim_start_matches(": ").to_string()
}
