//! Group relative policy optimisation (Shao et al. 2024): the model answers each prompt several
//! times, and an answer becomes the likelier the more it is rewarded than the others to its prompt.
//! Formulas are those of TRL 1.16's `GRPOTrainer`.
//!
//! A lot of answers is sampled before the first of the updates that learn from it, by the model as
//! it is then; which tokens are drawn is a pure function of (seed, lot, prompt, answer).

mod groups; // rewards -> advantages
mod loss; // likelihoods and advantages -> loss

use super::vocabulary::{self, Sequence};
use super::{Evaluated, Objective};
use crate::batches::mix;
use crate::examples::ExampleSet;
use crate::generate::{Asked, Generated, How, go_on};
use crate::network::Network;
use crate::rewards::Rewards;
use crate::source::Batch;
use anyhow::{Context, Result, bail};
use finetuned_answers::Target;
use finetuned_job::event::Sampled;
use finetuned_job::plan::{GrpoPlan, Plan};
use finetuned_job::recipe::GrpoLoss;
use finetuned_job::spec::Sampling;
use finetuned_models::{Input, Pass};
use loss::Tokens;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::iter;
use std::rc::Rc;
use tch::Tensor;

/// Answers that are sampled side by side: what they remember takes as much memory as a small
/// model's weights.
const ROWS: usize = 64;

pub(super) struct GroupRelative {
    plan: GrpoPlan,
    /// Of the run.
    seed: u64,
    /// Tokens of a prompt with its answer.
    positions: u32,
    rewards: Rc<Rewards>,
    lot: RefCell<Option<Lot>>,
}

/// Answers that some updates learn from.
struct Lot {
    /// Counts from 0.
    number: u64,
    /// The examples of an update, batch by batch.
    update: Vec<Vec<u32>>,
    /// Of each example, its answers.
    groups: BTreeMap<u32, Vec<Answer>>,
}

struct Answer {
    /// With the one that ended it.
    tokens: Vec<u32>,
    advantage: f64,
    /// Log-probabilities of its tokens by the model that made it; nothing before the first update.
    old: Option<Tensor>,
}

impl GroupRelative {
    pub(super) fn new(plan: &Plan, rewards: Option<Rc<Rewards>>) -> Result<GroupRelative> {
        Ok(GroupRelative {
            plan: plan.train.grpo.clone().context("the plan has no rewards")?,
            seed: plan.train.seed,
            positions: plan.data.max_tokens,
            rewards: rewards.context("nothing says what answers are rewarded for")?,
            lot: RefCell::new(None),
        })
    }

    /// What follows each of these prompts. `temperature` 0: by the likeliest token each time.
    fn answers(
        &self,
        network: &Network,
        (asked, temperature): (&[Asked], f64),
        check: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Vec<Generated>> {
        let choice = &self.plan.choice;
        let sampling = Sampling {
            max_new_tokens: self.plan.max_completion_length,
            temperature,
            top_k: choice.top_k,
            top_p: choice.top_p,
            seed: self.seed,
        };
        let ends = self.rewards.encoder.ends();
        let how = How { ends, sampling: &sampling, positions: self.positions, batch: ROWS };
        go_on(network, asked, &how, &mut |_, _| check())
    }

    /// `answers`: as many to each prompt, one prompt's behind the other's.
    fn rewarded(
        &self,
        set: &ExampleSet,
        prompts: &[u32],
        answers: &[Generated],
    ) -> Result<Vec<f64>> {
        let each = answers.len() / prompts.len().max(1);
        let asked = |it: &u32| set.encoded.asked(*it).context("the examples are no prompts");
        let asked = prompts.iter().map(asked).collect::<Result<Vec<_>>>()?;
        let asked = asked.into_iter().flat_map(|it| iter::repeat_n(it, each));
        let all: Vec<_> = asked.zip(answers).collect();
        self.rewards.of(&all, |nth| set.inputs.origin(prompts[nth / each]))
    }

    /// Answers each prompt of an update several times.
    fn sample(
        &self,
        network: &Network,
        set: &ExampleSet,
        (number, update): (u64, &[Vec<u32>]),
        check: &mut dyn FnMut() -> Result<()>,
    ) -> Result<(Lot, Sampled)> {
        let each = self.plan.choice.num_generations;
        let indices: Vec<u32> = update.concat();
        let lot_seed = mix(self.seed, number);
        let seed = |index: u32, nth: u32| mix(mix(lot_seed, index.into()), nth.into());
        let asked: Vec<Asked> = indices
            .iter()
            .flat_map(|index| (0..each).map(move |nth| (*index, nth)))
            .map(|(index, nth)| Asked { prompt: set.encoded.tokens(index), seed: seed(index, nth) })
            .collect();
        let found = self.answers(network, (&asked, self.plan.choice.temperature), check)?;
        let rewards = self.rewarded(set, &indices, &found)?;
        let advantages =
            groups::advantages(&rewards, each as usize, self.plan.choice.scale_rewards);
        let sampled = groups::sampled(&rewards, each as usize, &found);
        let mut answers = found.into_iter().zip(advantages).map(|(it, advantage)| Answer {
            tokens: it.tokens.into_iter().chain(it.end).collect(),
            advantage,
            old: None,
        });
        let groups = indices
            .iter()
            .map(|it| (*it, answers.by_ref().take(each as usize).collect()))
            .collect();
        Ok((Lot { number, update: update.to_vec(), groups }, sampled))
    }

    /// Tokens of the answers to these prompts.
    fn tokens(&self, batch: &[u32]) -> f64 {
        let lot = self.lot.borrow();
        let groups = batch.iter().filter_map(|it| lot.as_ref()?.groups.get(it));
        groups.flatten().map(|it| it.tokens.len()).sum::<usize>() as f64
    }
}

impl Objective for GroupRelative {
    fn begin_update(
        &self,
        network: &Network,
        set: &ExampleSet,
        (update, step): (&[Vec<u32>], u64),
        check: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Option<Sampled>> {
        let number = step / u64::from(self.plan.choice.num_iterations);
        let is_there = |it: &Lot| it.number == number && it.update == update;
        if self.lot.borrow().as_ref().is_some_and(is_there) {
            return Ok(None);
        }
        if !step.is_multiple_of(self.plan.choice.num_iterations.into()) {
            bail!("the answers are gone that update {step} would learn from");
        }
        let (lot, sampled) = self.sample(network, set, (number, update), check)?;
        *self.lot.borrow_mut() = Some(lot);
        Ok(Some(sampled))
    }

    /// As TRL divides: see [`GrpoLoss`].
    fn weight(&self, _: &ExampleSet, batch: &[u32], _: &Pass) -> f64 {
        let answers = batch.len() as f64 * f64::from(self.plan.choice.num_generations);
        match self.plan.choice.loss_type {
            GrpoLoss::Grpo => answers,
            GrpoLoss::Bnpo => 1.0,
            GrpoLoss::DrGrpo => answers * f64::from(self.plan.max_completion_length),
            GrpoLoss::Dapo => self.tokens(batch),
        }
    }

    fn loss(&self, network: &Network, batch: &Batch, pass: &Pass) -> Result<Tensor> {
        let mut lot = self.lot.borrow_mut();
        let lot = lot.as_mut().context("nothing was answered yet")?;
        let (mut whole, mut firsts) = (Vec::new(), Vec::new());
        for index in &batch.indices {
            let prompt = batch.set.encoded.tokens(*index);
            for it in lot.groups.get(index).context("a prompt was not answered")? {
                whole.push([prompt, &it.tokens].concat());
                firsts.push(prompt.len());
            }
        }
        let ids: Vec<i64> = whole.iter().flatten().map(|it| i64::from(*it)).collect();
        let lengths = whole.iter().map(|it| it.len() as i64).collect();
        let input = Input::tokens(Tensor::f_from_slice(&ids)?.f_to(network.device)?, lengths);
        let texts: Vec<Sequence> =
            whole.iter().zip(firsts).map(|(tokens, first)| Sequence { tokens, first }).collect();
        let of = (&texts[..], self.plan.choice.temperature);
        let now = vocabulary::log_probabilities(network, &input, of, pass)?;
        let base = match self.plan.choice.beta {
            0.0 => None,
            _ => Some(Tensor::f_cat(&of_base(network, &input, of)?, 0)?),
        };
        let is_first = pass.step.is_multiple_of(self.plan.choice.num_iterations.into());
        let answers = batch.indices.iter().filter_map(|it| Some((*it, lot.groups.get(it)?.len())));
        let places: Vec<(u32, usize)> =
            answers.flat_map(|(index, n)| (0..n).map(move |nth| (index, nth))).collect();
        for ((index, nth), now) in places.iter().zip(&now) {
            let group = lot.groups.get_mut(index).context("a prompt was not answered")?;
            if is_first {
                group[*nth].old = Some(now.f_detach()?);
            }
        }
        let of: Vec<&Answer> = places.iter().map(|(index, nth)| &lot.groups[index][*nth]).collect();
        let old = of.iter().map(|it| it.old.as_ref().context("an answer has no likelihood"));
        let tokens = Tokens {
            now: Tensor::f_cat(&now, 0)?,
            old: Tensor::f_cat(&old.collect::<Result<Vec<_>>>()?, 0)?,
            base,
            of: of.iter().map(|it| (it.tokens.len(), it.advantage)).collect(),
        };
        loss::sum(&tokens, &self.plan.choice)
    }

    /// Each prompt is answered once, by the likeliest token each time.
    fn evaluate(&self, network: &Network, batch: &Batch) -> Result<Evaluated> {
        let asked: Vec<Asked> = batch
            .indices
            .iter()
            .map(|it| Asked { prompt: batch.set.encoded.tokens(*it), seed: 0 })
            .collect();
        let found = self.answers(network, (&asked, 0.0), &mut || Ok(()))?;
        let (mut values, mut losses) = (Vec::new(), Vec::new());
        let rewards = self.rewarded(batch.set, &batch.indices, &found)?;
        for (reward, it) in rewards.into_iter().zip(&found) {
            let tokens = it.tokens.len() + usize::from(it.end.is_some());
            values.extend([reward, tokens as f64, f64::from(it.end.is_some())]);
            losses.push(-reward);
        }
        Ok(Evaluated {
            values: Tensor::f_from_slice(&values)?.f_view([losses.len() as i64, -1])?,
            losses: Tensor::f_from_slice(&losses)?,
            weights: None,
            rows: None,
        })
    }

    fn evaluate_outputs(&self, _: &Tensor, _: &[&Target]) -> Result<Evaluated> {
        bail!("answers are not scored without the prompts that they answer")
    }
}

/// The same by the base, which the model is without its adapter.
fn of_base(network: &Network, input: &Input, of: (&[Sequence], f64)) -> Result<Vec<Tensor>> {
    network.model.switch_adapters(true)?;
    let still = Pass::evaluation();
    let found = tch::no_grad(|| vocabulary::log_probabilities(network, input, of, &still));
    network.model.switch_adapters(false)?;
    found
}

#[cfg(test)]
mod tests;
