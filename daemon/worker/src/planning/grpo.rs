//! Decides how the model's own answers are sampled and learnt from, what they must be rewarded for,
//! and what cannot stand beside that in a recipe.

use super::{Facts, defaults};
use finetuned_job::data::DataReport;
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_job::plan::{FreezePlan, GrpoPlan};
use finetuned_job::recipe::{GrpoChoice, Recipe};
use finetuned_job::task::Task;
use finetuned_models::is_of_adapter;

fn refused<T>(message: impl Into<String>, cure: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::new(FailureKind::Recipe, message).with_cure(cure))
}

fn choice(recipe: &Recipe) -> GrpoChoice {
    recipe.grpo.unwrap_or_default()
}

/// Tokens that an answer may have, of a model that reads so many with its prompt.
///
/// # Errors
/// The recipe leaves no room for a prompt.
pub(crate) fn max_completion_length(recipe: &Recipe, max_tokens: u32) -> Result<u32, Failure> {
    match choice(recipe).max_completion_length {
        Some(asked) if max_tokens <= asked => refused(
            format!(
                "grpo.max_completion_length is {asked}, but prompt and answer have {max_tokens} tokens together"
            ),
            "set it to less, or data.max_tokens to more",
        ),
        Some(asked) => Ok(asked),
        None => Ok(defaults::max_completion_length(max_tokens)),
    }
}

/// Before anything is encoded: whether the data have what rewards read.
///
/// # Errors
/// Settings of another task; nothing that answers are rewarded for; a field that the data have not.
pub(crate) fn check(recipe: &Recipe, task: Task, data: &DataReport) -> Result<(), Failure> {
    if !task.objective.samples() {
        let named = if recipe.rewards.is_empty() { "[grpo]" } else { "[[reward]]" };
        if recipe.grpo.is_none() && recipe.rewards.is_empty() {
            return Ok(());
        }
        return refused(
            format!(
                "{named} is of answers that the model makes itself, but the task is `{}`",
                task.name
            ),
            "set task to `grpo`, or leave it out of the recipe",
        );
    }
    let asked = &recipe.train;
    let others = [
        (
            asked.loss.is_some() || asked.preference.is_some(),
            "train.loss",
            "grpo.loss_type says what is minimised",
        ),
        (asked.beta.is_some(), "train.beta", "set grpo.beta"),
        (asked.gamma.is_some(), "train.gamma", "leave it out of the recipe"),
        (asked.label_smoothing != 0.0, "train.label_smoothing", "leave it out of the recipe"),
    ];
    if let Some((_, field, cure)) = others.iter().find(|it| it.0) {
        return refused(format!("{field} is not of the task `grpo`"), *cure);
    }
    if recipe.rewards.is_empty() {
        return refused(
            "the task is `grpo`, but the recipe has no [[reward]] that says what answers are rewarded for",
            "add a table such as [[reward]] with name = \"number\" and field = \"answer\"; there are exact_match, number, regex, length, json, those of plugins, and model = \"FOLDER\" for a reward model",
        );
    }
    let columns = &data.input_columns;
    let missing = |it: &&str| !columns.iter().any(|column| column == it);
    if let Some(field) = recipe.rewards.iter().filter_map(|it| it.rule.field()).find(missing) {
        let others = &columns[1.min(columns.len())..];
        let others = match others {
            [] => "no other column stands beside the prompts".into(),
            some => format!("beside the prompts stand {}", some.join(", ")),
        };
        return refused(
            format!("a reward reads the column `{field}`, but {others}"),
            "name a column by `field` in the [[reward]], or add it to the data",
        );
    }
    Ok(())
}

/// None where the model does not learn from its own answers.
///
/// # Errors
/// Those of [`check`].
pub(super) fn plan(
    recipe: &Recipe,
    facts: &Facts,
    max_tokens: u32,
) -> Result<Option<GrpoPlan>, Failure> {
    check(recipe, facts.task, facts.data)?;
    if !facts.task.objective.samples() {
        return Ok(None);
    }
    Ok(Some(GrpoPlan {
        choice: choice(recipe),
        max_completion_length: max_completion_length(recipe, max_tokens)?,
        rewards: recipe.rewards.clone(),
        reward_models: facts.reward_models.clone(),
    }))
}

/// The base must still be there where the model is held against it: below an adapter that alone
/// trains.
///
/// # Errors
/// It is not.
pub(super) fn check_base(plan: &GrpoPlan, freeze: &FreezePlan) -> Result<(), Failure> {
    let others = freeze.trainable.iter().find(|it| !is_of_adapter(&it.name));
    let adapter = freeze.trainable.iter().any(|it| is_of_adapter(&it.name));
    match others.map(|it| it.name.as_str()) {
        _ if plan.choice.beta == 0.0 => Ok(()),
        None if freeze.unfreeze.is_empty() => Ok(()),
        Some(name) if adapter => refused(
            format!(
                "grpo.beta holds the model against its base, which is no longer there where {name} trains beside the adapter"
            ),
            "set freeze.train to [\"*.lora_*\"], leave adapter.modules_to_save out, or set grpo.beta to 0",
        ),
        _ => refused(
            "grpo.beta holds the model against its base, which is no longer there where all of it trains: a second model in memory would be needed",
            "add an [adapter] table, below which the base stays as it is, or set grpo.beta to 0",
        ),
    }
}
