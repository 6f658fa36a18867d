//! Writes a plan as the recipe that decides the same again: nothing is left to a default, so a later release
//! with other defaults trains as this one did.

use crate::templates;
use anyhow::Result;
use finetuned_job::data::DataReport;
use finetuned_job::plan::Plan;
use minijinja::context;
use minijinja::value::Serde;

/// TOML that [`finetuned_job::recipe::Recipe::parse`] reads. The parts that were split off by seed are counted
/// from the data report; where the drop brought its own splits there are none.
pub fn recipe(plan: &Plan, data: &DataReport) -> Result<String> {
    let all = (plan.data.train + plan.data.validation + plan.data.test + data.duplicates.leaked_dropped).max(1) as f64;
    let part = |split: &str, rows: u64| {
        let by_seed = data.splits.iter().any(|it| it.split.name() == split && it.origin != "file");
        by_seed.then(|| (rows as f64 / all * 1000.0).round() / 1000.0)
    };
    // Half a step less, because planning rounds up.
    let warmup = (plan.train.warmup_steps as f64 - 0.5).max(0.0) / plan.train.steps.max(1) as f64;
    let context = context! {
        warmup,
        plan => Serde(plan),
        validation => part("validation", plan.data.validation),
        test => part("test", plan.data.test),
    };
    templates::render("recipe.toml", context)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::tests::Told;
    use finetuned_job::recipe::{Optimizer, Pattern, Recipe, Unfreeze};

    #[test]
    fn the_recipe_of_a_plan_decides_what_the_plan_says() {
        let told = Told::tweets();
        let text = recipe(&told.plan, &told.data).unwrap();
        let read = Recipe::parse(&text).unwrap_or_else(|it| panic!("{it}\n{text}"));
        let (plan, train) = (&told.plan, &told.plan.train);
        assert_eq!(read.model.base.as_deref(), Some(plan.model.base.as_str()));
        assert_eq!((read.model.dropout, read.model.attention_dropout), (Some(plan.model.dropout), plan.model.attention_dropout));
        assert_eq!((&read.freeze.train, &read.freeze.unfreeze), (&plan.freeze.train, &plan.freeze.unfreeze));
        assert_eq!((read.data.max_tokens, read.data.validation), (Some(plan.data.max_tokens), 0.1));
        assert_eq!((read.train.epochs, read.train.batch, read.train.lr), (Some(train.epochs), train.batch, Some(train.lr)));
        assert_eq!((read.train.optimizer, read.train.schedule, read.train.clip), (train.optimizer, train.schedule, train.clip));
        assert_eq!((read.train.warmup * train.steps as f64).ceil() as u64, train.warmup_steps);
        assert_eq!((read.train.patience, read.train.seed), (train.patience, train.seed));
        assert_eq!((&read.eval.metrics, &read.eval.best), (&plan.eval.metrics, &plan.eval.best));
        assert_eq!(read.save, plan.save);
    }

    #[test]
    fn every_optimizer_and_every_absence_comes_back() {
        let mut told = Told::tweets();
        told.plan.train.clip = None;
        told.plan.train.patience = None;
        told.plan.save.every_minutes = None;
        told.plan.freeze.unfreeze = vec![Unfreeze { epoch: 3, train: vec![Pattern::All, Pattern::Glob("a.\"b\".*".into())] }];
        let betas = (0.8, 0.99);
        for optimizer in
            [Optimizer::Sgd { momentum: 0.5, nesterov: true }, Optimizer::Adam { betas, eps: 1e-6 }, Optimizer::AdamW { betas, eps: 1e-7 }]
        {
            told.plan.train.optimizer = optimizer;
            let text = recipe(&told.plan, &told.data).unwrap();
            let read = Recipe::parse(&text).unwrap_or_else(|it| panic!("{it}\n{text}"));
            assert_eq!(read.train.optimizer, optimizer);
            assert_eq!((read.train.clip, read.train.patience, read.save.every_minutes), (None, None, None));
            assert_eq!(read.freeze.unfreeze, told.plan.freeze.unfreeze);
        }
    }
}
