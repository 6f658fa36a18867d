//! A model in use: batches in, outputs out. Whether it trains is `learner`'s business.

use crate::export::WEIGHTS;
use crate::extensions::{Extensions, PluginHead};
use crate::feed::Input;
use crate::objective::Scale;
use crate::plugins::{HeadFeatures, HeadInstance, HeadShape, PassNumbers};
use crate::prepare::model_failure;
use anyhow::{Context, Result, bail};
use finetuned_job::plan::Plan;
use finetuned_job::recipe::Head;
use finetuned_job::task::Answer;
use finetuned_models::{
    BuildOptions, Checkpoint, ImageClassifier, Kind, Parts, Pass, TextClassifier, Tokens,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use tch::{Device, Tensor};

/// What a forward pass gives.
pub(crate) struct Forward {
    /// (batch, outputs): logits, or numbers in the model's own units.
    pub outputs: Tensor,
    /// (batch, width); absent where the head took a vector for each token.
    pub features: Option<Tensor>,
}

/// A model without regard to what it looks at: a row of stages, then a head.
pub(crate) enum Body {
    Text(Box<dyn TextClassifier>),
    Image(Box<dyn ImageClassifier>),
}

/// A model that was just read, with its own tensors.
pub(crate) struct Built {
    pub body: Body,
    /// A plugin's, in the place of the model's own.
    pub head: Option<HeadInstance>,
    pub tensors: Vec<(String, Tensor)>,
    /// Those of the model's own head, where a plugin's stands in its place.
    pub own_head: Vec<(String, Tensor)>,
    pub parts: Parts,
    pub report: finetuned_models::LoadReport,
}

pub(crate) fn build(
    checkpoint: &Checkpoint,
    options: &BuildOptions,
    head: Option<PluginHead>,
) -> Result<Built> {
    let (body, mut tensors, report) = match checkpoint.kind() {
        Kind::Text => {
            let model = checkpoint.build(options).map_err(model_failure)?;
            (Body::Text(model.classifier), model.tensors, model.report)
        }
        Kind::Image => {
            let model = checkpoint.build_image(options).map_err(model_failure)?;
            (Body::Image(model.classifier), model.tensors, model.report)
        }
    };
    let mut parts = body.parts().clone();
    let mut own_head = Vec::new();
    let head = head.map(|head| {
        let own = std::mem::take(&mut parts.head);
        parts.norms.retain(|it| !own.contains(it));
        own_head = tensors.extract_if(.., |it| own.contains(&it.0)).collect();
        parts.head = head.tensors.iter().filter(|it| it.2).map(|it| it.0.clone()).collect();
        parts.buffers.push(head.tensors.iter().filter(|it| !it.2).map(|it| it.0.clone()).collect());
        tensors.extend(head.tensors.into_iter().map(|(name, tensor, _)| (name, tensor)));
        head.instance
    });
    Ok(Built { body, head, tensors, own_head, parts, report })
}

impl Body {
    fn parts(&self) -> &Parts {
        match self {
            Body::Text(it) => it.parts(),
            Body::Image(it) => it.parts(),
        }
    }

    pub(crate) fn set_trainable(&mut self, names: &BTreeSet<String>) {
        match self {
            Body::Text(it) => it.set_trainable(names),
            Body::Image(it) => it.set_trainable(names),
        }
    }

    /// Stages below the head: what stands below the layers, and the layers.
    pub(crate) fn stages(&self) -> usize {
        match self {
            Body::Text(it) => it.stages(),
            Body::Image(it) => it.stages(),
        }
    }

    /// Stages below everything of these names, which need run only once for an example. A head that
    /// wants a vector for each token has the last stage run for it.
    pub(crate) fn stages_below(&self, names: &BTreeSet<String>, wants_sequence: bool) -> usize {
        let parts = self.parts();
        let frozen = |stage: &&Vec<String>| !stage.iter().any(|it| names.contains(it));
        let below = [&parts.embeddings].into_iter().chain(&parts.layers).take_while(frozen).count();
        if wants_sequence { below.min(self.stages() - 1) } else { below }
    }

    /// Whether to compute what the first `stages` give takes longer than to read it. Embeddings do
    /// not.
    pub(crate) fn worth_keeping(&self, stages: usize) -> bool {
        match self {
            Body::Text(_) => 1 < stages,
            Body::Image(_) => 0 < stages,
        }
    }

    /// Whether the first `stages` give something for each token of a text, not for a text or an
    /// image as a whole.
    pub(crate) fn gives_by_token(&self, stages: usize) -> bool {
        matches!(self, Body::Text(_)) && stages < self.stages()
    }

    /// (batch, …), for texts (tokens, width): what the first `stages` give; all of them: (batch,
    /// width), the features.
    fn run(&self, input: &Input, stages: usize, pass: &Pass) -> Result<Tensor> {
        Ok(match (self, input) {
            (_, Input::After { stages: done, xs, .. }) if *done == stages => xs.shallow_clone(),
            (Body::Text(it), Input::Tokens(Tokens { ids, lengths })) => {
                it.run(ids, lengths, 0..stages, pass)?
            }
            (Body::Text(it), Input::After { stages: done, xs, lengths }) => {
                it.run(xs, lengths, *done..stages, pass)?
            }
            (Body::Image(it), Input::Pixels(pixels)) => it.run(pixels, 0..stages, pass)?,
            (Body::Image(it), Input::After { stages: done, xs, .. }) => {
                it.run(xs, *done..stages, pass)?
            }
            _ => bail!(
                "the model of {} was given something else",
                if matches!(self, Body::Text(_)) { "texts" } else { "images" }
            ),
        })
    }

    /// Makes the model's own head this linear map, where it can be one.
    pub(crate) fn set_head(&self, weight: &Tensor, bias: &Tensor) -> Result<bool> {
        Ok(match self {
            Body::Text(it) => it.set_head(weight, bias)?,
            Body::Image(it) => it.set_head(weight, bias)?,
        })
    }

    fn head(&self, features: &Tensor, pass: &Pass) -> Result<Tensor> {
        Ok(match self {
            Body::Text(it) => it.head(features, pass)?,
            Body::Image(it) => it.head(features, pass)?,
        })
    }

    /// (batch, seq, width), and which of them are tokens: (batch, seq) int64.
    fn sequence(&self, input: &Input, pass: &Pass) -> Result<(Tensor, Tensor)> {
        let (hidden, lengths) = match (self, input) {
            (Body::Text(it), Input::Tokens(Tokens { ids, lengths })) => {
                (it.hidden_states(ids, lengths, 0, pass)?, lengths)
            }
            (Body::Text(it), Input::After { stages, xs, lengths }) => {
                (it.hidden_states(xs, lengths, *stages, pass)?, lengths)
            }
            _ => bail!(
                "the head wants a vector for each token, which models of images do not give here"
            ),
        };
        let mask: Vec<Tensor> = lengths
            .iter()
            .map(|it| Tensor::f_ones([*it], tch::kind::INT64_CPU))
            .collect::<Result<_, _>>()?;
        let mask = Tensor::f_pad_sequence(&mask, true, 0.0, "right")?.f_to(hidden.device())?;
        Ok((
            Tensor::f_pad_sequence(&hidden.f_split_with_sizes(lengths, 0)?, true, 0.0, "right")?,
            mask,
        ))
    }

    /// Numbers that the first `stages` give for one image of this size, or one text or token.
    pub(crate) fn numbers_after(
        &self,
        stages: usize,
        width: i64,
        (height_in, width_in): (u32, u32),
        device: Device,
    ) -> Result<u64> {
        let Body::Image(it) = self else { return Ok(width as u64) };
        if stages == 0 {
            return Ok(0);
        }
        let blank = Tensor::f_zeros(
            [1, 3, i64::from(height_in), i64::from(width_in)],
            (tch::Kind::Float, device),
        )?;
        Ok(tch::no_grad(|| it.run(&blank, 0..stages, &Pass::evaluation()))?.numel() as u64)
    }
}

pub(crate) struct Network {
    pub body: Body,
    pub head: Option<HeadInstance>,
    /// With the plugin's head, where there is one.
    pub parts: Parts,
    pub problem: Answer,
    pub outputs: usize,
    pub device: Device,
    /// What the model's units are: while numbers are learnt, and of a plugin's head that has learnt
    /// them.
    pub scale: Option<Scale>,
}

impl Network {
    /// Opens a finished model folder, which has this head; the names of its outputs come from its
    /// config.
    pub(crate) fn open(
        folder: &Path,
        head: &Head,
        plan: &Plan,
        extensions: &Extensions,
        device: Device,
    ) -> Result<(Network, Vec<String>)> {
        let saved = finetuned_models::open(folder).map_err(model_failure)?;
        let names = output_names(saved.config_json()).with_context(|| {
            format!("{} names no outputs", folder.join("config.json").display())
        })?;
        let outputs = names.len() as i64;
        let shape = HeadShape {
            device,
            width: saved.hidden_size(),
            outputs,
            seed: plan.train.seed,
            problem: plan.data.problem,
        };
        let head = extensions.head(head, shape)?;
        let scale = head
            .as_ref()
            .map(|it| restore(folder, it, plan.data.problem, device))
            .transpose()?
            .flatten();
        let options = BuildOptions {
            classes: outputs,
            dropout: None,
            attention_dropout: 0.0,
            image_size: None,
            device,
            seed: 0,
            keep_head: head.is_none(),
        };
        let Built { body, head, parts, .. } = build(&saved, &options, head)?;
        Ok((
            Network {
                body,
                head,
                parts,
                problem: plan.data.problem,
                outputs: names.len(),
                device,
                scale,
            },
            names,
        ))
    }

    /// Whether the head takes a vector for each token.
    pub(crate) fn wants_sequence(&self) -> bool {
        self.head.as_ref().is_some_and(|it| it.features() == HeadFeatures::Sequence)
    }

    /// What trains from now on.
    pub(crate) fn set_trainable(
        &mut self,
        names: &BTreeSet<String>,
        tensors: &BTreeMap<String, Tensor>,
    ) {
        self.body.set_trainable(names);
        if self.head.is_some() {
            for name in &self.parts.head {
                let _ = tensors.get(name).map(|it| it.set_requires_grad(names.contains(name)));
            }
        }
    }

    /// (batch, …): what the first `stages` give.
    pub(crate) fn run(&self, input: &Input, stages: usize, pass: &Pass) -> Result<Tensor> {
        self.body.run(input, stages, pass)
    }

    /// `labels`: what is true, for a plugin's head, while it trains.
    pub(crate) fn forward(
        &self,
        input: &Input,
        labels: Option<&Tensor>,
        pass: &Pass,
    ) -> Result<Forward> {
        let numbers =
            PassNumbers { train: pass.train, seed: pass.seed, step: pass.step, micro: pass.micro };
        match &self.head {
            Some(head) if head.features() == HeadFeatures::Sequence => {
                let (features, mask) = self.body.sequence(input, pass)?;
                Ok(Forward {
                    outputs: head.forward(&features, Some(&mask), labels, numbers)?,
                    features: None,
                })
            }
            head => {
                let features = self.run(input, self.body.stages(), pass)?;
                let outputs = match head {
                    Some(head) => head.forward(&features, None, labels, numbers)?,
                    None => self.body.head(&features, pass)?,
                };
                Ok(Forward { outputs, features: Some(features) })
            }
        }
    }

    /// (batch, outputs): logits, or numbers as people say them.
    pub(crate) fn answers(&self, input: &Input) -> Result<Tensor> {
        let outputs = tch::no_grad(|| self.forward(input, None, &Pass::evaluation()))?.outputs;
        self.scale.as_ref().map_or(Ok(outputs.shallow_clone()), |it| it.up(&outputs))
    }
}

/// Gives a plugin's head the numbers that were saved; gives back its units, where it has learnt
/// numbers.
fn restore(
    folder: &Path,
    head: &PluginHead,
    problem: Answer,
    device: Device,
) -> Result<Option<Scale>> {
    let path = folder.join(WEIGHTS);
    let mut saved: BTreeMap<String, Tensor> =
        finetuned_models::read(&path).map_err(model_failure)?.into_iter().collect();
    for (name, tensor, _) in &head.tensors {
        let value = saved.remove(name).with_context(|| {
            format!("{} has no {name}: the plugin has changed since", path.display())
        })?;
        tch::no_grad(|| tensor.shallow_clone().f_copy_(&value))
            .with_context(|| format!("loading {name}"))?;
    }
    let unit = |name: &str| {
        Ok(saved
            .remove(name)
            .with_context(|| format!("{} has no {name}", path.display()))?
            .f_to(device)?)
    };
    (problem == Answer::Numbers).then(|| Scale::restore(unit)).transpose()
}

/// As transformers (`id2label`, in the order of its numbers) and timm (`label_names`) have them.
fn output_names(config: &serde_json::Value) -> Option<Vec<String>> {
    let name = |it: &serde_json::Value| it.as_str().map(String::from);
    if let Some(names) = config.get("label_names") {
        return names.as_array()?.iter().map(name).collect();
    }
    let labels = config.get("id2label")?.as_object()?;
    (0..labels.len()).map(|it| name(labels.get(&it.to_string())?)).collect()
}
