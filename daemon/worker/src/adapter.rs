//! Decides which linear maps of a model have an adapter, and what is saved whole beside it: names
//! of a recipe against those of a model, or against the adapter that the base brings.

use finetuned_job::glob;
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_job::plan::AdapterPlan;
use finetuned_job::recipe::{AdapterChoice, Recipe};
use finetuned_models::{Adapter, Checkpoint, Parts};
use std::collections::BTreeSet;

/// A recipe, once it is known whether the base brings an adapter: training then goes on with that.
///
/// # Errors
/// The recipe asks for another one, or for what no adapter can have or none is there for.
pub(crate) fn recipe_on(recipe: Recipe, base: &Checkpoint) -> Result<Recipe, Failure> {
    let Some(folder) = base.adapter() else {
        if recipe.save.adapter && recipe.adapter.is_none() {
            let message = "save.adapter leaves an adapter as one, but the recipe has no [adapter], and model.base brings none";
            return Err(Failure::new(FailureKind::Recipe, message)
                .with_cure("leave it out of the recipe, or add an [adapter]"));
        }
        return Ok(recipe);
    };
    let own = folder.adapter();
    if let Some(choice) = &recipe.adapter {
        let r = i64::from(choice.r);
        check_same(&recipe, "r", &r, &own.r)?;
        check_same(&recipe, "lora_alpha", &choice.lora_alpha, &own.alpha)?;
        check_same(&recipe, "lora_dropout", &choice.lora_dropout, &own.dropout)?;
        check_same(&recipe, "use_rslora", &choice.use_rslora, &own.rslora)?;
        check_same(&recipe, "use_dora", &choice.use_dora, &own.dora)?;
        return Ok(recipe);
    }
    let choice = AdapterChoice {
        r: own.r as u32,
        lora_alpha: own.alpha,
        lora_dropout: own.dropout,
        target_modules: own.targets.iter().cloned().collect(),
        use_rslora: own.rslora,
        use_dora: own.dora,
        modules_to_save: own.modules_to_save.iter().cloned().collect(),
    };
    recipe.on_adapter(choice).map_err(|err| {
        let message = format!("{}, and training goes on with that of model.base", err.message);
        Failure::new(FailureKind::Recipe, message).with_cure(
            "change the recipe, or make a whole model of both first, with peft's merge_and_unload",
        )
    })
}

/// What a recipe says itself is what the base's adapter has.
fn check_same<T: PartialEq + std::fmt::Debug>(
    recipe: &Recipe,
    key: &str,
    asked: &T,
    own: &T,
) -> Result<(), Failure> {
    if asked == own || !recipe.asked.contains(&format!("adapter.{key}")) {
        return Ok(());
    }
    let message = format!(
        "adapter.{key} is {asked:?}, but the adapter that training goes on with, that of model.base, has {own:?}"
    );
    Err(Failure::new(FailureKind::Recipe, message).with_cure(
        "leave it out of the recipe, or name the adapter's own base as model.base to begin a new one",
    ))
}

/// An adapter that is left as one keeps no tensor whole that body and head share: peft parts the two,
/// and its model would be another.
///
/// # Errors
/// It does.
pub(crate) fn check_left(adapter: &Adapter, parts: &Parts) -> Result<(), Failure> {
    let Some((shared, _)) = parts.shared_with_body().find(|it| adapter.saves(&it.0)) else {
        return Ok(());
    };
    let message = format!(
        "save.adapter leaves the adapter as peft reads it, but adapter.modules_to_save names {shared}, which is the head's too, and peft would train and keep the two apart"
    );
    Err(Failure::new(FailureKind::Recipe, message).with_cure("leave one of them out of the recipe"))
}

/// The adapter that the base brings, under the head that this model has. `linears`: those of the
/// body.
///
/// # Errors
/// The recipe names other linear maps or modules.
pub(crate) fn of_base(
    own: &Adapter,
    recipe: &Recipe,
    linears: &BTreeSet<String>,
    parts: &Parts,
) -> Result<Adapter, Failure> {
    let head = head_modules(parts);
    let is_there = |module: &String| {
        let only = Adapter { modules_to_save: [module.clone()].into(), ..own.clone() };
        parts.stages().flatten().any(|it| only.saves(it))
    };
    let kept = own.modules_to_save.iter().filter(|it| is_there(it));
    let modules_to_save: BTreeSet<String> = kept.chain(&head).cloned().collect();
    let adapter = Adapter { modules_to_save, ..own.clone() };
    if let Some(choice) = &recipe.adapter {
        let named = |it: &&String| choice.target_modules.iter().any(|name| is_named(it, name));
        let all = choice.target_modules.is_empty();
        let asked: BTreeSet<String> =
            linears.iter().filter(|it| all || named(it)).cloned().collect();
        check_same(recipe, "target_modules", &asked, &own.targets)?;
        // Of the body; the head is saved anyway.
        let saved = |modules: &BTreeSet<String>| {
            let only = Adapter { modules_to_save: modules.clone(), ..own.clone() };
            let body = parts.stages().take(1 + parts.layers.len()).flatten();
            body.filter(|it| only.saves(it)).cloned().collect::<BTreeSet<String>>()
        };
        let asked = choice.modules_to_save.iter().cloned().collect();
        if saved(&asked) != saved(&own.modules_to_save) {
            check_same(recipe, "modules_to_save", &asked, &own.modules_to_save)?;
        }
    }
    Ok(adapter)
}

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
