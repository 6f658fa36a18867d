//! The examples of a split: their inputs, encoded, and what each should be answered with.

use crate::modality::{Encoded, Inputs};
use finetuned_answers::Target;

pub(crate) struct ExampleSet {
    pub inputs: Inputs,
    pub encoded: Box<dyn Encoded>,
    pub targets: Vec<Target>,
}

impl ExampleSet {
    pub(crate) fn len(&self) -> usize {
        self.encoded.len()
    }

    /// Every example once, in the order that costs least.
    pub(crate) fn evaluation_batches(&self) -> Vec<Vec<u32>> {
        crate::batches::by_length(&self.encoded.lengths(), self.encoded.evaluation_batch())
    }

    pub(crate) fn targets(&self, indices: &[u32]) -> Vec<&Target> {
        indices.iter().map(|&it| &self.targets[it as usize]).collect()
    }
}
