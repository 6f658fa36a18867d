//! Losses: what training makes small.

use crate::abi::{self, Bytes, CTensor, Instance, LossFunctions, LossShape, Sink, Status};
use crate::error::{Error, Result};
use crate::problem::{self, Problem};
use crate::tensor::{Pass, Targets, borrow, device, maybe_borrow, release};
use crate::{border, guard, settings};
use serde::de::DeserializeOwned;
use std::marker::PhantomData;
use tch::{Device, Tensor};

/// What is minimised, over the outputs of a head. Ordinary tch code.
pub trait Loss: Sized + Send + 'static {
    /// What recipes call it: lower-case letters, digits, `-` and `_`.
    const NAME: &'static str;
    /// What it is made for. A job with another problem is refused before it trains.
    const PROBLEMS: &'static [Problem] = &[Problem::SingleLabel];
    /// What a recipe may set. Give every field a default.
    type Settings: DeserializeOwned;

    /// For `outputs` classes, or numbers.
    ///
    /// # Errors
    /// Settings that cannot be used.
    fn new(settings: Self::Settings, outputs: i64, device: Device) -> Result<Self>;

    /// As [`Loss::new`], with the one of [`Loss::PROBLEMS`] that it will serve: for a loss that
    /// must know it when it is made. While it computes, [`LossInput::targets`] says it.
    ///
    /// # Errors As [`Loss::new`].
    fn new_for(
        _problem: Problem,
        settings: Self::Settings,
        outputs: i64,
        device: Device,
    ) -> Result<Self> {
        Self::new(settings, outputs, device)
    }

    /// -> fp32 (batch): the loss of every example, whose weighted mean is taken by the trainer. A
    /// loss that is one number for the whole batch gives it to each example.
    ///
    /// # Errors Shapes that do not fit, no memory.
    fn forward(&self, input: &LossInput, pass: &Pass) -> Result<Tensor>;
}

/// What a loss is given of a batch.
pub struct LossInput<'a> {
    /// fp32 (batch, outputs)
    pub logits: &'a Tensor,
    /// With one label, int64 (batch): the classes. Else what [`LossInput::targets`] has.
    pub labels: &'a Tensor,
    pub(crate) features: Option<&'a Tensor>,
    pub(crate) problem: Problem,
}

impl<'a> LossInput<'a> {
    /// Examples with one label each; [`LossInput::of`] says another problem.
    pub fn new(
        logits: &'a Tensor,
        labels: &'a Tensor,
        features: Option<&'a Tensor>,
    ) -> LossInput<'a> {
        LossInput { logits, labels, features, problem: Problem::SingleLabel }
    }

    /// The same, with labels that are what is true of examples of this problem.
    #[must_use]
    pub fn of(self, problem: Problem) -> LossInput<'a> {
        LossInput { problem, ..self }
    }

    /// What is true.
    pub fn targets(&self) -> Targets<'a> {
        Targets::of(self.problem, self.labels)
    }

    /// fp32 (batch, width): what the head was given.
    ///
    /// # Errors
    /// The head takes sequences.
    pub fn features(&self) -> Result<&'a Tensor> {
        self.features.ok_or_else(|| Error::invalid("this loss needs one vector for each text, and the head takes sequences: choose another head"))
    }
}

/// A loss, and what it serves.
struct Made<L> {
    loss: L,
    problem: Problem,
}

pub(crate) struct Functions<L>(PhantomData<L>);

impl<L: Loss> Functions<L> {
    pub(crate) const TABLE: &'static LossFunctions = &LossFunctions {
        size: size_of::<LossFunctions>() as u32,
        reserved: 0,
        create: Some(create::<L>),
        destroy: Some(guard::destroy::<Made<L>>),
        forward: Some(forward::<L>),
        problems: problem::claim(L::PROBLEMS),
    };
}

// The host keeps the promises of `abi` for each of these.

unsafe extern "C" fn create<L: Loss>(
    json: Bytes,
    shape: *const LossShape,
    out: *mut *mut Instance,
    error: *const Sink,
) -> Status {
    // SAFETY: see above.
    unsafe {
        guard::create(out, error, || {
            let shape = border::sized(shape)?;
            let problem = problem::served(shape.problem, L::NAME, L::PROBLEMS)?;
            let loss = L::new_for(
                problem,
                settings::parse(border::text(json)?)?,
                shape.outputs,
                device(shape.device),
            )?;
            Ok(Made { loss, problem })
        })
    }
}

unsafe extern "C" fn forward<L: Loss>(
    instance: *mut Instance,
    input: *const abi::LossInput,
    pass: *const abi::Pass,
    losses: *mut *mut CTensor,
    error: *const Sink,
) -> Status {
    // SAFETY: see above.
    unsafe {
        guard::with::<Made<L>>(instance, error, |made| {
            let raw = border::given(input)?;
            let (logits, labels, features) =
                (borrow(raw.logits)?, borrow(raw.labels)?, maybe_borrow(raw.features));
            let input = LossInput {
                logits: &logits,
                labels: &labels,
                features: features.as_deref(),
                problem: made.problem,
            };
            losses.write(release(made.loss.forward(&input, &border::given(pass)?.into())?));
            Ok(())
        })
    }
}
