//! Safetensors files in and out, one tensor in memory at a time beside those asked for.
//! What a name means is left to [`crate::load`].

use crate::error::ModelError;
use safetensors::tensor::{Metadata, TensorInfo};
use safetensors::{Dtype, SafeTensorError};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use tch::{Kind, TchError, Tensor};

// The format is little-endian, and bytes go as they are from file to memory.
const _: () = assert!(cfg!(target_endian = "little"));

/// Length of the field before the header that says how long the header is.
const LENGTH_BYTES: u64 = 8;
/// The limit of the safetensors crate; a longer header is nobody's.
const HEADER_BYTES_MAX: u64 = 100_000_000;
/// What a file can hold and tch too, both ways.
const KINDS: &[(Dtype, Kind)] = &[
    (Dtype::BOOL, Kind::Bool),
    (Dtype::U8, Kind::Uint8),
    (Dtype::I8, Kind::Int8),
    (Dtype::I16, Kind::Int16),
    (Dtype::I32, Kind::Int),
    (Dtype::I64, Kind::Int64),
    (Dtype::F16, Kind::Half),
    (Dtype::BF16, Kind::BFloat16),
    (Dtype::F32, Kind::Float),
    (Dtype::F64, Kind::Double),
];

/// An open file whose header is known to be sound: every tensor lies within it, none overlap.
pub(crate) struct WeightsFile {
    path: PathBuf,
    file: File,
    metadata: Metadata,
    data_start: u64,
}

impl WeightsFile {
    pub(crate) fn open(path: &Path) -> Result<WeightsFile, ModelError> {
        let failed = |source| ModelError::Read { path: path.to_path_buf(), source };
        let damaged = |source| ModelError::Damaged { path: path.to_path_buf(), source };
        let file = finetuned_files::open(path).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        if bytes < LENGTH_BYTES {
            return Err(damaged(SafeTensorError::HeaderTooSmall));
        }
        let mut length = [0; LENGTH_BYTES as usize];
        file.read_exact_at(&mut length, 0).map_err(failed)?;
        let length = u64::from_le_bytes(length);
        if HEADER_BYTES_MAX < length {
            return Err(damaged(SafeTensorError::HeaderTooLarge));
        }
        if bytes - LENGTH_BYTES < length {
            return Err(damaged(SafeTensorError::InvalidHeaderLength));
        }
        let mut header = vec![0; length as usize];
        file.read_exact_at(&mut header, LENGTH_BYTES).map_err(failed)?;
        let metadata: Metadata = serde_json::from_slice(&header)
            .map_err(|it| damaged(SafeTensorError::InvalidHeaderDeserialization(it)))?;
        let data_start = LENGTH_BYTES + length;
        let wanted = data_start + metadata.data_len() as u64;
        if bytes != wanted {
            return Err(ModelError::Length { path: path.to_path_buf(), found: bytes, wanted });
        }
        Ok(WeightsFile { path: path.to_path_buf(), file, metadata, data_start })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// In the order of the file.
    pub(crate) fn names(&self) -> Vec<String> {
        self.metadata.offset_keys()
    }

    /// Shape and type of a tensor in this file.
    pub(crate) fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.metadata.info(name)
    }

    /// A tensor on the CPU, in its own kind.
    pub(crate) fn tensor(&self, name: &str) -> Result<Tensor, ModelError> {
        let damaged = |source| ModelError::Damaged { path: self.path.clone(), source };
        let info =
            self.info(name).ok_or_else(|| damaged(SafeTensorError::TensorNotFound(name.into())))?;
        let Some(&(_, kind)) = KINDS.iter().find(|(dtype, _)| *dtype == info.dtype) else {
            return Err(ModelError::Type {
                path: self.path.clone(),
                name: name.into(),
                found: info.dtype,
            });
        };
        let (start, end) = info.data_offsets;
        let mut bytes = vec![0; end - start];
        let place = self.data_start + start as u64;
        self.file
            .read_exact_at(&mut bytes, place)
            .map_err(|source| ModelError::Read { path: self.path.clone(), source })?;
        Tensor::f_from_data_size(&bytes, &shape(info), kind)
            .map_err(|source| ModelError::Tensor { name: name.into(), source })
    }
}

pub(crate) fn shape(info: &TensorInfo) -> Vec<i64> {
    info.shape.iter().map(|&it| it as i64).collect()
}

/// Every tensor of a file, on the CPU and in its own kind, in the order of the file.
///
/// # Errors
/// The file can't be read, is cut off or damaged, or holds types that tch has not.
pub fn read(path: &Path) -> Result<Vec<(String, Tensor)>, ModelError> {
    let file = WeightsFile::open(path)?;
    file.names().into_iter().map(|name| file.tensor(&name).map(|it| (name, it))).collect()
}

/// Writes tensors of any kind and device as one safetensors file that transformers loads, replacing
/// what was there, and flushes it to the disk. The bytes depend on names and values alone, not on
/// the order given.
///
/// # Errors The file can't be written; a name comes twice; a kind that the format has not.
pub fn save(tensors: &[(String, Tensor)], path: &Path) -> Result<(), ModelError> {
    save_as(tensors, |it| it, path)
}

/// As [`save`], with all numbers of fewer bits than fp32 as fp32.
///
/// # Errors
/// As [`save`].
pub fn save_wide(tensors: &[(String, Tensor)], path: &Path) -> Result<(), ModelError> {
    let wide = |it| if matches!(it, Kind::BFloat16 | Kind::Half) { Kind::Float } else { it };
    save_as(tensors, wide, path)
}

/// `written`: kind of a tensor -> that in the file.
fn save_as(
    tensors: &[(String, Tensor)],
    written: fn(Kind) -> Kind,
    path: &Path,
) -> Result<(), ModelError> {
    let mut sorted = Vec::with_capacity(tensors.len());
    let mut seen = HashSet::new();
    for (name, tensor) in tensors {
        if !seen.insert(name) {
            return Err(ModelError::Tensor {
                name: name.clone(),
                source: TchError::Convert("given twice".into()),
            });
        }
        let kind = written(tensor.kind());
        let Some(&(dtype, _)) = KINDS.iter().find(|it| it.1 == kind) else {
            let source = TchError::Kind(format!("{kind:?} has no place in a safetensors file"));
            return Err(ModelError::Tensor { name: name.clone(), source });
        };
        sorted.push((dtype, name, tensor));
    }
    // Wide elements first, so that all of them are aligned; this is the order of the safetensors
    // crate too.
    sorted.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    let mut end = 0;
    let mut infos = Vec::with_capacity(sorted.len());
    for (dtype, name, tensor) in &sorted {
        let start = end;
        end += tensor.numel() * written(tensor.kind()).elt_size_in_bytes();
        let shape = tensor.size().iter().map(|&it| it as usize).collect();
        infos.push((
            (*name).clone(),
            TensorInfo { dtype: *dtype, shape, data_offsets: (start, end) },
        ));
    }
    let failed = |source| ModelError::Write { path: path.to_path_buf(), source };
    // transformers refuses a file that does not say whose tensors these are.
    let origin = HashMap::from([("format".to_string(), "pt".to_string())]);
    let metadata = Metadata::new(Some(origin), infos).map_err(|it| failed(io::Error::other(it)))?;
    let mut header = serde_json::to_vec(&metadata).map_err(|it| failed(it.into()))?;
    header.resize(header.len().next_multiple_of(LENGTH_BYTES as usize), b' ');
    let kind = |it: &Tensor| written(it.kind());
    write(&header, sorted.iter().map(|it| (it.1.as_str(), it.2, kind(it.2))), path)
}

fn write<'a>(
    header: &[u8],
    tensors: impl Iterator<Item = (&'a str, &'a Tensor, Kind)>,
    path: &Path,
) -> Result<(), ModelError> {
    let failed = |source| ModelError::Write { path: path.to_path_buf(), source };
    let mut file = BufWriter::new(File::create(path).map_err(failed)?);
    file.write_all(&(header.len() as u64).to_le_bytes()).map_err(failed)?;
    file.write_all(header).map_err(failed)?;
    for (name, tensor, kind) in tensors {
        let numel = tensor.numel();
        let mut bytes = vec![0; numel * kind.elt_size_in_bytes()];
        tensor
            .f_to_kind(kind)
            .and_then(|it| it.f_copy_data_u8(&mut bytes, numel))
            .map_err(|source| ModelError::Tensor { name: name.into(), source })?;
        file.write_all(&bytes).map_err(failed)?;
    }
    let file = file.into_inner().map_err(|it| failed(it.into_error()))?;
    file.sync_all().map_err(failed)
}
