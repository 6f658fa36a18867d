//! The base model of a job, found and opened. Where a recipe names an adapter of peft, the model
//! that its config names lies beneath it, and training goes on with both.
//!
//! Where a name leads is left to whoever asks: of a drop's recipe to `stranger_base`. What the
//! recipe may still say of the adapter, `adapter` decides.

use crate::failures::model_failure;
use crate::{checkpoint, modality, network};
use anyhow::{Context, Result};
use finetuned_hub::Resolved;
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_job::plan::BaseAdapterPlan;
use finetuned_job::recipe::{Head, Recipe};
use finetuned_job::task::Task;
use finetuned_models::{AdapterFolder, Checkpoint, HeadKind, Rows, open_adapted};
use std::path::Path;

/// What is looked for, which names the copy of a stranger's folder.
pub(crate) const NAMED: &str = "base";
pub(crate) const BENEATH: &str = "beneath";

pub(crate) struct BaseModel {
    pub checkpoint: Checkpoint,
    /// As the recipe names it.
    pub name: String,
    /// What an adapter of that name stands beside, as a recipe would name it.
    beneath: Option<String>,
}

impl BaseModel {
    /// # Errors
    /// The adapter's files can't be read.
    pub(crate) fn adapter_plan(&self) -> Result<Option<BaseAdapterPlan>> {
        let (Some(adapter), Some(beneath)) = (self.checkpoint.adapter(), &self.beneath) else {
            return Ok(None);
        };
        let hash = checkpoint::hashes(&adapter.files())?;
        Ok(Some(BaseAdapterPlan { beneath: beneath.clone(), hash }))
    }
}

/// `find`: from a name, and what is looked for, to a folder. `near`: where relative paths start.
///
/// # Errors
/// Nothing is there, it is damaged, or the adapter's own base may not be had.
pub(crate) fn open(
    name: &str,
    near: &Path,
    mut find: impl FnMut(&str, &str) -> Result<Resolved>,
) -> Result<BaseModel> {
    let found = find(name, NAMED)?;
    let beneath = finetuned_hub::beneath(&found.folder, near)?;
    let checkpoint = match &beneath {
        None => finetuned_models::open(&found.folder).map_err(model_failure)?,
        Some(beneath) => adapted(name, &found, beneath, &mut find)?,
    };
    Ok(BaseModel { checkpoint, name: name.into(), beneath })
}

fn adapted(
    name: &str,
    found: &Resolved,
    beneath: &str,
    find: &mut impl FnMut(&str, &str) -> Result<Resolved>,
) -> Result<Checkpoint> {
    let refused = |why: &str, cure: &str| {
        let message = format!("{name} is an adapter for {beneath}, {why}");
        Failure::new(FailureKind::Model, message).with_cure(cure)
    };
    const MEND: &str = "set base_model_name_or_path in its adapter_config.json to the model that it was trained beside";
    if name.starts_with("hf:") && !beneath.starts_with("hf:") {
        let why = "which is a folder of the machine that it was trained on";
        let cure = format!("name a copy of it on this machine as model.base, and {MEND}");
        return Err(refused(why, &cure).into());
    }
    let whole = find(beneath, BENEATH).map_err(|err| match err.downcast::<Failure>() {
        Ok(it) => {
            let cure = it.cure.map_or(MEND.into(), |cure| format!("{cure}; or {MEND}"));
            let message = format!("{name} is an adapter for {beneath}: {}", it.message);
            Failure::new(it.kind, message).with_cure(cure).into()
        }
        Err(other) => other,
    })?;
    if finetuned_models::is_adapter(&whole.folder) {
        return Err(refused("which is an adapter itself", MEND).into());
    }
    let adapter = AdapterFolder::open(&found.folder).map_err(model_failure)?;
    let adapter = adapter.context("the adapter's folder has changed")?;
    let whole = finetuned_models::open(&whole.folder).map_err(model_failure)?;
    Ok(open_adapted(adapter, whole).map_err(model_failure)?)
}

/// Whether the head that the base's adapter was trained with is the one that is wanted: for the
/// same outputs in the same order. One of numbers gives them in their own units, in which none
/// learns.
pub(crate) fn keeps_head(
    base: &Checkpoint,
    recipe: &Recipe,
    task: Task,
    outputs: &[String],
) -> bool {
    let objective = task.objective;
    let is_own = base.adapter().is_some() && recipe.model.head == Head::Linear;
    if !is_own || objective.in_units() || objective.of_vocabulary() {
        return false;
    }
    let wanted = match modality::of(task.modality).rows() {
        Rows::PerExample => HeadKind::Classes(outputs.len() as i64),
        Rows::PerToken => HeadKind::PerToken(outputs.len() as i64),
    };
    let config = base.config_json();
    let problem = config.get("problem_type").and_then(serde_json::Value::as_str);
    let plain = problem.filter(|it| *it != "single_label_classification");
    base.head() == wanted
        && plain == task.problem_type
        && network::output_names(config).is_some_and(|it| it == outputs)
}
