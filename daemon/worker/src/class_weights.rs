//! How much each class weighs in the loss.

/// Weights of classes by how many examples each has: n / (classes * count), scikit-learn's
/// "balanced". A class without any weighs nothing.
pub(crate) fn balanced(counts: &[u64]) -> Vec<f64> {
    let examples = counts.iter().sum::<u64>() as f64;
    let classes = counts.iter().filter(|it| 0 < **it).count() as f64;
    let weight = |count: u64| if count == 0 { 0.0 } else { examples / (classes * count as f64) };
    counts.iter().map(|&it| weight(it)).collect()
}

/// What examples with a label weigh against those without it, of each label: without / with, as
/// torch recommends it for `pos_weight`; 1 where there is none of either.
pub(crate) fn positive(counts: &[u64], examples: u64) -> Vec<f64> {
    let of = |&count: &u64| match (examples.saturating_sub(count), count) {
        (0, _) | (_, 0) => 1.0,
        (without, with) => without as f64 / with as f64,
    };
    counts.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_scikit_learns_over_the_classes_that_there_are() {
        assert_eq!(balanced(&[6, 0, 2]), [8.0 / 12.0, 0.0, 2.0]);
    }

    #[test]
    fn a_label_weighs_as_many_as_lack_it() {
        assert_eq!(positive(&[25, 50, 0, 100], 100), [3.0, 1.0, 1.0, 1.0]);
    }
}
