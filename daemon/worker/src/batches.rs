//! Decides which examples stand together in a batch, and in which order batches come: a pure function of
//! (seed, epoch, index), so that a killed run continues as if nothing had happened.

use crate::tokens::TokenSet;
use finetuned_models::Tokens;
use tch::{Device, Kind, TchError, Tensor};

/// Batches whose examples are sorted by length together. Few enough that what stands in one batch stays a
/// matter of chance, many enough that neighbours in the sorted pool are of nearly equal length.
const POOL_BATCHES: usize = 32;

/// The batches of an epoch as example indices.
///
/// With `bucket`, a random order is cut into pools, each pool is sorted by length and cut into batches, and
/// the batches come in random order: little padding, and no order by length over time.
pub(crate) fn epoch(lengths: &[u32], batch: usize, bucket: bool, seed: u64, epoch: u64) -> Vec<Vec<u32>> {
    let key = |index: u32| mix(mix(seed, epoch), u64::from(index));
    let mut order: Vec<u32> = (0..lengths.len() as u32).collect();
    order.sort_unstable_by_key(|&it| (key(it), it));
    if bucket {
        for pool in order.chunks_mut(POOL_BATCHES * batch) {
            pool.sort_by_key(|&it| lengths[it as usize]);
        }
    }
    let mut batches: Vec<Vec<u32>> = order.chunks(batch).map(<[u32]>::to_vec).collect();
    if bucket {
        // The examples of a batch are a random choice already: the first one's key orders the batches,
        // mixed once more, since within a pool it has been used.
        batches.sort_by_key(|it| mix(key(it[0]), epoch));
    }
    batches
}

/// Batches for evaluation: by length, so that hardly anything is padded.
pub(crate) fn by_length(lengths: &[u32], batch: usize) -> Vec<Vec<u32>> {
    let mut order: Vec<u32> = (0..lengths.len() as u32).collect();
    order.sort_by_key(|&it| std::cmp::Reverse(lengths[it as usize]));
    order.chunks(batch).map(<[u32]>::to_vec).collect()
}

/// One step of splitmix64 (Steele, Lea and Flood 2014) over two numbers.
fn mix(a: u64, b: u64) -> u64 {
    let mut z = a.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ b.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Token ids padded to the longest of the batch, and their mask.
pub(crate) fn tokens(set: &TokenSet, indices: &[u32], pad: u32, device: Device) -> Result<Tokens, TchError> {
    let seq = indices.iter().map(|&it| set.tokens(it).len()).max().unwrap_or(0);
    let mut ids = vec![i64::from(pad); indices.len() * seq];
    let mut mask = vec![0_i64; indices.len() * seq];
    for (row, &index) in indices.iter().enumerate() {
        for (column, &id) in set.tokens(index).iter().enumerate() {
            ids[row * seq + column] = i64::from(id);
            mask[row * seq + column] = 1;
        }
    }
    let shape = [indices.len() as i64, seq as i64];
    let tensor = |values: &[i64]| Tensor::f_from_slice(values)?.f_view(shape)?.f_to_device(device);
    Ok(Tokens { ids: tensor(&ids)?, mask: tensor(&mask)? })
}

pub(crate) fn labels(set: &TokenSet, indices: &[u32], device: Device) -> Result<Tensor, TchError> {
    let labels: Vec<i64> = indices.iter().map(|&it| i64::from(set.label(it))).collect();
    Tensor::f_from_slice(&labels)?.f_to(device)?.f_to_kind(Kind::Int64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(n: u32) -> Vec<u32> {
        (0..n).map(|it| 5 + it * 7919 % 120).collect()
    }

    #[test]
    fn every_example_comes_once_an_epoch_in_an_order_of_its_own() {
        for bucket in [false, true] {
            let lengths = lengths(1003);
            let first = epoch(&lengths, 32, bucket, 7, 0);
            assert_eq!(first.len(), 32);
            let mut seen = first.concat();
            seen.sort_unstable();
            assert_eq!(seen, (0..1003).collect::<Vec<u32>>());
            assert_eq!(first, epoch(&lengths, 32, bucket, 7, 0));
            assert_ne!(first, epoch(&lengths, 32, bucket, 7, 1));
            assert_ne!(first, epoch(&lengths, 32, bucket, 8, 0));
        }
    }

    #[test]
    fn buckets_save_padding_and_leave_no_order_by_length() {
        let lengths = lengths(1372);
        let places = |batches: &[Vec<u32>]| -> u32 {
            batches.iter().map(|it| it.len() as u32 * it.iter().map(|&i| lengths[i as usize]).max().unwrap_or(0)).sum()
        };
        let used: u32 = lengths.iter().sum();
        let (random, bucketed) = (epoch(&lengths, 32, false, 0, 0), epoch(&lengths, 32, true, 0, 0));
        assert!(f64::from(used) / f64::from(places(&bucketed)) > 0.95);
        assert!(places(&bucketed) < places(&random) * 2 / 3);

        // Spearman's rank correlation of a batch's place and its length: none beyond chance (1/sqrt(n) = 0.15).
        let mut ranked: Vec<usize> = (0..bucketed.len()).collect();
        ranked.sort_by_key(|&it| lengths[bucketed[it][0] as usize]);
        let n = ranked.len() as f64;
        let d2: f64 = ranked.iter().enumerate().map(|(rank, &place)| (rank as f64 - place as f64).powi(2)).sum();
        let rho = 1.0 - 6.0 * d2 / (n * (n * n - 1.0));
        assert!(rho.abs() < 0.45, "batches are ordered by length: {rho}");
    }
}
