//! Augmentation as a caller sees it: decided by its place, gone for evaluation.

use expect_test::expect;
use finetuned_images::{Augment, Preprocess, Preset};

use crate::support::{data, gradient};

fn preprocess() -> Preprocess {
    Preprocess::read(&data("configs/timm_whole")).expect("a config")
}

#[test]
fn none_is_the_preprocessing_of_the_evaluation() {
    let none = Augment::preset(Preset::None);
    assert!(none.leaves_images_alone());
    let image = gradient(70, 50);
    for epoch in 0..20 {
        assert_eq!(none.apply(&preprocess(), &image, 1, epoch, 2), preprocess().prepare(&image));
    }
}

#[test]
fn the_same_place_gives_the_same_and_another_place_another() {
    let image = gradient(70, 50);
    for preset in [Preset::Light, Preset::Strong] {
        let augment = Augment::preset(preset);
        assert!(!augment.leaves_images_alone());
        let at = |seed, epoch, index| augment.apply(&preprocess(), &image, seed, epoch, index);
        assert_eq!(at(1, 2, 3), at(1, 2, 3));
        for other in [at(0, 2, 3), at(1, 0, 3), at(1, 2, 0), at(2, 1, 3)] {
            assert_ne!(at(1, 2, 3), other);
        }
    }
}

/// A seed means the same on every machine and in every release.
#[test]
fn what_a_seed_means_stays() {
    let numbers =
        Augment::preset(Preset::Strong).apply(&preprocess(), &gradient(70, 50), 17, 3, 42);
    let restored = preprocess().restore(&numbers);
    let sum: u64 =
        restored.data().iter().enumerate().map(|(at, it)| (at as u64 + 1) * u64::from(*it)).sum();
    expect!["666676621"].assert_eq(&sum.to_string());
}

#[test]
fn flips_happen_as_often_as_asked() {
    let image = gradient(32, 32);
    let augment = Augment { horizontal_flip: 0.3, ..Augment::preset(Preset::None) };
    let plain = preprocess().prepare(&image);
    let flipped = (0..1000)
        .filter(|&index| augment.apply(&preprocess(), &image, 0, 0, index) != plain)
        .count();
    assert!((250..350).contains(&flipped), "{flipped} of 1,000");
}

#[test]
fn erasing_leaves_a_rectangle_of_the_mean_colour() {
    let image = gradient(32, 32);
    let augment = Augment { erasing: 1.0, ..Augment::preset(Preset::None) };
    let plain = preprocess().prepare(&image);
    for index in 0..200 {
        let numbers = augment.apply(&preprocess(), &image, 0, 0, index);
        let plane = numbers.len() / 3;
        let erased: Vec<usize> = (0..plane)
            .filter(|at| (0..3).all(|channel| numbers[channel * plane + at] == 0.0))
            .collect();
        let (columns, rows): (Vec<usize>, Vec<usize>) =
            erased.iter().map(|at| (at % 32, at / 32)).unzip();
        let span = |of: &[usize]| of.iter().max().unwrap_or(&0) + 1 - of.iter().min().unwrap_or(&0);
        assert_eq!(erased.len(), span(&columns) * span(&rows), "a whole rectangle");
        assert!(
            (15..=352).contains(&erased.len()),
            "2 % to a third of 1,024, rounded: {}",
            erased.len()
        );
        assert!(
            (0..numbers.len()).all(|at| numbers[at] == plain[at] || erased.contains(&(at % plane)))
        );
    }
}

#[test]
fn extreme_shapes_are_augmented_too() {
    for preset in [Preset::Light, Preset::Strong] {
        for (width, height) in [(1, 1), (1, 500), (500, 1), (2, 3)] {
            for index in 0..50 {
                let numbers = Augment::preset(preset).apply(
                    &preprocess(),
                    &gradient(width, height),
                    5,
                    0,
                    index,
                );
                assert!(numbers.iter().all(|it| it.is_finite()));
            }
        }
    }
}

#[test]
fn plans_keep_it() {
    let strong = Augment::preset(Preset::Strong);
    let text = serde_json::to_string(&strong).expect("JSON");
    assert_eq!(serde_json::from_str::<Augment>(&text).expect("JSON"), strong);
    assert_eq!(serde_json::to_string(&Preset::Light).expect("JSON"), "\"light\"");
}
