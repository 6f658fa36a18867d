//! Preferences learnt from likelihoods of answers, without a model of rewards: DPO (Rafailov et al.
//! 2023; with label smoothing, cDPO, Mitchell 2023), IPO (Azar et al. 2023) and KTO (Ethayarajh et
//! al. 2024) beside the likelihoods of the base, ORPO (Hong et al. 2024) and SimPO (Meng et al.
//! 2024) without them. Formulas are those of TRL 1.16: `DPOTrainer`, `KTOTrainer`, `ORPOTrainer`,
//! `CPOTrainer`.
//!
//! The base's log-probabilities of the same answers are in the set: `reference` has computed them.

use super::vocabulary::{self, Sequence, numbers};
use super::{Evaluated, Objective};
use crate::examples::ExampleSet;
use crate::modality::Role;
use crate::network::Network;
use crate::source::Batch;
use anyhow::{Context, Result, bail};
use finetuned_answers::Target;
use finetuned_job::plan::{Plan, PreferencePlan};
use finetuned_job::recipe::PreferenceLoss;
use finetuned_models::Pass;
use tch::{Kind, TchError, Tensor};

pub(super) struct Preferences {
    plan: PreferencePlan,
    label_smoothing: f64,
    /// What an unwanted answer weighs, and a wanted one; of KTO.
    weights: [f64; 2],
    /// The model is its own reference.
    is_base: bool,
}

/// Answers of a batch, one behind the other.
struct Answers {
    /// Of each: its example in the batch, and what it is; of one alone as its target says.
    roles: Vec<(usize, Role)>,
    /// (answers): log-probabilities of the answers' tokens together.
    policy: Tensor,
    /// The same of the base.
    reference: Option<Tensor>,
    /// Tokens of each answer.
    tokens: Vec<f64>,
    /// Mean over all tokens of the wanted ones, those of their questions too; of ORPO.
    negative_log_likelihood: Option<Tensor>,
}

/// Of each answer the log-probabilities of its tokens. `whole`: of these the question's are wanted
/// too.
fn of_tokens(
    network: &Network,
    batch: &Batch,
    pass: &Pass,
    whole: impl Fn(Role) -> bool,
) -> Result<Vec<Tensor>> {
    let answers = batch.indices.iter().flat_map(|it| batch.set.encoded.answers(*it));
    let texts: Vec<Sequence> = answers
        .map(|it| Sequence { tokens: it.tokens, first: if whole(it.role) { 1 } else { it.asked } })
        .collect();
    vocabulary::log_probabilities(network, &batch.input, (&texts, 1.0), pass)
}

pub(super) fn log_probabilities(network: &Network, batch: &Batch) -> Result<Vec<f64>> {
    let still = Pass::evaluation();
    let each = tch::no_grad(|| of_tokens(network, batch, &still, |_| false))?;
    let sums = each.iter().map(|it| it.f_sum(Kind::Double));
    numbers(&Tensor::f_stack(&sums.collect::<Result<Vec<_>, _>>()?, 0)?)
}

fn stacked(each: impl Iterator<Item = Result<Tensor, TchError>>) -> Result<Tensor> {
    Ok(Tensor::f_stack(&each.collect::<Result<Vec<_>, _>>()?, 0)?)
}

/// Of a batch, one behind the other.
fn roles(set: &ExampleSet, batch: &[u32]) -> Vec<(usize, Role)> {
    let mut all = Vec::new();
    for (at, &index) in batch.iter().enumerate() {
        let wanted = set.targets[index as usize].classes().first() == Some(&1);
        let alone = if wanted { Role::Wanted } else { Role::Unwanted };
        let of = set.encoded.answers(index).into_iter();
        all.extend(of.map(|it| (at, if it.role == Role::Alone { alone } else { it.role })));
    }
    all
}

impl Answers {
    fn of(&self, role: Role) -> Vec<usize> {
        (0..self.roles.len()).filter(|it| self.roles[*it].1 == role).collect()
    }

    fn examples(&self, role: Role) -> Vec<usize> {
        self.of(role).into_iter().map(|it| self.roles[it].0).collect()
    }

    fn select(&self, of: &Tensor, role: Role) -> Result<Tensor> {
        let places: Vec<i64> = self.of(role).iter().map(|it| *it as i64).collect();
        Ok(of.f_index_select(0, &Tensor::f_from_slice(&places)?.f_to(of.device())?)?)
    }

    /// How much likelier than to the base.
    fn log_ratios(&self) -> Result<Tensor> {
        let reference = self.reference.as_ref().context("nothing is known of the base")?;
        Ok(self.policy.f_sub(reference)?)
    }

    /// For a token.
    fn mean(&self, of: &Tensor) -> Result<Tensor> {
        let tokens = Tensor::f_from_slice(&self.tokens)?.f_to_kind(of.kind())?;
        Ok(of.f_div(&tokens.f_to(of.device())?)?)
    }
}

impl Preferences {
    pub(super) fn new(plan: &Plan) -> Result<Preferences> {
        let train = &plan.train;
        let weights = match train.class_weight_values[..] {
            [unwanted, wanted] => [unwanted, wanted],
            _ => [1.0; 2],
        };
        Ok(Preferences {
            plan: train.preference.context("the plan has no loss for preferences")?,
            label_smoothing: train.label_smoothing,
            weights,
            is_base: false,
        })
    }

    fn answers(&self, network: &Network, batch: &Batch, pass: &Pass) -> Result<Answers> {
        let roles = roles(batch.set, &batch.indices);
        let whole = |role| self.plan.loss == PreferenceLoss::Orpo && role == Role::Wanted;
        let each = of_tokens(network, batch, pass, whole)?;
        let answers = batch.indices.iter().flat_map(|it| batch.set.encoded.answers(*it));
        let tokens: Vec<i64> =
            answers.map(|it| (it.tokens.len() - it.asked.max(1)) as i64).collect();
        let own = each
            .iter()
            .zip(&tokens)
            .map(|(it, n)| it.f_narrow(0, it.size()[0] - n, *n)?.f_sum(Kind::Float));
        let policy = stacked(own)?;
        let wanted: Vec<&Tensor> =
            each.iter().zip(&roles).filter(|it| whole(it.1.1)).map(|it| it.0).collect();
        let negative_log_likelihood = match &wanted[..] {
            [] => None,
            some => Some(Tensor::f_cat(some, 0)?.f_mean(Kind::Float)?.f_neg()?),
        };
        let reference = self.reference(batch, &policy)?;
        let tokens = tokens.into_iter().map(|it| it as f64).collect();
        Ok(Answers { roles, policy, reference, tokens, negative_log_likelihood })
    }

    fn reference(&self, batch: &Batch, policy: &Tensor) -> Result<Option<Tensor>> {
        if !self.plan.loss.has_reference() {
            return Ok(None);
        }
        if self.is_base {
            return Ok(Some(policy.f_detach()?));
        }
        let known = batch.set.reference.get();
        let known = known.context("the base's log-probabilities were not computed")?;
        let of = batch.indices.iter().flat_map(|it| known[*it as usize].iter().copied());
        let of = Tensor::f_from_slice(&of.collect::<Vec<f64>>())?;
        Ok(Some(of.f_to_kind(policy.kind())?.f_to(policy.device())?))
    }

    /// Losses, as they weigh, and of which example of the batch each is.
    fn losses(&self, of: &Answers) -> Result<(Tensor, Vec<usize>)> {
        let PreferencePlan { loss, beta, gamma } = self.plan;
        let ahead = |it: &Tensor| -> Result<Tensor> {
            Ok(of.select(it, Role::Wanted)?.f_sub(&of.select(it, Role::Unwanted)?)?)
        };
        let losses = match loss {
            PreferenceLoss::Ipo => {
                ahead(&of.mean(&of.log_ratios()?)?)?.f_sub_scalar(1.0 / (2.0 * beta))?.f_square()?
            }
            PreferenceLoss::Orpo => {
                let means = of.mean(&of.policy)?;
                let odds = ahead(&means)?.f_sub(&ahead(&log_1m_exp(&means)?)?)?;
                let ratio = odds.f_log_sigmoid()?.f_mul_scalar(beta)?;
                let likelihood = of.negative_log_likelihood.as_ref();
                likelihood.context("no answer is wanted")?.f_sub(&ratio)?
            }
            PreferenceLoss::Simpo => {
                let ahead = ahead(&of.mean(&of.policy)?)?.f_mul_scalar(beta)?;
                self.smoothed(&ahead.f_sub_scalar(gamma.unwrap_or(0.0))?)?
            }
            PreferenceLoss::Kto => return self.kto(of),
            PreferenceLoss::Dpo => self.smoothed(&ahead(&of.log_ratios()?)?.f_mul_scalar(beta)?)?,
        };
        Ok((losses, of.examples(Role::Wanted)))
    }

    /// - log sigmoid, of a label that may be wrong.
    fn smoothed(&self, ahead: &Tensor) -> Result<Tensor> {
        let right = ahead.f_log_sigmoid()?.f_mul_scalar(self.label_smoothing - 1.0)?;
        let wrong = ahead.f_neg()?.f_log_sigmoid()?.f_mul_scalar(self.label_smoothing)?;
        Ok(right.f_sub(&wrong)?)
    }

    fn kto(&self, of: &Answers) -> Result<(Tensor, Vec<usize>)> {
        let beta = self.plan.beta;
        let ratios = of.log_ratios()?;
        let divergence = of.select(&ratios, Role::Stray)?.f_detach()?;
        let divergence = divergence.f_mean(divergence.kind())?.f_clamp_min(0.0)?;
        let [unwanted, wanted] = self.weights;
        let loss = |role: Role, sign: f64, weight: f64| -> Result<Tensor> {
            let ahead = of.select(&ratios, role)?.f_sub(&divergence)?.f_mul_scalar(sign * beta)?;
            Ok(ahead.f_sigmoid()?.f_neg()?.f_add_scalar(1.0)?.f_mul_scalar(weight)?)
        };
        let losses = [loss(Role::Wanted, 1.0, wanted)?, loss(Role::Unwanted, -1.0, unwanted)?];
        let examples = [of.examples(Role::Wanted), of.examples(Role::Unwanted)].concat();
        Ok((Tensor::f_cat(&losses, 0)?, examples))
    }

    /// As TRL logs them.
    fn rewards(&self, of: &Answers) -> Result<Vec<f64>> {
        let of = match self.plan.loss.has_reference() {
            true => of.log_ratios()?,
            false => of.mean(&of.policy)?,
        };
        numbers(&of.f_mul_scalar(self.plan.beta)?)
    }

    /// A row of each of so many examples, as [`finetuned_answers`] has them.
    fn rows(&self, of: &Answers, examples: usize) -> Result<Vec<f64>> {
        let rewards = self.rewards(of)?;
        let likelihoods = numbers(&of.mean(&of.policy)?)?;
        let ratios = match self.plan.loss.has_reference() {
            true => numbers(&of.log_ratios()?)?,
            false => vec![f64::NAN; rewards.len()],
        };
        let mut rows = Vec::new();
        for example in 0..examples {
            let own = |it: &usize| of.roles[*it].0 == example && of.roles[*it].1 != Role::Stray;
            let own: Vec<usize> = (0..of.roles.len()).filter(own).collect();
            let ratio = own.iter().map(|it| ratios[*it]).sum::<f64>() / own.len().max(1) as f64;
            let is_base = self.is_base && self.plan.loss.has_reference();
            let (reward, other, right) = match own[..] {
                [wanted, unwanted] => {
                    let by = if is_base { &likelihoods } else { &rewards };
                    let right = f64::from(by[unwanted] < by[wanted]);
                    (rewards[wanted], rewards[unwanted], right)
                }
                [alone] => {
                    let reward = rewards[alone];
                    let wanted = of.roles[alone].1 == Role::Wanted;
                    let right = if wanted { reward } else { -reward };
                    (reward, 0.0, if right == 0.0 { 0.5 } else { f64::from(0.0 < right) })
                }
                _ => bail!("an example has {} answers", own.len()),
            };
            rows.extend([reward, other, ratio, right]);
        }
        Ok(rows)
    }
}

/// log(1 - exp(x)) of x below 0, as TRL's `log1mexp`.
fn log_1m_exp(of: &Tensor) -> Result<Tensor> {
    let near = of.f_expm1()?.f_neg()?.f_log()?;
    let far = of.f_exp()?.f_neg()?.f_log1p()?;
    Ok(near.f_where_self(&of.f_gt(-std::f64::consts::LN_2)?, &far)?)
}

impl Objective for Preferences {
    /// Pairs; of KTO answers.
    fn weight(&self, set: &ExampleSet, batch: &[u32], _: &Pass) -> f64 {
        let counts = |role| match role {
            Role::Wanted => true,
            Role::Unwanted => self.plan.loss == PreferenceLoss::Kto,
            Role::Stray | Role::Alone => false,
        };
        roles(set, batch).into_iter().filter(|it| counts(it.1)).count() as f64
    }

    fn loss(&self, network: &Network, batch: &Batch, pass: &Pass) -> Result<Tensor> {
        Ok(self.losses(&self.answers(network, batch, pass)?)?.0.f_sum(Kind::Float)?)
    }

    fn evaluate(&self, network: &Network, batch: &Batch) -> Result<Evaluated> {
        let examples = batch.indices.len();
        tch::no_grad(|| {
            let found = self.answers(network, batch, &Pass::evaluation())?;
            let (each, of) = self.losses(&found)?;
            let (mut losses, mut weights) = (vec![0.0; examples], vec![0.0; examples]);
            for (loss, example) in numbers(&each)?.into_iter().zip(of) {
                losses[example] += loss;
                weights[example] += 1.0;
            }
            let values = Tensor::f_from_slice(&self.rows(&found, examples)?)?;
            Ok(Evaluated {
                values: values.f_view([examples as i64, -1])?,
                losses: Tensor::f_from_slice(&losses)?,
                weights: Some(weights),
                rows: None,
            })
        })
    }

    fn be_base(&mut self) {
        self.is_base = true;
    }

    fn evaluate_outputs(&self, _: &Tensor, _: &[&Target]) -> Result<Evaluated> {
        bail!("answers are not scored without the questions that they answer")
    }
}

#[cfg(test)]
mod tests;
