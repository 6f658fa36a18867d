//! What objectives of a vocabulary share: some rows of a batch, each with the token that belongs
//! there. Which rows and tokens, they say themselves.
//!
//! Logits of all rows at once would take more memory than all else: they are computed for some rows
//! at a time, and once more for their gradients.

use super::Evaluated;
use super::cross_entropy::{self, CrossEntropy};
use super::supervised::by_plugin;
use crate::network::Network;
use crate::plugins::LossInstance;
use anyhow::Result;
use finetuned_job::plan::Plan;
use finetuned_models::{Input, Pass};
use tch::{Device, Kind, Tensor};

/// Rows whose logits exist at the same time: in fp32 and with 50,000 tokens they take 50 MB.
const ROWS: i64 = 256;

pub(super) struct Vocabulary {
    cross_entropy: CrossEntropy,
    /// In the place of cross-entropy.
    plugin: Option<LossInstance>,
}

/// What is asked of a batch.
pub(super) struct Asked {
    /// As the model is shown it.
    pub input: Input,
    /// (asked) int64: rows of the features.
    pub rows: Tensor,
    /// (asked) int64: what belongs there.
    pub targets: Tensor,
    /// Of each example: how many of the rows are its own, and how many bytes of its text they
    /// stand for, where that can be said.
    pub counts: Vec<(usize, u64)>,
}

impl Vocabulary {
    pub(super) fn new(plan: &Plan, plugin: Option<LossInstance>, device: Device) -> Result<Self> {
        Ok(Vocabulary { cross_entropy: CrossEntropy::new(plan, device)?, plugin })
    }

    /// The sum over all rows.
    pub(super) fn loss(&self, network: &Network, asked: &Asked, pass: &Pass) -> Result<Tensor> {
        if let Some(plugin) = &self.plugin {
            let forward = network.forward(&asked.input, Some(&asked.rows), None, pass)?;
            return by_plugin(plugin, &self.cross_entropy, &forward, &asked.targets, pass);
        }
        let features = network.features(&asked.input, Some(&asked.rows), pass)?;
        let label_smoothing = self.cross_entropy.label_smoothing;
        let mut sum = Tensor::f_zeros([], (Kind::Float, network.device))?;
        for (features, targets) in parts(&features, &asked.targets)? {
            let then = move |outputs: &Tensor| {
                cross_entropy::sum(outputs, &targets, None, label_smoothing)
            };
            sum = sum.f_add(&network.model.head_then(&features, pass, Box::new(then))?)?;
        }
        Ok(sum)
    }

    /// Rows as [`finetuned_answers`] has them for tokens: asked for, their surprise, right, bytes.
    pub(super) fn evaluate(&self, network: &Network, asked: &Asked) -> Result<Evaluated> {
        let still = Pass::evaluation();
        let (mut surprise, mut right) = (Vec::new(), Vec::new());
        tch::no_grad(|| {
            let features = network.features(&asked.input, Some(&asked.rows), &still)?;
            for (features, targets) in parts(&features, &asked.targets)? {
                let outputs = network.model.head(&features, &still)?.f_to_kind(Kind::Float)?;
                let of = |it: &Tensor| outputs.f_gather(1, &it.f_unsqueeze(1)?, false)?.f_view(-1);
                let all = outputs.f_logsumexp([1], false)?;
                surprise.extend(numbers(&all.f_sub(&of(&targets)?)?)?);
                right.extend(numbers(&outputs.f_argmax(-1, false)?.f_eq_tensor(&targets)?)?);
            }
            Ok::<_, anyhow::Error>(())
        })?;
        evaluated(&asked.counts, &surprise, &right)
    }
}

pub(super) fn numbers(of: &Tensor) -> Result<Vec<f64>> {
    Ok(Vec::try_from(of.f_to(Device::Cpu)?.f_to_kind(Kind::Double)?)?)
}

/// A text of a batch, and from where on its tokens are asked for: the first of them has none before
/// it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sequence<'a> {
    pub tokens: &'a [u32],
    pub first: usize,
}

/// Of each text the log-probabilities of its tokens from the first on, in fp32, each by the logits
/// over this temperature. `input`: these texts as the model is shown them.
pub(super) fn log_probabilities(
    network: &Network,
    input: &Input,
    (texts, temperature): (&[Sequence], f64),
    pass: &Pass,
) -> Result<Vec<Tensor>> {
    let (mut rows, mut targets, mut counts, mut before) = (vec![], vec![], vec![], 0);
    for it in texts {
        let first = it.first.max(1);
        rows.extend((first..it.tokens.len()).map(|place| before + place as i64 - 1));
        targets.extend(it.tokens[first..].iter().map(|it| i64::from(*it)));
        counts.push((it.tokens.len() - first) as i64);
        before += it.tokens.len() as i64;
    }
    let tensor = |numbers: &[i64]| Tensor::f_from_slice(numbers)?.f_to(network.device);
    let features = network.features(input, Some(&tensor(&rows)?), pass)?;
    let mut all = Vec::new();
    for (features, targets) in parts(&features, &tensor(&targets)?)? {
        let then = move |outputs: &Tensor| {
            let outputs = match temperature {
                1.0 => outputs.shallow_clone(),
                it => outputs.f_div_scalar(it)?,
            };
            let all = outputs.f_log_softmax(-1, Kind::Float)?;
            all.f_gather(1, &targets.f_unsqueeze(1)?, false)?.f_squeeze_dim(1)
        };
        all.push(network.model.head_then(&features, pass, Box::new(then))?);
    }
    Ok(Tensor::f_cat(&all, 0)?.f_split_with_sizes(counts, 0)?)
}

/// Features and targets of as many rows as are predicted at a time.
pub(super) fn parts(features: &Input, targets: &Tensor) -> Result<Vec<(Input, Tensor)>> {
    let rows = features.xs.f_split(ROWS, 0)?;
    let part =
        |xs: Tensor| Input::at(features.stage, xs.shallow_clone(), vec![1; xs.size()[0] as usize]);
    Ok(rows.into_iter().map(part).zip(targets.f_split(ROWS, 0)?).collect())
}

/// `surprise`: negative log-likelihoods in nats; `right`: 1 for what was the likeliest.
fn evaluated(counts: &[(usize, u64)], surprise: &[f64], right: &[f64]) -> Result<Evaluated> {
    let (mut values, mut losses, mut before) = (Vec::new(), Vec::new(), 0);
    for &(count, bytes) in counts {
        let of = |all: &[f64]| all[before..before + count].iter().sum::<f64>();
        values.extend([count as f64, of(surprise), of(right), bytes as f64]);
        losses.push(of(surprise));
        before += count;
    }
    Ok(Evaluated {
        values: Tensor::f_from_slice(&values)?.f_view([counts.len() as i64, -1])?,
        losses: Tensor::f_from_slice(&losses)?,
        weights: Some(counts.iter().map(|it| it.0 as f64).collect()),
        rows: None,
    })
}
