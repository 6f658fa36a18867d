//! Cohen's kappa with quadratic weights: agreement beyond chance where classes have an order
//! (grades, stages, stars), so that a near miss counts less than a far one.
//!
//! Cohen, "Weighted kappa: nominal scale agreement with provision for scaled disagreement or
//! partial credit", Psychological Bulletin 70(4), 1968. kappa = 1 - sum_ij w_ij o_ij / sum_ij w_ij
//! e_ij with w_ij = (i - j)^2, the table o of (true, predicted) and e = row sums x column sums / n.
//! As scikit-learn's `cohen_kappa_score(weights="quadratic")`. Classes are numbered as the model's
//! outputs are.

use finetuned_sdk::{Error, Metric, NoSettings, Predictions, Result};

pub struct QuadraticKappa {
    /// n_classes * n_classes: true classes down, predicted ones across.
    table: Vec<u64>,
    n_classes: usize,
}

impl Metric for QuadraticKappa {
    const NAME: &'static str = "quadratic_kappa";
    const HIGHER_IS_BETTER: bool = true;
    type Settings = NoSettings;

    fn new(_: NoSettings, classes: &[&str]) -> Result<QuadraticKappa> {
        let n_classes = classes.len();
        if !classes.iter().all(|it| it.parse::<i64>().is_ok()) {
            finetuned_sdk::warn!(
                "quadratic_kappa takes the order of the classes for their rank: {}",
                classes.join(", ")
            );
        }
        Ok(QuadraticKappa { table: vec![0; n_classes * n_classes], n_classes })
    }

    fn update(&mut self, batch: &Predictions) -> Result<()> {
        for (row, label) in batch.rows() {
            let mut best = 0;
            for (class, p) in row.iter().enumerate() {
                if row[best] < *p {
                    best = class;
                }
            }
            self.table[label * self.n_classes + best] += 1;
        }
        Ok(())
    }

    fn merge(&mut self, other: &QuadraticKappa) -> Result<()> {
        for (count, other) in self.table.iter_mut().zip(&other.table) {
            *count += other;
        }
        Ok(())
    }

    fn compute(&self) -> Result<f64> {
        let k = self.n_classes;
        let targets: Vec<f64> =
            self.table.chunks(k).map(|it| it.iter().sum::<u64>() as f64).collect();
        let answers: Vec<f64> =
            (0..k).map(|j| (0..k).map(|i| self.table[i * k + j]).sum::<u64>() as f64).collect();
        let n: f64 = targets.iter().sum();
        let (mut seen, mut by_chance) = (0.0, 0.0);
        for (i, targets) in targets.iter().enumerate() {
            for (j, answers) in answers.iter().enumerate() {
                let weight = (i.abs_diff(j) as f64).powi(2);
                seen += weight * self.table[i * k + j] as f64;
                by_chance += weight * targets * answers;
            }
        }
        if by_chance == 0.0 {
            return Err(Error::invalid(
                "quadratic_kappa needs at least two classes among truths and answers",
            ));
        }
        Ok(1.0 - seen * n / by_chance)
    }
}

finetuned_sdk::export! { metrics: [QuadraticKappa] }

#[cfg(test)]
mod tests {
    use super::*;
    use finetuned_sdk::testing;

    #[derive(serde::Deserialize)]
    struct Case {
        classes: usize,
        targets: Vec<u32>,
        answers: Vec<usize>,
        expected: f64,
    }

    /// Rows that are sure of an answer.
    fn sure(classes: usize, answers: &[usize], targets: &[u32]) -> Vec<(Vec<f32>, u32)> {
        let row = |answer| (0..classes).map(|it| f32::from(u8::from(it == answer))).collect();
        answers.iter().map(|&it| row(it)).zip(targets.iter().copied()).collect()
    }

    #[test]
    fn as_scikit_learn_has_it() {
        // Made by fixtures/make.py.
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../../fixtures/kappa.json")).expect("cases");
        for case in cases {
            let names: Vec<String> = (0..case.classes).map(|it| it.to_string()).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let examples = sure(case.classes, &case.answers, &case.targets);
            let found =
                testing::metric::<QuadraticKappa>("{}", &names, &examples).expect("a score");
            assert!((found - case.expected).abs() < 1e-12, "{found} and {}", case.expected);
        }
    }

    #[test]
    fn one_class_has_no_kappa() {
        let examples = sure(3, &[1, 1], &[1, 1]);
        let refused = testing::metric::<QuadraticKappa>("{}", &["0", "1", "2"], &examples)
            .expect_err("refused");
        assert_eq!(
            refused.to_string(),
            "quadratic_kappa needs at least two classes among truths and answers"
        );
    }
}
