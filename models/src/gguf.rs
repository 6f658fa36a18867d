//! A model as one GGUF file, which llama.cpp and its kin run. Decides which tensor is stored in
//! which type, and that a file is read back and compared with its source before it counts. Names by
//! architecture are left to the families, bytes to `container` and `blocks`, what is said of the
//! tokenizer to the caller.

mod blocks; // numbers <-> bytes of a type
mod container; // what stands before the tensors, both ways
#[cfg(test)]
mod tests;

use crate::error::ModelError;
use crate::weights::{self, WeightsFile};
pub use blocks::GgufType;
pub use container::GgufValue;
use container::{ALIGNMENT, Header, TensorPlace};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;
use tch::{Kind, TchError, Tensor};

/// Numbers that are encoded at a time.
const CHUNK: i64 = 1 << 22;
/// Of ggml's blocks.
const QUANTIZATION_VERSION: u32 = 2;
/// Looked up by place, which llama.cpp does in fp32 only.
const ALWAYS_F32: &str = "position_embd.weight";

/// What llama.cpp wants to know of a model, by the names of its converter.
pub(crate) struct Outline {
    architecture: &'static str,
    values: Vec<(String, GgufValue)>,
    tensors: Vec<Entry>,
}

struct Entry {
    name: String,
    source: Source,
}

enum Source {
    /// A tensor of the checkpoint.
    Stored {
        name: String,
        form: Form,
    },
    Computed(Vec<f32>),
}

/// How a tensor lies in the file, beside how it lies in the checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    AsStored,
    /// The rows of each of so many heads: in the checkpoint a row is turned with its neighbour in
    /// the head's other half, in the file with the next one.
    Heads(i64),
    /// (inputs, outputs) -> (outputs, inputs)
    Turned,
}

impl Outline {
    pub(crate) fn new(architecture: &'static str) -> Outline {
        Outline { architecture, values: Vec::new(), tensors: Vec::new() }
    }

    /// Below the architecture's name.
    pub(crate) fn value(&mut self, key: &str, value: GgufValue) {
        self.values.push((format!("{}.{key}", self.architecture), value));
    }

    /// A size that was checked to be one.
    pub(crate) fn size(&mut self, key: &str, size: i64) {
        self.value(key, GgufValue::U32(size as u32));
    }

    pub(crate) fn number(&mut self, key: &str, number: f64) {
        self.value(key, GgufValue::F32(number as f32));
    }

    pub(crate) fn tensor(&mut self, name: String, stored: String, form: Form) {
        self.tensors.push(Entry { name, source: Source::Stored { name: stored, form } });
    }

    pub(crate) fn computed(&mut self, name: &str, numbers: Vec<f32>) {
        self.tensors.push(Entry { name: name.into(), source: Source::Computed(numbers) });
    }
}

/// Writes `path`, flushes it, reads it back and compares it with the checkpoint, tensor by tensor.
/// `more`: what else is to stand in it.
///
/// # Errors
/// Tensors that are missing or have no place, a disk that refuses, a file that is not its source.
pub(crate) fn write(
    path: &Path,
    outline: Outline,
    (folder, files): (&Path, &[WeightsFile]),
    wanted: GgufType,
    more: Vec<(String, GgufValue)>,
) -> Result<(), ModelError> {
    let Outline { architecture, values, tensors } = outline;
    all_used(folder, files, &tensors)?;
    let general = [
        ("general.architecture", GgufValue::Text(architecture.into())),
        ("general.type", GgufValue::Text("model".into())),
        ("general.file_type", GgufValue::U32(wanted.file_type())),
        ("general.quantization_version", GgufValue::U32(QUANTIZATION_VERSION)),
    ];
    let general = general.map(|(key, value)| (key.to_string(), value));
    let places = tensors.iter().map(|it| it.place(files, wanted)).collect::<Option<Vec<_>>>();
    let header = Header {
        values: general.into_iter().chain(values).chain(more).collect(),
        tensors: places.unwrap_or_default(),
    };
    let failed = |source| ModelError::Write { path: path.to_path_buf(), source };
    let mut out = BufWriter::new(File::create(path).map_err(failed)?);
    out.write_all(&header.encode()).map_err(failed)?;
    for (entry, place) in tensors.iter().zip(&header.tensors) {
        for chunk in entry.chunks(files)? {
            let bytes = place.kind.encode(&chunk).map_err(|it| entry.failed(it))?;
            out.write_all(&bytes).map_err(failed)?;
        }
        let end = place.bytes();
        let padding = end.next_multiple_of(ALIGNMENT) - end;
        out.write_all(&vec![0; padding as usize]).map_err(failed)?;
    }
    out.into_inner().map_err(|it| failed(it.into_error()))?.sync_all().map_err(failed)?;
    prove(path, &header, &tensors, files)
}

/// Every tensor of the checkpoint has a place in the file, and the other way round.
fn all_used(folder: &Path, files: &[WeightsFile], tensors: &[Entry]) -> Result<(), ModelError> {
    let stored: BTreeSet<String> = files.iter().flat_map(WeightsFile::names).collect();
    let used: BTreeSet<String> = tensors.iter().filter_map(Entry::stored).collect();
    let names: Vec<String> = used.difference(&stored).cloned().collect();
    if !names.is_empty() {
        return Err(ModelError::Missing { folder: folder.to_path_buf(), names });
    }
    stored.difference(&used).next().map_or(Ok(()), |name| {
        let why = format!("llama.cpp has no place for its {name}");
        Err(ModelError::NoGguf { folder: folder.to_path_buf(), why })
    })
}

/// Compares what lies on the disk with what it was made of.
fn prove(
    path: &Path,
    header: &Header,
    tensors: &[Entry],
    files: &[WeightsFile],
) -> Result<(), ModelError> {
    let failed = |source| ModelError::Read { path: path.to_path_buf(), source };
    let differs = |what: &str| ModelError::GgufDiffers { path: path.into(), what: what.into() };
    let mut file = BufReader::new(File::open(path).map_err(failed)?);
    if Header::decode(&mut file).map_err(failed)? != *header {
        return Err(differs("what it says of model and tokenizer"));
    }
    let start = header.encode().len() as u64;
    for ((entry, place), offset) in tensors.iter().zip(&header.tensors).zip(header.offsets()) {
        file.seek(SeekFrom::Start(start + offset)).map_err(failed)?;
        for source in entry.chunks(files)? {
            let shape = source.size();
            let mut bytes = vec![0; place.kind.bytes(&shape) as usize];
            file.read_exact(&mut bytes).map_err(failed)?;
            let same =
                place.kind.decode(&bytes, &shape).and_then(|it| place.kind.holds(&it, &source));
            if !same.map_err(|it| entry.failed(it))? {
                return Err(differs(&format!("{} as {:?}", entry.name, place.kind)));
            }
        }
    }
    Ok(())
}

impl Entry {
    fn failed(&self, source: TchError) -> ModelError {
        ModelError::Tensor { name: self.name.clone(), source }
    }

    fn stored(&self) -> Option<String> {
        match &self.source {
            Source::Stored { name, .. } => Some(name.clone()),
            Source::Computed(_) => None,
        }
    }

    /// None: the checkpoint has no such tensor.
    fn place(&self, files: &[WeightsFile], wanted: GgufType) -> Option<TensorPlace> {
        let shape = match &self.source {
            Source::Computed(numbers) => vec![numbers.len() as i64],
            Source::Stored { name, form } => {
                let info = files.iter().find_map(|it| it.info(name))?;
                let mut shape = weights::shape(info);
                if *form == Form::Turned {
                    shape.reverse();
                }
                shape
            }
        };
        let kind = if shape.len() < 2 || self.name == ALWAYS_F32 {
            GgufType::F32
        } else {
            wanted.for_width(shape.last().copied().unwrap_or(1))
        };
        Some(TensorPlace { name: self.name.clone(), shape, kind })
    }

    /// Its numbers in fp32, in the order of the file, some rows at a time.
    fn chunks(&self, files: &[WeightsFile]) -> Result<Vec<Tensor>, ModelError> {
        let whole = match &self.source {
            Source::Computed(numbers) => Tensor::f_from_slice(numbers),
            Source::Stored { name, form } => {
                let Some(file) = files.iter().find(|it| it.info(name).is_some()) else {
                    return Err(self.failed(TchError::Shape(format!("there is no {name}"))));
                };
                let tensor = file.tensor(name)?;
                tensor.f_to_kind(Kind::Float).and_then(|it| form.of(&it))
            }
        };
        let rows = |xs: Tensor| {
            let width = xs.size().last().copied().unwrap_or(1).max(1);
            xs.f_reshape([-1, width])?.f_split((CHUNK / width).max(1), 0)
        };
        whole.and_then(rows).map_err(|it| self.failed(it))
    }
}

impl Form {
    fn of(self, xs: &Tensor) -> Result<Tensor, TchError> {
        match self {
            Form::AsStored => Ok(xs.shallow_clone()),
            Form::Turned => xs.f_transpose(0, 1)?.f_contiguous(),
            Form::Heads(heads) => {
                let shape = xs.size();
                let rows = shape.first().copied().unwrap_or(0) / heads;
                // (heads * rows, ...) -> (heads, 2, rows / 2, ...) -> (heads, rows / 2, 2, ...)
                let halves = xs.f_reshape([heads, 2, rows / 2, -1])?;
                halves.f_transpose(1, 2)?.f_reshape(shape)
            }
        }
    }
}

/// What a file that is no GGUF is told.
fn no_gguf(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}
