//! Multi-sample dropout: one linear map sees every example under several dropouts at once, which is
//! as if the head had been trained on many more examples. For small sets, where a head alone learns
//! by heart.
//!
//! Inoue, "Multi-Sample Dropout for Accelerated Training and Better Generalization", 2019. There
//! the mean is taken of the losses; here, as in most code that cites it, of the logits, which for a
//! linear map is the logits of the mean. In use it is a linear map and nothing else, so that
//! finished models have their family's own head.

use finetuned_sdk::tch::Tensor;
use finetuned_sdk::tch::nn::{self, Path};
use finetuned_sdk::{Error, Head, HeadInput, HeadShape, Pass, Problem, Random, Result};
use serde::Deserialize;

pub struct MultiSampleDropout {
    classifier: nn::Linear,
    settings: Settings,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Probability that a number of an example's features is dropped, in each sample.
    p: f64,
    samples: u32,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { p: 0.5, samples: 8 }
    }
}

impl Head for MultiSampleDropout {
    const NAME: &'static str = "multi_sample_dropout";
    const PROBLEMS: &'static [Problem] = Problem::ALL;
    type Settings = Settings;

    fn new(settings: Settings, shape: &HeadShape, p: &Path) -> Result<MultiSampleDropout> {
        if !(0.0..1.0).contains(&settings.p) {
            return Err(Error::invalid(format!("p = {}: from 0 to below 1", settings.p)));
        }
        if settings.samples == 0 {
            return Err(Error::invalid("samples = 0: at least 1"));
        }
        Ok(MultiSampleDropout {
            classifier: nn::linear(
                p / "classifier",
                shape.width,
                shape.outputs,
                Default::default(),
            ),
            settings,
        })
    }

    fn forward(&self, input: &HeadInput, pass: &Pass) -> Result<Tensor> {
        let linear = |features: &Tensor| {
            Ok(features.f_linear(&self.classifier.ws, self.classifier.bs.as_ref())?)
        };
        if !pass.train {
            return linear(input.features);
        }
        linear(&input.features.f_mul(&self.mask(input.features, pass)?)?)
    }
}

impl MultiSampleDropout {
    /// (batch, width): the mean of the samples' masks, each 0 or 1 / (1 - p). A function of the
    /// pass alone, so that a run that was killed goes on with the same noise.
    fn mask(&self, features: &Tensor, pass: &Pass) -> Result<Tensor> {
        let Settings { p, samples } = self.settings;
        let mut seeds = Random::new(pass.seed);
        let mut random = Random::new(
            seeds.bits() ^ Random::new(pass.step).bits() ^ Random::new(!pass.micro).bits(),
        );
        let one = 1.0 / (f64::from(samples) * (1.0 - p));
        let mean = |_| (0..samples).filter(|_| p <= random.unit()).count() as f64 * one;
        let means: Vec<f64> = (0..features.numel()).map(mean).collect();
        Ok(Tensor::f_from_slice(&means)?
            .f_to_kind(features.kind())?
            .f_to(features.device())?
            .f_view_as(features)?)
    }
}

finetuned_sdk::export! { heads: [MultiSampleDropout] }

#[cfg(test)]
mod tests {
    #[cfg(feature = "doc-only")]
    #[test]
    fn forward_and_backward_with_libtorch() {
        finetuned_sdk::testing::with_libtorch();
    }

    #[cfg(not(feature = "doc-only"))]
    mod with_libtorch {
        use super::super::*;
        use finetuned_sdk::tch::{Device, Kind};
        use finetuned_sdk::testing;

        const CPU: (Kind, Device) = (Kind::Float, Device::Cpu);

        #[test]
        fn in_use_it_is_the_linear_map() {
            let (weight, bias) = (Tensor::randn([3, 6], CPU), Tensor::randn([3], CPU));
            let shape = HeadShape { width: 6, outputs: 3, device: Device::Cpu, seed: 0 };
            let features = Tensor::randn([4, 6], CPU);
            let parameters = [
                ("classifier.weight", weight.shallow_clone()),
                ("classifier.bias", bias.shallow_clone()),
            ];
            let found = testing::head::<MultiSampleDropout>(
                "{}",
                &shape,
                &parameters,
                &HeadInput::new(&features, None, None),
            )
            .expect("logits");
            assert!(found.equal(&features.linear(&weight, Some(&bias))));
        }

        #[test]
        fn the_mean_mask_is_that_of_independent_dropouts() {
            let (p, samples) = (0.25, 4);
            let head = MultiSampleDropout {
                classifier: nn::linear(
                    nn::VarStore::new(Device::Cpu).root(),
                    1,
                    1,
                    Default::default(),
                ),
                settings: Settings { p, samples },
            };
            let at = |step, micro| {
                head.mask(
                    &Tensor::zeros([200, 500], CPU),
                    &Pass { train: true, seed: 3, step, micro },
                )
                .expect("a mask")
            };
            let mask = at(0, 0).to_kind(Kind::Double);
            // A mean of 1, and the variance of a mean of four masks of variance p / (1 - p).
            let (mean, variance) =
                (mask.mean(Kind::Double).double_value(&[]), mask.var(true).double_value(&[]));
            assert!((mean - 1.0).abs() < 5.0 * (variance / 1e5).sqrt(), "{mean}");
            assert!((variance - p / (1.0 - p) / f64::from(samples)).abs() < 2e-3, "{variance}");
            assert!(
                at(0, 0).equal(&at(0, 0))
                    && !at(0, 0).equal(&at(1, 0))
                    && !at(0, 0).equal(&at(0, 1))
            );
        }

        #[test]
        fn settings_that_drop_all_or_ask_nobody_are_refused() {
            let shape = HeadShape { width: 2, outputs: 2, device: Device::Cpu, seed: 0 };
            let features = Tensor::ones([1, 2], CPU);
            for (settings, says) in [
                (r#"{"p": 1.0}"#, "p = 1: from 0 to below 1"),
                (r#"{"samples": 0}"#, "samples = 0: at least 1"),
            ] {
                let refused = testing::head::<MultiSampleDropout>(
                    settings,
                    &shape,
                    &[],
                    &HeadInput::new(&features, None, None),
                );
                assert_eq!(refused.expect_err("refused").to_string(), says);
            }
        }
    }
}
