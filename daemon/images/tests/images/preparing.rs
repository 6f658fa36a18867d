//! Preprocessing: numbers as timm and transformers make them, from configs as they write them.

use std::fs;

use expect_test::{Expect, expect};
use finetuned_images::{Filter, Fit, Preprocess};

use crate::support::{data, fixture, gradient};

/// Every 13th number is in the fixture.
const STRIDE: usize = 13;

/// In steps of 1/255: the weights of filters have fewer bits than Pillow's, so a value may be one
/// off now and then.
const STEP_MEAN_MAX: f64 = 0.03;

#[test]
fn numbers_are_those_of_timm_and_transformers() {
    let fixture = fixture("prepared.safetensors");
    assert_eq!(fixture.numbers.len(), 3 * 18);
    for (name, expected) in &fixture.numbers {
        let (config, image) = name.split_once('/').expect("config/image");
        let preprocess =
            Preprocess::read(&data("configs").join(config)).unwrap_or_else(|err| panic!("{err}"));
        let mut numbers = preprocess.prepare(&fixture.images[image]);
        if config == "timm_defaults" {
            numbers = numbers
                .chunks_exact(224)
                .enumerate()
                .filter(|(y, _)| y % 7 == 0)
                .flat_map(|(_, row)| row.iter().copied().step_by(7))
                .collect();
        }
        let numbers: Vec<f32> = numbers.into_iter().step_by(STRIDE).collect();
        assert_eq!(numbers.len(), expected.len(), "{name}");
        let step =
            preprocess.rescale / preprocess.std.iter().copied().fold(f64::INFINITY, f64::min);
        let differences: Vec<f64> = numbers
            .iter()
            .zip(expected)
            .map(|(one, other)| f64::from((one - other).abs()) / step)
            .collect();
        let mean = differences.iter().sum::<f64>() / differences.len() as f64;
        let most = differences.iter().copied().fold(0.0, f64::max);
        assert!(
            mean <= STEP_MEAN_MAX && most < 1.01,
            "{name}: {mean} steps on average, {most} at most"
        );
    }
}

#[test]
fn a_size_of_ones_own_keeps_the_rest() {
    let preprocess = Preprocess::read(&data("configs/timm_bilinear_half")).expect("a config");
    let at_size = |size| {
        Preprocess::read_at_size(&data("configs/timm_bilinear_half"), Some(size)).expect("a config")
    };
    assert_eq!(preprocess, at_size([32, 32]));
    let larger = at_size([48, 64]);
    assert_eq!(larger.prepare(&gradient(100, 90)).len(), 3 * 48 * 64);
    assert_eq!((larger.fit, larger.filter, larger.crop_pct), (Fit::Center, Filter::Bilinear, 0.9));
}

#[test]
fn what_is_written_for_another_size_is_read_so() {
    for entry in fs::read_dir(data("configs")).expect("configs") {
        let folder = entry.expect("a folder").path();
        let wanted = Preprocess::read_at_size(&folder, Some([96, 96])).expect("a config");
        assert_eq!((wanted.height, wanted.width), (96, 96), "{}", folder.display());
        let left = tempfile::tempdir().expect("a folder");
        match wanted.preprocessor_config(&folder).expect("a config") {
            Some(config) => {
                fs::write(left.path().join("preprocessor_config.json"), config.to_string())
                    .expect("written")
            }
            None => {
                let text = fs::read(folder.join("config.json")).expect("timm's");
                let mut config = serde_json::from_slice(&text).expect("JSON");
                wanted.enter_in_config(&mut config);
                fs::write(left.path().join("config.json"), config.to_string()).expect("written");
            }
        }
        assert_eq!(
            Preprocess::read(left.path()).expect("a config"),
            wanted,
            "{}",
            folder.display()
        );
    }
}

#[test]
fn a_size_is_not_lost_in_an_empty_config() {
    // As old folders have it: the fields beside `architecture`, or none at all.
    for config in [
        r#"{"architecture": "resnet18", "pretrained_cfg": null}"#,
        r#"{"architecture": "resnet18"}"#,
        r#"{"pretrained_cfg": {}}"#,
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("config.json"), config).expect("written");
        let read = Preprocess::read_at_size(folder.path(), Some([96, 96])).expect("a config");
        assert_eq!((read.height, read.width), (96, 96), "{config}");
    }
}

#[test]
fn plans_keep_it() {
    for entry in fs::read_dir(data("configs")).expect("configs") {
        let preprocess = Preprocess::read(&entry.expect("a folder").path()).expect("a config");
        let text = serde_json::to_string(&preprocess).expect("JSON");
        assert_eq!(serde_json::from_str::<Preprocess>(&text).expect("JSON"), preprocess, "{text}");
    }
}

#[test]
fn images_come_back_to_look_at() {
    let preprocess = Preprocess::read(&data("configs/timm_squash")).expect("a config");
    let preprocess = Preprocess { height: 40, width: 30, ..preprocess };
    let image = gradient(57, 43);
    assert_eq!(preprocess.restore(&preprocess.prepare(&image)), preprocess.fit(&image));
}

#[test]
fn one_pixel_is_enough() {
    for name in ["timm_border", "timm_not_square", "timm_beyond", "convnext", "clip"] {
        let preprocess = Preprocess::read(&data("configs").join(name)).expect("a config");
        for (width, height) in [(1, 1), (1, 4000), (4000, 1)] {
            assert!(
                preprocess.prepare(&gradient(width, height)).iter().all(|it| it.is_finite()),
                "{name} {width} x {height}"
            );
        }
    }
}

#[track_caller]
fn check_refusal(file: &str, text: &str, expected: Expect) {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join(file), text).expect("written");
    let err = Preprocess::read(folder.path()).expect_err("refused").to_string();
    expected.assert_eq(&err.replace(&folder.path().display().to_string(), "MODEL"));
}

#[test]
fn configs_that_say_too_little_or_too_much() {
    check_refusal(
        "other.json",
        "{}",
        expect![
            "MODEL: neither preprocessor_config.json of transformers nor a config.json of timm is there, so nothing says how images are prepared"
        ],
    );
    check_refusal(
        "config.json",
        "{",
        expect![
            "MODEL/config.json: it is not JSON: EOF while parsing an object at line 1 column 1"
        ],
    );
    check_refusal(
        "config.json",
        "{\"model_type\": \"vit\"}",
        expect![
            "MODEL/config.json: pretrained_cfg: timm's is expected here, or a preprocessor_config.json of transformers beside this file"
        ],
    );
    check_refusal(
        "config.json",
        "{\"pretrained_cfg\": {\"interpolation\": \"sinc\"}}",
        expect![[r#"MODEL/config.json: interpolation: "sinc" is not a filter of Pillow"#]],
    );
    check_refusal(
        "config.json",
        "{\"pretrained_cfg\": {\"input_size\": [1, 28, 28]}}",
        expect!["MODEL/config.json: input_size: [3, height, width] is expected, not [1,28,28]"],
    );
    check_refusal(
        "config.json",
        "{\"pretrained_cfg\": {\"input_size\": [3, 100000, 28]}}",
        expect!["MODEL/config.json: size: 28 x 100000 is not between 1 and 4096"],
    );
    check_refusal(
        "config.json",
        "{\"pretrained_cfg\": {\"std\": [0, 0, 0]}}",
        expect![
            "MODEL/config.json: std: mean, deviation and scale must be finite, and the last two not zero"
        ],
    );
    check_refusal(
        "config.json",
        "{\"pretrained_cfg\": {\"crop_pct\": 0}}",
        expect!["MODEL/config.json: crop_pct: 0 is not between 0.1 and 2"],
    );
    check_refusal(
        "preprocessor_config.json",
        "{}",
        expect![
            "MODEL/preprocessor_config.json: image_processor_type: it is missing, so nothing says what the other fields mean"
        ],
    );
    check_refusal(
        "preprocessor_config.json",
        "{\"image_processor_type\": \"SamImageProcessor\"}",
        expect![
            "MODEL/preprocessor_config.json: image_processor_type: SamImageProcessor is not known, only those of ViT, DeiT, Bit, CLIP, ConvNext, EfficientNet, MobileNetV2"
        ],
    );
    check_refusal(
        "preprocessor_config.json",
        "{\"image_processor_type\": \"ViTImageProcessor\", \"do_resize\": false}",
        expect![
            "MODEL/preprocessor_config.json: do_resize: images of different sizes don't fit in one batch; set it to true"
        ],
    );
    check_refusal(
        "preprocessor_config.json",
        "{\"image_processor_type\": \"BitImageProcessor\", \"do_center_crop\": false}",
        expect![
            "MODEL/preprocessor_config.json: do_center_crop: images of different shapes don't fit in one batch; set it to true"
        ],
    );
    check_refusal(
        "preprocessor_config.json",
        "{\"image_processor_type\": \"BitImageProcessor\", \"size\": {\"longest_edge\": 5}}",
        expect![
            "MODEL/preprocessor_config.json: size: either shortest_edge or height and width are expected"
        ],
    );
    check_refusal(
        "preprocessor_config.json",
        "{\"image_processor_type\": \"ViTImageProcessor\", \"resample\": 9}",
        expect!["MODEL/preprocessor_config.json: resample: 9 is not one of Pillow's numbers"],
    );
}
