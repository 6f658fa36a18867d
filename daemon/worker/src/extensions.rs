//! What a recipe takes from plugins: a head, a loss, metrics, hooks, an augmentation, a reader,
//! rewards, each with its settings. How a plugin is opened and called is left to `plugins`.

use crate::checkpoint::Named;
use crate::plugins::{
    AugmentationInstance, HeadInstance, HeadShape, HookInstance, HookProgress, LossInstance,
    LossShape, MetricInstance, Plugins, RewardInstance, Wishes,
};
use crate::stderr;
use anyhow::{Context, Result};
use finetuned_answers::{Predictions, Target};
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_job::plan::{Plan, PluginPlan, PluginUse};
use finetuned_job::recipe::{Head, Recipe, RewardRule};
use finetuned_job::scores::Scores;
use finetuned_job::spec::Spec;
use finetuned_job::task::{Answer, Task};
use finetuned_plugins::{Export, Kind};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tch::{Device, Tensor};

/// What stands before the names of a plugin's tensors in a model.
const PREFIX: &str = "plugin";
/// And before that of a hook's state in a checkpoint.
const HOOK_STATE: &str = "hook.";

pub(crate) struct Extensions {
    plugins: Plugins,
    settings: BTreeMap<String, Value>,
    /// (kind, name) of what is used.
    uses: Vec<(Kind, String)>,
}

impl Extensions {
    /// Opens what a recipe loads.
    pub(crate) fn of_recipe(spec: &Spec, recipe: &Recipe) -> Result<Extensions> {
        let mut uses = Vec::new();
        if let Head::Plugin(name) = &recipe.model.head {
            uses.push((Kind::Head, name.clone()));
        }
        uses.extend(recipe.train.loss.iter().map(|it| (Kind::Loss, it.clone())));
        uses.extend(recipe.train.hooks.iter().map(|it| (Kind::Hook, it.clone())));
        uses.extend(recipe.augment.plugin.iter().map(|it| (Kind::Augmentation, it.clone())));
        uses.extend(recipe.data.reader.iter().map(|it| (Kind::Reader, it.clone())));
        let metrics = recipe.eval.metrics.iter().chain(&recipe.eval.best).filter(|it| !is_ours(it));
        uses.extend(metrics.map(|it| (Kind::Metric, it.clone())));
        uses.extend(recipe.rewards.iter().filter_map(|it| match &it.rule {
            RewardRule::Plugin { reward } => Some((Kind::Reward, reward.clone())),
            _ => None,
        }));
        uses.sort_by(|a, b| (a.0.name(), &a.1).cmp(&(b.0.name(), &b.1)));
        uses.dedup();
        let extensions = Extensions {
            plugins: load(spec, &recipe.plugins.load)?,
            settings: recipe.plugins.settings.clone(),
            uses,
        };
        extensions.check_settings()?;
        Ok(extensions)
    }

    /// Opens what a finished model with this head needs to be asked: its plugin.
    pub(crate) fn of_plan(spec: &Spec, plan: &Plan, head: &Head) -> Result<Extensions> {
        let Head::Plugin(head) = head else {
            return Ok(Extensions {
                plugins: load(spec, &[])?,
                settings: BTreeMap::new(),
                uses: Vec::new(),
            });
        };
        let wanted = |it: &&PluginUse| it.kind == Kind::Head.name() && it.name == *head;
        let used = plan.plugins.iter().find_map(|it| Some((it, it.uses.iter().find(wanted)?)));
        let (plugin, used) = used
            .with_context(|| format!("the plan does not say which plugin the head {head} is of"))?;
        let settings = BTreeMap::from([(head.clone(), Value::Object(used.settings.clone()))]);
        Ok(Extensions {
            plugins: load(spec, std::slice::from_ref(&plugin.name))?,
            settings,
            uses: vec![(Kind::Head, head.clone())],
        })
    }

    /// Settings of something that nobody uses are a typing error.
    fn check_settings(&self) -> Result<(), Failure> {
        match self.settings.keys().find(|name| !self.uses.iter().any(|it| it.1 == **name)) {
            None => Ok(()),
            Some(name) => {
                let message =
                    format!("plugins.settings.{name} is for a {name} that the recipe does not use");
                Err(Failure::new(FailureKind::Recipe, message).with_cure(
                    "name it as head, loss, metric, hook, reader, augmentation or reward, or leave it out",
                ))
            }
        }
    }

    /// # Errors
    /// Something that the recipe uses is not made for what the data have.
    pub(crate) fn suit(&self, problem: Answer) -> Result<(), Failure> {
        self.used().try_for_each(|(it, _)| self.plugins.suits(it.kind, &it.name, problem))
    }

    /// Makes every metric once, so that what it does not like is said before training.
    pub(crate) fn try_metrics(&self, plan: &Plan) -> Result<(), Failure> {
        self.metrics().try_for_each(|it| self.metric(it, plan).map(drop))
    }

    /// Exports that are used, with the name of the plugin.
    fn used(&self) -> impl Iterator<Item = (&Export, &str)> {
        self.plugins.exports().filter(|(it, _)| {
            self.uses.iter().any(|(kind, name)| (*kind, name) == (it.kind, &it.name))
        })
    }

    fn settings(&self, name: &str) -> String {
        self.settings.get(name).map_or_else(|| "{}".into(), Value::to_string)
    }

    /// For plan.json and the report.
    pub(crate) fn plan(&self) -> Vec<PluginPlan> {
        let of = |plugin: &str| {
            self.used()
                .filter(|it| it.1 == plugin)
                .map(|(it, _)| PluginUse {
                    kind: it.kind.name().into(),
                    name: it.name.clone(),
                    settings: self
                        .settings
                        .get(&it.name)
                        .and_then(Value::as_object)
                        .cloned()
                        .unwrap_or_default(),
                })
                .collect()
        };
        let loaded = self.plugins.loaded();
        loaded
            .map(|(name, version, hash)| PluginPlan {
                name: name.into(),
                version: version.into(),
                hash: hash.into(),
                uses: of(name),
            })
            .collect()
    }

    /// The head that takes the place of the model's own; nothing where that stays.
    pub(crate) fn head(&self, head: &Head, shape: HeadShape) -> Result<Option<PluginHead>> {
        let Head::Plugin(name) = head else { return Ok(None) };
        // A head fills its parameters from torch's generator.
        tch::manual_seed(shape.seed as i64);
        let instance = self.plugins.head(name, &self.settings(name), shape)?;
        let parameters = instance.parameters()?;
        let tensors = parameters
            .into_iter()
            .map(|it| (format!("{PREFIX}.{name}.{}", it.name), it.tensor, it.trainable))
            .collect();
        Ok(Some(PluginHead { instance, tensors }))
    }

    pub(crate) fn loss(&self, plan: &Plan, device: Device) -> Result<Option<LossInstance>> {
        let shape = LossShape {
            device,
            outputs: plan.data.outputs().len() as i64,
            problem: plan.data.problem,
        };
        let make = |name: &String| self.plugins.loss(name, &self.settings(name), shape);
        Ok(plan.train.loss.as_ref().map(make).transpose()?)
    }

    /// One instance, which any thread may use when no other does.
    /// One for each thread that decodes.
    pub(crate) fn augmentation(
        &self,
        recipe: &Recipe,
    ) -> Result<Option<Arc<[Mutex<AugmentationInstance>]>>> {
        let Some(name) = &recipe.augment.plugin else { return Ok(None) };
        let make = |_| self.plugins.augmentation(name, &self.settings(name)).map(Mutex::new);
        Ok(Some((0..rayon::current_num_threads()).map(make).collect::<Result<_, _>>()?))
    }

    pub(crate) fn reward(&self, name: &str) -> Result<RewardInstance, Failure> {
        self.plugins.reward(name, &self.settings(name))
    }

    fn metric(&self, name: &str, plan: &Plan) -> Result<MetricInstance, Failure> {
        self.plugins.metric(name, &self.settings(name), plan.data.problem, plan.data.outputs())
    }

    fn metrics(&self) -> impl Iterator<Item = &str> {
        self.uses.iter().filter(|it| it.0 == Kind::Metric).map(|it| it.1.as_str())
    }

    /// Adds the plugins' metrics to the scores of these outputs.
    pub(crate) fn score(
        &self,
        scores: &mut Scores,
        plan: &Plan,
        predictions: &Predictions,
        targets: &[Target],
    ) -> Result<()> {
        for name in self.metrics() {
            let metric = self.metric(name, plan)?;
            metric.update(predictions.values(), targets)?;
            scores.metrics.insert(name.into(), metric.compute()?);
        }
        Ok(())
    }

    pub(crate) fn higher_is_better(&self, metric: &str, plan: &Plan) -> Result<bool> {
        if self.metrics().any(|it| it == metric) {
            return Ok(self.metric(metric, plan)?.higher_is_better());
        }
        Ok(finetuned_answers::higher_is_better(metric))
    }

    pub(crate) fn hooks(&self, plan: &Plan) -> Result<Hooks> {
        let make =
            |name: &String| Ok((name.clone(), self.plugins.hook(name, &self.settings(name))?));
        Ok(Hooks { all: plan.train.hooks.iter().map(make).collect::<Result<_>>()? })
    }

    /// The reader that the recipe names, or the first one loaded that knows the drop's files.
    pub(crate) fn reader(
        &self,
        recipe: &Recipe,
        files: crate::plugins::Files,
    ) -> Result<Option<crate::plugins::ReaderInstance>> {
        if let Some(name) = &recipe.data.reader {
            return Ok(Some(self.plugins.reader(name, &self.settings(name))?));
        }
        for (export, _) in self.plugins.exports().filter(|it| it.0.kind == Kind::Reader) {
            let reader = self.plugins.reader(&export.name, &self.settings(&export.name))?;
            if reader.recognise(files)? {
                return Ok(Some(reader));
            }
        }
        Ok(None)
    }
}

/// Whether a tensor of this name in a model is a plugin's.
pub(crate) fn is_of_plugin(tensor: &str) -> bool {
    tensor.strip_prefix(PREFIX).is_some_and(|it| it.starts_with('.'))
}

fn is_ours(metric: &str) -> bool {
    Task::all_metrics().contains(&metric)
}

fn load(spec: &Spec, names: &[String]) -> Result<Plugins> {
    let ours = Task::all_metrics();
    let taken: Vec<(Kind, &str)> =
        ours.into_iter().map(|it| (Kind::Metric, it)).chain([(Kind::Head, "linear")]).collect();
    // What stands on stderr is the job's log.
    let log = Arc::new(|plugin: &str, level: u32, line: &str| {
        stderr::say(&format!("{plugin}: {}{line}", level_name(level)))
    });
    Ok(Plugins::load(spec.plugins.as_ref(), names, &spec.run, &taken, log)?)
}

fn level_name(level: u32) -> &'static str {
    match level {
        finetuned_sdk::abi::LOG_ERROR => "error: ",
        finetuned_sdk::abi::LOG_WARN => "warning: ",
        _ => "",
    }
}

/// A head of a plugin, with the tensors that it computes with by their names in the model: whether
/// each trains.
pub(crate) struct PluginHead {
    pub instance: HeadInstance,
    pub tensors: Vec<(String, Tensor, bool)>,
}

/// The hooks of a run, and what they remember.
pub(crate) struct Hooks {
    all: Vec<(String, HookInstance)>,
}

impl Hooks {
    /// What any of them wishes.
    pub(crate) fn tell(&self, at: &HookProgress) -> Result<Wishes> {
        let mut wishes = Wishes::default();
        for (_, hook) in &self.all {
            let its = hook.progress(at)?;
            wishes = Wishes { stop: wishes.stop || its.stop, save: wishes.save || its.save };
        }
        Ok(wishes)
    }

    /// For a checkpoint.
    pub(crate) fn state(&self) -> Result<Named> {
        let one = |(name, hook): &(String, HookInstance)| {
            Ok((format!("{HOOK_STATE}{name}"), Tensor::f_from_slice(hook.save()?.as_bytes())?))
        };
        self.all.iter().map(one).collect()
    }

    /// Takes its part out of the state of a checkpoint.
    pub(crate) fn load(&self, state: &mut Named) -> Result<()> {
        for (name, hook) in &self.all {
            let key = format!("{HOOK_STATE}{name}");
            let at = state
                .iter()
                .position(|it| it.0 == key)
                .with_context(|| format!("the checkpoint knows nothing of the hook {name}"))?;
            let bytes: Vec<u8> = Vec::try_from(state.swap_remove(at).1)?;
            hook.load(std::str::from_utf8(&bytes).context("reading a hook's state")?)?;
        }
        Ok(())
    }
}
