//! How a job ended: `done.json` or `failed.json`, and what lies between training and proof.

use crate::recipe::Head;
use crate::scores::{Baseline, Scores, Split};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub const OUTCOME_VERSION: u32 = 1;

/// `trained.json`: what the unproven model scored in the process that trained it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trained {
    pub version: u32,
    /// Scores of the saved weights on the split of the report.
    pub scores: Scores,
    /// Absent where the data have no such split.
    pub validation: Option<Scores>,
    pub baseline: Baseline,
    /// Absent where each word has its own answer, or a version before there were probes trained.
    pub probe: Option<Probe>,
    /// Absent where the model was trained once.
    #[serde(default)]
    pub refit: Option<Refit>,
    pub steps: u64,
    /// The last one where no validation split could choose another.
    pub best_step: u64,
    pub epochs: f64,
    pub stopped_early: bool,
    /// Time in training, over all attempts, without the proof.
    pub seconds: f64,
    /// The saved model's: `linear` also where a plugin's had learnt what the family's own can be.
    pub head: Head,
    /// Of each output, the probability from which on it is predicted; empty where that is one half,
    /// or the largest.
    #[serde(default)]
    pub thresholds: Vec<f32>,
    /// Of answers that the model made to learn from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Groups>,
    /// Rewards beside the base model's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wins: Option<Wins>,
    /// What the base model says to the prompts of `samples.jsonl`; of models that go on with texts.
    #[serde(default)]
    pub before: Vec<String>,
    /// blake3 of model.safetensors, hex.
    pub model_hash: String,
    /// Part of all token places that would have been padding, had each batch been filled up to its
    /// longest text, 0 to 1.
    pub padding_saved: f64,
}

/// Prompts that a model answered to learn from, each several times, over a whole training.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Groups {
    pub all: u64,
    /// Those whose answers were all rewarded alike: nothing was learnt of them.
    pub without_variance: u64,
}

/// Held-out prompts by whose answer is rewarded more, the finished model's or the base's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wins {
    pub prompts: u64,
    pub won: u64,
    pub lost: u64,
}

impl Wins {
    /// Differences that rounding makes are none.
    const TIE: f32 = 1e-6;

    /// Of the same prompts in the same order.
    pub fn of(before: &[f32], after: &[f32]) -> Wins {
        let count = |is: fn(f32) -> bool| {
            before.iter().zip(after).filter(|(before, after)| is(*after - *before)).count() as u64
        };
        Wins {
            prompts: before.len().min(after.len()) as u64,
            won: count(|it| Self::TIE < it),
            lost: count(|it| it < -Self::TIE),
        }
    }

    /// Part of the prompts that were won; a tie is half a win.
    pub fn rate(&self) -> f64 {
        (self.won as f64 + self.prompts as f64 - self.lost as f64)
            / (2 * self.prompts.max(1)) as f64
    }

    pub fn sentence(&self) -> String {
        let Wins { prompts, won, lost } = *self;
        format!(
            "Of {} held-out prompts the finished model's answer is rewarded more than the base's for {}, less for {} (win rate {:.3}, a tie is half a win).",
            thousands(prompts),
            thousands(won),
            thousands(lost),
            self.rate()
        )
    }
}

/// How the beginning of a held-out example was gone on with, by the likeliest token each time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    pub prompt: String,
    /// What stands there in the data.
    pub reference: String,
    /// What the base model says.
    pub before: String,
    /// What the finished model says, loaded from its folder.
    pub after: String,
}

/// `done.json`, written last: a run folder with it is complete.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Done {
    pub version: u32,
    pub job: u64,
    pub name: String,
    pub task: String,
    pub base: String,
    /// Relative to the run folder.
    pub model: String,
    pub report: String,
    /// The split that the scores are about.
    pub split: Split,
    /// Name of the metric that chose the best step, and its value on `split`.
    pub metric: String,
    pub score: f64,
    pub scores: Scores,
    pub baseline: Baseline,
    /// The second baseline; absent where each word has its own answer, or a version before there
    /// were probes trained.
    pub probe: Option<Probe>,
    /// Absent where the model was trained once.
    #[serde(default)]
    pub refit: Option<Refit>,
    pub proof: Proof,
    pub steps: u64,
    pub best_step: u64,
    pub epochs: f64,
    pub seconds: f64,
    pub attempts: u32,
}

/// A linear probe of the frozen base: logistic regression, or ridge regression of numbers, on what
/// the base gives for an example, learnt from the training split alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// scikit-learn's C, of features that vary by 1 in all, chosen by cross-validation.
    pub c: f64,
    /// On the split of the report, the loss among them.
    pub metrics: BTreeMap<String, f64>,
    /// Where training began with it.
    pub start: Option<Start>,
}

/// Scores on validation by the metric that chooses.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Start {
    pub probe: f64,
    /// The best of fine-tuning; absent where there was none.
    pub tuned: Option<f64>,
    /// The finished model is the probe.
    pub is_best: bool,
}

/// The finished model was trained once more from the beginning, on training and validation examples
/// together, with as much learning rate as validation had chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refit {
    pub examples: u64,
    /// Updates; 0 where the probe was kept.
    pub steps: u64,
    /// False where it came to a higher loss on the validation examples than the model that had not
    /// learnt from them, which was taken then.
    pub used: bool,
}

impl Refit {
    pub fn sentence(&self) -> String {
        let Refit { examples, steps, used } = *self;
        let how = match steps {
            0 => "The probe was then fitted".into(),
            1 => "It was then trained for 1 step".into(),
            _ => format!("It was then trained for {} steps", thousands(steps)),
        };
        let on = format!("on all {} training and validation examples", thousands(examples));
        match used {
            true => format!("{how} {on}."),
            false => format!("{how} {on}, and was put back because that made it worse."),
        }
    }
}

impl Probe {
    /// At the end of training, whose best step was this.
    pub fn ended(self, best_step: Option<u64>) -> Probe {
        let start = self.start.map(|it| Start { is_best: best_step == Some(0), ..it });
        Probe { start, ..self }
    }

    /// Whether the probe or fine-tuning was better, in a sentence; nothing where only one was.
    pub fn sentence(&self, metric: &str) -> Option<String> {
        let Start { probe, tuned, is_best } = self.start?;
        let (tuned, metric) = (tuned?, spoken(metric));
        Some(if is_best {
            format!(
                "The probe was kept: it scores {probe:.3} {metric} on validation, fine-tuning came to {tuned:.3}."
            )
        } else {
            format!(
                "Fine-tuning brought validation from the probe's {probe:.3} {metric} to {tuned:.3}."
            )
        })
    }
}

impl Done {
    /// What the command line prints at the end and the report begins with, in a few sentences.
    pub fn summary(&self) -> String {
        let interval = self.scores.intervals.get(&self.metric);
        let interval = interval
            .map(|it| {
                format!(" ({:.0} % interval {:.3} to {:.3})", it.level * 100.0, it.low, it.high)
            })
            .unwrap_or_default();
        let examples = match (self.scores.examples, self.split) {
            (1, Split::Train) => "1 training example".into(),
            (1, split) => format!("1 held-out {} example", split.name()),
            (n, Split::Train) => format!("{} training examples", thousands(n)),
            (n, split) => format!("{} held-out {} examples", thousands(n), split.name()),
        };
        let baseline = match self.baseline.metrics.get(&self.metric) {
            Some(value) if self.baseline.is_of_base() => {
                format!(" The base model as it was would score {value:.3}.")
            }
            Some(value) => format!(
                " Always answering \u{201c}{}\u{201d} would score {value:.3}.",
                self.baseline.answer
            ),
            None => String::new(),
        };
        let probe = self.probe.as_ref().map_or_else(String::new, |it| {
            let value = it.metrics.get(&self.metric);
            let value = value
                .map(|it| format!(" A linear probe of the frozen base model would score {it:.3}."));
            let sentence = it.sentence(&self.metric).map(|it| format!(" {it}"));
            value.unwrap_or_default() + &sentence.unwrap_or_default()
        });
        let refit = self.refit.map_or_else(String::new, |it| format!(" {}", it.sentence()));
        let proof = if self.proof.holds() {
            "The saved files were loaded again and scored the same."
        } else {
            "The saved files were loaded again and did not score the same."
        };
        let metric = spoken(&self.metric);
        format!(
            "This model, trained on {}, scores {:.3} {metric}{interval} on {examples}.{baseline}{probe}{refit} {proof}",
            self.name, self.score
        )
    }
}

/// A metric's name as a person says it: `macro F1` for `macro_f1`.
pub fn spoken(metric: &str) -> String {
    metric.replace('_', " ").replace("f1", "F1")
}

/// `12,345`.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|it| std::str::from_utf8(it).ok()).collect();
    groups.join(",")
}

/// What the reloaded model showed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    /// blake3 of the model.safetensors that was loaded again, hex.
    pub model_hash: String,
    /// Examples evaluated again.
    pub examples: u64,
    /// Loss before saving and after loading again: equal.
    pub loss_trained: f64,
    pub loss_reloaded: f64,
}

/// `failed.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failed {
    pub version: u32,
    pub job: u64,
    pub name: String,
    pub attempt: u32,
    pub failure: Failure,
}

impl Proof {
    /// Differences of the mean loss up to this are rounding: the order of sums, not other weights.
    pub const LOSS_TOLERANCE: f64 = 1e-6;

    /// Whether the loss after loading again is the loss before saving.
    pub fn holds(&self) -> bool {
        (self.loss_trained - self.loss_reloaded).abs() <= Proof::LOSS_TOLERANCE
    }
}

/// Why a job can't succeed as it is, in words that a person can act on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub kind: FailureKind,
    /// One sentence, with the file and the line where there are any.
    pub message: String,
    /// What to do about it.
    pub cure: Option<String>,
    pub at_step: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    Recipe,
    Data,
    Model,
    Plugin,
    /// NaN or infinite loss, divergence.
    Training,
    /// No space, read-only, I/O errors.
    Disk,
    Memory,
    /// The saved model did not score what the trained one scored.
    Proof,
    /// The worker died by a signal, more often than is tolerated.
    Crash,
    /// A defect of finetuned.
    Internal,
}

impl Failure {
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Failure {
        Failure { kind, message: message.into(), cure: None, at_step: None }
    }

    pub fn with_cure(self, cure: impl Into<String>) -> Failure {
        Failure { cure: Some(cure.into()), ..self }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        match &self.cure {
            Some(cure) => write!(f, " ({cure})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tie_is_half_a_win() {
        let wins = Wins::of(&[0.0, 1.0, 0.5, 2.0], &[1.0, 0.0, 0.500_000_1, 3.0]);
        assert_eq!(wins, Wins { prompts: 4, won: 2, lost: 1 });
        assert_eq!(wins.rate(), 0.625);
        assert!(wins.sentence().starts_with("Of 4 held-out prompts"), "{}", wins.sentence());
        assert_eq!(Wins::of(&[], &[]).rate(), 0.0);
    }

    fn done(metric: &str) -> Done {
        let text = r#"{"version":1,"job":7,"name":"tweets.csv","task":"text-classification","base":"hf:a/b","model":"model",
            "report":"report.html","split":"test","metric":"macro_f1","score":0.93,"baseline":{"answer":"neutral",
            "metrics":{"macro_f1":0.1925}},"proof":{"model_hash":"00","examples":12345,"loss_trained":0.25,"loss_reloaded":0.25},
            "scores":{"split":"test","examples":12345,"loss":0.25,"metrics":{"macro_f1":0.93},"intervals":{"macro_f1":
            {"low":0.92,"high":0.9404,"level":0.95,"resamples":1000}},"per_class":[],"confusion":[],"per_number":[]},
            "steps":10,"best_step":5,"epochs":1.0,"seconds":2.5,"attempts":1}"#;
        let done: Done = serde_json::from_str(text).unwrap();
        Done { metric: metric.into(), ..done }
    }

    #[test]
    fn the_summary_says_how_good_on_what_against_what_and_whether_it_was_proven() {
        assert_eq!(
            done("macro_f1").summary(),
            "This model, trained on tweets.csv, scores 0.930 macro F1 (95 % interval 0.920 to 0.940) on 12,345 held-out test examples. \
             Always answering \u{201c}neutral\u{201d} would score 0.193. The saved files were loaded again and scored the same."
        );
        // The baseline has no loss, and no interval was asked for it.
        assert_eq!(
            done("loss").summary(),
            "This model, trained on tweets.csv, scores 0.930 loss on 12,345 held-out test examples. \
             The saved files were loaded again and scored the same."
        );
    }

    #[test]
    fn the_summary_says_what_a_probe_would_score_and_which_was_better() {
        let start = Start { probe: 0.65, tuned: Some(0.72), is_best: false };
        let metrics = BTreeMap::from([("macro_f1".into(), 0.901)]);
        let mut probe = Probe { c: 3.0, metrics, start: Some(start) };
        let summary =
            |probe: &Probe| Done { probe: Some(probe.clone()), ..done("macro_f1") }.summary();
        assert!(summary(&probe).contains(
            " A linear probe of the frozen base model would score 0.901. \
             Fine-tuning brought validation from the probe's 0.650 macro F1 to 0.720. The saved"
        ));
        probe.start = Some(Start { tuned: Some(0.61), is_best: true, ..start });
        assert!(summary(&probe).contains(
            "The probe was kept: it scores 0.650 macro F1 on validation, fine-tuning came to 0.610."
        ));
        probe.start = Some(Start { tuned: None, is_best: true, ..start });
        assert!(summary(&probe).contains("would score 0.901. The saved"));
    }

    #[test]
    fn the_summary_says_that_the_model_was_trained_once_more() {
        let says = |steps, used, sentence: &str| {
            let refit = Some(Refit { examples: 1_200, steps, used });
            let summary = Done { refit, ..done("macro_f1") }.summary();
            assert!(
                summary.contains(&format!(" would score 0.193. {sentence} The saved")),
                "{summary}"
            );
        };
        let on = "on all 1,200 training and validation examples";
        says(90, true, &format!("It was then trained for 90 steps {on}."));
        says(0, true, &format!("The probe was then fitted {on}."));
        says(
            1,
            false,
            &format!(
                "It was then trained for 1 step {on}, and was put back because that made it worse."
            ),
        );
    }

    #[test]
    fn a_proof_forgives_rounding_and_nothing_else() {
        let mut done = done("macro_f1");
        done.proof.loss_reloaded = 0.25 + 1e-9;
        assert!(done.summary().ends_with("scored the same."));
        for loss in [0.25 + 1e-5, f64::NAN] {
            done.proof.loss_reloaded = loss;
            assert!(done.summary().ends_with("did not score the same."));
        }
    }

    #[test]
    fn thousands_are_grouped() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }
}
