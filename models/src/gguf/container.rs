//! What stands in a GGUF file before the tensors: magic, version, keys with values, and of each
//! tensor its name, shape, type and place. Version 3, little endian, as ggml's `docs/gguf.md` has
//! it. What the keys mean is left to others.

use super::blocks::GgufType;
use super::no_gguf;
use std::io::{self, Read};

const MAGIC: [u8; 4] = *b"GGUF";
const VERSION: u32 = 3;
/// Of tensors within the file, in bytes: what readers take where no key says otherwise.
pub(super) const ALIGNMENT: u64 = 32;
/// Most dimensions of a tensor that ggml has.
const DIMENSIONS_MAX: u32 = 4;

const U32: u32 = 4;
const I32: u32 = 5;
const F32: u32 = 6;
const BOOL: u32 = 7;
const TEXT: u32 = 8;
const ARRAY: u32 = 9;

/// What a key can have.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "named as the format has them")]
pub enum GgufValue {
    U32(u32),
    F32(f32),
    Bool(bool),
    Text(String),
    Texts(Vec<String>),
    I32s(Vec<i32>),
    F32s(Vec<f32>),
}

/// Where a tensor lies follows from those before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TensorPlace {
    pub name: String,
    /// As PyTorch has it: the file has the dimensions the other way round.
    pub shape: Vec<i64>,
    pub kind: GgufType,
}

impl TensorPlace {
    pub(super) fn bytes(&self) -> u64 {
        self.kind.bytes(&self.shape)
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Header {
    pub values: Vec<(String, GgufValue)>,
    pub tensors: Vec<TensorPlace>,
}

impl Header {
    /// Of each tensor, counted from the end of the header.
    pub(super) fn offsets(&self) -> Vec<u64> {
        let next = |end: &mut u64, it: &TensorPlace| {
            let start = *end;
            *end = (start + it.bytes()).next_multiple_of(ALIGNMENT);
            Some(start)
        };
        self.tensors.iter().scan(0, next).collect()
    }

    /// Up to where the first tensor begins.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(MAGIC);
        out.extend(VERSION.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.values.len() as u64).to_le_bytes());
        for (key, value) in &self.values {
            put_text(&mut out, key);
            put_value(&mut out, value);
        }
        for (tensor, offset) in self.tensors.iter().zip(self.offsets()) {
            put_text(&mut out, &tensor.name);
            out.extend((tensor.shape.len() as u32).to_le_bytes());
            tensor.shape.iter().rev().for_each(|it| out.extend((*it as u64).to_le_bytes()));
            out.extend(tensor.kind.ggml().to_le_bytes());
            out.extend(offset.to_le_bytes());
        }
        out.resize(out.len().next_multiple_of(ALIGNMENT as usize), 0);
        out
    }

    /// # Errors
    /// No GGUF of this version, or one with types that are not written here.
    pub(super) fn decode(from: &mut impl Read) -> io::Result<Header> {
        let (magic, version) = (take::<4>(from)?, u32::from_le_bytes(take(from)?));
        if magic != MAGIC || version != VERSION {
            return Err(no_gguf(format!("it is no GGUF of version {VERSION}")));
        }
        let (tensors, values) = (take_u64(from)?, take_u64(from)?);
        let value = |_| Ok((take_text(from)?, take_value(from)?));
        let values = (0..values).map(value).collect::<io::Result<_>>()?;
        let mut offsets = Vec::new();
        let tensor = |_| {
            let (tensor, offset) = take_tensor(from)?;
            offsets.push(offset);
            Ok(tensor)
        };
        let tensors = (0..tensors).map(tensor).collect::<io::Result<_>>()?;
        let header = Header { values, tensors };
        if header.offsets() != offsets {
            return Err(no_gguf("its tensors do not lie one behind the other"));
        }
        Ok(header)
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn put_value(out: &mut Vec<u8>, value: &GgufValue) {
    let mut array = |of: u32, count: usize| {
        out.extend(ARRAY.to_le_bytes());
        out.extend(of.to_le_bytes());
        out.extend((count as u64).to_le_bytes());
    };
    match value {
        GgufValue::Texts(all) => {
            array(TEXT, all.len());
            all.iter().for_each(|it| put_text(out, it));
        }
        GgufValue::I32s(all) => {
            array(I32, all.len());
            all.iter().for_each(|it| out.extend(it.to_le_bytes()));
        }
        GgufValue::F32s(all) => {
            array(F32, all.len());
            all.iter().for_each(|it| out.extend(it.to_le_bytes()));
        }
        GgufValue::U32(it) => out.extend([U32, *it].into_iter().flat_map(u32::to_le_bytes)),
        GgufValue::F32(it) => {
            out.extend([F32, it.to_bits()].into_iter().flat_map(u32::to_le_bytes));
        }
        GgufValue::Bool(it) => {
            out.extend(BOOL.to_le_bytes());
            out.push(u8::from(*it));
        }
        GgufValue::Text(it) => {
            out.extend(TEXT.to_le_bytes());
            put_text(out, it);
        }
    }
}

fn take<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn take_u32(from: &mut impl Read) -> io::Result<u32> {
    take(from).map(u32::from_le_bytes)
}

fn take_u64(from: &mut impl Read) -> io::Result<u64> {
    take(from).map(u64::from_le_bytes)
}

fn take_text(from: &mut impl Read) -> io::Result<String> {
    let length = take_u64(from)?;
    let mut text = String::new();
    from.take(length).read_to_string(&mut text)?;
    if (text.len() as u64) < length { Err(no_gguf("it is cut off")) } else { Ok(text) }
}

fn take_value(from: &mut impl Read) -> io::Result<GgufValue> {
    let unknown = |of: u32| no_gguf(format!("a value of type {of} is none that is written here"));
    Ok(match take_u32(from)? {
        U32 => GgufValue::U32(take_u32(from)?),
        F32 => GgufValue::F32(take(from).map(f32::from_le_bytes)?),
        BOOL => GgufValue::Bool(take::<1>(from)? != [0]),
        TEXT => GgufValue::Text(take_text(from)?),
        ARRAY => {
            let (of, count) = (take_u32(from)?, take_u64(from)?);
            match of {
                TEXT => {
                    GgufValue::Texts((0..count).map(|_| take_text(from)).collect::<Result<_, _>>()?)
                }
                I32 => {
                    let number = |_| take(from).map(i32::from_le_bytes);
                    GgufValue::I32s((0..count).map(number).collect::<Result<_, _>>()?)
                }
                F32 => {
                    let number = |_| take(from).map(f32::from_le_bytes);
                    GgufValue::F32s((0..count).map(number).collect::<Result<_, _>>()?)
                }
                other => return Err(unknown(other)),
            }
        }
        other => return Err(unknown(other)),
    })
}

/// With its place.
fn take_tensor(from: &mut impl Read) -> io::Result<(TensorPlace, u64)> {
    let (name, dimensions) = (take_text(from)?, take_u32(from)?);
    if DIMENSIONS_MAX < dimensions {
        return Err(no_gguf(format!("{name} has {dimensions} dimensions")));
    }
    let sizes = (0..dimensions).map(|_| take_u64(from).map(|it| it as i64));
    let mut shape = sizes.collect::<io::Result<Vec<i64>>>()?;
    shape.reverse();
    let ggml = take_u32(from)?;
    let kind = GgufType::of_ggml(ggml)
        .ok_or_else(|| no_gguf(format!("{name} is of type {ggml}, which is not written here")))?;
    Ok((TensorPlace { name, shape, kind }, take_u64(from)?))
}
