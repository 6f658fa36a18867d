//! A reward for each conversation, of which pairs say which is to be the larger one: the model of
//! Bradley and Terry (1952) as TRL's `RewardTrainer` has it, - log sigmoid(chosen - rejected -
//! margin).

use super::vocabulary::numbers;
use super::{Evaluated, Objective};
use crate::examples::ExampleSet;
use crate::network::Network;
use crate::source::Batch;
use anyhow::{Result, bail};
use finetuned_answers::Target;
use finetuned_models::Pass;
use tch::{Kind, Tensor};

pub(super) struct Rewards;

/// (pairs): losses of rewards (pairs, 2), the wanted answer's first. `margins`: how far it should
/// be ahead.
fn losses(rewards: &Tensor, margins: &[f64]) -> Result<Tensor> {
    let margins = Tensor::f_from_slice(margins)?.f_to_kind(rewards.kind())?;
    let ahead = rewards.f_select(1, 0)?.f_sub(&rewards.f_select(1, 1)?)?;
    Ok(ahead.f_sub(&margins.f_to(rewards.device())?)?.f_log_sigmoid()?.f_neg()?)
}

fn margins(set: &ExampleSet, batch: &[u32]) -> Vec<f64> {
    let margin = |it: &u32| set.encoded.answers(*it).first().map_or(0.0, |it| it.margin);
    batch.iter().map(margin).collect()
}

impl Objective for Rewards {
    fn weight(&self, _: &ExampleSet, batch: &[u32], _: &Pass) -> f64 {
        batch.len() as f64
    }

    fn loss(&self, network: &Network, batch: &Batch, pass: &Pass) -> Result<Tensor> {
        let outputs = network.forward(&batch.input, None, None, pass)?.outputs;
        let margins = margins(batch.set, &batch.indices);
        Ok(losses(&outputs.f_view([-1, 2])?, &margins)?.f_sum(Kind::Float)?)
    }

    /// What a person names is no pair: it has a reward alone.
    fn evaluate(&self, network: &Network, batch: &Batch) -> Result<Evaluated> {
        let outputs = network.outputs_of(&batch.input, None)?.f_to_kind(Kind::Double)?;
        let all = numbers(&outputs.f_view(-1)?)?;
        let (mut values, mut each, mut rest) = (Vec::new(), Vec::new(), &all[..]);
        for &index in &batch.indices {
            let answers = batch.set.encoded.answers(index);
            let (own, others) = rest.split_at(answers.len().min(rest.len()));
            rest = others;
            match *own {
                [alone] => {
                    values.extend([alone, 0.0, f64::NAN, 0.5]);
                    each.push(0.0);
                }
                [wanted, unwanted] => {
                    let right = f64::from(unwanted < wanted);
                    values.extend([wanted, unwanted, f64::NAN, right]);
                    let pair = Tensor::f_from_slice(own)?.f_view([1, 2])?;
                    each.extend(numbers(&losses(&pair, &[answers[0].margin])?)?);
                }
                _ => bail!("an example has {} conversations", own.len()),
            }
        }
        Ok(Evaluated {
            values: Tensor::f_from_slice(&values)?.f_view([each.len() as i64, -1])?,
            losses: Tensor::f_from_slice(&each)?,
            weights: None,
            rows: None,
        })
    }

    fn evaluate_outputs(&self, _: &Tensor, _: &[&Target]) -> Result<Evaluated> {
        bail!("pairs are not scored one by one")
    }
}
