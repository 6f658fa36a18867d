//! The numbers are those of transformers. 1e-5 is about a hundred roundings of fp32 at the size of
//! these logits and gradients; ten steps add up theirs, so 1e-4.

use crate::{
    FAMILIES, all_names, build, data, distance, finished, headless, input, packed, tensors,
};
use finetuned_libtorch::{Algorithm, Optimizer};
use finetuned_models::{BuildOptions, Built, Input, Pass};
use tch::{Kind, Tensor};

const EXACT: f64 = 1e-5;
const STEPPED: f64 = 1e-4;

fn logits(model: &Built, input: &Input, pass: &Pass) -> Tensor {
    model.model.logits(input, pass).unwrap()
}

#[test]
fn logits_and_gradients_are_those_of_transformers() {
    for family in FAMILIES {
        let expected = tensors(&data(family).join("expected.safetensors"));
        let mut model = build(family, &finished());
        model.model.set_trainable(&all_names(&model)).unwrap();
        let (input, labels) = input(family);
        let logits = logits(&model, &input, &Pass::training(0, 1, 0));
        assert!(distance(&logits, &expected["logits"]) < EXACT, "{family}");
        let loss = logits.cross_entropy_for_logits(&labels);
        assert!(distance(&loss, &expected["loss"]) < EXACT, "{family}");
        loss.backward();
        assert_eq!(model.tensors.len(), expected.len() - 2, "{family}");
        for (name, tensor) in &model.tensors {
            assert!(
                distance(&tensor.grad(), &expected[name]) < EXACT,
                "{name}: {}",
                distance(&tensor.grad(), &expected[name])
            );
        }
    }
}

#[test]
fn ten_steps_end_where_those_of_torch_do() {
    // As in make_fixtures.py.
    const LR: f64 = 1e-3;
    const WEIGHT_DECAY: f64 = 0.01;
    const RULE: Algorithm = Algorithm::AdamW { betas: (0.9, 0.999), eps: 1e-5 };
    for family in FAMILIES {
        let expected = tensors(&data(family).join("stepped.safetensors"));
        let mut model = build(family, &finished());
        model.model.set_trainable(&all_names(&model)).unwrap();
        let norms = &model.model.parts().norms;
        let mut optimizer = Optimizer::new(RULE);
        for (name, tensor) in &model.tensors {
            let decays = !name.ends_with("bias") && !norms.contains(name);
            optimizer.add(name, tensor, 1.0, if decays { WEIGHT_DECAY } else { 0.0 });
        }
        let (input, labels) = input(family);
        for step in 1..=10 {
            optimizer.zero_grad();
            logits(&model, &input, &Pass::training(0, step, 0))
                .cross_entropy_for_logits(&labels)
                .backward();
            optimizer.step(LR).unwrap();
        }
        let before = tensors(&data(family).join("model.safetensors"));
        for (name, tensor) in &model.tensors {
            let tensor = tensor.detach();
            assert!(
                distance(&tensor, &expected[name]) < STEPPED,
                "{name}: {}",
                distance(&tensor, &expected[name])
            );
            // The bias of a key moves by nothing but rounding.
            assert!(
                ["key.bias", "k_lin.bias", "attn.k.bias"].iter().any(|it| name.contains(it))
                    || STEPPED * 10.0 < distance(&tensor, &before[name]),
                "{name} stood still"
            );
        }
    }
}

#[test]
fn a_body_without_prefix_gives_the_same_hidden_states() {
    let expected = tensors(&data("bert_body").join("expected.safetensors"));
    let model = build("bert_body", &headless());
    let input = packed(&expected["ids"], &expected["mask"]);
    let hidden = model.model.features(&input, &Pass::evaluation()).unwrap().xs;
    // What transformers computes for padding, nobody looks at.
    let seen = expected["mask"].ne(0).unsqueeze(-1);
    assert!(distance(&hidden, &expected["hidden"].masked_select(&seen).view_as(&hidden)) < EXACT);
}

#[test]
fn the_short_way_to_the_first_token_is_exact() {
    for family in FAMILIES {
        let (input, _) = input(family);
        let grads = |options: &BuildOptions, first: &dyn Fn(Tensor) -> Tensor| {
            let mut model = build(family, options);
            model.model.set_trainable(&all_names(&model)).unwrap();
            let pass = Pass::training(0, 1, 0);
            let features = first(model.model.features(&input, &pass).unwrap().xs);
            (features.square()
                * Tensor::arange(features.size()[1], (Kind::Float, features.device())))
            .mean(Kind::Float)
            .backward();
            (features.detach(), model)
        };
        let (short, model) = grads(&finished(), &|it| it);
        let (long, whole) =
            grads(&headless(), &|it| it.index_select(0, &Tensor::from_slice(&starts(&input))));
        assert!(distance(&short, &long) < EXACT, "{family}");
        for ((name, a), (_, b)) in model.tensors.iter().zip(&whole.tensors) {
            if a.grad().defined() {
                assert!(
                    distance(&a.grad(), &b.grad()) < EXACT,
                    "{name}: {}",
                    distance(&a.grad(), &b.grad())
                );
            }
        }
    }
}

#[test]
fn a_text_does_not_see_its_neighbours() {
    for family in FAMILIES {
        let model = build(family, &finished());
        let (input, _) = input(family);
        let together = logits(&model, &input, &Pass::evaluation());
        for (row, (start, &length)) in starts(&input).into_iter().zip(&input.lengths).enumerate() {
            let alone = Input::tokens(input.xs.narrow(0, start, length), vec![length]);
            let alone = logits(&model, &alone, &Pass::evaluation());
            assert!(
                distance(&alone, &together.narrow(0, row as i64, 1)) < EXACT,
                "{family}, row {row}"
            );
        }
    }
}

fn starts(input: &Input) -> Vec<i64> {
    input.lengths.iter().scan(0, |end, it| Some(std::mem::replace(end, *end + it))).collect()
}

#[test]
fn dropout_is_a_function_of_seed_step_and_pass_and_unbiased() {
    for family in FAMILIES {
        for (dropout, attention_dropout) in [(0.1, 0.0), (0.0, 0.1)] {
            let mut model = build(
                family,
                &BuildOptions { dropout: Some(dropout), attention_dropout, ..finished() },
            );
            model.model.set_trainable(&all_names(&model)).unwrap();
            let (input, _) = input(family);
            let at = |seed, step, micro| {
                logits(&model, &input, &Pass::training(seed, step, micro)).detach()
            };
            let first = at(1, 2, 3);
            tch::manual_seed(99); // libtorch's own generator has no say
            assert!(first.equal(&at(1, 2, 3)), "{family}");
            for other in [at(2, 2, 3), at(1, 3, 3), at(1, 2, 4)] {
                assert!(1e-3 < distance(&first, &other), "{family}");
            }
            let still = logits(&model, &input, &Pass::evaluation());
            let all: Vec<Tensor> = (0..400).map(|step| at(0, step, 0) - &still).collect();
            // What dropout does to the mean is of second order; 400 draws leave a twentieth of its
            // deviation.
            let all = Tensor::stack(&all, 0);
            let (spread, mean) =
                (all.std(true).double_value(&[]), all.mean(Kind::Double).double_value(&[]));
            assert!(
                0.01 < spread && mean.abs() < 0.5 * spread,
                "{family}: mean {mean}, deviation {spread}"
            );
        }
    }
}

#[test]
fn attention_with_dropout_written_out_is_the_kernel_without() {
    // A probability so small that nothing is dropped takes the long way.
    for family in FAMILIES {
        let mut long = build(family, &BuildOptions { attention_dropout: 1e-12, ..finished() });
        long.model.set_trainable(&all_names(&long)).unwrap();
        let (input, _) = input(family);
        let expected = tensors(&data(family).join("expected.safetensors"));
        assert!(
            distance(
                &logits(&long, &input, &Pass::training(0, 1, 0)).detach(),
                &expected["logits"]
            ) < EXACT,
            "{family}"
        );
    }
}
