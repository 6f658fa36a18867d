//! Decides when a run ends because it learns no more: after so many evaluations without a better
//! score, but never before the last tensors train that the plan unfreezes. Counting is `trainer`'s,
//! which begins anew when tensors are unfrozen.

use crate::checkpoint::Position;
use finetuned_job::recipe::Unfreeze;

/// What patience knows of a plan.
pub(crate) struct Patience {
    /// Evaluations without a better score that end the run; absent: none do.
    evaluations: Option<u32>,
    steps: u64,
    /// Updates before the epoch in which the last tensors join.
    frozen_until: u64,
}

impl Patience {
    /// `epochs` of `steps_per_epoch` updates each.
    pub(crate) fn new(
        evaluations: Option<u32>,
        unfreeze: &[Unfreeze],
        epochs: u32,
        steps_per_epoch: u64,
    ) -> Patience {
        let come = unfreeze.iter().map(|it| it.epoch).filter(|it| *it <= epochs);
        let last = come.max().unwrap_or(1);
        Patience {
            evaluations,
            steps: u64::from(epochs) * steps_per_epoch,
            frozen_until: u64::from(last.saturating_sub(1)) * steps_per_epoch,
        }
    }

    /// Whether the run ends here, before its planned end. The evaluation at the end of the last
    /// epoch with frozen tensors is one of their time.
    pub(crate) fn ran_out(&self, at: &Position) -> bool {
        let lost = self.evaluations.is_some_and(|it| it <= at.evaluations_without_progress);
        let all_train = self.frozen_until == 0 || self.frozen_until < at.step;
        lost && all_train && at.step < self.steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten epochs of five updates; what joins in these epochs.
    fn patience(evaluations: Option<u32>, epochs: &[u32]) -> Patience {
        let unfreeze: Vec<Unfreeze> =
            epochs.iter().map(|&epoch| Unfreeze { epoch, train: Vec::new() }).collect();
        Patience::new(evaluations, &unfreeze, 10, 5)
    }

    fn ran_out(patience: &Patience, step: u64, evaluations_without_progress: u32) -> bool {
        patience.ran_out(&Position { step, evaluations_without_progress, ..Position::default() })
    }

    #[test]
    fn so_many_evaluations_without_progress_end_a_run() {
        let two = patience(Some(2), &[]);
        assert_eq!([0, 1, 2, 3].map(|it| ran_out(&two, 20, it)), [false, false, true, true]);
        assert!(!ran_out(&two, 50, 2), "it is at its end anyway");
        assert!(!ran_out(&patience(None, &[]), 20, 9));
    }

    #[test]
    fn a_run_waits_for_what_is_to_be_unfrozen() {
        let two = patience(Some(2), &[3, 6]);
        // The sixth epoch begins after 25 updates.
        assert_eq!(
            [5, 12, 25, 26, 30].map(|it| ran_out(&two, it, 2)),
            [false, false, false, true, true]
        );
    }

    #[test]
    fn what_is_unfrozen_after_the_last_epoch_never_comes() {
        assert!(ran_out(&patience(Some(2), &[11]), 5, 2));
    }
}
