//! What the border costs: the same head called as the worker calls a plugin's, and called directly.
//!
//! ```console
//! LD_LIBRARY_PATH=.libtorch/lib \
//!     cargo run --release -p finetuned-sdk --features tensor --example border_cost
//! ```

use finetuned_sdk::abi::{self, Bytes, HeadFunctions, Host, Sink, Status, Table};
use finetuned_sdk::tch::nn::{self, Path};
use finetuned_sdk::tch::{self, Device, Tensor};
use finetuned_sdk::{Head, HeadInput, HeadShape, NoSettings, Pass, Result};
use std::ptr::{null, null_mut};
use std::time::{Duration, Instant};

const WIDTH: i64 = 384;
const OUTPUTS: i64 = 3;
const CALLS: u32 = 20_000;
/// Rounds of each, in turn: the quickest counts, since nothing makes a call quicker than it is.
const ROUNDS: usize = 9;

struct Linear(nn::Linear);

impl Head for Linear {
    const NAME: &'static str = "linear";
    type Settings = NoSettings;

    fn new(_: NoSettings, shape: &HeadShape, p: &Path) -> Result<Linear> {
        Ok(Linear(nn::linear(p, shape.width, shape.outputs, Default::default())))
    }

    fn forward(&self, input: &HeadInput, _: &Pass) -> Result<Tensor> {
        Ok(built_in(&self.0, input.features)?)
    }
}

fn built_in(linear: &nn::Linear, features: &Tensor) -> std::result::Result<Tensor, tch::TchError> {
    features.f_linear(&linear.ws, linear.bs.as_ref())
}

finetuned_sdk::export! { heads: [Linear] }

unsafe extern "C" {
    fn finetuned_plugin_entry(
        host: *const Host,
        table: *mut *const Table,
        error: *const Sink,
    ) -> Status;
}

static HOST: Host =
    Host { abi: abi::ABI_VERSION, size: size_of::<Host>() as u32, context: null_mut(), log: None };

/// The instance of the plugin's head behind its functions.
struct Plugin {
    functions: HeadFunctions,
    instance: *mut abi::Instance,
}

fn no_sink() -> Sink {
    Sink { context: null_mut(), write: None }
}

impl Plugin {
    fn open() -> Plugin {
        let (mut table, mut instance) = (null(), null_mut());
        let shape = abi::HeadShape {
            size: size_of::<abi::HeadShape>() as u32,
            device: -1,
            width: WIDTH,
            outputs: OUTPUTS,
            seed: 0,
            problem: abi::PROBLEM_SINGLE_LABEL,
        };
        let settings = "{}";
        // SAFETY: all that is passed lives until each call returns; the only export is the head.
        unsafe {
            assert_eq!(finetuned_plugin_entry(&HOST, &raw mut table, &no_sink()), abi::OK);
            let functions = *(*(*table).exports).functions.cast::<HeadFunctions>();
            let create = functions.create.expect("a head has it");
            let settings = Bytes { ptr: settings.as_ptr(), len: settings.len() };
            assert_eq!(create(settings, &raw const shape, &raw mut instance, &no_sink()), abi::OK);
            Plugin { functions, instance }
        }
    }

    fn forward(&self, features: &Tensor) -> Tensor {
        let size = size_of::<abi::HeadInput>() as u32;
        let input = abi::HeadInput {
            size,
            reserved: 0,
            features: features.as_ptr().cast_mut().cast(),
            mask: null_mut(),
            labels: null_mut(),
        };
        let pass =
            abi::Pass { size: size_of::<abi::Pass>() as u32, train: 0, seed: 0, step: 0, micro: 0 };
        let mut logits = null_mut();
        let forward = self.functions.forward.expect("a head has it");
        // SAFETY: as above; what it gives is ours.
        unsafe {
            assert_eq!(
                forward(
                    self.instance,
                    &raw const input,
                    &raw const pass,
                    &raw mut logits,
                    &no_sink()
                ),
                abi::OK
            );
            Tensor::from_ptr(logits.cast())
        }
    }
}

fn timed(mut call: impl FnMut() -> Tensor) -> Duration {
    let start = Instant::now();
    (0..CALLS).for_each(|_| drop(call()));
    start.elapsed() / CALLS
}

fn main() {
    tch::set_num_threads(1);
    let plugin = Plugin::open();
    let store = nn::VarStore::new(Device::Cpu);
    let linear = nn::linear(store.root(), WIDTH, OUTPUTS, Default::default());
    for batch in [1, 32] {
        let features = Tensor::rand([batch, WIDTH], tch::kind::FLOAT_CPU);
        let (mut through, mut direct) = (Duration::MAX, Duration::MAX);
        for _ in 0..ROUNDS {
            direct = direct
                .min(timed(|| tch::no_grad(|| built_in(&linear, &features).expect("computed"))));
            through = through.min(timed(|| tch::no_grad(|| plugin.forward(&features))));
        }
        let (through, direct) = (through.as_nanos() as i64, direct.as_nanos() as i64);
        println!(
            "batch {batch}: a plugin's head {through} ns a call, built in {direct} ns, {:+} ns for the border",
            through - direct
        );
    }
}
