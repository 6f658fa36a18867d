//! The second stage of a recipe: every value judged, strings become enums, and what only a plugin
//! can give is asked for only where plugins are loaded.

use super::grpo;
use super::limits::{Wrong, above_0, at_least, from_to, share, within, wrong};
use super::raw::{
    Raw, RawAdapter, RawAugment, RawData, RawEval, RawFreeze, RawModel, RawPlugins, RawSave,
    RawTrain,
};
use super::*;

pub(super) fn checked(raw: Raw) -> Result<Recipe, Wrong> {
    let task = match raw.task {
        None => None,
        Some(name) => match Task::named(&name) {
            Some(task) => Some(task),
            None => {
                let known: Vec<&str> = Task::all().map(|it| it.name).collect();
                let near = || readable::suggestion(&name, &known);
                let hint = foreign::task(&name).unwrap_or_else(near);
                let known = known.join(", ");
                return wrong("task", format!("`{name}` is no task{hint}; there are {known}"));
            }
        },
    };
    let plugins = plugins(raw.plugins.unwrap_or_default())?;
    let with_plugins = !plugins.load.is_empty();
    let priority = raw.job.and_then(|it| it.priority);
    let (least, most) = (*PRIORITIES.start(), *PRIORITIES.end());
    let recipe = Recipe {
        priority: priority.map(|it| from_to("job.priority", it, least, most)).transpose()?,
        task,
        model: model(raw.model.unwrap_or_default())?,
        freeze: freeze(raw.freeze.unwrap_or_default())?,
        adapter: raw.adapter.map(adapter).transpose()?,
        data: data(raw.data.unwrap_or_default())?,
        augment: augment(raw.augment.unwrap_or_default())?,
        train: train(raw.train.unwrap_or_default())?,
        grpo: raw.grpo.map(grpo::grpo).transpose()?,
        rewards: grpo::rewards(raw.reward.unwrap_or_default())?,
        eval: eval(raw.eval.unwrap_or_default(), with_plugins)?,
        save: save(raw.save.unwrap_or_default())?,
        plugins,
        asked: BTreeSet::new(),
    };
    without_plugins(&recipe)?;
    with_adapter(&recipe)?;
    Ok(recipe)
}

/// What only a plugin can give is asked for, and none is loaded: refused before anything is read.
fn without_plugins(recipe: &Recipe) -> Result<(), Wrong> {
    if !recipe.plugins.load.is_empty() {
        return Ok(());
    }
    let none = |field, name: &str, ours: &str| {
        wrong(field, format!("`{name}` is not known; {ours}, and a plugin's wants `plugins.load`"))
    };
    if let Head::Plugin(name) = &recipe.model.head {
        return none("model.head", name, "`linear` is the model's own head");
    }
    if let Some(name) = &recipe.train.loss {
        let ours = "without this key the loss suits the task; of answers that are compared it is dpo, ipo, kto, orpo or simpo";
        return none("train.loss", name, ours);
    }
    if let Some(name) = recipe.train.hooks.first() {
        return none("train.hooks", name, "all hooks are plugins'");
    }
    if let Some(name) = &recipe.data.reader {
        return none("data.reader", name, "without this key the format is recognised");
    }
    grpo::without_plugins(&recipe.rewards)?;
    match &recipe.augment.plugin {
        Some(name) => none("augment.plugin", name, "all of these are plugins'"),
        None => Ok(()),
    }
}

/// What an adapter rules out, or asks for. That the base may bring one is left to whoever opens it.
pub(super) fn with_adapter(recipe: &Recipe) -> Result<(), Wrong> {
    match &recipe.adapter {
        Some(_) if recipe.train.method == Method::Probe => wrong(
            "train.method",
            "is `probe`, where nothing but a head learns, but the recipe has an [adapter]: leave one of them out",
        ),
        None if recipe.save.adapter && recipe.model.base.is_none() => {
            wrong("save.adapter", "leaves an adapter as one, but the recipe has no [adapter]")
        }
        Some(it) if recipe.save.adapter && it.biases => wrong(
            "adapter.bias",
            "is `all`, but save.adapter leaves the adapter beside a base whose biases stay as they are: leave one of them out",
        ),
        Some(_) if recipe.save.adapter && recipe.model.head != Head::Linear => wrong(
            "save.adapter",
            "leaves an adapter as peft reads it, which a plugin's head has no place in: leave one of them out",
        ),
        _ if recipe.save.adapter && recipe.save.gguf.is_some() => wrong(
            "save.gguf",
            "writes a whole model, but save.adapter leaves the adapter beside its base: leave one of them out",
        ),
        _ => Ok(()),
    }
}

fn adapter(raw: RawAdapter) -> Result<AdapterChoice, Wrong> {
    /// Of the low-rank factors.
    const R_DEFAULT: u32 = 16;
    /// No linear map is so wide.
    const R_MAX: u32 = 65_536;
    /// What peft calls all linear maps but those of the head.
    const ALL: &str = "all-linear";
    /// A glob of them.
    const ANY: &str = "*";
    let all = raw.target_modules.iter().any(|it| it == ALL);
    let modules_to_save = raw.modules_to_save.unwrap_or_default();
    let biases = match raw.bias.as_deref() {
        None | Some("none") => false,
        Some("all") => true,
        Some(other) => {
            return wrong("adapter.bias", format!("is `{other}`, but must be none or all"));
        }
    };
    match raw.peft_type.as_deref() {
        None | Some("lora") => {}
        Some("ia3") => {
            let of_lora = [
                ("adapter.r", raw.r.is_some()),
                ("adapter.lora_alpha", raw.lora_alpha.is_some()),
                ("adapter.lora_dropout", raw.lora_dropout.is_some()),
                ("adapter.use_rslora", raw.use_rslora.is_some()),
                ("adapter.use_dora", raw.use_dora.is_some()),
            ];
            if let Some((key, _)) = of_lora.into_iter().find(|it| it.1) {
                let message =
                    "is a key of LoRA, but adapter.peft_type is `ia3`: leave one of them out";
                return wrong(key, message);
            }
            let feedforward_modules = raw.feedforward_modules;
            return Ok(AdapterChoice {
                form: AdapterForm::Ia3 { feedforward_modules },
                target_modules: if all { vec![ANY.into()] } else { raw.target_modules },
                modules_to_save,
                biases,
            });
        }
        Some(other) => {
            return wrong("adapter.peft_type", format!("is `{other}`, but must be lora or ia3"));
        }
    }
    if !raw.feedforward_modules.is_empty() {
        let message = "is a key of (IA)³: set adapter.peft_type to `ia3`, or leave it out";
        return wrong("adapter.feedforward_modules", message);
    }
    let r = from_to("adapter.r", raw.r.unwrap_or(R_DEFAULT), 1, R_MAX)?;
    let lora_alpha = raw.lora_alpha.unwrap_or(2.0 * f64::from(r));
    let dropout = raw.lora_dropout.unwrap_or(0.0);
    Ok(AdapterChoice {
        form: AdapterForm::Lora {
            r,
            lora_alpha: above_0("adapter.lora_alpha", lora_alpha)?,
            lora_dropout: within("adapter.lora_dropout", dropout, 0.0..0.95)?,
            use_rslora: raw.use_rslora.unwrap_or(false),
            use_dora: raw.use_dora.unwrap_or(false),
        },
        target_modules: if all { Vec::new() } else { raw.target_modules },
        modules_to_save,
        biases,
    })
}

fn model(raw: RawModel) -> Result<ModelChoice, Wrong> {
    /// Below, no model of the zoo has a pixel left before its head.
    const IMAGE_SIZE_MIN: u32 = 16;
    Ok(ModelChoice {
        base: raw.base,
        head: raw.head.unwrap_or_else(|| "linear".into()).into(),
        image_size: raw
            .image_size
            .map(|it| from_to("model.image_size", it, IMAGE_SIZE_MIN, 16_384))
            .transpose()?,
        dropout: raw.dropout.map(|p| within("model.dropout", p, 0.0..0.95)).transpose()?,
        attention_dropout: within(
            "model.attention_dropout",
            raw.attention_dropout.unwrap_or(0.0),
            0.0..0.95,
        )?,
        dtype: dtype(raw.dtype.as_deref())?,
    })
}

fn data(raw: RawData) -> Result<DataChoice, Wrong> {
    if raw.label.is_some() && raw.labels.is_some() {
        return wrong("data.labels", "and data.label say the same thing: give one of them");
    }
    let labels = raw.labels.unwrap_or_default();
    for (field, names) in [("data.text", &raw.text), ("data.labels", &labels)] {
        if (1..names.len()).any(|it| names[..it].contains(&names[it])) {
            return wrong(field, "names a column twice");
        }
    }
    let data = DataChoice {
        text: raw.text,
        label: raw.label,
        image: raw.image,
        labels,
        reader: raw.reader,
        validation: raw.validation.map(|it| within("data.validation", it, 0.0..0.9)).transpose()?,
        test: within("data.test", raw.test.unwrap_or(0.0), 0.0..0.9)?,
        max_tokens: match raw.max_tokens {
            Some(n) if n < 4 => return wrong("data.max_tokens", "must be at least 4"),
            Some(n) if 1_000_000 < n => {
                return wrong("data.max_tokens", "must be at most 1000000");
            }
            n => n,
        },
        split_special_tokens: raw.split_special_tokens.unwrap_or(true),
    };
    if 0.95 < data.validation.unwrap_or(0.0) + data.test {
        return wrong("data.validation", "and data.test leave too little to train on");
    }
    Ok(data)
}

fn augment(raw: RawAugment) -> Result<AugmentChoice, Wrong> {
    let part = |field, value: Option<f64>| {
        value.map(|it| within(field, it, 0.0..1.0 + f64::EPSILON)).transpose()
    };
    let alpha =
        |field, value: Option<f64>| value.map(|it| within(field, it, 0.0..100.0)).transpose();
    let crop = match raw.crop {
        Some([low, high]) if !(0.0 < low && low <= high && high <= 1.0) => {
            return wrong(
                "augment.crop",
                format!("is [{low}, {high}], but must be a range above 0 and at most 1"),
            );
        }
        crop => crop,
    };
    Ok(AugmentChoice {
        preset: match raw.preset.as_deref() {
            None => None,
            Some("none") => Some(Preset::None),
            Some("light") => Some(Preset::Light),
            Some("strong") => Some(Preset::Strong),
            Some(other) => {
                return wrong(
                    "augment.preset",
                    format!("is `{other}`, but must be none, light or strong"),
                );
            }
        },
        crop,
        horizontal_flip: part("augment.horizontal_flip", raw.horizontal_flip)?,
        vertical_flip: part("augment.vertical_flip", raw.vertical_flip)?,
        erasing: part("augment.erasing", raw.erasing)?,
        brightness: part("augment.brightness", raw.brightness)?,
        contrast: part("augment.contrast", raw.contrast)?,
        saturation: part("augment.saturation", raw.saturation)?,
        hue: raw.hue.map(|it| within("augment.hue", it, 0.0..0.5 + f64::EPSILON)).transpose()?,
        mixup: alpha("augment.mixup", raw.mixup)?,
        cutmix: alpha("augment.cutmix", raw.cutmix)?,
        plugin: raw.plugin,
    })
}

fn plugins(raw: RawPlugins) -> Result<PluginChoice, Wrong> {
    let mut settings = BTreeMap::new();
    for (name, table) in raw.settings.unwrap_or_default() {
        let Ok(json) = serde_json::to_value(&table) else {
            return wrong(
                "plugins.settings",
                format!("of {name} can't be passed on: a plugin is given JSON, which has no dates"),
            );
        };
        settings.insert(name, json);
    }
    Ok(PluginChoice { load: raw.load.unwrap_or_default(), settings })
}

fn freeze(raw: RawFreeze) -> Result<Freeze, Wrong> {
    let patterns = |field, list: Vec<String>| {
        list.into_iter()
            .map(|it| Pattern::try_from(it).or_else(|why| wrong(field, format!("has {why}"))))
            .collect::<Result<Vec<_>, _>>()
    };
    let train = patterns("freeze.train", raw.train.unwrap_or_else(|| vec!["all".into()]))?;
    if train.is_empty() {
        return wrong("freeze.train", "names nothing, so nothing would be trained");
    }
    let mut unfreeze = Vec::new();
    for it in raw.unfreeze.unwrap_or_default() {
        let epoch = at_least("freeze.unfreeze", it.epoch, 2)?;
        unfreeze.push(Unfreeze { epoch, train: patterns("freeze.unfreeze", it.train)? });
    }
    unfreeze.sort_by_key(|it| it.epoch);
    if let Some(layer_decay) = raw.layer_decay
        && !(0.0 < layer_decay && layer_decay <= 1.0)
    {
        return wrong(
            "freeze.layer_decay",
            format!("is {layer_decay}, but must be above 0 and at most 1"),
        );
    }
    Ok(Freeze {
        train,
        unfreeze,
        layer_decay: raw.layer_decay,
        statistics: raw.statistics,
        cache: raw.cache.unwrap_or(true),
    })
}

fn train(raw: RawTrain) -> Result<TrainChoice, Wrong> {
    let rate = |field, rate: Option<f64>| match rate {
        Some(lr) if !(lr.is_finite() && 0.0 < lr && lr <= 10.0) => {
            wrong(field, format!("is {lr}, but must be above 0 and at most 10"))
        }
        rate => Ok(rate),
    };
    let count = |field, n: Option<u32>, most| n.map(|it| from_to(field, it, 1, most)).transpose();
    let clip = match raw.clip.unwrap_or(1.0) {
        0.0 => None,
        clip if clip.is_finite() && 0.0 < clip => Some(clip),
        clip => {
            return wrong(
                "train.clip",
                format!("is {clip}, but must be above 0 (or 0: no clipping)"),
            );
        }
    };
    Ok(TrainChoice {
        method: method(raw.method.as_deref())?,
        epochs: count("train.epochs", raw.epochs, 100_000)?,
        batch: count("train.batch", raw.batch, 65_536)?,
        accumulate: count("train.accumulate", raw.accumulate, 65_536)?,
        lr: rate("train.lr", raw.lr)?,
        head_lr: rate("train.head_lr", raw.head_lr)?,
        optimizer: optimizer(&raw)?,
        weight_decay: within("train.weight_decay", raw.weight_decay.unwrap_or(0.01), 0.0..1.0)?,
        schedule: match raw.schedule.as_deref() {
            None | Some("linear") => Schedule::Linear,
            Some("cosine") => Schedule::Cosine,
            Some("constant") => Schedule::Constant,
            Some(other) => {
                return wrong(
                    "train.schedule",
                    format!("is `{other}`, but must be linear, cosine or constant"),
                );
            }
        },
        warmup: raw.warmup.map(|it| within("train.warmup", it, 0.0..1.0)).transpose()?,
        clip,
        label_smoothing: within(
            "train.label_smoothing",
            raw.label_smoothing.unwrap_or(0.0),
            0.0..0.95,
        )?,
        class_weights: match raw.class_weights.as_deref() {
            None => None,
            Some("none") => Some(ClassWeights::None),
            Some("auto") => Some(ClassWeights::Auto),
            Some(other) => {
                return wrong(
                    "train.class_weights",
                    format!("is `{other}`, but must be none or auto"),
                );
            }
        },
        patience: raw.patience,
        refit: raw.refit,
        wise_ft: raw.wise_ft.map(|it| share("train.wise_ft", it)).transpose()?,
        preference: raw.loss.as_deref().and_then(PreferenceLoss::named),
        loss: raw.loss.filter(|it| PreferenceLoss::named(it).is_none()),
        beta: raw.beta.map(|it| above_0("train.beta", it)).transpose()?,
        gamma: raw.gamma.map(|it| within("train.gamma", it, 0.0..100.0)).transpose()?,
        hooks: raw.hooks.unwrap_or_default(),
        gradient_checkpointing: raw.gradient_checkpointing,
        precision: precision(raw.precision.as_deref())?,
        on: raw.on.as_deref().map(learnt_turns).transpose()?,
        seed: raw.seed.unwrap_or(0),
    })
}

fn method(name: Option<&str>) -> Result<Method, Wrong> {
    match name {
        None | Some("auto") => Ok(Method::Auto),
        Some("full") => Ok(Method::Full),
        Some("probe") => Ok(Method::Probe),
        Some(other) => {
            wrong("train.method", format!("is `{other}`, but must be auto, full or probe"))
        }
    }
}

fn learnt_turns(name: &str) -> Result<LearntTurns, Wrong> {
    match name {
        "assistant" => Ok(LearntTurns::Assistant),
        "completions" => Ok(LearntTurns::Completions),
        "all" => Ok(LearntTurns::All),
        other => {
            wrong("train.on", format!("is `{other}`, but must be assistant, completions or all"))
        }
    }
}

fn dtype(name: Option<&str>) -> Result<Dtype, Wrong> {
    match name {
        None | Some("auto") => Ok(Dtype::Auto),
        Some("fp32") => Ok(Dtype::Fp32),
        Some("bf16") => Ok(Dtype::Bf16),
        Some(other) => {
            wrong("model.dtype", format!("is `{other}`, but must be auto, fp32 or bf16"))
        }
    }
}

fn precision(name: Option<&str>) -> Result<Precision, Wrong> {
    match name {
        None | Some("auto") => Ok(Precision::Auto),
        Some("fp32") => Ok(Precision::Fp32),
        Some("bf16") => Ok(Precision::Bf16),
        Some(other) => {
            wrong("train.precision", format!("is `{other}`, but must be auto, fp32 or bf16"))
        }
    }
}

fn optimizer(raw: &RawTrain) -> Result<Optimizer, Wrong> {
    let beta = |it: f64| within("train.betas", it, 0.0..1.0);
    let (b1, b2) = raw.betas.unwrap_or((0.9, 0.999));
    let betas = (beta(b1)?, beta(b2)?);
    let eps = raw.eps.unwrap_or(1e-8);
    if !(eps.is_finite() && 0.0 < eps) {
        return wrong("train.eps", format!("is {eps}, but must be above 0"));
    }
    let name = raw.optimizer.as_deref().unwrap_or("adamw");
    if name != "sgd" && (raw.momentum.is_some() || raw.nesterov.is_some()) {
        return wrong("train.momentum", format!("and train.nesterov belong to sgd, not to {name}"));
    }
    if name == "sgd" && (raw.betas.is_some() || raw.eps.is_some()) {
        return wrong("train.betas", "and train.eps belong to adamw and adam, not to sgd");
    }
    let momentum = within("train.momentum", raw.momentum.unwrap_or(0.9), 0.0..1.0)?;
    let nesterov = raw.nesterov.unwrap_or(false);
    if nesterov && momentum == 0.0 {
        return wrong("train.nesterov", "wants a momentum above 0");
    }
    match name {
        "adamw" => Ok(Optimizer::AdamW { betas, eps }),
        "adam" => Ok(Optimizer::Adam { betas, eps }),
        "sgd" => Ok(Optimizer::Sgd { momentum, nesterov }),
        other => wrong("train.optimizer", format!("is `{other}`, but must be adamw, adam or sgd")),
    }
}

fn eval(raw: RawEval, with_plugins: bool) -> Result<EvalChoice, Wrong> {
    let names = Task::all_metrics();
    let known = |field, name: &String| {
        if with_plugins || names.contains(&name.as_str()) {
            return Ok(());
        }
        wrong(
            field,
            format!(
                "names `{name}`, which is no metric{}; there are {}",
                readable::suggestion(name, &names),
                names.join(", ")
            ),
        )
    };
    let metrics = raw.metrics.unwrap_or_default();
    metrics.iter().try_for_each(|it| known("eval.metrics", it))?;
    raw.best.iter().try_for_each(|it| known("eval.best", it))?;
    let every_steps = raw.every_steps.map(|it| at_least("eval.every_steps", it, 1)).transpose()?;
    Ok(EvalChoice { metrics, best: raw.best, every_steps, tune_thresholds: raw.tune_thresholds })
}

fn save(raw: RawSave) -> Result<SaveChoice, Wrong> {
    /// Work that a crash may cost when the recipe is silent.
    const MINUTES_DEFAULT: f64 = 5.0;
    let minutes = match raw.every_minutes.unwrap_or(MINUTES_DEFAULT) {
        0.0 => None,
        it if it.is_finite() && 0.0 < it => Some(it),
        it => {
            return wrong(
                "save.every_minutes",
                format!("is {it}, but must be above 0 (or 0: never)"),
            );
        }
    };
    Ok(SaveChoice {
        every_steps: raw.every_steps.map(|it| at_least("save.every_steps", it, 1)).transpose()?,
        every_epochs: Some(at_least("save.every_epochs", raw.every_epochs.unwrap_or(1), 1)?),
        every_minutes: minutes,
        keep: from_to("save.keep", raw.keep.unwrap_or(2), 1, 1_000)?,
        adapter: raw.adapter.unwrap_or(false),
        gguf: raw.gguf.as_deref().map(gguf).transpose()?,
    })
}

fn gguf(name: &str) -> Result<Gguf, Wrong> {
    Gguf::named(name).map_or_else(
        || wrong("save.gguf", format!("is `{name}`, but must be f32, f16 or q8_0")),
        Ok,
    )
}
