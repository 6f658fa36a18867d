//! How often each class is true, is predicted, and is both; what follows from these counts.

#[derive(Debug, Clone)]
pub(crate) struct Tally {
    /// Classes that are nowhere count in macro averages.
    all_classes: bool,
    pub support: Vec<u64>,
    pub predicted: Vec<u64>,
    pub hits: Vec<u64>,
    /// Examples that are right as a whole, and all.
    pub right: u64,
    pub examples: u64,
}

impl Tally {
    pub fn new(classes: usize, all_classes: bool) -> Tally {
        Tally {
            all_classes,
            support: vec![0; classes],
            predicted: vec![0; classes],
            hits: vec![0; classes],
            right: 0,
            examples: 0,
        }
    }

    pub fn precision(&self, class: usize) -> f64 {
        ratio(self.hits[class], self.predicted[class])
    }

    pub fn recall(&self, class: usize) -> f64 {
        ratio(self.hits[class], self.support[class])
    }

    pub fn f1(&self, class: usize) -> f64 {
        ratio(2 * self.hits[class], self.support[class] + self.predicted[class])
    }

    /// A metric that counts alone decide.
    pub fn metric(&self, name: &str) -> Option<f64> {
        if name == "accuracy" {
            return Some(ratio(self.right, self.examples));
        }
        let (average, of) = name.split_once('_')?;
        let of: fn(&Tally, usize) -> f64 = match of {
            "precision" => Tally::precision,
            "recall" => Tally::recall,
            "f1" => Tally::f1,
            _ => return None,
        };
        let weight = |class: usize| match average {
            "macro" => {
                Some(u64::from(self.all_classes || 0 < self.support[class] + self.predicted[class]))
            }
            "weighted" => Some(self.support[class]),
            _ => None,
        };
        if average == "micro" {
            return Some(of(&self.together(), 0));
        }
        let (mut sum, mut weights) = (0.0, 0);
        for class in 0..self.support.len() {
            let weight = weight(class)?;
            sum += weight as f64 * of(self, class);
            weights += weight;
        }
        Some(if weights == 0 { 0.0 } else { sum / weights as f64 })
    }

    /// All classes as one.
    fn together(&self) -> Tally {
        let sum = |counts: &[u64]| vec![counts.iter().sum()];
        Tally {
            support: sum(&self.support),
            predicted: sum(&self.predicted),
            hits: sum(&self.hits),
            ..*self
        }
    }
}

pub(crate) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
