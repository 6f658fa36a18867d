//! Writes a plan as the recipe that decides the same again: nothing is left to a default, so a
//! later release with other defaults trains as this one did.

use crate::templates;
use anyhow::{Context, Result};
use finetuned_job::data::{ClassCount, DataReport};
use finetuned_job::plan::{Plan, PluginUse, Storage};
use finetuned_job::scores::Split;
use minijinja::value::Serde;
use minijinja::{Value, context};
use std::collections::BTreeSet;

/// TOML that [`finetuned_job::recipe::Recipe::parse`] reads. Parts that were split off by seed are
/// counted back from the data report; where the drop brought its own splits there are none.
pub fn recipe(plan: &Plan, data: &DataReport) -> Result<String> {
    // Half a step less, because planning rounds up.
    let warmup = (plan.train.warmup_steps as f64 - 0.5).max(0.0) / plan.train.steps.max(1) as f64;
    let of_images = data.images.as_ref().map_or(&[][..], |it| &it.target_columns);
    let targets = match (&data.label_column, &data.target_columns[..]) {
        (Some(_), _) => &[],
        // Reports of 0.1.0.
        (None, []) => of_images,
        (None, targets) => targets,
    };
    let context = context! {
        warmup,
        dropout => dropout(plan),
        dtype => (plan.model.storage == Storage::Bf16).then_some("bf16"),
        plan => Serde(plan),
        targets => targets.to_vec(),
        image_size => image_size(plan),
        reader => plugin_use(plan, "reader"),
        augment_plugin => plugin_use(plan, "augmentation"),
        settings => settings(plan)?,
        validation => part(data, Split::Validation),
        test => part(data, Split::Test),
    };
    let text = templates::render("recipe.toml", context)?;
    Ok(plan.asked.as_ref().map_or(text.clone(), |asked| marked(&text, asked)))
}

/// What the base's config says may be several numbers, of which the plan shows one. Plans of 0.1.0
/// do not tell who asked.
fn dropout(plan: &Plan) -> Option<f64> {
    let is_asked = plan.asked.as_ref().is_none_or(|it| it.contains("model.dropout"));
    is_asked.then_some(plan.model.dropout)
}

/// What the recipe did not ask for is marked, line by line.
fn marked(text: &str, asked: &BTreeSet<String>) -> String {
    let mut table = String::new();
    let mut lines = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[') {
            table = format!("{}.", name.trim_matches(['[', ']']));
        }
        let key = line.split_once(" = ").map(|it| it.0).filter(|it| !it.starts_with(' '));
        let decided = key.is_some_and(|key| !asked.contains(&format!("{table}{key}")));
        // Nobody decides what is rewarded but the recipe.
        let is_asked = ["plugins", "reward."].iter().any(|it| table.starts_with(it));
        let mark = if decided && !is_asked { "  # decided" } else { "" };
        lines.push(format!("{line}{mark}\n"));
    }
    lines.concat()
}

/// The part of the rows that a split was given by seed.
fn part(data: &DataReport, split: Split) -> Option<f64> {
    let by_seed = |split: Split| {
        data.splits
            .iter()
            .find(|it| it.split == split && it.origin != "file")
            .map_or(0, |it| it.rows)
    };
    if by_seed(split) == 0 {
        return None;
    }
    let by_class = data.splits.iter().any(|it| it.origin.starts_with("stratified,"));
    let strata: Vec<(u64, u64)> = if by_class {
        let pool = |it: &ClassCount| {
            let counts = [(Split::Validation, it.validation), (Split::Test, it.test)];
            let taken = |wanted: Split| {
                counts
                    .iter()
                    .filter(|(of, _)| *of == wanted && by_seed(*of) != 0)
                    .map(|it| it.1)
                    .sum::<u64>()
            };
            (taken(split), it.train + taken(Split::Validation) + taken(Split::Test))
        };
        data.classes.iter().map(pool).collect()
    } else {
        let train: u64 =
            data.splits.iter().filter(|it| it.split == Split::Train).map(|it| it.rows).sum();
        vec![(by_seed(split), train + by_seed(Split::Validation) + by_seed(Split::Test))]
    };
    Some(shortest(&strata))
}

/// The shortest decimal f that takes as many of each stratum, (taken, all), as were taken: round(f
/// * all), at least
/// 1. Equal contents stay together and may make one stratum larger than its share; then the part of
///    all rows.
fn shortest(strata: &[(u64, u64)]) -> f64 {
    let strata = strata.iter().filter(|it| it.1 != 0);
    let fits = |f: f64| {
        strata.clone().all(|&(taken, all)| (f * all as f64).round().max(1.0) == taken as f64)
    };
    let low = strata
        .clone()
        .filter(|it| 1 < it.0)
        .map(|&(taken, all)| (taken as f64 - 0.5) / all as f64)
        .fold(0.0, f64::max);
    for digits in 1..=9 {
        let scale = 10_f64.powi(digits);
        let first = (low * scale).ceil().max(1.0);
        if let Some(found) =
            [first, first + 1.0].into_iter().map(|it| it / scale).find(|it| fits(*it))
        {
            return found;
        }
    }
    let (taken, all) = strata.fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
    (taken as f64 / all.max(1) as f64 * 1000.0).round() / 1000.0
}

/// Side of the square that images are brought to, where it is one.
fn image_size(plan: &Plan) -> Option<u32> {
    let preprocess = plan.model.preprocess.as_ref()?;
    (preprocess.height == preprocess.width).then_some(preprocess.height)
}

/// Name of the plugins' part of a kind that was used.
fn plugin_use<'a>(plan: &'a Plan, kind: &str) -> Option<&'a str> {
    let uses = plan.plugins.iter().flat_map(|it| &it.uses);
    uses.filter(|it| it.kind == kind).map(|it| it.name.as_str()).next()
}

/// (name, settings as a table of TOML on one line) of each plugins' part that was sample something.
fn settings(plan: &Plan) -> Result<Vec<Value>> {
    let uses = plan.plugins.iter().flat_map(|it| &it.uses).filter(|it| !it.settings.is_empty());
    let written = |it: &PluginUse| {
        let toml = toml::Value::try_from(&it.settings)
            .with_context(|| format!("the settings of the {} {} as TOML", it.kind, it.name))?;
        Ok(context! { name => it.name.as_str(), toml => toml.to_string() })
    };
    uses.map(written).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::tests::SampleRun;
    use finetuned_images::{Augment, Crop, Jitter, Preset};
    use finetuned_job::data::SplitReport;
    use finetuned_job::plan::PluginPlan;
    use finetuned_job::recipe::{
        self as choices, Gguf, Head, Optimizer, Pattern, Recipe, Unfreeze,
    };

    #[test]
    fn the_recipe_of_a_plan_decides_what_the_plan_says() {
        let sample = SampleRun::tweets();
        let text = recipe(&sample.plan, &sample.data).unwrap();
        let read = Recipe::parse(&text).unwrap_or_else(|it| panic!("{it}\n{text}"));
        let (plan, train) = (&sample.plan, &sample.plan.train);
        assert_eq!(read.model.base.as_deref(), Some(plan.model.base.as_str()));
        assert_eq!(
            (read.model.dropout, read.model.attention_dropout),
            (Some(plan.model.dropout), plan.model.attention_dropout)
        );
        assert_eq!(
            (&read.freeze.train, &read.freeze.unfreeze),
            (&plan.freeze.train, &plan.freeze.unfreeze)
        );
        assert_eq!(
            (read.data.max_tokens, read.data.validation),
            (Some(plan.data.max_tokens), Some(0.1))
        );
        assert_eq!(
            (read.train.epochs, read.train.batch, read.train.lr),
            (Some(train.epochs), Some(train.batch), Some(train.lr))
        );
        assert_eq!(
            (read.train.optimizer, read.train.schedule, read.train.clip),
            (train.optimizer, train.schedule, train.clip)
        );
        let warmup = read.train.warmup.unwrap();
        assert_eq!((warmup * train.steps as f64).ceil() as u64, train.warmup_steps);
        assert_eq!((read.train.patience, read.train.seed), (train.patience, train.seed));
        assert_eq!(
            (&read.eval.metrics, read.eval.best.as_ref()),
            (&plan.eval.metrics, Some(&plan.eval.best))
        );
        assert_eq!(read.save, plan.save);
    }

    #[test]
    fn what_was_decided_is_marked() {
        let mut sample = SampleRun::tweets();
        sample.plan.asked = Some(["train.batch", "model.base"].map(String::from).into());
        let text = recipe(&sample.plan, &sample.data).unwrap();
        let line = |start: &str| text.lines().find(|it| it.starts_with(start)).unwrap();
        assert_eq!(line("batch ="), "batch = 32");
        assert_eq!(line("epochs ="), "epochs = 10  # decided");
        assert!(!line("base =").contains("decided"));
        assert!(!text.contains("\ndropout ="), "the base's config may have several");
        assert!(Recipe::parse(&text).is_ok());
        sample.plan.asked = None;
        assert!(!recipe(&sample.plan, &sample.data).unwrap().contains("decided"));
    }

    #[test]
    fn every_optimizer_and_every_absence_comes_back() {
        let mut sample = SampleRun::tweets();
        sample.plan.train.clip = None;
        sample.plan.train.patience = None;
        sample.plan.save.every_minutes = None;
        sample.plan.save.gguf = Some(Gguf::Q8_0);
        sample.plan.freeze.unfreeze = vec![Unfreeze {
            epoch: 3,
            train: vec![Pattern::All, Pattern::Glob("a.\"b\".*".into())],
        }];
        let betas = (0.8, 0.99);
        for optimizer in [
            Optimizer::Sgd { momentum: 0.5, nesterov: true },
            Optimizer::Adam { betas, eps: 1e-6 },
            Optimizer::AdamW { betas, eps: 1e-7 },
        ] {
            sample.plan.train.optimizer = optimizer;
            let text = recipe(&sample.plan, &sample.data).unwrap();
            let read = Recipe::parse(&text).unwrap_or_else(|it| panic!("{it}\n{text}"));
            assert_eq!(read.train.optimizer, optimizer);
            assert_eq!(
                (read.train.clip, read.train.patience, read.save.every_minutes),
                (None, Some(0), None)
            );
            assert_eq!(read.freeze.unfreeze, sample.plan.freeze.unfreeze);
            assert_eq!(read.save.gguf, Some(Gguf::Q8_0));
        }
    }

    #[test]
    fn the_recipe_of_a_run_with_images_and_plugins_decides_what_the_plan_says() {
        let mut sample = SampleRun::scenes();
        sample.plan.model.head = Head::Plugin("cosine".into());
        sample.plan.train.loss = Some("focal \"2\"".into());
        sample.plan.train.hooks = vec!["stop_at".into()];
        let uses = [
            ("head", "cosine", r#"{"scale":16,"names":["a\nb"],"deep":{"on":true}}"#),
            ("loss", "focal \"2\"", "{}"),
            ("hook", "stop_at", "{}"),
        ];
        let more = [("reader", "dicom", "{}"), ("augmentation", "rain", "{}")];
        let plugin = |name: &str, uses: &[(&str, &str, &str)]| PluginPlan {
            name: name.into(),
            version: "1.0.0".into(),
            hash: "ab".repeat(32),
            uses: uses
                .iter()
                .map(|(kind, name, settings)| PluginUse {
                    kind: (*kind).into(),
                    name: (*name).into(),
                    settings: serde_json::from_str(settings).unwrap(),
                })
                .collect(),
        };
        sample.plan.plugins = vec![plugin("margins", &uses), plugin("medical", &more)];
        let text = recipe(&sample.plan, &sample.data).unwrap();
        let read = Recipe::parse(&text).unwrap_or_else(|it| panic!("{it}\n{text}"));
        assert_eq!(read.task, Some(sample.plan.task));
        assert_eq!(
            (read.model.head, read.model.image_size),
            (sample.plan.model.head.clone(), Some(224))
        );
        assert_eq!(
            (read.data.image.as_deref(), read.data.label, read.data.max_tokens),
            (Some("path"), None, None)
        );
        assert_eq!(
            (read.data.labels, read.data.reader.as_deref()),
            (sample.plan.data.classes.clone(), Some("dicom"))
        );
        assert_eq!(
            (read.train.loss, read.train.hooks),
            (sample.plan.train.loss.clone(), sample.plan.train.hooks.clone())
        );
        assert_eq!(read.plugins.load, ["margins", "medical"]);
        assert_eq!(read.plugins.settings.len(), 1);
        assert_eq!(
            read.plugins.settings["cosine"],
            serde_json::from_str::<serde_json::Value>(uses[0].2).unwrap()
        );
        assert_eq!(read.augment.plugin.as_deref(), Some("rain"));
    }

    #[test]
    fn every_augmentation_that_a_preset_makes_comes_back() {
        for preset in [Preset::None, Preset::Light, Preset::Strong] {
            let mut sample = SampleRun::pets();
            let wanted = Augment::preset(preset);
            sample.plan.augment = Some(wanted.clone());
            let text = recipe(&sample.plan, &sample.data).unwrap();
            let read = Recipe::parse(&text).unwrap_or_else(|it| panic!("{it}\n{text}")).augment;
            // As planning puts them together: the preset, then what is set beside it.
            let mut found = Augment::preset(if read.preset == Some(choices::Preset::Strong) {
                Preset::Strong
            } else {
                Preset::None
            });
            found.crop = read.crop.map(|area| Crop { area, ratio: [3.0 / 4.0, 4.0 / 3.0] });
            found.horizontal_flip = read.horizontal_flip.unwrap();
            found.vertical_flip = read.vertical_flip.unwrap();
            found.erasing = read.erasing.unwrap();
            let [brightness, contrast, saturation, hue] =
                [read.brightness, read.contrast, read.saturation, read.hue].map(Option::unwrap);
            found.jitter = Jitter { brightness, contrast, saturation, hue };
            (found.mixing.mixup_alpha, found.mixing.cutmix_alpha) =
                (read.mixup.unwrap(), read.cutmix.unwrap());
            assert_eq!(found, wanted, "{text}");
        }
    }

    #[test]
    fn the_parts_that_were_split_off_are_the_shortest_that_take_the_same_rows() {
        let pools = [640_u64, 915, 732, 7, 3];
        for (validation, test) in [(0.1, 0.0), (0.1, 0.15), (0.2, 0.05), (0.123, 0.3), (0.001, 0.0)]
        {
            let taken = |f: f64, pool: u64| {
                if f == 0.0 { 0 } else { ((f * pool as f64).round() as u64).max(1) }
            };
            let mut data = SampleRun::tweets().data;
            let class = |&pool: &u64| {
                let (validation, test) = (taken(validation, pool), taken(test, pool));
                ClassCount {
                    class: String::new(),
                    train: pool - validation - test,
                    validation,
                    test,
                }
            };
            data.classes = pools.iter().map(class).collect();
            let rows = |of: fn(&ClassCount) -> u64| data.classes.iter().map(of).sum::<u64>();
            let split =
                |split, rows| SplitReport { split, rows, origin: "stratified, seed 0".into() };
            data.splits = vec![
                split(Split::Validation, rows(|it| it.validation)),
                split(Split::Test, rows(|it| it.test)),
            ];
            for (split, wanted) in [(Split::Validation, validation), (Split::Test, test)] {
                let found = part(&data, split).unwrap_or(0.0);
                assert!(
                    pools.iter().all(|pool| taken(found, *pool) == taken(wanted, *pool)),
                    "{found}, wanted {wanted}"
                );
                assert!(
                    found.to_string().len() <= wanted.to_string().len(),
                    "{found}, wanted {wanted}"
                );
            }
        }
        // Equal contents that stay together make a class larger than its share.
        assert_eq!(shortest(&[(30, 100), (10, 100)]), 0.2);
    }
}
