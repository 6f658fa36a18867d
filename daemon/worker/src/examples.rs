//! The examples of a split: what goes into a model, what should come out, and where each comes
//! from.

use crate::images::ImageSet;
use crate::tokens::TokenSet;
use finetuned_data::{ImageExample, Target};
use finetuned_job::task::Answer;
use finetuned_report::Truth;
use std::sync::Arc;
use tch::{Device, Kind, TchError, Tensor};

pub(crate) struct ExampleSet {
    pub inputs: Inputs,
    pub targets: Targets,
}

pub(crate) enum Inputs {
    Texts(TokenSet),
    Images(Arc<ImageSet>),
}

/// What a model should say, example after example.
pub(crate) enum Targets {
    /// Class numbers.
    Classes(Vec<u32>),
    /// A row of zeros and ones for each example, one for each class.
    Sets { rows: Vec<f32>, width: usize },
    /// A row of numbers for each example.
    Numbers { rows: Vec<f32>, width: usize },
}

impl ExampleSet {
    pub(crate) fn len(&self) -> usize {
        match &self.inputs {
            Inputs::Texts(it) => it.len(),
            Inputs::Images(it) => it.len(),
        }
    }

    /// `tweets.csv:17`, `cats/3.jpg`: for messages.
    pub(crate) fn origin(&self, index: u32) -> String {
        match &self.inputs {
            Inputs::Texts(it) => it.origin(index),
            Inputs::Images(it) => it.origin(index),
        }
    }

    /// How much work each example is: its tokens; an image is one.
    pub(crate) fn lengths(&self) -> Vec<u32> {
        match &self.inputs {
            Inputs::Texts(it) => it.lengths(),
            Inputs::Images(it) => vec![1; it.len()],
        }
    }

    /// What [`ExampleSet::lengths`] counts.
    pub(crate) fn unit(&self) -> &'static str {
        match &self.inputs {
            Inputs::Texts(_) => "tokens",
            Inputs::Images(_) => "images",
        }
    }
}

impl Targets {
    pub(crate) fn of_images(
        examples: &[ImageExample],
        problem: Answer,
        classes: usize,
        numbers: usize,
    ) -> Targets {
        let targets = examples.iter().map(|it| &it.target);
        match problem {
            Answer::Class => Targets::Classes(
                targets.map(|it| if let Target::Class(class) = it { *class } else { 0 }).collect(),
            ),
            Answer::Classes => {
                let mut rows = vec![0.0; examples.len() * classes];
                for (row, target) in rows.chunks_mut(classes.max(1)).zip(targets) {
                    if let Target::Classes(set) = target {
                        set.iter().for_each(|&class| row[class as usize] = 1.0);
                    }
                }
                Targets::Sets { rows, width: classes }
            }
            Answer::Numbers => {
                let rows = targets
                    .flat_map(|it| if let Target::Numbers(row) = it { &**row } else { &[] })
                    .map(|&it| it as f32)
                    .collect();
                Targets::Numbers { rows, width: numbers }
            }
        }
    }

    /// Of examples of which nothing is known.
    pub(crate) fn unknown(problem: Answer, examples: usize, width: usize) -> Targets {
        let rows = || vec![0.0; examples * width];
        match problem {
            Answer::Class => Targets::Classes(vec![0; examples]),
            Answer::Classes => Targets::Sets { rows: rows(), width },
            Answer::Numbers => Targets::Numbers { rows: rows(), width },
        }
    }

    pub(crate) fn truth(&self) -> Truth<'_> {
        match self {
            Targets::Classes(it) => Truth::Classes(it),
            Targets::Sets { rows, .. } => Truth::Sets(rows),
            Targets::Numbers { rows, .. } => Truth::Numbers(rows),
        }
    }

    /// (batch) int64 class numbers, or (batch, outputs) fp32.
    pub(crate) fn tensor(&self, batch: &[u32], device: Device) -> Result<Tensor, TchError> {
        match self {
            Targets::Classes(all) => {
                let classes: Vec<i64> =
                    batch.iter().map(|&it| i64::from(all[it as usize])).collect();
                Tensor::f_from_slice(&classes)?.f_to(device)
            }
            Targets::Sets { rows, width } | Targets::Numbers { rows, width } => {
                let found: Vec<f32> = batch
                    .iter()
                    .flat_map(|&it| &rows[it as usize * width..][..*width])
                    .copied()
                    .collect();
                Tensor::f_from_slice(&found)?
                    .f_view([batch.len() as i64, *width as i64])?
                    .f_to_device(device)?
                    .f_to_kind(Kind::Float)
            }
        }
    }
}
