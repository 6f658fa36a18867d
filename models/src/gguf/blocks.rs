//! Numbers as the bytes of a type of ggml, and back: fp32, fp16, and blocks of 32 numbers of 8 bits
//! that share a scale in fp16. Which tensor has which type is left to others.

use tch::{Kind, TchError, Tensor};

/// Numbers of a block of Q8_0.
const BLOCK: i64 = 32;
/// Its bytes: a scale, and a byte for each number.
const BLOCK_BYTES: i64 = 2 + BLOCK;
/// Largest number of a byte.
const MOST: f64 = 127.0;
/// Half of the last place of fp16, for a number of 1, and for the smallest numbers.
const HALF_PLACE: f64 = 1.0 / 2048.0;
const HALF_PLACE_TINY: f64 = 1.0 / (1 << 25) as f64;

/// How most tensors of a file are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "ggml's names")]
pub enum GgufType {
    F32,
    F16,
    Q8_0,
}

impl GgufType {
    const ALL: [GgufType; 3] = [GgufType::F32, GgufType::F16, GgufType::Q8_0];

    /// ggml's number of the type.
    pub(super) fn ggml(self) -> u32 {
        match self {
            GgufType::F32 => 0,
            GgufType::F16 => 1,
            GgufType::Q8_0 => 8,
        }
    }

    pub(super) fn of_ggml(number: u32) -> Option<GgufType> {
        GgufType::ALL.into_iter().find(|it| it.ggml() == number)
    }

    /// llama.cpp's number of a file whose tensors are mostly of this type.
    pub(super) fn file_type(self) -> u32 {
        match self {
            GgufType::F32 => 0,
            GgufType::F16 => 1,
            GgufType::Q8_0 => 7,
        }
    }

    /// The type of rows of so many numbers, which are no blocks where these are no multiple.
    pub(super) fn for_width(self, width: i64) -> GgufType {
        if self == GgufType::Q8_0 && width % BLOCK != 0 { GgufType::F16 } else { self }
    }

    pub(super) fn bytes(self, shape: &[i64]) -> u64 {
        let numbers = shape.iter().product::<i64>();
        let bytes = match self {
            GgufType::F32 => 4 * numbers,
            GgufType::F16 => 2 * numbers,
            GgufType::Q8_0 => numbers / BLOCK * BLOCK_BYTES,
        };
        bytes as u64
    }

    /// `xs`: fp32, of a width that this type can have.
    pub(super) fn encode(self, xs: &Tensor) -> Result<Vec<u8>, TchError> {
        let stored = match self {
            GgufType::F32 => xs.shallow_clone(),
            GgufType::F16 => xs.f_to_kind(Kind::Half)?,
            GgufType::Q8_0 => quantize(xs)?,
        };
        let stored = stored.f_contiguous()?;
        let mut bytes = vec![0; stored.numel() * stored.kind().elt_size_in_bytes()];
        stored.f_copy_data_u8(&mut bytes, stored.numel())?;
        Ok(bytes)
    }

    /// To fp32.
    pub(super) fn decode(self, bytes: &[u8], shape: &[i64]) -> Result<Tensor, TchError> {
        match self {
            GgufType::F32 => Tensor::f_from_data_size(bytes, shape, Kind::Float),
            GgufType::F16 => {
                Tensor::f_from_data_size(bytes, shape, Kind::Half)?.f_to_kind(Kind::Float)
            }
            GgufType::Q8_0 => {
                let blocks = [bytes.len() as i64 / BLOCK_BYTES, BLOCK_BYTES];
                let blocks = Tensor::f_from_data_size(bytes, &blocks, Kind::Uint8)?;
                let scale = blocks.f_narrow(1, 0, 2)?.f_contiguous()?.f_view_dtype(Kind::Half)?;
                let eighths =
                    blocks.f_narrow(1, 2, BLOCK)?.f_contiguous()?.f_view_dtype(Kind::Int8)?;
                let scale = scale.f_to_kind(Kind::Float)?;
                eighths.f_to_kind(Kind::Float)?.f_mul(&scale)?.f_view(shape)
            }
        }
    }

    /// Whether `stored` is `source` as far as this type can say it.
    pub(super) fn holds(self, stored: &Tensor, source: &Tensor) -> Result<bool, TchError> {
        let off = stored.f_sub(source)?.f_abs()?;
        let bound = match self {
            GgufType::F32 => return stored.f_equal(source),
            GgufType::F16 => source.f_abs()?.f_mul_scalar(HALF_PLACE)?,
            GgufType::Q8_0 => {
                // Half a step of a scale that is itself rounded.
                let steps = 0.5 + MOST * HALF_PLACE;
                let scale = scale(source)?.f_mul_scalar(steps * (1.0 + 1e-5))?;
                scale
                    .f_add_scalar(MOST * HALF_PLACE_TINY)?
                    .f_repeat_interleave_self_int(BLOCK, 1, None)?
                    .f_view_as(source)?
            }
        };
        let within = off.f_le_tensor(&bound.f_add_scalar(HALF_PLACE_TINY)?)?;
        Ok(within.f_all()?.f_int64_value(&[])? != 0)
    }
}

/// (blocks, 1) fp32: what a step of each block is worth.
fn scale(xs: &Tensor) -> Result<Tensor, TchError> {
    xs.f_reshape([-1, BLOCK])?.f_abs()?.f_amax(&[1_i64][..], true)?.f_div_scalar(MOST)
}

/// (blocks, bytes of a block), bit for bit what `gguf.quants` and ggml's own reference make:
/// numbers are multiplied by the scale's fp32 inverse, and rounded away from 0 where they lie
/// between two.
fn quantize(xs: &Tensor) -> Result<Tensor, TchError> {
    let scale = scale(xs)?;
    let inverse = scale.f_reciprocal()?.f_masked_fill(&scale.f_eq(0.0)?, 0.0)?;
    let steps = xs.f_reshape([-1, BLOCK])?.f_mul(&inverse)?;
    let size = steps.f_abs()?;
    let whole = size.f_floor()?;
    let rest = size.f_sub(&whole)?.f_mul_scalar(2.0)?.f_floor()?;
    let steps = whole.f_add(&rest)?.f_mul(&steps.f_sign()?)?.f_to_kind(Kind::Int8)?;
    let scale = scale.f_to_kind(Kind::Half)?.f_view_dtype(Kind::Uint8)?;
    Tensor::f_cat(&[scale, steps.f_view_dtype(Kind::Uint8)?], 1)
}
