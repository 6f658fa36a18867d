//! Losses: what training makes small.

use crate::abi::{self, Bytes, CTensor, Instance, LossFunctions, LossShape, Sink, Status};
use crate::error::{Error, Result};
use crate::tensor::{Pass, borrow, device, maybe_borrow, release};
use crate::{border, guard, settings};
use serde::de::DeserializeOwned;
use std::marker::PhantomData;
use tch::{Device, Tensor};

pub trait Loss: Sized + Send + 'static {
    /// What recipes call it: lower-case letters, digits, `-` and `_`.
    const NAME: &'static str;
    /// What a recipe may set. Give every field a default.
    type Settings: DeserializeOwned;

    /// For `outputs` classes.
    ///
    /// # Errors
    /// Settings that cannot be used.
    fn new(settings: Self::Settings, outputs: i64, device: Device) -> Result<Self>;

    /// -> fp32 (batch): the loss of every example, whose weighted mean is taken by the trainer. A loss that is one
    /// number for the whole batch gives it to each example.
    ///
    /// # Errors
    /// Shapes that do not fit, no memory.
    fn forward(&self, input: &LossInput, pass: &Pass) -> Result<Tensor>;
}

pub struct LossInput<'a> {
    /// fp32 (batch, outputs)
    pub logits: &'a Tensor,
    /// int64 (batch): the classes.
    pub labels: &'a Tensor,
    pub(crate) features: Option<&'a Tensor>,
}

impl<'a> LossInput<'a> {
    pub fn new(logits: &'a Tensor, labels: &'a Tensor, features: Option<&'a Tensor>) -> LossInput<'a> {
        LossInput { logits, labels, features }
    }

    /// fp32 (batch, width): what the head was given.
    ///
    /// # Errors
    /// The head takes sequences.
    pub fn features(&self) -> Result<&'a Tensor> {
        self.features.ok_or_else(|| Error::invalid("this loss needs one vector for each text, and the head takes sequences: choose another head"))
    }
}

pub(crate) struct Functions<L>(PhantomData<L>);

impl<L: Loss> Functions<L> {
    pub(crate) const TABLE: &'static LossFunctions = &LossFunctions {
        size: size_of::<LossFunctions>() as u32,
        reserved: 0,
        create: Some(create::<L>),
        destroy: Some(guard::destroy::<L>),
        forward: Some(forward::<L>),
    };
}

// The host keeps the promises of `abi` for each of these.

unsafe extern "C" fn create<L: Loss>(json: Bytes, shape: *const LossShape, out: *mut *mut Instance, error: *const Sink) -> Status {
    // SAFETY: see above.
    unsafe {
        guard::create(out, error, || {
            let shape = border::given(shape)?;
            L::new(settings::parse(border::text(json)?)?, shape.outputs, device(shape.device))
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
        guard::with::<L>(instance, error, |loss| {
            let raw = border::given(input)?;
            let (logits, labels, features) = (borrow(raw.logits)?, borrow(raw.labels)?, maybe_borrow(raw.features));
            let input = LossInput { logits: &logits, labels: &labels, features: features.as_deref() };
            losses.write(release(loss.forward(&input, &border::given(pass)?.into())?));
            Ok(())
        })
    }
}
