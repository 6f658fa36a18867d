//! The examples of a split: their inputs, encoded, and what each should be answered with.

use crate::batches::{self, Lengths};
use crate::modality::{Encoded, Inputs};
use finetuned_answers::Target;
use std::cell::OnceCell;

pub(crate) struct ExampleSet {
    pub inputs: Inputs,
    pub encoded: Box<dyn Encoded>,
    pub targets: Vec<Target>,
    /// Of each example, of each of its answers that are compared: the log-probability that the base
    /// model gives it, once that is known.
    pub reference: OnceCell<Vec<Box<[f64]>>>,
}

impl ExampleSet {
    pub(crate) fn len(&self) -> usize {
        self.encoded.len()
    }

    pub(crate) fn lengths(&self) -> Lengths {
        let each = self.encoded.lengths();
        let all: Vec<u32> = (0..self.len() as u32).collect();
        let parts = self.encoded.sequences(&all).into_iter().map(|it| it as u32);
        let longest = parts.max().or_else(|| each.iter().copied().max()).unwrap_or(0);
        Lengths { each, longest }
    }

    /// Every example once, in the order that costs least.
    pub(crate) fn evaluation_batches(&self) -> Vec<Vec<u32>> {
        batches::by_length(&self.lengths(), self.encoded.evaluation_batch())
    }

    pub(crate) fn targets(&self, indices: &[u32]) -> Vec<&Target> {
        indices.iter().map(|&it| &self.targets[it as usize]).collect()
    }
}
