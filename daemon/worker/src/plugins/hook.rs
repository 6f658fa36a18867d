//! A hook from a plugin.

use super::border::{Function, Handle, Subject, lend, to_slice};
use finetuned_job::outcome::Failure;
use finetuned_sdk::abi::{self, Bytes, Sink};
use std::ffi::c_void;

/// Where training stands, for hooks.
#[derive(Debug, Clone)]
pub(crate) struct HookProgress<'a> {
    pub moment: Moment,
    pub step: u64,
    pub steps: u64,
    pub epoch: f64,
    pub loss: f64,
    pub lr: f64,
    pub grad_norm: f64,
    /// Name, value, and whether more is better; with [`Moment::Evaluated`].
    pub scores: &'a [(&'a str, f64, bool)],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    Step,
    Evaluated,
    EpochEnd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Wishes {
    pub stop: bool,
    pub save: bool,
}

/// One hook, built by [`Plugins::hook`](super::Plugins::hook): `progress` after each update,
/// evaluation and epoch, `save` into each checkpoint, `load` after `create` when a run is resumed.
pub(crate) struct HookInstance {
    handle: Handle,
    functions: abi::HookFunctions,
    telling: Function,
    saving: Function,
    loading: Function,
}

impl HookInstance {
    pub(super) fn create(
        subject: Subject,
        functions: abi::HookFunctions,
        settings: &str,
    ) -> Result<HookInstance, Failure> {
        let [telling, saving, loading] =
            ["progress", "save", "load"].map(|it| subject.function(it));
        let ends = (functions.create, functions.destroy);
        let handle = Handle::of_settings(subject, ends, settings)?;
        Ok(HookInstance { handle, functions, telling, saving, loading })
    }

    pub(crate) fn progress(&self, at: &HookProgress<'_>) -> Result<Wishes, Failure> {
        let score = |&(name, value, higher): &(&str, f64, bool)| abi::Score {
            name: lend(name),
            value,
            higher_is_better: u32::from(higher),
            reserved: 0,
        };
        let scores: Vec<abi::Score> = at.scores.iter().map(score).collect();
        let progress = abi::Progress {
            size: size_of::<abi::Progress>() as u32,
            event: match at.moment {
                Moment::Step => abi::EVENT_STEP,
                Moment::Evaluated => abi::EVENT_EVALUATED,
                Moment::EpochEnd => abi::EVENT_EPOCH,
            },
            step: at.step,
            steps: at.steps,
            epoch: at.epoch,
            loss: at.loss,
            lr: at.lr,
            gradient_norm: at.grad_norm,
            scores: scores.as_ptr(),
            n_scores: scores.len(),
        };
        let tell = self.functions.progress.expect("looked at when opened");
        let mut wishes = 0;
        // SAFETY: the arguments live until it returns.
        self.handle.call(self.telling, |instance, error| unsafe {
            tell(instance, &raw const progress, &raw mut wishes, error)
        })?;
        if wishes & !(abi::WISH_STOP | abi::WISH_SAVE) != 0 {
            return Err(self
                .handle
                .bad_answer(self.telling, format!("the unknown wish {wishes:#x}")));
        }
        Ok(Wishes { stop: wishes & abi::WISH_STOP != 0, save: wishes & abi::WISH_SAVE != 0 })
    }

    /// All that it remembers, for a checkpoint.
    pub(crate) fn save(&self) -> Result<String, Failure> {
        let mut state: Option<Vec<u8>> = None;
        let sink = Sink { context: (&raw mut state).cast(), write: Some(keep) };
        let save = self.functions.save.expect("looked at when opened");
        // SAFETY: the sink lives until it returns.
        self.handle.call(self.saving, |instance, error| unsafe {
            save(instance, &raw const sink, error)
        })?;
        let state = state.ok_or_else(|| self.handle.bad_answer(self.saving, "no state"))?;
        if STATE_BYTES_MAX < state.len() {
            return Err(self
                .handle
                .bad_answer(self.saving, format!("more than {STATE_BYTES_MAX} bytes of state")));
        }
        String::from_utf8(state)
            .map_err(|_| self.handle.bad_answer(self.saving, "a state that is no UTF-8"))
    }

    /// Takes back what `save` gave.
    pub(crate) fn load(&self, state: &str) -> Result<(), Failure> {
        let load = self.functions.load.expect("looked at when opened");
        // SAFETY: the state lives until it returns.
        self.handle
            .call(self.loading, |instance, error| unsafe { load(instance, lend(state), error) })
    }
}

/// A hook remembers a few numbers; the state goes into every checkpoint.
const STATE_BYTES_MAX: usize = 1 << 20;

unsafe extern "C" fn keep(context: *mut c_void, text: Bytes) {
    // SAFETY: the context is the place of the call that this sink was made for.
    let state = unsafe { &mut *context.cast::<Option<Vec<u8>>>() };
    // SAFETY: the plugin's bytes are valid until we return. One more than allowed is enough to see
    // that.
    let bytes = unsafe { to_slice(text) };
    *state = Some(bytes[..bytes.len().min(STATE_BYTES_MAX + 1)].to_vec());
}
