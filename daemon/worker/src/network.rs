//! A model in use: batches of examples in, features and logits out. Whether it trains is `learner`'s business.

use crate::batches;
use crate::prepare::model_failure;
use crate::tokens::TokenSet;
use anyhow::{Context, Result};
use finetuned_models::{BuildOptions, Checkpoint, Pass, TextClassifier};
use std::path::Path;
use tch::{Device, Tensor};

/// A split as a network takes it: token ids, or what the frozen body gave for them.
#[derive(Clone, Copy)]
pub(crate) struct Examples<'a> {
    pub tokens: &'a TokenSet,
    /// (examples, width)
    pub features: Option<&'a Tensor>,
}

pub(crate) struct Network {
    pub classifier: Box<dyn TextClassifier>,
    pub classes: usize,
    pub device: Device,
}

impl Network {
    /// Opens a finished model folder; the names of its classes come from its config.
    pub(crate) fn open(folder: &Path, device: Device) -> Result<(Network, Vec<String>)> {
        let saved = finetuned_models::open(folder).map_err(model_failure)?;
        let classes = class_names(&saved).with_context(|| format!("{} names no classes in id2label", folder.join("config.json").display()))?;
        let options = BuildOptions { classes: classes.len() as i64, dropout: None, attention_dropout: 0.0, device, seed: 0, keep_head: true };
        let model = saved.build(&options).map_err(model_failure)?;
        let network = Network { classifier: model.classifier, classes: classes.len(), device };
        Ok((network, classes))
    }

    /// (batch, width): what the head takes.
    pub(crate) fn features(&self, examples: Examples, batch: &[u32], pass: &Pass) -> Result<Tensor> {
        match examples.features {
            Some(kept) => {
                let indices: Vec<i64> = batch.iter().map(|&it| i64::from(it)).collect();
                Ok(kept.f_index_select(0, &Tensor::f_from_slice(&indices)?.f_to(kept.device())?)?)
            }
            None => Ok(self.classifier.features(&batches::tokens(examples.tokens, batch, self.device)?, pass)?),
        }
    }

    /// (batch, classes)
    pub(crate) fn logits(&self, examples: Examples, batch: &[u32], pass: &Pass) -> Result<Tensor> {
        Ok(self.classifier.head(&self.features(examples, batch, pass)?, pass)?)
    }
}

/// `id2label` of a config, in the order of its numbers.
fn class_names(saved: &Checkpoint) -> Option<Vec<String>> {
    let labels = saved.config_json().get("id2label")?.as_object()?;
    (0..labels.len()).map(|it| Some(labels.get(&it.to_string())?.as_str()?.to_string())).collect()
}
