//! What answers are rewarded for, all together: rules, and what plugins bring. An answer's reward
//! is the sum of what each gives, times its weight.

use crate::generate::Generated;
use crate::modality::{Asked, Encoder};
use crate::plugins::{Answered, RewardInstance};
use crate::rules::Rule;
use anyhow::{Context, Result};
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_job::recipe::{RewardChoice, RewardRule};
use std::rc::Rc;

pub(crate) struct Rewards {
    pub encoder: Rc<dyn Encoder>,
    /// Each with its weight.
    all: Vec<(Reward, f64)>,
}

enum Reward {
    Ours(Rule),
    OfPlugin(RewardInstance),
}

impl Rewards {
    /// `of_plugin`: a plugin's by its name.
    ///
    /// # Errors
    /// A pattern that is none; a plugin that can't give what is asked of it.
    pub(crate) fn new(
        choices: &[RewardChoice],
        of_plugin: impl Fn(&str) -> Result<RewardInstance, Failure>,
        encoder: Rc<dyn Encoder>,
    ) -> Result<Rewards, Failure> {
        let mut all = Vec::new();
        for choice in choices {
            let reward = match (&choice.rule, Rule::of(&choice.rule)?) {
                (RewardRule::Plugin { reward }, _) => Reward::OfPlugin(of_plugin(reward)?),
                (_, Some(rule)) => Reward::Ours(rule),
                (_, None) => continue,
            };
            all.push((reward, choice.weight));
        }
        Ok(Rewards { encoder, all })
    }

    /// What an answer is rewarded with. `origin`: of its prompt.
    ///
    /// # Errors
    /// A plugin that fails, or gives what is no number; a sum that is none.
    pub(crate) fn of(
        &self,
        asked: &Asked,
        answer: &Generated,
        origin: impl Fn() -> String,
    ) -> Result<f64> {
        let text = self.encoder.text(&answer.tokens);
        let mut sum = 0.0;
        for (reward, weight) in &self.all {
            let found = match reward {
                Reward::Ours(rule) => rule.reward(&text, &asked.fields),
                Reward::OfPlugin(reward) => {
                    let fields = serde_json::to_string(&asked.fields).context("writing fields")?;
                    let of = Answered {
                        prompt: &asked.prompt,
                        messages: &asked.messages,
                        answer: &text,
                        fields: &fields,
                    };
                    reward.reward(of).map_err(|it| at(it, &origin()))?
                }
            };
            sum += weight * found;
        }
        match sum.is_finite() {
            true => Ok(sum),
            false => Err(at(no_number(sum), &origin()).into()),
        }
    }
}

/// Which prompt it was.
fn at(failure: Failure, origin: &str) -> Failure {
    Failure { message: format!("{origin}: {}", failure.message), ..failure }
}

fn no_number(sum: f64) -> Failure {
    let message = format!("the rewards of an answer add up to {sum}");
    Failure::new(FailureKind::Training, message)
        .with_cure("let each [[reward]] give numbers of an ordinary size, and lower its weight")
}
