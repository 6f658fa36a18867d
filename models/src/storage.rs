//! In how many bits the matrices of a model are stored that do not train: linear maps and tables of
//! embeddings, which are most of it. They are widened for each product and each look-up, so that
//! the results are those of the widened matrix to the bit. Which of them train is left to whoever
//! trains; how a product widens, to `finetuned_libtorch::f_linear`.

use tch::{Kind, TchError, Tensor};

/// What matrices are stored in as long as they do not train. They are computed with in
/// [`crate::BuildOptions::dtype`] all the same, which must be fp32 for anything but `Wide`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Storage {
    /// In what they are computed with.
    #[default]
    Wide,
    /// In bf16 or fp16 where that loses nothing: all results are the same.
    Lossless,
    /// In bf16; rounded, where the checkpoint has more bits. [`crate::LoadReport::rounded`] says
    /// which were.
    Rounded,
}

/// A matrix, and whether it was rounded.
pub(crate) fn stored(matrix: Tensor, storage: Storage) -> Result<(Tensor, bool), TchError> {
    let kinds: &[Kind] = match storage {
        Storage::Wide => &[],
        Storage::Lossless | Storage::Rounded => &[Kind::BFloat16, Kind::Half],
    };
    for kind in kinds {
        let packed = matrix.f_to_kind(*kind)?;
        if packed.f_to_kind(matrix.kind())?.f_equal(&matrix)? {
            return Ok((packed, false));
        }
    }
    match storage {
        Storage::Wide | Storage::Lossless => Ok((matrix, false)),
        Storage::Rounded => Ok((matrix.f_to_kind(Kind::BFloat16)?, true)),
    }
}

/// As it is computed with. Where it is stored so, it is the same tensor.
pub(crate) fn wide(matrix: &Tensor, kind: Kind) -> Result<Tensor, TchError> {
    if matrix.kind() == kind { Ok(matrix.shallow_clone()) } else { matrix.f_to_kind(kind) }
}

/// From now on it is stored as it is computed with, in every place that has a share in it.
pub(crate) fn widen(matrix: &mut Tensor, kind: Kind) -> Result<(), TchError> {
    if matrix.kind() == kind {
        return Ok(());
    }
    let wide = matrix.f_to_kind(kind)?;
    tch::no_grad(|| matrix.f_set_data(&wide))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    #[test]
    fn what_would_lose_bits_stays_as_it_is_or_is_rounded() {
        let rounds = |values: &[f32], storage: Storage| {
            let (matrix, rounded) = stored(Tensor::from_slice(values), storage).unwrap();
            (matrix.kind(), rounded)
        };
        // 2^100 is too large for fp16, 1 + 2^-10 too fine for bf16, 1 + 2^-23 for both.
        let fine = |bits: i32| 1.0 + 2.0_f32.powi(-bits);
        let (bf16, fp16, fp32) = ([0.5, 2.0_f32.powi(100)], [0.5, fine(10)], [0.5, fine(23)]);
        for (values, kind) in [(bf16, Kind::BFloat16), (fp16, Kind::Half), (fp32, Kind::Float)] {
            assert_eq!(rounds(&values, Storage::Wide), (Kind::Float, false));
            assert_eq!(rounds(&values, Storage::Lossless), (kind, false));
        }
        assert_eq!(rounds(&bf16, Storage::Rounded), (Kind::BFloat16, false));
        assert_eq!(rounds(&fp32, Storage::Rounded), (Kind::BFloat16, true));
    }

    #[test]
    fn all_who_share_a_matrix_see_it_widened() {
        let mut matrix = Tensor::ones([2, 2], (Kind::BFloat16, Device::Cpu));
        let other = matrix.shallow_clone();
        widen(&mut matrix, Kind::Float).unwrap();
        assert_eq!(other.kind(), Kind::Float);
        let _ = tch::no_grad(|| matrix.shallow_clone().fill_(3.0));
        assert_eq!(other.double_value(&[1, 1]), 3.0);
        assert!(matrix.set_requires_grad(true).requires_grad());
    }
}
