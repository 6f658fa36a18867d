//! Decides how often and by what a model is scored, and what is shown of that.

use super::{Facts, counts, defaults, rows};
use finetuned_job::data::DataReport;
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_job::plan::{DataPlan, EvalPlan, TrainPlan};
use finetuned_job::recipe::Recipe;
use finetuned_job::scores::Split;
use finetuned_job::task::{Metrics, Task};

/// How much likelier answers are than to the base, which some losses do not ask.
const LOG_RATIO: &str = "log_ratio";

/// `train`: how the model is trained.
///
/// # Errors
/// A metric that there is none of, thresholds where there can be none.
pub(super) fn plan(
    recipe: &Recipe,
    facts: &Facts,
    data: &DataPlan,
    train: &TrainPlan,
) -> Result<EvalPlan, Failure> {
    let Metrics { known, shown, best } =
        finetuned_answers::of(data.problem, data.outputs()).metrics();
    // An answer may have metrics that only some of its tasks do.
    let no_reference = train.preference.is_some_and(|it| !it.loss.has_reference());
    let of_task =
        |it: &&&str| facts.task.metrics.known.contains(it) && !(no_reference && **it == LOG_RATIO);
    let known: Vec<&str> = known.iter().filter(of_task).copied().collect();
    let asked = &recipe.eval;
    let metrics = if asked.metrics.is_empty() {
        shown.iter().filter(of_task).map(|it| it.to_string()).collect()
    } else {
        asked.metrics.clone()
    };
    let ranked =
        defaults::best_by_ranking(&counts(facts.data)) && known.contains(&defaults::RANKING);
    let best = if ranked { defaults::RANKING } else { best };
    let best = asked.best.clone().unwrap_or_else(|| best.into());
    let of_plugin = |name: &str| {
        facts
            .plugins
            .iter()
            .flat_map(|it| &it.uses)
            .any(|it| it.kind == "metric" && it.name == name)
    };
    if let Some(stranger) =
        metrics.iter().chain([&best]).find(|it| !known.contains(&it.as_str()) && !of_plugin(it))
    {
        let message = format!(
            "the recipe asks for the metric {stranger}, which neither this task nor a plugin that is loaded has"
        );
        return Err(Failure::new(FailureKind::Recipe, message)
            .with_cure(format!("it has {}", known.join(", "))));
    }
    let report_on = if 0 < data.test { Split::Test } else { Split::Validation };
    // Who asks for patience counts evaluations as they usually come.
    let patience = train.patience.filter(|_| recipe.train.patience.is_none());
    let every_steps = asked
        .every_steps
        .or_else(|| defaults::every_steps(patience, train.epochs, train.steps_per_epoch));
    let tune_thresholds = tune_thresholds(asked.tune_thresholds, facts.task, facts.data)?;
    Ok(EvalPlan { metrics, best, every_steps, tune_thresholds, report_on })
}

/// Whether thresholds are tuned on validation.
///
/// # Errors
/// The recipe asks for them where there can be none.
pub(super) fn tune_thresholds(
    asked: Option<bool>,
    task: Task,
    data: &DataReport,
) -> Result<bool, Failure> {
    let default = defaults::tune_thresholds(task.objective, &counts(data));
    let default = default.filter(|_| 0 < rows(data, Split::Validation));
    if asked == Some(true) && default.is_none() {
        let message = "eval.tune_thresholds is for several labels or two classes, and wants a validation split to tune them on";
        return Err(
            Failure::new(FailureKind::Recipe, message).with_cure("leave it out of the recipe")
        );
    }
    Ok(default.is_some_and(|it| asked.unwrap_or(it)))
}
