//! What report and model card tell alike, and the few conclusions that are drawn from the numbers:
//! whether the score is better than the baseline, what was confused most, where the time went.

use crate::images::Images;
use crate::predictions::Mistake;
use crate::templates;
use anyhow::Result;
use finetuned_answers::{AnswerKind, Predictions, Target, Words, higher_is_better, value};
use finetuned_images::Library;
use finetuned_job::data::DataReport;
use finetuned_job::event::{Event, Line, Phase, Step};
use finetuned_job::outcome::{Done, Sample, Trained};
use finetuned_job::plan::{Plan, PluginPlan};
use finetuned_job::recipe::Head;
use finetuned_job::scores::Split;
use minijinja::value::Serde;
use minijinja::{Value, context};

/// Everything that is known at the end of a run.
#[derive(Debug, Clone, Copy)]
pub struct Story<'a> {
    pub plan: &'a Plan,
    pub data: &'a DataReport,
    pub trained: &'a Trained,
    pub done: &'a Done,
    /// As [`crate::read_events`] gives them.
    pub events: &'a [Line],
    /// As [`crate::worst_mistakes`] gives them. They stand in the report, never in the model card,
    /// which may be published.
    pub mistakes: &'a [Mistake],
    /// Of the examples that the report is about.
    pub targets: &'a [Target],
    /// What the model gives for them.
    pub predictions: &'a Predictions,
    /// They too stand in the report alone.
    pub samples: &'a [Sample],
    pub images: Images<'a>,
    /// Licence of the base model as its own card names it (`apache-2.0`), where it does.
    pub license: Option<&'a str>,
}

/// What the score says beside the baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The whole interval is better than the baseline.
    Better,
    /// The baseline lies in the interval, or is the better one.
    NotBetter,
    /// There is no interval or no baseline for the metric.
    Unknown,
}

/// Examples of class `truth` that were taken for `predicted`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Confusion {
    pub target: usize,
    pub predicted: usize,
    pub count: u64,
}

/// Sums over all steps of training.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Throughput {
    pub seconds: f64,
    pub examples: u64,
    pub tokens: u64,
    pub tokens_padded: u64,
}

impl<'a> Story<'a> {
    /// The base as the world may know it: of a local folder only its name.
    pub(crate) fn base_name(&self) -> String {
        let base = self.plan.model.base.as_str();
        if base.starts_with("hf:") {
            return base.to_owned();
        }
        base.trim_end_matches('/').rsplit('/').next().unwrap_or(base).to_owned()
    }

    /// What an example is called.
    pub(crate) fn noun(&self) -> &'static str {
        self.plan.task.modality.noun()
    }

    /// Whether an example is shown as text.
    pub(crate) fn of_texts(&self) -> bool {
        self.plan.model.preprocess.is_none()
    }

    /// What the model answers.
    pub(crate) fn answer(&self) -> Box<dyn AnswerKind> {
        let data = &self.plan.data;
        let thresholds = &self.trained.thresholds;
        finetuned_answers::with_thresholds(data.problem, data.outputs(), thresholds)
    }

    pub(crate) fn words(&self) -> Words {
        self.answer().words()
    }

    /// The Python library that the model's files are for.
    pub(crate) fn library(&self) -> &'static str {
        let whose = self.plan.model.preprocess.as_ref().map(|it| it.library);
        if whose == Some(Library::Timm) { "timm" } else { "transformers" }
    }

    /// The plugin's head that was trained, by its name, with the plugin; nothing for the model's
    /// own.
    pub(crate) fn plugin_head(&self) -> Option<(&'a str, Option<&'a PluginPlan>)> {
        let Head::Plugin(name) = &self.plan.model.head else { return None };
        let uses =
            |it: &&PluginPlan| it.uses.iter().any(|it| it.kind == "head" && it.name == *name);
        Some((name, self.plan.plugins.iter().find(uses)))
    }

    /// Whether the saved model still has it.
    pub(crate) fn needs_plugin(&self) -> bool {
        self.trained.head != Head::Linear
    }

    /// Python that opens the model in `folder` and asks it something; nothing where its head is a
    /// plugin's.
    pub(crate) fn usage(&self, folder: &str) -> Result<Option<String>> {
        if self.needs_plugin() {
            return Ok(None);
        }
        let context = context! { plan => Serde(self.plan), library => self.library(), folder,
        texts => self.of_texts(),         activation => self.words().activation };
        Ok(Some(templates::render("usage.py", context)?))
    }

    pub(crate) fn steps(&self) -> impl Iterator<Item = &'a Step> {
        self.events
            .iter()
            .filter_map(|line| if let Event::Step(step) = &line.event { Some(step) } else { None })
    }

    /// (step, value) of a metric at each evaluation of the validation split.
    pub(crate) fn validation(&self, metric: &str) -> Vec<(f64, f64)> {
        let point = |line: &Line| match &line.event {
            Event::Evaluation { step, scores, .. } if scores.split == Split::Validation => {
                Some((*step as f64, value(scores, metric)?))
            }
            _ => None,
        };
        self.events.iter().filter_map(point).collect()
    }

    pub(crate) fn warnings(&self) -> Vec<&'a str> {
        let reported = self.events.iter().filter_map(|line| {
            if let Event::Warning { message } = &line.event { Some(message.as_str()) } else { None }
        });
        let mut all: Vec<&str> = self.data.warnings.iter().map(String::as_str).collect();
        // A resumed attempt tells its warnings again.
        reported.for_each(|it| {
            if !all.contains(&it) {
                all.push(it)
            }
        });
        all
    }

    /// What was tuned on validation, as the model's config has it; nothing where nothing was.
    pub(crate) fn thresholds(&self) -> Option<Value> {
        let answer = self.answer();
        let each = answer.outputs().iter().zip(answer.thresholds());
        let each: Vec<Value> = each.map(|(name, value)| context! { name, value }).collect();
        (!each.is_empty()).then(|| {
            let flattered = self.done.split == Split::Validation;
            context! { each, meaning => answer.words().thresholds, flattered }
        })
    }

    pub(crate) fn probe_sentence(&self) -> Option<String> {
        self.done.probe.as_ref()?.sentence(&self.done.metric)
    }

    /// That the model was trained once more, where it was.
    pub(crate) fn refit_sentence(&self) -> Option<String> {
        self.done.refit.map(|it| it.sentence())
    }

    /// How many of the prompts that the model answered to learn from taught it nothing.
    pub(crate) fn groups_sentence(&self) -> Option<String> {
        let of = self.trained.groups?;
        Some(format!(
            "To learn, it answered {} prompts, each several times; the answers to {} of them were all rewarded alike, and nothing was learnt of these.",
            of.all, of.without_variance
        ))
    }

    /// How near both models came to what stands there.
    pub(crate) fn samples_sentence(&self) -> Option<String> {
        if self.plan.task.objective.samples() {
            let n = self.samples.len();
            let wins = self.trained.wins.map_or(String::new(), |it| format!(" {}", it.sentence()));
            return (0 < n)
                .then(|| format!("{n} held-out prompts were answered by both models.{wins}"));
        }
        let score = |text: fn(&Sample) -> &str| {
            let pairs = self.samples.iter().map(|it| (text(it), it.reference.as_str()));
            let exact = pairs.clone().filter(|it| it.0.trim() == it.1.trim()).count();
            let words = finetuned_answers::rouge_l(pairs.clone());
            (finetuned_answers::chrf(pairs), words, exact)
        };
        let (before, after) = (score(|it| &it.before), score(|it| &it.after));
        // Of scripts that ROUGE-L does not read there is nothing to be said by it.
        let words = before.1.zip(after.1).map_or(String::new(), |(before, after)| {
            format!("; ROUGE-L {before:.3} and {after:.3}")
        });
        (!self.samples.is_empty()).then(|| {
            format!(
                "{} held-out texts were gone on with: chrF {:.1} by the base model, {:.1} by the finished model{words}; exactly what stands there {} and {} times.",
                self.samples.len(), before.0, after.0, before.2, after.2
            )
        })
    }

    pub(crate) fn verdict(&self) -> Verdict {
        let metric = &self.done.metric;
        let (Some(interval), Some(&baseline)) =
            (self.done.scores.intervals.get(metric), self.done.baseline.metrics.get(metric))
        else {
            return Verdict::Unknown;
        };
        let better = if higher_is_better(metric) {
            baseline < interval.low
        } else {
            interval.high < baseline
        };
        if better { Verdict::Better } else { Verdict::NotBetter }
    }

    /// The commonest first; at most `keep`.
    pub(crate) fn confusions(&self, keep: usize) -> Vec<Confusion> {
        let rows = self.done.scores.confusion.iter().enumerate();
        let cells = rows.flat_map(|(target, row)| {
            row.iter().enumerate().map(move |(predicted, &count)| Confusion {
                target,
                predicted,
                count,
            })
        });
        let mut wrong: Vec<Confusion> =
            cells.filter(|it| it.target != it.predicted && 0 < it.count).collect();
        wrong.sort_by_key(|it| (std::cmp::Reverse(it.count), it.target, it.predicted));
        wrong.truncate(keep);
        wrong
    }

    pub(crate) fn throughput(&self) -> Throughput {
        self.steps().fold(Throughput::default(), |sum, step| Throughput {
            seconds: sum.seconds + step.seconds,
            examples: sum.examples + step.examples,
            tokens: sum.tokens + step.tokens,
            tokens_padded: sum.tokens_padded + step.tokens_padded,
        })
    }

    /// Seconds spent in each phase over all attempts, in the order of their first beginning. A
    /// phase lasts until the next one of its attempt begins or its attempt says its last; time
    /// between attempts counts for none.
    pub(crate) fn phases(&self) -> Vec<(Phase, f64)> {
        let mut phases: Vec<(Phase, u64)> = Vec::new();
        let mut running: Option<(Phase, &Line)> = None;
        for line in self.events {
            if let Some((phase, since)) = running.filter(|(_, since)| since.attempt == line.attempt)
            {
                let spent = line.at_ms.saturating_sub(since.at_ms);
                match phases.iter_mut().find(|(it, _)| *it == phase) {
                    Some((_, sum)) => *sum += spent,
                    None => phases.push((phase, spent)),
                }
                running = Some((phase, line));
            } else {
                running = None;
            }
            if let Event::Phase { phase, .. } = line.event {
                running = Some((phase, line));
            }
        }
        phases.into_iter().map(|(phase, ms)| (phase, ms as f64 / 1000.0)).collect()
    }
}

/// A phase as a heading of its time.
pub(crate) fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Unpacking => "Unpacking the archive",
        Phase::Reading => "Reading the data",
        Phase::Tokenizing => "Tokenizing",
        Phase::Loading => "Loading the base model",
        Phase::Pulling => "Fetching the base model",
        Phase::Training => "Training, with its evaluations",
        Phase::Probing => "Fitting a linear probe",
        Phase::Refitting => "Training once more on all examples",
        Phase::Evaluating => "Evaluating",
        Phase::Exporting => "Saving the model",
        Phase::Proving => "Loading it again and proving it",
        Phase::Predicting => "Predicting",
    }
}
