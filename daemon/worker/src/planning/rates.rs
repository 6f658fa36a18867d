//! Decides how fast what learns: batch, learning rates, and what fine-tuned weights count, where
//! the recipe leaves them open. The numbers are in `defaults`.

use super::Facts;
use super::defaults::{self, Adapted, Family};
use crate::freeze;
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_job::recipe::{Method, Recipe};
use finetuned_job::task::Objective;
use finetuned_models::Form;

/// Nothing but the head trains, in any epoch.
pub(super) fn only_head(recipe: &Recipe, facts: &Facts) -> Result<bool, Failure> {
    let parts = facts.parts;
    let all =
        freeze::patterns(&recipe.freeze.train, recipe.freeze.unfreeze.iter().map(|it| &it.train));
    let selected = freeze::select(&all, parts, &freeze::parameters(facts.tensors.keys(), parts))?;
    Ok(selected.iter().all(|it| parts.head.contains(it)))
}

/// How fast what learns.
pub(super) struct Rates {
    pub only_head: bool,
    pub batch: u32,
    pub lr: f64,
    /// Of what is new in the head.
    pub head_lr: f64,
    pub layer_decay: f64,
    /// What fine-tuned weights count.
    pub wise_ft: f64,
    /// Of batch norm; none where the model has no running ones.
    pub frozen_statistics: Option<bool>,
}

/// `train`: examples.
pub(super) fn rates(recipe: &Recipe, facts: &Facts, train: u64) -> Result<Rates, Failure> {
    let only_head = only_head(recipe, facts)?;
    let samples = facts.task.objective.samples();
    let default_batch = || if samples { defaults::PROMPTS_OF_PASS } else { defaults::batch(train) };
    let batch = recipe.train.batch.unwrap_or_else(default_batch);
    let has_statistics = facts.parts.buffers.iter().any(|it| !it.is_empty());
    let frozen_statistics = has_statistics.then(|| {
        let default = || defaults::frozen_statistics(facts.method, batch);
        recipe.freeze.statistics.unwrap_or_else(default)
    });
    let family = match (facts.preprocess, frozen_statistics) {
        (None, _) => Family::Texts,
        (Some(_), None) => Family::Layered,
        (Some(_), Some(false)) => Family::Convolutional,
        (Some(_), Some(true)) => Family::FrozenStatistics,
    };
    let adapted = facts.adapter.map(|it| match it.form {
        Form::LowRank(_) => Adapted::LowRank,
        Form::Factors { .. } => Adapted::Factors,
    });
    let compares = samples || facts.task.objective == Objective::Preferences;
    let lr = recipe.train.lr.unwrap_or_else(|| {
        if compares {
            return defaults::preference_lr(adapted);
        }
        let own = defaults::lr(family, facts.model.width, only_head);
        adapted.map_or(own, |it| defaults::adapter_lr(own, it))
    });
    let default_head_lr = || match adapted {
        // The head is a linear map like those that have an adapter, and learns as LoRA does.
        Some(Adapted::Factors) if !compares => defaults::adapter_lr(
            defaults::lr(family, facts.model.width, only_head),
            Adapted::LowRank,
        ),
        Some(_) => lr,
        None if compares => lr,
        None => defaults::head_lr(family, lr, only_head),
    };
    let default_decay = || if adapted.is_some() { 1.0 } else { defaults::layer_decay(family) };
    Ok(Rates {
        only_head,
        batch,
        lr,
        // Who asks for a rate means that of all.
        head_lr: recipe.train.head_lr.or(recipe.train.lr).unwrap_or_else(default_head_lr),
        layer_decay: recipe.freeze.layer_decay.unwrap_or_else(default_decay),
        wise_ft: wise_ft(recipe, facts, family, train)?,
        frozen_statistics,
    })
}

fn wise_ft(recipe: &Recipe, facts: &Facts, family: Family, train: u64) -> Result<f64, Failure> {
    if facts.adapter.is_some() {
        return match recipe.train.wise_ft {
            Some(share) if share < 1.0 => {
                let message = "train.wise_ft mixes weights, but those of an adapter are factors of one, whose mixture is none of what they make";
                Err(Failure::new(FailureKind::Recipe, message)
                    .with_cure("leave it out of the recipe"))
            }
            _ => Ok(1.0),
        };
    }
    match (recipe.train.wise_ft, facts.method) {
        (Some(share), Method::Probe | Method::Full) if share < 1.0 => {
            let message = "train.wise_ft mixes what fine-tuning comes to with the probe that it began with, but training does not begin with one and go on here";
            Err(Failure::new(FailureKind::Recipe, message)
                .with_cure("leave it out of the recipe, or set train.method to `auto`"))
        }
        (Some(share), _) => Ok(share),
        (None, Method::Auto) => Ok(defaults::wise_ft(family, train)),
        (None, Method::Probe | Method::Full) => Ok(1.0),
    }
}
