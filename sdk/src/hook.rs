//! Hooks: see how training goes, and may wish that it stops or saves.

use crate::abi::{self, Bytes, HookFunctions, Instance, Sink, Status};
use crate::error::{Error, Result};
use crate::{border, guard, settings};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::marker::PhantomData;

/// Watches a training run.
pub trait Hook: Sized + Send + 'static {
    /// What recipes call it: lower-case letters, digits, `-` and `_`.
    const NAME: &'static str;
    /// What a recipe may set. Give every field a default.
    type Settings: DeserializeOwned;
    /// All that it remembers of the run. It goes into every checkpoint, so that a run that was
    /// killed goes on as if it had not been.
    type State: Serialize + DeserializeOwned;

    /// # Errors
    /// Settings that cannot be used.
    fn new(settings: Self::Settings) -> Result<Self>;

    /// Called after every update, evaluation and epoch, in the training loop: be quick.
    ///
    /// # Errors
    /// End the job as failed.
    fn progress(&mut self, progress: &Progress) -> Result<Wish>;

    /// What a checkpoint stores of the hook.
    fn state(&self) -> Self::State;

    /// The opposite of [`Hook::state`], in a hook that has seen nothing.
    fn resume(&mut self, state: Self::State);
}

/// Where training stands, when a hook is asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress<'a> {
    /// Why it is asked.
    pub event: Event<'a>,
    /// Updates made, and planned in all.
    pub step: u64,
    /// Updates planned in all.
    pub steps: u64,
    /// Epochs done, with the part of the current one.
    pub epoch: f64,
    /// Mean loss of the examples of the last update.
    pub loss: f64,
    /// Learning rate of the last update.
    pub lr: f64,
    /// L2 norm of all gradients of the last update, before clipping.
    pub gradient_norm: f64,
}

/// What has just happened.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Event<'a> {
    /// An update was made.
    Step,
    /// The validation split was scored.
    Evaluated(&'a [Score<'a>]),
    /// An epoch ended, after its evaluation if it had one.
    Epoch,
}

/// A score of the validation split.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score<'a> {
    /// As in a recipe: "macro_f1", "loss", a plugin metric's name.
    pub name: &'a str,
    /// In the metric's own units.
    pub value: f64,
    /// Whether a larger value is the better one.
    pub higher_is_better: bool,
}

/// What a hook asks of the training loop. Several are joined by `|`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish(u32);

impl Wish {
    /// Nothing is asked.
    pub const GO_ON: Wish = Wish(0);
    /// Ends the training as if it had come to its end; the best step so far becomes the model.
    pub const STOP: Wish = Wish(abi::WISH_STOP);
    /// Writes a checkpoint now.
    pub const SAVE: Wish = Wish(abi::WISH_SAVE);
}

impl std::ops::BitOr for Wish {
    type Output = Wish;

    fn bitor(self, other: Wish) -> Wish {
        Wish(self.0 | other.0)
    }
}

pub(crate) struct Functions<H>(PhantomData<H>);

impl<H: Hook> Functions<H> {
    pub(crate) const TABLE: &'static HookFunctions = &HookFunctions {
        size: size_of::<HookFunctions>() as u32,
        reserved: 0,
        create: Some(create::<H>),
        destroy: Some(guard::destroy::<H>),
        progress: Some(progress::<H>),
        save: Some(save::<H>),
        load: Some(load::<H>),
    };
}

// The host keeps the promises of `abi` for each of these.

unsafe extern "C" fn create<H: Hook>(
    json: Bytes,
    out: *mut *mut Instance,
    error: *const Sink,
) -> Status {
    // SAFETY: see above.
    unsafe { guard::create(out, error, || H::new(settings::parse(border::text(json)?)?)) }
}

unsafe extern "C" fn progress<H: Hook>(
    instance: *mut Instance,
    progress: *const abi::Progress,
    wishes: *mut u32,
    error: *const Sink,
) -> Status {
    // SAFETY: see above.
    unsafe {
        guard::with::<H>(instance, error, |hook| {
            let raw = border::given(progress)?;
            let mut scores = Vec::new();
            for it in border::slice(raw.scores, raw.n_scores) {
                scores.push(Score {
                    name: border::text(it.name)?,
                    value: it.value,
                    higher_is_better: it.higher_is_better != 0,
                });
            }
            let event = match raw.event {
                abi::EVENT_STEP => Event::Step,
                abi::EVENT_EVALUATED => Event::Evaluated(&scores),
                abi::EVENT_EPOCH => Event::Epoch,
                other => {
                    return Err(Error::failed(format!(
                        "the host tells of event {other}, which this plugin does not know"
                    )));
                }
            };
            let &abi::Progress { step, steps, epoch, loss, lr, gradient_norm, .. } = raw;
            wishes.write(
                hook.progress(&Progress { event, step, steps, epoch, loss, lr, gradient_norm })?.0,
            );
            Ok(())
        })
    }
}

unsafe extern "C" fn save<H: Hook>(
    instance: *mut Instance,
    state: *const Sink,
    error: *const Sink,
) -> Status {
    // SAFETY: see above.
    unsafe {
        guard::with::<H>(instance, error, |hook| {
            border::write(state, &serde_json::to_string(&hook.state())?);
            Ok(())
        })
    }
}

unsafe extern "C" fn load<H: Hook>(
    instance: *mut Instance,
    state: Bytes,
    error: *const Sink,
) -> Status {
    // SAFETY: see above.
    unsafe {
        guard::with::<H>(instance, error, |hook| {
            hook.resume(serde_json::from_str(border::text(state)?)?);
            Ok(())
        })
    }
}
