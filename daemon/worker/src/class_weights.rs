//! How much each class weighs in the loss.

/// Weights of classes by how many examples each has: n / (classes * count), scikit-learn's
/// "balanced".
pub(crate) fn balanced(counts: &[u64]) -> Vec<f64> {
    let (examples, classes) = (counts.iter().sum::<u64>() as f64, counts.len() as f64);
    counts.iter().map(|&it| examples / (classes * it as f64)).collect()
}
