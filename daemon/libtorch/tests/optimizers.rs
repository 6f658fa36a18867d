//! Optimizers against PyTorch's, whose numbers `data/make_fixtures.py` made; and what PyTorch has
//! no word on: that saved state continues to the bit, that memory layout does not matter, that
//! exceptions become errors.

use finetuned_libtorch::{Algorithm, Optimizer};
use std::collections::BTreeMap;
use tch::{Device, Kind, Tensor};

const STEPS: usize = 10;
/// Before which update (from 0) the parameter `late` joins.
const LATE: usize = 4;
const LR: f64 = 0.05;
const CLIP: f64 = 1.5;
/// Name, factor on the learning rate, weight decay; as in the script.
const PARAMETERS: [(&str, f64, f64); 5] = [
    ("embed", 1.0, 0.1),
    ("weight", 1.0, 0.1),
    ("bias", 0.5, 0.0),
    ("unused", 0.5, 0.0),
    ("late", 0.25, 0.1),
];
const BETAS: (f64, f64) = (0.9, 0.98);
const ALGORITHMS: [(&str, Algorithm); 5] = [
    ("adamw", Algorithm::AdamW { betas: BETAS, eps: 1e-6 }),
    ("adam", Algorithm::Adam { betas: BETAS, eps: 1e-6 }),
    ("sgd", Algorithm::Sgd { momentum: 0.0, nesterov: false }),
    ("momentum", Algorithm::Sgd { momentum: 0.9, nesterov: false }),
    ("nesterov", Algorithm::Sgd { momentum: 0.9, nesterov: true }),
];

type Named = BTreeMap<String, Tensor>;

fn fixtures() -> Named {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/optimizers.safetensors");
    Tensor::read_safetensors(path).unwrap().into_iter().collect()
}

/// The model of the script, and its optimizer.
struct Training {
    fixtures: Named,
    tensors: BTreeMap<&'static str, Tensor>,
    optimizer: Optimizer,
}

impl Training {
    fn new(algorithm: Algorithm) -> Training {
        let fixtures = fixtures();
        let start = |name: &str| fixtures[&format!("start.{name}")].copy().set_requires_grad(true);
        let tensors: BTreeMap<_, _> = PARAMETERS.iter().map(|it| (it.0, start(it.0))).collect();
        let mut training = Training { fixtures, tensors, optimizer: Optimizer::new(algorithm) };
        PARAMETERS.iter().filter(|it| it.0 != "late").for_each(|it| training.add(it.0));
        training
    }

    fn add(&mut self, name: &str) {
        let (_, lr_scale, weight_decay) = PARAMETERS.iter().find(|it| it.0 == name).unwrap();
        self.optimizer.add(name, &self.tensors[name], *lr_scale, *weight_decay);
    }

    /// One update; gives the norm of the gradients. The gradient of sum(p * g) is g.
    fn update(&mut self, step: usize) -> f64 {
        if step == LATE {
            self.add("late");
        }
        let trains = |name: &str| match name {
            "late" => LATE <= step,
            "unused" => step % 2 == 1,
            _ => true,
        };
        self.optimizer.zero_grad();
        for (name, tensor) in self.tensors.iter().filter(|it| trains(it.0)) {
            (tensor * &self.fixtures[&format!("grad.{step}.{name}")]).sum(Kind::Float).backward();
        }
        let norm = self.optimizer.clip_grad_norm(Some(CLIP)).unwrap();
        self.optimizer.step(LR * (1.0 - step as f64 / STEPS as f64)).unwrap();
        norm
    }
}

#[test]
fn ten_updates_equal_pytorchs() {
    for (name, algorithm) in ALGORITHMS {
        let mut training = Training::new(algorithm);
        for step in 0..STEPS {
            let norm = training.update(step);
            let expected = training.fixtures[&format!("{name}.norms")].double_value(&[step as i64]);
            assert!(
                (norm - expected).abs() <= 1e-6 * expected,
                "{name}, step {step}: norm {norm}, not {expected}"
            );
            for (parameter, tensor) in &training.tensors {
                let expected = &training.fixtures[&format!("{name}.{}.{parameter}", step + 1)];
                let off = (tensor - expected).abs().max().double_value(&[]);
                assert!(off <= 1e-6, "{name}, step {step}: {parameter} is off by {off}");
            }
        }
    }
}

#[test]
fn saved_state_continues_to_the_bit() {
    for (name, algorithm) in ALGORITHMS {
        // Before, at and after the update in which a parameter joins.
        for stop in [1, LATE, LATE + 1, 7] {
            let mut whole = Training::new(algorithm);
            for step in 0..stop {
                whole.update(step);
            }
            let saved: Vec<_> = whole
                .optimizer
                .state()
                .iter()
                .map(|(name, it)| (name.clone(), it.copy()))
                .collect();
            let mut resumed = Training::new(algorithm);
            resumed
                .tensors
                .iter_mut()
                .for_each(|(name, it)| tch::no_grad(|| it.copy_(&whole.tensors[name])));
            if LATE < stop {
                resumed.add("late");
            }
            resumed.optimizer.load_state(&saved).unwrap();
            for step in stop..STEPS {
                assert_eq!(whole.update(step), resumed.update(step));
            }
            for (parameter, tensor) in &whole.tensors {
                assert!(
                    tensor.equal(&resumed.tensors[parameter]),
                    "{name}, stopped at {stop}: {parameter} differs"
                );
            }
            for ((one, a), (two, b)) in
                whole.optimizer.state().iter().zip(resumed.optimizer.state())
            {
                assert!(
                    *one == two && a.equal(&b),
                    "{name}, stopped at {stop}: state {one} differs"
                );
            }
        }
    }
}

#[test]
fn state_has_torchs_names_is_sorted_and_exists_from_the_first_update_on() {
    let names =
        |it: &Training| it.optimizer.state().into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    let mut adamw = Training::new(ALGORITHMS[0].1);
    assert!(names(&adamw).is_empty());
    adamw.update(0);
    let expected = ["bias", "embed", "weight"]
        .iter()
        .flat_map(|it| ["step", "exp_avg", "exp_avg_sq"].map(|field| format!("{it}.{field}")));
    assert_eq!(names(&adamw), expected.collect::<Vec<_>>());
    let mut momentum = Training::new(ALGORITHMS[3].1);
    momentum.update(1);
    assert_eq!(
        names(&momentum),
        ["bias", "embed", "unused", "weight"].map(|it| format!("{it}.momentum_buffer"))
    );
    let mut sgd = Training::new(ALGORITHMS[2].1);
    sgd.update(1);
    assert!(names(&sgd).is_empty());
}

#[test]
fn wrong_state_is_refused_and_changes_nothing() {
    let mut training = Training::new(ALGORITHMS[0].1);
    training.update(0);
    let before: Vec<_> = training.optimizer.state().iter().map(|(_, it)| it.copy()).collect();
    let refused = |optimizer: &mut Optimizer, name: &str, value: Tensor| {
        optimizer.load_state(&[(name.into(), value)]).unwrap_err().to_string()
    };
    let optimizer = &mut training.optimizer;
    let scalar = || Tensor::from(1f32);
    assert_eq!(
        refused(optimizer, "head.step", scalar()),
        "optimizer state head.step: its parameter is not trained"
    );
    assert_eq!(
        refused(optimizer, "bias.exp_avg", scalar()),
        "optimizer state bias.exp_avg: has the shape [], the parameter wants [4]"
    );
    assert_eq!(
        refused(optimizer, "bias.step", scalar()),
        "optimizer state bias.exp_avg: is missing"
    );
    assert_eq!(
        refused(optimizer, "bias.momentum_buffer", scalar()),
        "optimizer state bias.momentum_buffer: belongs to no AdamW { betas: (0.9, 0.98), eps: 1e-6 }"
    );
    assert!(
        training.optimizer.state().iter().zip(before).all(|((_, now), before)| now.equal(&before))
    );
}

#[test]
fn memory_layout_does_not_matter() {
    for (_, algorithm) in ALGORITHMS {
        let values = Tensor::arange(12, (Kind::Float, Device::Cpu)).view([3, 4]);
        let mut straight = values.copy().set_requires_grad(true);
        let mut turned = values.tr().contiguous().tr().set_requires_grad(true);
        assert!(!turned.is_contiguous());
        for (name, tensor) in [("straight", &mut straight), ("turned", &mut turned)] {
            let mut optimizer = Optimizer::new(algorithm);
            optimizer.add(name, tensor, 1.0, 0.01);
            for _ in 0..3 {
                optimizer.zero_grad();
                // The gradient of a matrix product comes out row by row, whatever the parameter's
                // layout.
                tensor.matmul(&values.tr()).square().mean(Kind::Float).backward();
                optimizer.step(0.01).unwrap();
            }
        }
        assert!(straight.allclose(&turned, 1e-6, 1e-6, false), "{algorithm:?}");
    }
}

#[test]
fn clipping_without_a_limit_or_without_gradients() {
    let mut training = Training::new(ALGORITHMS[0].1);
    assert_eq!(training.optimizer.clip_grad_norm(Some(1.0)).unwrap(), 0.0);
    let p = Tensor::from_slice(&[1f32, 1.0]).set_requires_grad(true);
    (&p * Tensor::from_slice(&[3f32, 4.0])).sum(Kind::Float).backward();
    assert_eq!(finetuned_libtorch::clip_grad_norm([&p], None).unwrap(), 5.0);
    assert_eq!(p.grad(), Tensor::from_slice(&[3f32, 4.0]));
    finetuned_libtorch::zero_grad([&p]);
    assert!(!p.grad().defined());
    training.optimizer.zero_grad();
}

#[test]
fn an_exception_is_an_error() {
    let table = Tensor::ones([5, 2], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    let rows = Tensor::embedding(
        &table,
        &Tensor::from_slice(&[1i64, 3]),
        -1,
        false,
        /* sparse */ true,
    );
    rows.sum(Kind::Float).backward();
    let mut optimizer = Optimizer::new(ALGORITHMS[0].1);
    optimizer.add("table", &table, 1.0, 0.0);
    let message = optimizer.step(0.1).unwrap_err().to_string();
    assert_eq!(message, "libtorch: a gradient is sparse, which the fused optimizers cannot use");
}
