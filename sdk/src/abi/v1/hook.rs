//! Hooks: see how training goes, and may wish that it stops or saves. Plain tier.

use super::{Bytes, Instance, Sink, Status};

/// [`Progress::event`]: an update was made.
pub const EVENT_STEP: u32 = 1;
/// [`Progress::event`]: the validation split was scored; `scores` are there.
pub const EVENT_EVALUATED: u32 = 2;
/// [`Progress::event`]: an epoch ended, after its evaluation if it had one.
pub const EVENT_EPOCH: u32 = 3;

/// Wish: end the training as if it had come to its end. The best step so far becomes the model.
pub const WISH_STOP: u32 = 1;
/// Wish: write a checkpoint now.
pub const WISH_SAVE: u32 = 2;

/// A score of the validation split.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Score {
    /// As in a recipe: "macro_f1", "loss", a plugin metric's name.
    pub name: Bytes,
    /// In the units of the metric.
    pub value: f64,
    /// 1 if more is better, 0 if less is.
    pub higher_is_better: u32,
    /// 0
    pub reserved: u32,
}

/// Where training stands.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// `sizeof(Progress)`.
    pub size: u32,
    /// `EVENT_...`
    pub event: u32,
    /// Updates made, and planned in all.
    pub step: u64,
    /// Planned in all.
    pub steps: u64,
    /// Epochs done, with the part of the current one.
    pub epoch: f64,
    /// Of the last update: mean loss of its examples, learning rate, L2 norm of all gradients
    /// before clipping.
    pub loss: f64,
    /// Learning rate.
    pub lr: f64,
    /// L2 norm before clipping.
    pub gradient_norm: f64,
    /// With `EVENT_EVALUATED`: all scores.
    pub scores: *const Score,
    /// Scores behind `scores`.
    pub n_scores: usize,
}

/// Functions of a hook. Version 1 has them all, none may be null.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct HookFunctions {
    /// `sizeof(HookFunctions)`.
    pub size: u32,
    /// 0
    pub reserved: u32,
    /// `settings` and `*instance` as [`HeadFunctions::create`](super::HeadFunctions::create).
    pub create: Option<
        unsafe extern "C" fn(
            settings: Bytes,
            instance: *mut *mut Instance,
            error: *const Sink,
        ) -> Status,
    >,
    /// Ends an instance of `create`, also a broken one.
    pub destroy: Option<unsafe extern "C" fn(instance: *mut Instance)>,
    /// Called in the training loop: after every update, so it must be fast. `*wishes`: `WISH_...`,
    /// or-ed.
    pub progress: Option<
        unsafe extern "C" fn(
            instance: *mut Instance,
            progress: *const Progress,
            wishes: *mut u32,
            error: *const Sink,
        ) -> Status,
    >,
    /// Writes all that the hook remembers, as text, for a checkpoint.
    pub save: Option<
        unsafe extern "C" fn(
            instance: *mut Instance,
            state: *const Sink,
            error: *const Sink,
        ) -> Status,
    >,
    /// Takes back what `save` wrote, in a new instance with the same settings: a resumed run goes
    /// on as if it had never been killed.
    pub load: Option<
        unsafe extern "C" fn(instance: *mut Instance, state: Bytes, error: *const Sink) -> Status,
    >,
}
