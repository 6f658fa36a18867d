//! Stops early by the quotient of what is lost in generalization and what training still gains:
//! while training still makes fast progress, a validation loss above its best is no reason to stop.
//!
//! Prechelt, "Early Stopping — But When?", in Neural Networks: Tricks of the Trade, 1998, section
//! 1.3, class PQ: GL(t) = 100 (E_va(t) / E_opt(t) - 1), P_k(t) = 1000 (mean of E_tr over the last k
//! / least of them - 1), and it stops as soon as GL(t) / P_k(t) > alpha. An epoch there is the time
//! between two evaluations here: E_va is the validation loss, E_tr the mean loss of the updates
//! since the evaluation before.

use finetuned_sdk::{Error, Event, Hook, Progress, Result, Wish};
use serde::{Deserialize, Serialize};

pub struct ProgressQuotient {
    settings: Settings,
    seen: Seen,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Larger waits longer.
    alpha: f64,
    /// Evaluations in a training strip, k.
    strip: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { alpha: 0.75, strip: 5 }
    }
}

/// All that is remembered.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Seen {
    /// Losses of the updates since the last evaluation.
    loss_sum: f64,
    updates: u64,
    /// Mean training loss before each of the last evaluations.
    strip: Vec<f64>,
    best: Option<f64>,
}

impl Hook for ProgressQuotient {
    const NAME: &'static str = "progress_quotient";
    type Settings = Settings;
    type State = Seen;

    fn new(settings: Settings) -> Result<ProgressQuotient> {
        if !(0.0 < settings.alpha && settings.alpha.is_finite()) {
            return Err(Error::invalid(format!("alpha = {}: a number above 0", settings.alpha)));
        }
        if settings.strip < 2 {
            return Err(Error::invalid(format!(
                "strip = {}: progress takes at least 2 evaluations",
                settings.strip
            )));
        }
        Ok(ProgressQuotient { settings, seen: Seen::default() })
    }

    fn progress(&mut self, progress: &Progress) -> Result<Wish> {
        match progress.event {
            Event::Step => {
                self.seen.loss_sum += progress.loss;
                self.seen.updates += 1;
                Ok(Wish::GO_ON)
            }
            Event::Evaluated(scores) => {
                let loss = scores
                    .iter()
                    .find(|it| it.name == "loss")
                    .ok_or_else(|| Error::failed("the evaluation has no loss"))?;
                Ok(self.evaluated(loss.value, progress.step))
            }
            Event::Epoch => Ok(Wish::GO_ON),
        }
    }

    fn state(&self) -> Seen {
        self.seen.clone()
    }

    fn resume(&mut self, state: Seen) {
        self.seen = state;
    }
}

impl ProgressQuotient {
    fn evaluated(&mut self, validation: f64, step: u64) -> Wish {
        let seen = &mut self.seen;
        let best = seen.best.map_or(validation, |it| it.min(validation));
        seen.best = Some(best);
        if 0 < seen.updates {
            seen.strip.push(seen.loss_sum / seen.updates as f64);
            (seen.loss_sum, seen.updates) = (0.0, 0);
        }
        let k = self.settings.strip;
        if seen.strip.len() < k {
            return Wish::GO_ON;
        }
        seen.strip.drain(..seen.strip.len() - k);
        let mean = seen.strip.iter().sum::<f64>() / k as f64;
        let least = seen.strip.iter().copied().fold(f64::INFINITY, f64::min);
        let (lost, gained) = (100.0 * (validation / best - 1.0), 1000.0 * (mean / least - 1.0));
        // The quotient's test without its division: where training stands still, any loss is too
        // much.
        if lost <= self.settings.alpha * gained {
            return Wish::GO_ON;
        }
        finetuned_sdk::info!(
            "step {step}: generalization loss {lost:.2} %, progress {gained:.2}: stopping"
        );
        Wish::STOP
    }
}

finetuned_sdk::export! { hooks: [ProgressQuotient] }

#[cfg(test)]
mod tests {
    use super::*;
    use finetuned_sdk::{Score, testing};

    #[derive(Deserialize)]
    struct Case {
        alpha: f64,
        strip: usize,
        training: Vec<f64>,
        validation: Vec<f64>,
        /// Evaluations, from 0, after which the rule says stop.
        stops: Vec<usize>,
    }

    #[test]
    fn stops_where_the_formula_says_also_if_killed_before() {
        // Made by fixtures/make.py, which has the formulas as the paper has them.
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../../fixtures/prechelt.json")).expect("cases");
        for case in cases {
            let scores: Vec<[Score; 1]> = case
                .validation
                .iter()
                .map(|&value| [Score { name: "loss", value, higher_is_better: false }])
                .collect();
            let mut run = Vec::new();
            for (i, (&loss, scores)) in case.training.iter().zip(&scores).enumerate() {
                let at = |step: usize, loss, event| Progress {
                    event,
                    step: step as u64,
                    steps: 100,
                    epoch: i as f64,
                    loss,
                    lr: 1e-3,
                    gradient_norm: 1.0,
                };
                // Two updates around the mean.
                run.push(at(2 * i + 1, loss * 1.25, Event::Step));
                run.push(at(2 * i + 2, loss * 0.75, Event::Step));
                run.push(at(2 * i + 2, loss * 0.75, Event::Evaluated(scores)));
            }
            let settings = format!(r#"{{"alpha": {}, "strip": {}}}"#, case.alpha, case.strip);
            let wishes = testing::hook::<ProgressQuotient>(&settings, &run).expect("wishes");
            let stops: Vec<usize> =
                (0..case.training.len()).filter(|it| wishes[3 * it + 2] == Wish::STOP).collect();
            assert_eq!(stops, case.stops, "{settings}");
        }
    }

    #[test]
    fn settings_that_cannot_work_are_refused() {
        let refused = |settings| {
            testing::hook::<ProgressQuotient>(settings, &[]).expect_err("refused").to_string()
        };
        assert_eq!(refused(r#"{"alpha": 0}"#), "alpha = 0: a number above 0");
        assert_eq!(refused(r#"{"strip": 1}"#), "strip = 1: progress takes at least 2 evaluations");
        assert_eq!(
            refused(r#"{"patience": 1}"#),
            "settings: unknown field `patience`, expected `alpha` or `strip`"
        );
    }
}
