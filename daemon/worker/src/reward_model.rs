//! A reward model: a finished model of one output that scores a conversation as a whole, asked what
//! an answer is worth. Which model may be asked for is decided where base models are found.

use crate::base_model::{self, BaseModel};
use crate::checkpoint;
use crate::failures;
use crate::modality::ScoredConversations;
use crate::network::{self, Built, Network};
use anyhow::{Context, Result};
use finetuned_hub::Resolved;
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_job::plan::RewardModelPlan;
use finetuned_models::{BuildOptions, HeadKind, Input, Storage};
use std::path::Path;
use tch::{Device, Tensor};

/// What is looked for, which names the copy of a stranger's folder.
const NAMED: &str = "reward";
/// Conversations in one forward pass.
const BATCH: usize = 16;

pub(crate) struct RewardModel {
    network: Network,
    conversations: ScoredConversations,
    /// As the recipe names it.
    name: String,
    weights_hash: String,
}

/// Those of these names, in their order. `find`: from a name, and what is looked for, to a folder.
///
/// # Errors
/// As [`base_model::open`].
pub(crate) fn find_all(
    names: &[&str],
    near: &Path,
    mut find: impl FnMut(&str, &str) -> Result<Resolved>,
) -> Result<Vec<BaseModel>> {
    let each = |(nth, name): (usize, &&str)| {
        let found = |name: &str, what: &str| find(name, &format!("{NAMED}-{nth}-{what}"));
        base_model::open(name, near, found).map_err(|err| failures::at("reward.model", err))
    };
    names.iter().enumerate().map(each).collect()
}

impl RewardModel {
    /// # Errors
    /// A model that gives a conversation no number of its own, or of which nobody knows how it
    /// reads one.
    pub(crate) fn open(found: &BaseModel, device: Device) -> Result<RewardModel> {
        let BaseModel { checkpoint, name, .. } = found;
        if checkpoint.head() != HeadKind::Classes(1) {
            let message = format!(
                "{name} ({}) is no reward model: it does not give one number for each text",
                checkpoint.architecture()
            );
            return Err(Failure::new(FailureKind::Recipe, message)
                .with_cure("name a model of the task reward-modeling, or another with num_labels 1, as reward.model")
                .into());
        }
        let conversations = ScoredConversations::open(checkpoint, name)?;
        let options = BuildOptions {
            device,
            storage: Storage::Lossless,
            ..BuildOptions::new(HeadKind::Keep)
        };
        let Built { model, head, parts, report, .. } = network::build(checkpoint, &options, None)?;
        if let Some(missing) = report.initialised().next() {
            let message = format!("{name} is no reward model: its files have no {missing}");
            return Err(Failure::new(FailureKind::Model, message)
                .with_cure("name a folder that a job of the task reward-modeling has left, or fetch it again")
                .into());
        }
        let network = Network { model, head, parts, outputs: 1, device, units: None };
        let weights_hash = checkpoint::hashes(checkpoint.weights_files())?;
        Ok(RewardModel { network, conversations, name: name.clone(), weights_hash })
    }

    pub(crate) fn plan(&self) -> RewardModelPlan {
        RewardModelPlan { model: self.name.clone(), weights_hash: self.weights_hash.clone() }
    }

    /// Of each answer, with the list of messages in JSON that it answers: the logit.
    ///
    /// # Errors
    /// An answer that the model's template does not take, or is too long with its question for the
    /// model: with its place among the answers.
    pub(crate) fn rewards(
        &self,
        answers: &[(&str, &str)],
    ) -> Result<Vec<f64>, (usize, anyhow::Error)> {
        let mut all = Vec::with_capacity(answers.len());
        for (batch, first) in answers.chunks(BATCH).zip((0..).step_by(BATCH)) {
            let mut ids: Vec<i64> = Vec::new();
            let mut lengths = Vec::with_capacity(batch.len());
            for ((messages, answer), place) in batch.iter().zip(first..) {
                let tokens = self.conversations.tokens(messages, answer);
                let tokens = tokens.map_err(|err| (place, err))?;
                lengths.push(tokens.len() as i64);
                ids.extend(tokens.into_iter().map(i64::from));
            }
            all.extend(self.scored(&ids, lengths).map_err(|err| (first, err))?);
        }
        Ok(all)
    }

    fn scored(&self, ids: &[i64], lengths: Vec<i64>) -> Result<Vec<f64>> {
        let ids = Tensor::f_from_slice(ids)?.f_to(self.network.device)?;
        let outputs = self.network.outputs_of(&Input::tokens(ids, lengths), None)?;
        let flat = outputs.f_to_kind(tch::Kind::Double)?.f_to(Device::Cpu)?.f_contiguous()?;
        Vec::try_from(flat.f_view(-1)?).with_context(|| format!("reading what {} gives", self.name))
    }
}
