//! What answers are rewarded for, all together: rules, what reward models give, and what plugins
//! bring. An answer's reward is the sum of what each gives, times its weight.

use crate::base_model::BaseModel;
use crate::failures;
use crate::generate::Generated;
use crate::modality::{Asked, Encoder};
use crate::plugins::{Answered, RewardInstance};
use crate::reward_model::RewardModel;
use crate::rules::Rule;
use anyhow::{Context, Result};
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_job::plan::RewardModelPlan;
use finetuned_job::recipe::{RewardChoice, RewardRule};
use std::rc::Rc;
use tch::Device;

pub(crate) struct Rewards {
    pub encoder: Rc<dyn Encoder>,
    /// Each with its weight.
    all: Vec<(Reward, f64)>,
}

enum Reward {
    Ours(Rule),
    OfModel(Box<RewardModel>),
    OfPlugin(RewardInstance),
}

impl Rewards {
    /// `of_plugin`: a plugin's by its name. `models`: all that the choices name.
    ///
    /// # Errors
    /// A pattern that is none; a plugin that can't give what is asked of it; a model that gives no
    /// rewards.
    pub(crate) fn new(
        choices: &[RewardChoice],
        of_plugin: impl Fn(&str) -> Result<RewardInstance, Failure>,
        (models, device): (&[BaseModel], Device),
        encoder: Rc<dyn Encoder>,
    ) -> Result<Rewards> {
        let mut all = Vec::new();
        for choice in choices {
            let reward = match (&choice.rule, Rule::of(&choice.rule)?) {
                (_, Some(rule)) => Reward::Ours(rule),
                (RewardRule::Model { model }, None) => {
                    let found = models.iter().find(|it| it.name == *model);
                    let found = found.with_context(|| format!("{model} was not looked for"))?;
                    Reward::OfModel(Box::new(RewardModel::open(found, device)?))
                }
                (_, None) => Reward::OfPlugin(of_plugin(choice.rule.name())?),
            };
            all.push((reward, choice.weight));
        }
        Ok(Rewards { encoder, all })
    }

    /// Of the models that are asked.
    pub(crate) fn models(&self) -> Vec<RewardModelPlan> {
        let plan = |it: &(Reward, f64)| match &it.0 {
            Reward::OfModel(model) => Some(model.plan()),
            Reward::Ours(_) | Reward::OfPlugin(_) => None,
        };
        self.all.iter().filter_map(plan).collect()
    }

    /// What each answer is rewarded with. `origin`: of the nth one's prompt.
    ///
    /// # Errors
    /// A plugin that fails, or gives what is no number; a model that can't read an answer; a sum
    /// that is no number.
    pub(crate) fn of(
        &self,
        answers: &[(&Asked, &Generated)],
        origin: impl Fn(usize) -> String,
    ) -> Result<Vec<f64>> {
        let texts: Vec<String> = answers.iter().map(|it| self.encoder.text(&it.1.tokens)).collect();
        let asked: Vec<&Asked> = answers.iter().map(|it| it.0).collect();
        let mut sums = vec![0.0; answers.len()];
        for (reward, weight) in &self.all {
            let found = reward.of(&asked, &texts);
            let found = found.map_err(|(nth, err)| failures::at(&origin(nth), err))?;
            sums.iter_mut().zip(found).for_each(|(sum, it)| *sum += weight * it);
        }
        match sums.iter().position(|it| !it.is_finite()) {
            Some(nth) => Err(failures::at(&origin(nth), no_number(sums[nth]).into())),
            None => Ok(sums),
        }
    }
}

impl Reward {
    /// Of each answer.
    ///
    /// # Errors
    /// With the number of the answer.
    fn of(&self, asked: &[&Asked], answers: &[String]) -> Result<Vec<f64>, (usize, anyhow::Error)> {
        let all = asked.iter().zip(answers);
        match self {
            Reward::Ours(rule) => Ok(all.map(|(of, it)| rule.reward(it, &of.fields)).collect()),
            Reward::OfModel(model) => {
                let all: Vec<_> = all.map(|(of, it)| (&*of.messages, &**it)).collect();
                model.rewards(&all)
            }
            Reward::OfPlugin(reward) => {
                let of = |(nth, (of, it)): (usize, (&&Asked, &String))| {
                    by_plugin(reward, of, it).map_err(|err| (nth, err))
                };
                all.enumerate().map(of).collect()
            }
        }
    }
}

fn by_plugin(reward: &RewardInstance, of: &Asked, answer: &str) -> Result<f64> {
    let fields = serde_json::to_string(&of.fields).context("writing fields")?;
    let shown = Answered { prompt: &of.prompt, messages: &of.messages, answer, fields: &fields };
    Ok(reward.reward(shown)?)
}

fn no_number(sum: f64) -> Failure {
    let message = format!("the rewards of an answer add up to {sum}");
    Failure::new(FailureKind::Training, message)
        .with_cure("let each [[reward]] give numbers of an ordinary size, and lower its weight")
}
