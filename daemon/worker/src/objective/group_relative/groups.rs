//! Decides how much better an answer is than the others to its prompt, and what is told of a lot of
//! answers. Pure functions of their rewards.

use crate::generate::Generated;
use finetuned_job::event::Sampled;
use finetuned_job::recipe::ScaleRewards;

/// Beside a deviation, so that one of 0 divides nothing by 0: TRL's.
const EPSILON: f64 = 1e-4;

fn mean(of: &[f64]) -> f64 {
    of.iter().sum::<f64>() / of.len().max(1) as f64
}

/// Of a sample, as `torch.std`.
fn deviation(of: &[f64]) -> f64 {
    let mean = mean(of);
    let squares: f64 = of.iter().map(|it| (it - mean).powi(2)).sum();
    (squares / (of.len().max(2) - 1) as f64).sqrt()
}

/// Whether nothing can be sampled from it.
fn is_still(group: &[f64]) -> bool {
    group.iter().all(|it| *it == group[0])
}

/// Of each answer, of groups of so many: its reward less the mean of its group, over a deviation.
pub(super) fn advantages(rewards: &[f64], group: usize, scale: ScaleRewards) -> Vec<f64> {
    let of_all = deviation(rewards);
    let of_group = |rewards: &[f64]| -> Vec<f64> {
        if is_still(rewards) {
            return vec![0.0; rewards.len()];
        }
        let mean = mean(rewards);
        let by = match scale {
            ScaleRewards::Group => deviation(rewards) + EPSILON,
            ScaleRewards::Batch => of_all + EPSILON,
            ScaleRewards::None => 1.0,
        };
        rewards.iter().map(|it| (it - mean) / by).collect()
    };
    rewards.chunks(group).flat_map(of_group).collect()
}

pub(super) fn sampled(rewards: &[f64], group: usize, answers: &[Generated]) -> Sampled {
    let n = answers.len().max(1) as f64;
    let tokens = |it: &Generated| it.tokens.len() + usize::from(it.end.is_some());
    Sampled {
        reward: mean(rewards),
        reward_std: deviation(rewards),
        length: answers.iter().map(tokens).sum::<usize>() as f64 / n,
        ended: answers.iter().filter(|it| it.end.is_some()).count() as f64 / n,
        groups: rewards.chunks(group).count() as u64,
        groups_without_variance: rewards.chunks(group).filter(|it| is_still(it)).count() as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_without_variance_teach_nothing_and_are_counted() {
        let rewards = [0.1, 0.1, 0.1, 0.0, 1.0, 0.5];
        let found = advantages(&rewards, 3, ScaleRewards::Group);
        assert_eq!(found[..3], [0.0; 3]);
        assert!((found[4] - 0.5 / (0.5 + 1e-4)).abs() < 1e-12 && found[5] == 0.0, "{found:?}");
        let answer = |end| Generated { tokens: vec![5; 3], end };
        let answers = [answer(Some(2)), answer(None), answer(None), answer(None)];
        let sampled = sampled(&[0.0, 0.0, 0.0, 1.0], 2, &answers);
        assert_eq!((sampled.groups, sampled.groups_without_variance), (2, 1));
        assert_eq!((sampled.reward, sampled.length, sampled.ended), (0.25, 3.25, 0.25));
    }
}
