//! Heads: the last hidden states -> the logits.

use crate::abi::{self, Bytes, CTensor, HeadFunctions, Instance, ParameterSink, Sink, Status};
use crate::error::{Error, Result};
use crate::problem::{self, Problem};
use crate::tensor::{Pass, Targets, borrow, device, maybe_borrow, release};
use crate::{border, guard, settings};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use tch::nn::{Path, VarStore};
use tch::{Device, Tensor};

/// What stands on a pretrained body. Ordinary tch code: whatever is made under the [`Path`] that
/// `new` receives is initialised from the run's seed, trained, saved in checkpoints and in
/// model.safetensors, and filled again when the model is loaded.
pub trait Head: Sized + Send + 'static {
    /// What recipes call it: lower-case letters, digits, `-` and `_`.
    const NAME: &'static str;
    /// What it takes of each example.
    const INPUT: Input = Input::Pooled;
    /// What it is made for. A job with another problem is refused before it trains.
    const PROBLEMS: &'static [Problem] = &[Problem::SingleLabel];
    /// What a recipe may set. Give every field a default.
    type Settings: DeserializeOwned;

    /// # Errors
    /// Settings that cannot be used, shapes that the head cannot take.
    fn new(settings: Self::Settings, shape: &HeadShape, p: &Path) -> Result<Self>;

    /// As [`Head::new`], with the one of [`Head::PROBLEMS`] that it will serve: for a head that is
    /// another one for each.
    ///
    /// # Errors As [`Head::new`].
    fn new_for(
        _problem: Problem,
        settings: Self::Settings,
        shape: &HeadShape,
        p: &Path,
    ) -> Result<Self> {
        Self::new(settings, shape, p)
    }

    /// -> fp32 (batch, outputs): logits, or numbers in the model's own units.
    ///
    /// # Errors
    /// Shapes that do not fit, no memory.
    fn forward(&self, input: &HeadInput, pass: &Pass) -> Result<Tensor>;
}

/// What a head takes of each example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// (batch, width): the one vector that the model's family gives.
    Pooled,
    /// (batch, seq, width): a vector for each token or patch, with a mask.
    Sequence,
}

/// What a head is built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadShape {
    /// Numbers in a vector of features.
    pub width: i64,
    /// Numbers in a row of outputs: the classes, or the numbers that are learnt.
    pub outputs: i64,
    /// Where its tensors lie.
    pub device: Device,
    /// The run's. torch's generator was seeded before.
    pub seed: u64,
}

/// What a head is given of a batch.
pub struct HeadInput<'a> {
    /// fp32 (batch, width) or (batch, seq, width), as [`Head::INPUT`] says.
    pub features: &'a Tensor,
    pub(crate) mask: Option<&'a Tensor>,
    /// While training only. With one label, int64 (batch): the classes. Else what
    /// [`HeadInput::targets`] has.
    pub labels: Option<&'a Tensor>,
    pub(crate) problem: Problem,
}

impl<'a> HeadInput<'a> {
    /// Examples with one label each; [`HeadInput::of`] says another problem.
    pub fn new(
        features: &'a Tensor,
        mask: Option<&'a Tensor>,
        labels: Option<&'a Tensor>,
    ) -> HeadInput<'a> {
        HeadInput { features, mask, labels, problem: Problem::SingleLabel }
    }

    /// The same, with labels that are what is true of examples of this problem.
    #[must_use]
    pub fn of(self, problem: Problem) -> HeadInput<'a> {
        HeadInput { problem, ..self }
    }

    /// What is true, while training only.
    pub fn targets(&self) -> Option<Targets<'a>> {
        self.labels.map(|it| Targets::of(self.problem, it))
    }

    /// int64 (batch, seq): 1 for a token, 0 where the row is filled up; each row has a 1.
    ///
    /// # Errors
    /// The head takes pooled features, which have none.
    pub fn mask(&self) -> Result<&'a Tensor> {
        self.mask.ok_or_else(|| {
            Error::failed(
                "pooled features have no mask: set `const INPUT: Input = Input::Sequence`",
            )
        })
    }
}

/// A head, what it registered, and what it serves.
pub(crate) struct Built<H> {
    pub(crate) head: H,
    pub(crate) vars: VarStore,
    problem: Problem,
}

impl<H: Head> Built<H> {
    pub(crate) fn new(
        problem: Problem,
        settings: H::Settings,
        shape: &HeadShape,
    ) -> Result<Built<H>> {
        let vars = VarStore::new(shape.device);
        let head = H::new_for(problem, settings, shape, &vars.root())?;
        Ok(Built { head, vars, problem })
    }

    /// Parameters and buffers by name, always in the same order.
    pub(crate) fn parameters(&self) -> BTreeMap<String, Tensor> {
        self.vars.variables().into_iter().collect()
    }
}

pub(crate) struct Functions<H>(PhantomData<H>);

impl<H: Head> Functions<H> {
    pub(crate) const TABLE: &'static HeadFunctions = &HeadFunctions {
        size: size_of::<HeadFunctions>() as u32,
        input: match H::INPUT {
            Input::Pooled => abi::INPUT_POOLED,
            Input::Sequence => abi::INPUT_SEQUENCE,
        },
        create: Some(create::<H>),
        destroy: Some(guard::destroy::<Built<H>>),
        parameters: Some(parameters::<H>),
        forward: Some(forward::<H>),
        problems: problem::claim(H::PROBLEMS),
    };
}

// The host keeps the promises of `abi` for each of these.

unsafe extern "C" fn create<H: Head>(
    json: Bytes,
    shape: *const abi::HeadShape,
    out: *mut *mut Instance,
    error: *const Sink,
) -> Status {
    // SAFETY: see above.
    unsafe {
        guard::create(out, error, || {
            let raw = border::sized(shape)?;
            let problem = problem::served(raw.problem, H::NAME, H::PROBLEMS)?;
            let shape = HeadShape {
                width: raw.width,
                outputs: raw.outputs,
                device: device(raw.device),
                seed: raw.seed,
            };
            Built::<H>::new(problem, settings::parse(border::text(json)?)?, &shape)
        })
    }
}

unsafe extern "C" fn parameters<H: Head>(
    instance: *mut Instance,
    sink: *const ParameterSink,
    error: *const Sink,
) -> Status {
    // SAFETY: see above; the host clones what it is passed.
    unsafe {
        guard::with::<Built<H>>(instance, error, |built| {
            let sink = border::given(sink)?;
            let put = sink
                .put
                .ok_or_else(|| Error::failed("the host passed a sink without a function"))?;
            for (name, mut tensor) in built.parameters() {
                put(
                    sink.context,
                    border::bytes(&name),
                    tensor.as_mut_ptr().cast(),
                    u32::from(tensor.requires_grad()),
                );
            }
            Ok(())
        })
    }
}

unsafe extern "C" fn forward<H: Head>(
    instance: *mut Instance,
    input: *const abi::HeadInput,
    pass: *const abi::Pass,
    logits: *mut *mut CTensor,
    error: *const Sink,
) -> Status {
    // SAFETY: see above.
    unsafe {
        guard::with::<Built<H>>(instance, error, |built| {
            let raw = border::given(input)?;
            let (features, mask, labels) =
                (borrow(raw.features)?, maybe_borrow(raw.mask), maybe_borrow(raw.labels));
            let input = HeadInput {
                features: &features,
                mask: mask.as_deref(),
                labels: labels.as_deref(),
                problem: built.problem,
            };
            logits.write(release(built.head.forward(&input, &border::given(pass)?.into())?));
            Ok(())
        })
    }
}
