//! Decides which linear maps of a model have an adapter, and what is saved whole beside it: names
//! of a recipe against those of a model.

use finetuned_job::glob;
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_job::plan::AdapterPlan;
use finetuned_job::recipe::AdapterChoice;
use finetuned_models::{Adapter, Parts};
use std::collections::BTreeSet;

/// `linears`: those of the body.
///
/// # Errors
/// A model without linear maps, names that name nothing in it.
pub(crate) fn of_recipe(
    choice: &AdapterChoice,
    linears: &BTreeSet<String>,
    parts: &Parts,
) -> Result<Adapter, Failure> {
    if linears.is_empty() {
        let message = "the recipe has an [adapter], which stands beside linear maps, but the body of this base model has none as torch.nn.Linear has them";
        return Err(Failure::new(FailureKind::Recipe, message).with_cure(
            "leave [adapter] out of the recipe, or set model.base to BERT's, Llama's or ViT's kin",
        ));
    }
    let mut targets = BTreeSet::new();
    for target in &choice.target_modules {
        let found = linears.iter().filter(|it| is_named(it, target));
        let before = targets.len();
        targets.extend(found.cloned());
        if before == targets.len() && !linears.iter().any(|it| is_named(it, target)) {
            return Err(no_target(target, linears));
        }
    }
    if choice.target_modules.is_empty() {
        targets.clone_from(linears);
    }
    let mut adapter = Adapter {
        r: i64::from(choice.r),
        alpha: choice.lora_alpha,
        dropout: choice.lora_dropout,
        rslora: choice.use_rslora,
        dora: choice.use_dora,
        targets,
        modules_to_save: BTreeSet::new(),
    };
    for module in &choice.modules_to_save {
        adapter.modules_to_save = [module.clone()].into();
        if !parts.stages().flatten().any(|it| adapter.saves(it)) {
            let message = format!(
                "adapter.modules_to_save has `{module}`, but no module of the model is called so"
            );
            let cure = "name modules by their names or the last parts of them, as in `pooler`; the head is saved anyway";
            return Err(Failure::new(FailureKind::Recipe, message).with_cure(cure));
        }
    }
    adapter.modules_to_save =
        choice.modules_to_save.iter().cloned().chain(head_modules(parts)).collect();
    if let Some(target) = adapter.targets.iter().find(|it| adapter.saves(&format!("{it}.weight"))) {
        let message = format!(
            "{target} would have an adapter and be trained whole: adapter.modules_to_save and adapter.target_modules both name it"
        );
        return Err(
            Failure::new(FailureKind::Recipe, message).with_cure("name it in one of them only")
        );
    }
    Ok(adapter)
}

/// By its whole name, the last parts of it, or a glob.
fn is_named(linear: &str, target: &str) -> bool {
    let ends = linear.strip_suffix(target).is_some_and(|it| it.is_empty() || it.ends_with('.'));
    ends || glob::matches(target, linear)
}

fn no_target(target: &str, linears: &BTreeSet<String>) -> Failure {
    /// More would hide the message that they stand in.
    const SHOWN: usize = 6;
    let ends: BTreeSet<&str> = linears.iter().filter_map(|it| it.rsplit('.').next()).collect();
    let mut nearest: Vec<&str> = ends.into_iter().collect();
    let alike = |it: &&str| (strsim::jaro_winkler(target, it) * -1e6) as i64;
    nearest.sort_by_key(alike);
    nearest.truncate(SHOWN);
    let message = format!(
        "adapter.target_modules has `{target}`, but no linear map of the model's body is called so"
    );
    Failure::new(FailureKind::Recipe, message).with_cure(format!(
        "use `all-linear`, a glob, or the last parts of a name; the nearest are {}",
        nearest.join(", ")
    ))
}

/// The largest modules that hold nothing but the head.
fn head_modules(parts: &Parts) -> BTreeSet<String> {
    let body = || parts.stages().take(1 + parts.layers.len()).flatten();
    let module = |tensor: &String| {
        let ends = tensor.match_indices('.').map(|it| &tensor[..it.0]);
        let alone = |it: &&str| !body().any(|name| name.starts_with(&format!("{it}.")));
        ends.into_iter().find(alone).map(String::from)
    };
    parts.head.iter().filter_map(module).collect()
}

pub(crate) fn plan(adapter: &Adapter) -> AdapterPlan {
    AdapterPlan {
        r: adapter.r,
        lora_alpha: adapter.alpha,
        lora_dropout: adapter.dropout,
        use_rslora: adapter.rslora,
        use_dora: adapter.dora,
        target_modules: adapter.targets.clone(),
        modules_to_save: adapter.modules_to_save.clone(),
    }
}

pub(crate) fn of_plan(plan: &AdapterPlan) -> Adapter {
    Adapter {
        r: plan.r,
        alpha: plan.lora_alpha,
        dropout: plan.lora_dropout,
        rslora: plan.use_rslora,
        dora: plan.use_dora,
        targets: plan.target_modules.clone(),
        modules_to_save: plan.modules_to_save.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use finetuned_job::recipe::Recipe;

    fn adapter(recipe: &str) -> Result<Adapter, Failure> {
        let names = |all: &[&str]| all.iter().map(|it| it.to_string()).collect::<Vec<String>>();
        let layer = |k: usize| {
            let module = |it| format!("bert.encoder.layer.{k}.{it}");
            ["query", "value", "dense"].map(module).to_vec()
        };
        let linears: BTreeSet<String> = (0..2).flat_map(layer).collect();
        let weight = |it: &String| format!("{it}.weight");
        let parts = Parts {
            embeddings: names(&["bert.embeddings.words.weight"]),
            layers: (0..2).map(|it| layer(it).iter().map(weight).collect()).collect(),
            head: names(&["bert.pooler.dense.weight", "classifier.weight", "classifier.bias"]),
            ..Parts::default()
        };
        let choice = Recipe::parse(recipe).unwrap_or_else(|it| panic!("{it}")).adapter.unwrap();
        of_recipe(&choice, &linears, &parts)
    }

    #[test]
    fn targets_are_names_their_last_parts_or_globs() {
        let targets = |recipe: &str| adapter(recipe).unwrap().targets.len();
        assert_eq!(targets("[adapter]"), 6);
        assert_eq!(targets("adapter.target_modules = 'all-linear'"), 6);
        assert_eq!(targets("adapter.target_modules = ['query', 'value']"), 4);
        assert_eq!(targets("adapter.target_modules = 'layer.1.query'"), 1);
        assert_eq!(targets("adapter.target_modules = '*.layer.1.*'"), 3);
    }

    #[test]
    fn what_names_nothing_is_refused_with_the_nearest() {
        let refused = |recipe: &str| {
            let failure = adapter(recipe).unwrap_err();
            format!("{}: {}", failure.message, failure.cure.unwrap_or_default())
        };
        let wrong = refused("adapter.target_modules = ['querry']");
        assert!(wrong.contains("`querry`") && wrong.contains("nearest are query"), "{wrong}");
        let wrong = refused("adapter.modules_to_save = ['poler']");
        assert!(wrong.contains("`poler`"), "{wrong}");
        let wrong = refused("adapter.modules_to_save = ['layer.1']");
        assert!(wrong.contains("bert.encoder.layer.1.dense would have an adapter"), "{wrong}");
        let choice = Recipe::parse("[adapter]").unwrap().adapter.unwrap();
        let none = of_recipe(&choice, &BTreeSet::new(), &Parts::default()).unwrap_err();
        assert!(none.message.contains("none as torch.nn.Linear"), "{}", none.message);
    }

    #[test]
    fn the_head_is_saved_whole() {
        let saved = adapter("adapter.modules_to_save = ['embeddings']").unwrap().modules_to_save;
        assert_eq!(Vec::from_iter(saved), ["bert.pooler", "classifier", "embeddings"]);
    }
}
