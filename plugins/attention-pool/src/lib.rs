//! Attention pooling: a learnt question looks at every token or patch and takes what it needs, then
//! a linear map gives the logits. For models whose first token was never trained to stand for the
//! whole.
//!
//! Lee, Lee, Kim, Kosiorek, Choi and Teh, "Set Transformer", ICML 2019, section 3.2 (pooling by
//! multihead attention, one seed vector, without the row-wise network), as in the heads of SigLIP.
//! The attention is that of Vaswani et al. 2017, with the parameters of
//! `torch.nn.MultiheadAttention` under their names.

use finetuned_sdk::tch::Tensor;
use finetuned_sdk::tch::nn::{self, Init, Path};
use finetuned_sdk::{Error, Head, HeadInput, HeadShape, Input, Pass, Problem, Result};
use serde::Deserialize;

pub struct AttentionPool {
    /// (1, 1, width): the question.
    probe: Tensor,
    /// (3 * width, width), (3 * width): of query, key and value.
    in_proj_weight: Tensor,
    in_proj_bias: Tensor,
    out_proj: nn::Linear,
    classifier: nn::Linear,
    heads: i64,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Parts of a vector that look separately; must divide the model's width.
    heads: i64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { heads: 4 }
    }
}

impl Head for AttentionPool {
    const NAME: &'static str = "attention_pool";
    const INPUT: Input = Input::Sequence;
    /// It does not look at what is true.
    const PROBLEMS: &'static [Problem] = Problem::ALL;
    type Settings = Settings;

    fn new(settings: Settings, shape: &HeadShape, p: &Path) -> Result<AttentionPool> {
        let (width, heads) = (shape.width, settings.heads);
        if heads < 1 || width % heads != 0 {
            return Err(Error::invalid(format!(
                "heads = {heads}: a number that divides the model's width, {width}"
            )));
        }
        // Initialised as torch.nn.MultiheadAttention; the question small, so that it starts by
        // looking at all alike.
        let bound = (6.0 / (4 * width) as f64).sqrt();
        let attention = p / "attention";
        Ok(AttentionPool {
            probe: p.f_var("probe", &[1, 1, width], Init::Randn { mean: 0.0, stdev: 0.02 })?,
            in_proj_weight: attention.f_var(
                "in_proj_weight",
                &[3 * width, width],
                Init::Uniform { lo: -bound, up: bound },
            )?,
            in_proj_bias: attention.f_var("in_proj_bias", &[3 * width], Init::Const(0.0))?,
            out_proj: nn::linear(
                &attention / "out_proj",
                width,
                width,
                nn::LinearConfig { bs_init: Some(Init::Const(0.0)), ..Default::default() },
            ),
            classifier: nn::linear(p / "classifier", width, shape.outputs, Default::default()),
            heads,
        })
    }

    fn forward(&self, input: &HeadInput, _: &Pass) -> Result<Tensor> {
        let (batch, seq, width) = input.features.size3()?;
        // (any, n, width) -> (any, heads, n, width / heads)
        let split =
            |xs: Tensor, n| xs.f_view([-1, n, self.heads, width / self.heads])?.f_transpose(1, 2);
        let (weights, biases) =
            (self.in_proj_weight.f_chunk(3, 0)?, self.in_proj_bias.f_chunk(3, 0)?);
        let query = split(self.probe.f_linear(&weights[0], Some(&biases[0]))?, 1)?
            .f_expand([batch, -1, -1, -1], false)?;
        let key = split(input.features.f_linear(&weights[1], Some(&biases[1]))?, seq)?;
        let value = split(input.features.f_linear(&weights[2], Some(&biases[2]))?, seq)?;
        // (batch, 1, 1, seq): true where there is a token
        let mask = input.mask()?.f_ne(0)?.f_view([batch, 1, 1, seq])?;
        let mixed = Tensor::f_scaled_dot_product_attention(
            &query,
            &key,
            &value,
            Some(&mask),
            0.0,
            false,
            None,
            false,
        )?;
        // (batch, heads, 1, width / heads) -> (batch, width)
        let pooled = mixed.f_reshape([batch, width])?;
        linear(&linear(&pooled, &self.out_proj)?, &self.classifier)
    }
}

fn linear(xs: &Tensor, map: &nn::Linear) -> Result<Tensor> {
    Ok(xs.f_linear(&map.ws, map.bs.as_ref())?)
}

finetuned_sdk::export! { heads: [AttentionPool] }

#[cfg(test)]
mod tests {
    #[cfg(feature = "doc-only")]
    #[test]
    fn forward_and_backward_with_libtorch() {
        finetuned_sdk::testing::with_libtorch();
    }

    #[cfg(not(feature = "doc-only"))]
    mod with_libtorch {
        use crate::AttentionPool;
        use finetuned_sdk::tch::{Device, Kind, Tensor};
        use finetuned_sdk::{HeadInput, HeadShape, testing};

        #[derive(serde::Deserialize)]
        struct Case {
            heads: i64,
            /// (batch, seq, width)
            features: Array,
            mask: Vec<Vec<i64>>,
            parameters: Vec<(String, Array)>,
            logits: Array,
        }

        #[derive(serde::Deserialize)]
        struct Array {
            shape: Vec<i64>,
            data: Vec<f32>,
        }

        impl Array {
            fn tensor(&self) -> Tensor {
                Tensor::from_slice(&self.data).view(self.shape.as_slice())
            }
        }

        #[test]
        fn as_multihead_attention_of_torch() {
            // Made by fixtures/make.py.
            let case: Case =
                serde_json::from_str(include_str!("../../fixtures/attention_pool.json"))
                    .expect("a case");
            let (features, expected) = (case.features.tensor(), case.logits.tensor());
            let mask = Tensor::from_slice(&case.mask.concat()).view([case.mask.len() as i64, -1]);
            let shape = HeadShape {
                width: features.size()[2],
                outputs: expected.size()[1],
                device: Device::Cpu,
                seed: 0,
            };
            let parameters: Vec<(&str, Tensor)> =
                case.parameters.iter().map(|(name, it)| (name.as_str(), it.tensor())).collect();
            let settings = format!(r#"{{"heads": {}}}"#, case.heads);
            let found = testing::head::<AttentionPool>(
                &settings,
                &shape,
                &parameters,
                &HeadInput::new(&features, Some(&mask), None),
            );
            let found = found.expect("logits");
            assert!(found.allclose(&expected, 1e-5, 1e-6, false), "{found} {expected}");
        }

        #[test]
        fn heads_must_divide_the_width() {
            let shape = HeadShape { width: 6, outputs: 2, device: Device::Cpu, seed: 0 };
            let features = Tensor::ones([1, 1, 6], (Kind::Float, Device::Cpu));
            let refused = testing::head::<AttentionPool>(
                "{}",
                &shape,
                &[],
                &HeadInput::new(&features, None, None),
            )
            .expect_err("refused");
            assert_eq!(
                refused.to_string(),
                "heads = 4: a number that divides the model's width, 6"
            );
        }
    }
}
