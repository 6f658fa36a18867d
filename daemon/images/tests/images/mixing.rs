//! mixup and CutMix: numbers that follow from their place, with the distribution of the papers.

use finetuned_images::{Mix, Mixing};

const SIZE: (u32, u32) = (64, 48);

fn mixes(mixup_alpha: f64, cutmix_alpha: f64) -> Vec<Mix> {
    let mixing = Mixing { mixup_alpha, cutmix_alpha };
    (0..2000).map(|batch| mixing.mix(7, 0, batch, 9, SIZE).expect("on")).collect()
}

#[test]
fn the_same_place_gives_the_same_and_another_place_another() {
    let mixing = Mixing { mixup_alpha: 0.2, cutmix_alpha: 1.0 };
    let at = |seed, epoch, batch| mixing.mix(seed, epoch, batch, 16, SIZE);
    assert_eq!(at(1, 2, 3), at(1, 2, 3));
    for other in [at(2, 2, 3), at(1, 3, 3), at(1, 2, 4)] {
        assert_ne!(at(1, 2, 3), other);
    }
}

#[test]
fn partners_are_a_permutation() {
    for mix in mixes(0.2, 1.0) {
        let mut partners = mix.partners.clone();
        partners.sort_unstable();
        assert_eq!(partners, (0..9).collect::<Vec<_>>());
    }
}

#[test]
fn lambda_has_the_mean_and_variance_of_beta() {
    for alpha in [0.2, 1.0, 4.0] {
        let lambdas: Vec<f64> = mixes(alpha, 0.0).iter().map(|it| it.lambda).collect();
        let mean = lambdas.iter().sum::<f64>() / lambdas.len() as f64;
        let variance =
            lambdas.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / lambdas.len() as f64;
        // Beta(a, a): mean 1/2, variance 1 / (4 (2a + 1)). Four standard errors of 2,000 draws.
        let expected = 1.0 / (4.0 * (2.0 * alpha + 1.0));
        assert!((mean - 0.5).abs() < 4.0 * (expected / 2000.0).sqrt(), "{alpha}: {mean}");
        assert!((variance / expected - 1.0).abs() < 0.13, "{alpha}: {variance}, not {expected}");
    }
}

#[test]
fn an_area_lies_within_and_lambda_is_what_it_leaves() {
    let mixes = mixes(0.0, 1.0);
    for mix in &mixes {
        let area = mix.area.clone().expect("CutMix");
        assert!(area.rows.end <= SIZE.0 && area.columns.end <= SIZE.1);
        let share = (area.rows.len() * area.columns.len()) as f64 / f64::from(SIZE.0 * SIZE.1);
        assert!((mix.lambda - (1.0 - share)).abs() < 1e-12);
    }
    let both = self::mixes(1.0, 1.0).iter().filter(|it| it.area.is_some()).count();
    assert!((900..1100).contains(&both), "{both} of 2,000 are cut");
}

#[test]
fn nothing_is_mixed_where_nothing_is_asked_for() {
    assert_eq!(Mixing { mixup_alpha: 0.0, cutmix_alpha: 0.0 }.mix(0, 0, 0, 8, SIZE), None);
    assert_eq!(Mixing { mixup_alpha: 1.0, cutmix_alpha: 0.0 }.mix(0, 0, 0, 1, SIZE), None);
}
