//! Decides which linear maps of a model have an adapter, and what is saved whole beside it: names
//! of a recipe against those of a model, or against the adapter that the base brings.

use finetuned_job::glob;
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_job::plan::{AdapterFormPlan, AdapterPlan};
use finetuned_job::recipe::{AdapterChoice, AdapterForm, Recipe};
use finetuned_models::{Adapter, Checkpoint, Form, Parts, Ranks};
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
    let list = |it: &BTreeSet<String>| it.iter().cloned().collect::<Vec<String>>();
    let form = match &own.form {
        Form::LowRank(it) => AdapterForm::Lora {
            r: it.r as u32,
            lora_alpha: it.alpha,
            lora_dropout: it.dropout,
            use_rslora: it.rslora,
            use_dora: it.dora,
        },
        Form::Factors { feedforward } => {
            AdapterForm::Ia3 { feedforward_modules: list(feedforward) }
        }
    };
    if let Some(choice) = &recipe.adapter {
        check_same_form(&recipe, &choice.form, &form)?;
        let word = |biases: bool| if biases { "all" } else { "none" };
        check_same(&recipe, "bias", &word(choice.biases), &word(own.biases))?;
        return Ok(recipe);
    }
    let choice = AdapterChoice {
        form,
        target_modules: list(&own.targets),
        modules_to_save: list(&own.modules_to_save),
        biases: false,
    };
    recipe.on_adapter(choice).map_err(|err| {
        let message = format!("{}, and training goes on with that of model.base", err.message);
        Failure::new(FailureKind::Recipe, message).with_cure(
            "change the recipe, or make a whole model of both first, with peft's merge_and_unload",
        )
    })
}

fn check_same_form(recipe: &Recipe, asked: &AdapterForm, own: &AdapterForm) -> Result<(), Failure> {
    let kind = |it: &AdapterForm| match it {
        AdapterForm::Lora { .. } => "lora",
        AdapterForm::Ia3 { .. } => "ia3",
    };
    check_same(recipe, "peft_type", &kind(asked), &kind(own))?;
    let AdapterForm::Lora { r, lora_alpha, lora_dropout, use_rslora, use_dora } = asked else {
        return Ok(());
    };
    let AdapterForm::Lora {
        r: own_r,
        lora_alpha: own_alpha,
        lora_dropout: own_dropout,
        use_rslora: own_rslora,
        use_dora: own_dora,
    } = own
    else {
        // Whoever names a number of LoRA means LoRA.
        let key = ["r", "lora_alpha", "lora_dropout", "use_rslora", "use_dora"]
            .into_iter()
            .find(|it| recipe.asked.contains(&format!("adapter.{it}")));
        return key.map_or(Ok(()), |key| check_same(recipe, key, &"a key of lora", &"ia3"));
    };
    check_same(recipe, "r", r, own_r)?;
    check_same(recipe, "lora_alpha", lora_alpha, own_alpha)?;
    check_same(recipe, "lora_dropout", lora_dropout, own_dropout)?;
    check_same(recipe, "use_rslora", use_rslora, own_rslora)?;
    check_same(recipe, "use_dora", use_dora, own_dora)
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

/// An adapter that is left as one keeps no tensor whole that body and head share: peft parts the
/// two, and its model would be another. Nor does it keep a module within another, which peft can't
/// read.
///
/// # Errors
/// It does.
pub(crate) fn check_left(adapter: &Adapter, parts: &Parts) -> Result<(), Failure> {
    for tensor in parts.stages().flatten() {
        let mut saved = adapter.saved_modules(tensor);
        if let (Some(outer), Some(inner)) = (saved.next(), saved.next()) {
            let message = format!(
                "save.adapter leaves the adapter as peft reads it, but adapter.modules_to_save names {inner} within {outer}, which peft does not find again"
            );
            return Err(Failure::new(FailureKind::Recipe, message)
                .with_cure("name one of them only; the head is saved anyway"));
        }
    }
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
    let there = own.modules_to_save.iter().filter(|it| is_there(it));
    let modules_to_save: BTreeSet<String> = there.chain(&head).cloned().collect();
    let adapter = Adapter { modules_to_save, ..own.clone() };
    if let Some(choice) = &recipe.adapter {
        let named = |it: &&String| choice.target_modules.iter().any(|name| is_named(it, name));
        let all = choice.target_modules.is_empty();
        let asked: BTreeSet<String> =
            linears.iter().filter(|it| all || named(it)).cloned().collect();
        check_same(recipe, "target_modules", &asked, &own.targets)?;
        if let (AdapterForm::Ia3 { feedforward_modules: named }, Form::Factors { feedforward }) =
            (&choice.form, &own.form)
        {
            let is_asked = |it: &&String| named.iter().any(|name| is_named(it, name));
            let asked = own.targets.iter().filter(is_asked).cloned().collect();
            check_same(recipe, "feedforward_modules", &asked, feedforward)?;
        }
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

/// What peft gives factors by default, and those of it whose inputs have them: of models by their
/// names, where peft has such, and by analogy of those whose linear maps are called so.
type Usual = (&'static [&'static str], &'static [&'static str], &'static [&'static str]);
const USUAL: &[Usual] = &[
    (&["bert", "roberta"], &["key", "value", "output.dense"], &["output.dense"]),
    (&["deberta-v2"], &["key_proj", "value_proj", "output.dense"], &["output.dense"]),
    (&["llama", "mistral"], &["k_proj", "v_proj", "down_proj"], &["down_proj"]),
    (&["qwen2", "qwen3", "gemma3_text"], &["q_proj", "v_proj", "down_proj"], &["down_proj"]),
    (&[], &["attn.k", "attn.v", "output.dense"], &["output.dense"]),
    (&[], &["k_lin", "v_lin", "lin2"], &["lin2"]),
    (&[], &["Wqkv", "mlp.Wo"], &["mlp.Wo"]),
    (&[], &["key", "value", "mlp.fc2"], &["mlp.fc2"]),
    (&[], &["key", "value", "weights_out"], &["weights_out"]),
    (&[], &["key", "value", "output.dense"], &["output.dense"]),
    (&[], &["qkv", "mlp.fc2"], &["mlp.fc2"]),
];

/// # Errors
/// A model of which nobody has decided it.
fn usual(architecture: &str, linears: &BTreeSet<String>) -> Result<&'static Usual, Failure> {
    let by_name = USUAL.iter().find(|it| it.0.contains(&architecture));
    let fits = |it: &&Usual| {
        let there = |name: &&str| linears.iter().any(|linear| is_named(linear, name));
        it.0.is_empty() && it.1.iter().all(there)
    };
    by_name.or_else(|| USUAL.iter().find(fits)).ok_or_else(|| {
        let message = format!(
            "adapter.peft_type is `ia3`, but which linear maps of a {architecture} have factors by default is not known"
        );
        Failure::new(FailureKind::Recipe, message)
            .with_cure("name them: adapter.target_modules, and adapter.feedforward_modules of those")
    })
}

/// `linears`: those of the body.
///
/// # Errors
/// A model without linear maps, names that name nothing in it.
pub(crate) fn of_recipe(
    choice: &AdapterChoice,
    architecture: &str,
    linears: &BTreeSet<String>,
    parts: &Parts,
) -> Result<Adapter, Failure> {
    if linears.is_empty() {
        let message = "the recipe has an [adapter], which stands beside linear maps, but the body of this base model has none as torch.nn.Linear has them";
        return Err(Failure::new(FailureKind::Recipe, message).with_cure(
            "leave [adapter] out of the recipe, or set model.base to BERT's, Llama's or ViT's kin",
        ));
    }
    let (form, targets) = fitted(choice, architecture, linears)?;
    let mut adapter =
        Adapter { form, targets, modules_to_save: BTreeSet::new(), biases: choice.biases };
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

/// The form of the recipe, and the linear maps that have it.
fn fitted(
    choice: &AdapterChoice,
    architecture: &str,
    linears: &BTreeSet<String>,
) -> Result<(Form, BTreeSet<String>), Failure> {
    let asked = &choice.target_modules;
    match &choice.form {
        AdapterForm::Lora { r, lora_alpha, lora_dropout, use_rslora, use_dora } => {
            let ranks = Ranks {
                r: i64::from(*r),
                alpha: *lora_alpha,
                dropout: *lora_dropout,
                rslora: *use_rslora,
                dora: *use_dora,
            };
            let targets = match asked.is_empty() {
                true => linears.clone(),
                false => named("target_modules", asked, linears)?,
            };
            Ok((Form::LowRank(ranks), targets))
        }
        AdapterForm::Ia3 { feedforward_modules } => {
            let words = |it: &[&str]| it.iter().map(|it| it.to_string()).collect::<Vec<String>>();
            let targets = match asked.is_empty() {
                true => words(usual(architecture, linears)?.1),
                false => asked.clone(),
            };
            let targets = named("target_modules", &targets, linears)?;
            let feedforward = match feedforward_modules.is_empty() {
                true => {
                    let usual = words(usual(architecture, linears)?.2);
                    let is_usual = |it: &&String| usual.iter().any(|name| is_named(it, name));
                    targets.iter().filter(is_usual).cloned().collect()
                }
                false => named("feedforward_modules", feedforward_modules, &targets)?,
            };
            Ok((Form::Factors { feedforward }, targets))
        }
    }
}

/// The linear maps that these name, each of which must name one.
fn named(
    key: &str,
    names: &[String],
    linears: &BTreeSet<String>,
) -> Result<BTreeSet<String>, Failure> {
    let mut all = BTreeSet::new();
    for name in names {
        let before = all.len();
        all.extend(linears.iter().filter(|it| is_named(it, name)).cloned());
        if before == all.len() && !linears.iter().any(|it| is_named(it, name)) {
            return Err(no_target(key, name, linears));
        }
    }
    Ok(all)
}

/// By its whole name, the last parts of it, or a glob.
fn is_named(linear: &str, target: &str) -> bool {
    let ends = linear.strip_suffix(target).is_some_and(|it| it.is_empty() || it.ends_with('.'));
    ends || glob::matches(target, linear)
}

fn no_target(key: &str, target: &str, linears: &BTreeSet<String>) -> Failure {
    /// More would hide the message that they stand in.
    const SHOWN: usize = 6;
    let ends: BTreeSet<&str> = linears.iter().filter_map(|it| it.rsplit('.').next()).collect();
    let mut nearest: Vec<&str> = ends.into_iter().collect();
    let alike = |it: &&str| (strsim::jaro_winkler(target, it) * -1e6) as i64;
    nearest.sort_by_key(alike);
    nearest.truncate(SHOWN);
    let among = if key == "target_modules" { "the model's body" } else { "the targets" };
    let message =
        format!("adapter.{key} has `{target}`, but no linear map of {among} is called so");
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
        form: match &adapter.form {
            Form::LowRank(it) => AdapterFormPlan::Lora {
                r: it.r,
                lora_alpha: it.alpha,
                lora_dropout: it.dropout,
                use_rslora: it.rslora,
                use_dora: it.dora,
            },
            Form::Factors { feedforward } => {
                AdapterFormPlan::Ia3 { feedforward_modules: feedforward.clone() }
            }
        },
        target_modules: adapter.targets.clone(),
        modules_to_save: adapter.modules_to_save.clone(),
        biases: adapter.biases,
    }
}

pub(crate) fn of_plan(plan: &AdapterPlan) -> Adapter {
    Adapter {
        form: match &plan.form {
            AdapterFormPlan::Lora { r, lora_alpha, lora_dropout, use_rslora, use_dora } => {
                Form::LowRank(Ranks {
                    r: *r,
                    alpha: *lora_alpha,
                    dropout: *lora_dropout,
                    rslora: *use_rslora,
                    dora: *use_dora,
                })
            }
            AdapterFormPlan::Ia3 { feedforward_modules } => {
                Form::Factors { feedforward: feedforward_modules.clone() }
            }
        },
        targets: plan.target_modules.clone(),
        modules_to_save: plan.modules_to_save.clone(),
        biases: plan.biases,
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
        of_recipe(&choice, "bert", &linears, &parts)
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
        let none = of_recipe(&choice, "resnet50", &BTreeSet::new(), &Parts::default()).unwrap_err();
        assert!(none.message.contains("none as torch.nn.Linear"), "{}", none.message);
    }

    #[test]
    fn factors_stand_where_peft_has_them() {
        let of = |architecture: &str, linears: &[&str]| {
            let linears = linears.iter().map(|it| format!("layer.0.{it}")).collect();
            let choice = Recipe::parse("adapter.peft_type = 'ia3'").unwrap().adapter.unwrap();
            let found = fitted(&choice, architecture, &linears).map_err(|it| it.message)?;
            let Form::Factors { feedforward } = found.0 else { panic!("no factors") };
            let ends = |all: BTreeSet<String>| {
                let end = |it: &String| it.trim_start_matches("layer.0.").to_string();
                all.iter().map(end).collect::<Vec<String>>().join(" ")
            };
            Ok::<_, String>((ends(found.1), ends(feedforward)))
        };
        let is = |targets: &str, feedforward: &str| {
            Ok::<_, String>((targets.to_string(), feedforward.to_string()))
        };
        let bert = [
            "attention.self.query",
            "attention.self.key",
            "attention.self.value",
            "attention.output.dense",
            "intermediate.dense",
            "output.dense",
        ];
        let both = "attention.output.dense output.dense";
        let all = "attention.output.dense attention.self.key attention.self.value output.dense";
        for name in ["bert", "roberta", "electra", "xlm-roberta"] {
            assert_eq!(of(name, &bert), is(all, both));
        }
        let llama = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "down_proj"];
        assert_eq!(of("llama", &llama), is("down_proj k_proj v_proj", "down_proj"));
        assert_eq!(of("qwen3", &llama), is("down_proj q_proj v_proj", "down_proj"));
        let timm = ["attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"];
        assert_eq!(of("vit_base_patch16_224", &timm), is("attn.qkv mlp.fc2", "mlp.fc2"));
        let modern = ["attn.Wqkv", "attn.Wo", "mlp.Wi", "mlp.Wo"];
        assert_eq!(of("modernbert", &modern), is("attn.Wqkv mlp.Wo", "mlp.Wo"));
        assert!(of("other", &["a", "b"]).unwrap_err().contains("by default is not known"));

        let choice = |recipe: &str| Recipe::parse(recipe).unwrap().adapter.unwrap();
        let linears: BTreeSet<String> = bert.map(String::from).into();
        let own = choice(
            "[adapter]\npeft_type = 'ia3'\ntarget_modules = ['query']\nfeedforward_modules = ['dense']",
        );
        let wrong = fitted(&own, "bert", &linears).unwrap_err().message;
        assert!(wrong.contains("adapter.feedforward_modules has `dense`"), "{wrong}");
    }

    #[test]
    fn the_head_is_saved_whole() {
        let saved = adapter("adapter.modules_to_save = ['embeddings']").unwrap().modules_to_save;
        assert_eq!(Vec::from_iter(saved), ["bert.pooler", "classifier", "embeddings"]);
    }
}
