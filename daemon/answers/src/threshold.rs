//! Decides from which probability on a class is predicted, where one half is not the best: the
//! threshold of the highest score on examples that nothing was learnt from.

/// Where nothing better is known.
pub(crate) const HALF: f32 = 0.5;
/// Fewer examples with the class, or without it, say nothing of its threshold.
const EXAMPLES_MIN: usize = 5;
/// A threshold that decides fewer examples otherwise is no better than chance.
const CHANGED_MIN: usize = 2;
/// What a model is as good as sure of is not overruled.
const SURE: f32 = 0.02;

/// Examples at and above a threshold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    /// Of them, those of the class.
    pub hits: usize,
    pub predicted: usize,
    /// Those of the class, and all.
    pub positives: usize,
    pub examples: usize,
}

impl Cut {
    /// Of predicting the class.
    pub fn f1(&self) -> f64 {
        f1(self.hits, self.predicted, self.positives)
    }

    /// Of predicting that it is not.
    pub fn f1_of_others(&self) -> f64 {
        let missed = self.positives - self.hits;
        let left = self.examples - self.predicted;
        f1(left - missed, left, self.examples - self.positives)
    }
}

/// As scikit-learn's with `zero_division=0`.
fn f1(hits: usize, predicted: usize, positives: usize) -> f64 {
    2.0 * hits as f64 / (predicted + positives).max(1) as f64
}

/// The threshold of the highest score, of equal ones that nearest to one half; it lies midway
/// between two probabilities. `examples`: each one's probability of the class, and whether it is of
/// the class.
pub(crate) fn best(mut examples: Vec<(f32, bool)>, score: impl Fn(Cut) -> f64) -> f32 {
    examples.sort_by(|a, b| b.0.total_cmp(&a.0));
    let positives = examples.iter().filter(|it| it.1).count();
    let all = examples.len();
    if positives < EXAMPLES_MIN || all - positives < EXAMPLES_MIN {
        return HALF;
    }
    let cut = |predicted: usize| {
        let hits = examples[..predicted].iter().filter(|it| it.1).count();
        Cut { hits, predicted, positives, examples: all }
    };
    let half = examples.partition_point(|it| HALF <= it.0);
    let mut chosen = (score(cut(half)), HALF);
    let mut hits = 0;
    for predicted in 1..all {
        let (above, below) = (examples[predicted - 1], examples[predicted]);
        hits += usize::from(above.1);
        let threshold = f32::midpoint(above.0, below.0);
        let between = below.0 < threshold && threshold < above.0;
        let between = between && (SURE..=1.0 - SURE).contains(&threshold);
        if !between || predicted.abs_diff(half) < CHANGED_MIN {
            continue;
        }
        let score = score(Cut { hits, predicted, positives, examples: all });
        let nearer = (threshold - HALF).abs() < (chosen.1 - HALF).abs();
        if chosen.0 < score || (chosen.0 == score && chosen.1 != HALF && nearer) {
            chosen = (score, threshold);
        }
    }
    chosen.1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Probabilities of the class for examples of it, and for others.
    fn examples(of_it: &[f32], others: &[f32]) -> Vec<(f32, bool)> {
        let of = |values: &[f32], is| values.iter().map(|it| (*it, is)).collect::<Vec<_>>();
        [of(of_it, true), of(others, false)].concat()
    }

    #[test]
    fn the_threshold_divides_what_one_half_does_not() {
        let low = examples(&[0.2, 0.25, 0.3, 0.3, 0.4], &[0.01, 0.02, 0.03, 0.05, 0.1, 0.1]);
        assert_eq!(best(low.clone(), |it| it.f1()), 0.15);
        let high: Vec<(f32, bool)> = low.iter().map(|it| (1.0 - it.0, !it.1)).collect();
        assert_eq!(best(high, |it| f64::midpoint(it.f1(), it.f1_of_others())), 0.85);
    }

    #[test]
    fn one_half_stays_where_nothing_is_better() {
        let divided = examples(&[0.6, 0.7, 0.8, 0.9, 0.95], &[0.1, 0.2, 0.2, 0.3, 0.4]);
        assert_eq!(best(divided, |it| it.f1()), HALF);
        let few = examples(&[0.2, 0.3, 0.3, 0.4], &[0.01, 0.02, 0.03, 0.05, 0.1, 0.1]);
        assert_eq!(best(few, |it| it.f1()), HALF, "four examples say nothing");
        let one = examples(&[0.45, 0.7, 0.8, 0.9, 0.95], &[0.1, 0.1, 0.2, 0.2, 0.2]);
        assert_eq!(best(one, |it| it.f1()), HALF, "one example is chance");
        let sure = examples(&[1e-6; 6], &[1e-9; 6]);
        assert_eq!(best(sure, |it| it.f1()), HALF, "what is as good as sure stays");
        let alike = examples(&[0.2; 6], &[0.2; 6]);
        assert_eq!(best(alike, |it| it.f1()), HALF, "nothing lies between equal ones");
    }

    #[test]
    fn scores_are_scikit_learns() {
        // f1_score([1,1,1,0,0,0,0], [1,0,0,1,0,0,0], average=None)
        let cut = Cut { hits: 1, predicted: 2, positives: 3, examples: 7 };
        assert!((cut.f1() - 0.4).abs() < 1e-12);
        assert!((cut.f1_of_others() - 2.0 / 3.0).abs() < 1e-12);
    }
}
